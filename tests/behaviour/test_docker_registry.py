"""The cosign exporter against Debian's docker-registry: no Referrers API, real tokens, real outages."""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from exporters import metrics as m
from tests.trustkit.authorities import Authority
from tests.trustkit.exporter import Exporter, images, signed_image
from tests.trustkit.images import Attached, Remote, push_image
from tests.trustkit.kit import BEGAN, CYCLONEDX, SLSA, TrustKit, statement
from tests.trustkit.servers import docker_registry, free_port

GOOD = {"signature": "verified", "sbom": "verified", "provenance": "verified"}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> TrustKit:
    return TrustKit()


@pytest.fixture
def folder(kit: TrustKit, tmp_path: Path) -> Path:
    kit.write_root(tmp_path / "trusted_root.json")
    return tmp_path


def of(found: dict[tuple[str, str], str], component: str) -> dict[str, str]:
    return {check: said for (target, check), said in found.items() if target == component}


def test_signatures_are_found_by_the_fallback_tag(kit: TrustKit, folder: Path) -> None:
    """The registry answers 404 to the Referrers API; the tag's descriptors hold no hints."""
    with docker_registry(folder / "registry") as address:
        store = Remote(address, referrers=False)
        signed = signed_image(kit, store, "stellaops/scanner", fallback=True)
        bare = Attached(store, "stellaops/bare", push_image(store, "stellaops/bare"), True)
        found = Exporter(folder, images(address, plain_http=True, signed=signed, bare=bare)).cycle()
    assert of(found, "signed") == GOOD
    assert of(found, "bare") == dict.fromkeys(GOOD, "no_signature")


def test_what_cosign_2_wrote_is_found_by_its_tags(kit: TrustKit, folder: Path) -> None:
    """.sig and .att; the attestations share one."""
    with docker_registry(folder / "registry") as address:
        store = Remote(address, referrers=False)
        on = Attached(store, "stellaops/signer", push_image(store, "stellaops/signer"), True)
        on.legacy("sig", [kit.legacy_signature(on.image)])
        kinds = ((CYCLONEDX, "dsse"), (SLSA, "intoto"))
        on.legacy("att", [kit.legacy_attestation(statement(on.image, p), kind=k) for p, k in kinds])
        found = Exporter(folder, images(address, plain_http=True, signer=on)).cycle()
    assert of(found, "signer") == GOOD


def test_an_outage_leaves_the_verdict_and_ends_within_one_cycle(kit: TrustKit, folder: Path) -> None:
    """Killed and started again: unknown meanwhile, never failed, and the age of the verdict shows it."""
    port = free_port()
    with docker_registry(folder / "registry", port=port) as address:
        signed = signed_image(kit, Remote(address, False), "stellaops/scanner", fallback=True)
        exporter = Exporter(folder, images(address, plain_http=True, signed=signed))
        before = exporter.now
        assert of(exporter.cycle(), "signed") == GOOD
    exporter.now += 60
    assert of(exporter.cycle(), "signed") == dict.fromkeys(GOOD, "unreachable")
    last = {c: exporter.value(m.IMAGE_LAST_CHECK, component="signed", check=c) for c in GOOD}
    assert (exporter.verified("signed", "signature"), last) == (1, dict.fromkeys(GOOD, before))
    exporter.now += 60
    with docker_registry(folder / "registry", port=port):
        assert of(exporter.cycle(), "signed") == GOOD


# ---- tokens ---------------------------------------------------------------------------------------


class Tokens(ThreadingHTTPServer):
    """A token service as distribution wants it: signed tokens for the scope that is asked, of 60 seconds."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = Authority("tokens", BEGAN)
        self.given: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def issue(self, service: str, scope: str) -> str:
        kind, name, actions = scope.split(":")
        now = int(time.time())
        claims = {
            "iss": "authority",
            "sub": "robot",
            "aud": service,
            "iat": now,
            "nbf": now - 10,
            "exp": now + 60,
            "jti": secrets.token_hex(8),
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        chain = [base64.b64encode(self.authority.root.public_bytes(Encoding.DER)).decode()]
        return jwt.encode(claims, self.authority.root_key, algorithm="ES256", headers={"x5c": chain})


class _Handler(BaseHTTPRequestHandler):
    server: Tokens

    def do_GET(self) -> None:
        asked = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        if self.headers.get("Authorization") != "Basic " + base64.b64encode(b"robot:s3cret").decode():
            self.send_response(401)
            self.end_headers()
            return
        self.server.given.append(asked["scope"])
        body = (
            f'{{"token": "{self.server.issue(asked["service"], asked["scope"])}", "expires_in": 60}}'.encode()
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def tokens() -> Iterator[Tokens]:
    service = Tokens()
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        service.server_close()


def test_the_registry_takes_the_tokens_that_we_fetch(
    kit: TrustKit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each repository, for pulling only."""
    monkeypatch.setenv("PASSWORD", "s3cret")
    storage = folder / "registry"
    with docker_registry(storage) as address:
        store = Remote(address, False)
        one, two = (signed_image(kit, store, f"stellaops/{n}", fallback=True) for n in ("one", "two"))
    with tokens() as service:
        (folder / "roots.pem").write_bytes(service.authority.root.public_bytes(Encoding.PEM))
        auth = (
            f"auth: {{token: {{realm: 'http://{service.host}/token', service: registry, issuer: authority, "
            f"rootcertbundle: '{folder}/roots.pem'}}}}\n"
        )
        with docker_registry(storage, auth) as address:
            config = images(address, plain_http=True, one=one, two=two)
            login = {"username": "robot", "password": {"env": "PASSWORD"}, "token_hosts": [service.host]}
            config["registries"]["hosts"][address] |= login
            exporter = Exporter(folder, config)
            for _ in range(2):
                found = exporter.cycle()
    assert (of(found, "one"), of(found, "two")) == (GOOD, GOOD)
    assert service.given == ["repository:stellaops/one:pull", "repository:stellaops/two:pull"]


def test_without_credentials_nothing_is_known(kit: TrustKit, folder: Path) -> None:
    """unauthorized is no verdict on an image."""
    storage = folder / "registry"
    with docker_registry(storage) as address:
        signed = signed_image(kit, Remote(address, False), "stellaops/one", fallback=True)
    # In bcrypt's form; nobody knows its password.
    (folder / "htpasswd").write_text("robot:$2y$05$hSg8rT9kT8PcJvJqUu6rFuoW6YvQ5wS3vZ3v8bQz1qk9mH0f8Jw3W\n")
    auth = f"auth: {{htpasswd: {{realm: registry, path: '{folder}/htpasswd'}}}}\n"
    with docker_registry(storage, auth) as address:
        exporter = Exporter(folder, images(address, plain_http=True, signed=signed))
        found = exporter.cycle()
    assert of(found, "signed") == dict.fromkeys(GOOD, "unauthorized")
    assert exporter.verified("signed", "signature") is None
    assert exporter.value(m.CHECK_ERRORS, check="sbom", reason="unauthorized") == 1
