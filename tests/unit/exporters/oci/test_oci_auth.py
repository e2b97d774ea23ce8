"""Tokens are fetched when they are asked for, renewed in time, bound to a key, and never sent where they do not belong."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from exporters.fetch import Fetcher
from exporters.oci import Reference, Registry, Repository
from exporters.oci_auth import Authorizer, _parse
from exporters.oci_config import Registries
from exporters.outcome import CouldNotCheck
from tests.trustkit.images import push_image
from tests.trustkit.registry import Memory, behind

HOST, NAME = "registry.example.org", "stellaops/scanner"
REPOSITORY = Repository(HOST, NAME)


class World:
    """A registry, a client, and the time."""

    def __init__(self, registry: Memory, *others: Memory, **config: Any) -> None:
        self.now = 1000.0
        self.registry = registry
        self.image = push_image(registry, NAME)
        self.fetcher = Fetcher(transport=behind(registry, *others), attempts=1, sleep=lambda s: None)
        registries = Registries.model_validate(config)
        self.client = Registry(
            self.fetcher, registries, Authorizer(self.fetcher, registries, lambda: self.now)
        )

    def pull(self) -> None:
        self.client.manifest(Reference(REPOSITORY, digest=self.image))

    def refused(self) -> CouldNotCheck:
        with pytest.raises(CouldNotCheck) as caught:
            self.pull()
        return caught.value


def with_password(monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    monkeypatch.setenv("REGISTRY_PASSWORD", "s3cret")
    return {"hosts": {HOST: {"username": "robot", "password": {"env": "REGISTRY_PASSWORD"}, **more}}}


# ---- the token flow -------------------------------------------------------------------------------


def test_a_challenge_leads_to_a_token_and_the_token_is_kept() -> None:
    """One challenge, one token, and then requests only."""
    world = World(Memory(token=True))
    for _ in range(3):
        world.pull()
    assert world.registry.requests == {"manifests": 4, "token": 1}


def test_a_token_is_for_pulling_this_repository_and_for_nothing_else() -> None:
    """Whatever scope the registry would like us to ask for."""
    world = World(Memory(token=True))
    world.pull()
    (asked,) = [r for r in world.registry.asked if r.url.path == "/token"]
    assert dict(asked.url.params) == {"service": HOST, "scope": f"repository:{NAME}:pull"}


@pytest.mark.parametrize("life", [60, 300])
def test_a_token_is_renewed_before_its_end(life: int) -> None:
    """At four fifths of its life, without a refused request."""
    world = World(Memory(token=True, token_life=life))
    world.pull()
    world.now += life * 0.79
    world.pull()
    assert world.registry.requests["token"] == 1
    world.now += life * 0.02
    world.pull()
    assert world.registry.requests == {"manifests": 4, "token": 2}


def test_a_token_that_is_taken_back_is_replaced_once() -> None:
    """The registry has forgotten it; and then it refuses whatever it is shown."""
    world = World(Memory(token=True))
    world.pull()
    world.registry.given.clear()
    world.pull()
    assert world.registry.requests["token"] == 2
    world.registry.fault = lambda r: (
        httpx.Response(401, headers={"www-authenticate": f'Bearer realm="https://{HOST}/token"'})
        if "/v2/" in r.url.path
        else None
    )
    assert world.refused().reason == "unauthorized"


def test_many_threads_ask_for_one_token() -> None:
    """The others wait for the one that asks."""
    world = World(Memory(token=True))
    world.pull()
    world.now += 1000
    threads = [threading.Thread(target=world.pull) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.registry.requests["token"] == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(401), "unauthorized"),
        (httpx.Response(500), "bad_response"),
        (httpx.Response(200, content=b"<html>"), "bad_response"),
        (httpx.Response(200, json={}), "bad_response"),
        (httpx.Response(200, json={"token": "a b\r\nX-Evil: 1"}), "bad_response"),
        (httpx.Response(200, content=b"x" * 100_000), "too_large"),
        (httpx.Response(307, headers={"location": "https://evil.example.org/"}), "bad_response"),
    ],
)
def test_a_token_service_that_gives_no_token_is_no_answer(answer: httpx.Response, reason: str) -> None:
    """Nothing is known about the image."""
    registry = Memory(token=True)
    world = World(registry)
    registry.fault = lambda r: answer if r.url.path == "/token" else None
    assert world.refused().reason == reason


@pytest.mark.parametrize("life", [None, "soon", -5, 0, True, 1e300])
def test_a_token_without_a_life_lives_a_minute(life: Any) -> None:
    """The specification's default."""
    registry = Memory(token=True)
    world = World(registry)
    registry.given.add("abc")
    answer = json.dumps({"access_token": "abc", "expires_in": life}).encode()
    registry.fault = lambda r: httpx.Response(200, content=answer) if r.url.path == "/token" else None
    world.pull()
    world.now += 47
    world.pull()
    world.now += 2
    world.pull()
    assert registry.requests["token"] == 2


# ---- who gets the password --------------------------------------------------------------------------


def test_credentials_go_to_the_token_service_and_not_to_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry sees tokens."""
    world = World(Memory(token=True, login="robot:s3cret"), **with_password(monkeypatch))
    world.pull()
    kinds = {
        r.headers.get("authorization", "").partition(" ")[0]
        for r in world.registry.asked
        if "/v2/" in r.url.path
    }
    assert kinds == {"", "Bearer"}


@pytest.mark.parametrize(
    "realm",
    [
        "https://evil.example.org/token",
        "http://registry.example.org/token",
        "https://registry.example.org.evil.org/token",
        "https://registry.example.org:8443/token",
        "https://registry.example.org@evil.example.org/token",
        "ftp://registry.example.org/token",
        "//evil.example.org/token",
        "file:///etc/passwd",
    ],
)
def test_a_realm_elsewhere_is_not_asked(realm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the registry's word, and would be sent the password."""
    evil = Memory("evil.example.org")
    world = World(Memory(token=True, realm=realm), evil, **with_password(monkeypatch))
    error = world.refused()
    assert (error.reason, len(evil.asked), world.registry.requests["token"]) == ("unauthorized", 0, 0)


def test_a_realm_elsewhere_is_asked_when_it_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence of the refusal says how."""
    service = Memory("auth.example.org", login="robot:s3cret")
    registry = Memory(token=True, realm="https://auth.example.org/token", given=service.given)
    assert "token_hosts" in World(registry, service, **with_password(monkeypatch)).refused().detail
    World(registry, service, **with_password(monkeypatch, token_hosts=["auth.example.org"])).pull()
    assert service.requests == {"token": 1}


def test_a_registry_over_plain_http_may_have_its_tokens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are on this machine."""
    world = World(Memory(token=True, realm=f"http://{HOST}/token"), hosts={HOST: {"plain_http": True}})
    world.pull()
    assert world.registry.requests["token"] == 1


def basic(request: httpx.Request) -> httpx.Response | None:
    wanted = "Basic " + base64.b64encode(b"robot:s3cret").decode()
    if request.headers.get("authorization") == wanted:
        return None
    return httpx.Response(401, headers={"www-authenticate": 'Basic realm="registry"'})


def test_basic_authentication(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the challenge with every request."""
    world = World(Memory(fault=basic), **with_password(monkeypatch))
    world.pull()
    world.pull()
    assert len(world.registry.asked) == 3


def test_a_wrong_password_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And locks no account."""
    config = with_password(monkeypatch)
    monkeypatch.setenv("REGISTRY_PASSWORD", "wrong")
    world = World(Memory(fault=basic), **config)
    assert (world.refused().reason, len(world.registry.asked)) == ("unauthorized", 2)


@pytest.mark.parametrize(
    "header", ["Negotiate", 'Digest realm="x"', "", "Bearer", "=,=,", 'Bearer realm="' + "x" * 100_000]
)
def test_a_challenge_that_is_not_known_is_no_answer(header: str) -> None:
    """Nor is one that is broken."""
    world = World(Memory(fault=lambda r: httpx.Response(401, headers={"www-authenticate": header})))
    assert (world.refused().reason, len(world.registry.asked)) == ("unauthorized", 1)


def test_several_challenges_in_one_header_are_told_apart() -> None:
    """RFC 9110 allows it; commas are in the values too."""
    found = _parse(['Basic realm="a, b", Bearer realm="https://x/token",service="x",scope="a:b:pull,push"', "DPoP algs=\"ES256\""])  # fmt: skip
    assert [(c.scheme, c.realm, c.service) for c in found] == [
        ("basic", "a, b", ""),
        ("bearer", "https://x/token", "x"),
        ("dpop", "", ""),
    ]


# ---- docker's configuration -------------------------------------------------------------------------


def docker(folder: Path, content: Any) -> dict[str, Any]:
    path = folder / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return {"docker_config": str(path)}


AUTH = base64.b64encode(b"robot:s3cret").decode()


@pytest.mark.parametrize(
    "auths",
    [
        {HOST: {"auth": AUTH}},
        {f"https://{HOST}/v2/": {"auth": AUTH}},
        {HOST: {"username": "robot", "password": "s3cret"}},
        {"other.example.org": {"auth": "eDp5"}, HOST: {"auth": AUTH}},
    ],
)
def test_a_docker_configuration_gives_credentials(auths: Any, tmp_path: Path) -> None:
    """As kubernetes.io/dockerconfigjson holds them."""
    world = World(Memory(token=True, login="robot:s3cret"), **docker(tmp_path, {"auths": auths}))
    world.pull()
    assert world.registry.requests["token"] == 1


def test_an_identity_token_is_exchanged(tmp_path: Path) -> None:
    """OAuth2: a refresh token in a form, never in a URL."""
    world = World(Memory(token=True), **docker(tmp_path, {"auths": {HOST: {"identitytoken": "refresh-me"}}}))
    world.pull()
    (asked,) = [r for r in world.registry.asked if r.url.path == "/token"]
    assert (asked.method, str(asked.url.query), b"refresh_token=refresh-me" in asked.content) == (
        "POST",
        "b''",
        True,
    )


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{" * 99_999, {"auths": 1}, {"auths": {HOST: 1}}, {"auths": {HOST: {"auth": "!!"}}}, {"auths": {HOST: {"auth": AUTH[:4]}}}],
)  # fmt: skip
def test_a_docker_configuration_that_gives_nothing_is_no_verdict(content: Any, tmp_path: Path) -> None:
    """The registry refuses the stranger."""
    world = World(Memory(token=True, login="robot:s3cret"), **docker(tmp_path, content))
    assert world.refused().reason == "unauthorized"


def test_a_credential_helper_is_not_run_and_that_is_said(tmp_path: Path) -> None:
    """A program named by a file is not started."""
    world = World(Memory(token=True), **docker(tmp_path, {"credHelpers": {HOST: "ecr-login"}}))
    assert "helper" in world.refused().detail


# ---- DPoP -----------------------------------------------------------------------------------------


def proof(request: httpx.Request) -> dict[str, Any]:
    """The claims of a proof whose signature fits the key in its head."""
    encoded = request.headers["dpop"]
    head = jwt.get_unverified_header(encoded)
    assert (head["typ"], head["alg"]) == ("dpop+jwt", "ES256")
    key = jwt.PyJWK.from_dict(head["jwk"]).key
    claims: dict[str, Any] = jwt.decode(encoded, key, algorithms=["ES256"], options={"verify_aud": False})
    return claims


def test_a_token_may_be_bound_to_our_key() -> None:
    """RFC 9449: each request brings a proof of its own, for its method and address, and for this token."""
    world = World(Memory(token=True, bound=True))
    world.pull()
    world.pull()
    *_, asked, one, two = world.registry.asked
    assert proof(asked) | {"jti": "", "iat": 0} == {
        "jti": "",
        "iat": 0,
        "htm": "GET",
        "htu": f"https://{HOST}/token",
    }
    token = one.headers["authorization"].removeprefix("DPoP ")
    ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    for request in (one, two):
        claims = proof(request)
        assert (claims["htm"], claims["htu"], claims["ath"]) == ("GET", str(request.url), ath)
    assert proof(one)["jti"] != proof(two)["jti"]


@pytest.mark.parametrize("where", ["/token", "/v2/"])
def test_a_nonce_that_a_server_asks_for_is_in_the_next_proof(where: str) -> None:
    """Of the token service or of the registry (RFC 9449 §8, §9)."""
    registry = Memory(token=True, bound=True)
    world = World(registry)

    def wants_nonce(request: httpx.Request) -> httpx.Response | None:
        if "dpop" not in request.headers or not request.url.path.startswith(where):
            return None
        if proof(request).get("nonce") == "n-1":
            return None
        challenge = f'DPoP realm="https://{HOST}/token",error="use_dpop_nonce"'
        return httpx.Response(401, headers={"dpop-nonce": "n-1", "www-authenticate": challenge})

    registry.fault = wants_nonce
    world.pull()
    assert proof(next(r for r in reversed(registry.asked) if r.url.path.startswith(where)))["nonce"] == "n-1"


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.Response(400, json={"error": "invalid_dpop_proof"}),
        httpx.Response(401, headers={"www-authenticate": 'DPoP algs="ES256"'}),
    ],
)
def test_a_token_service_may_bind_a_token_though_the_registry_says_bearer(refusal: httpx.Response) -> None:
    """Blueprint §3.2: the challenge is Bearer, and the platform's tokens are bound to a key."""
    registry = Memory(token=True, bound=True)
    world = World(registry)

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/token" and "dpop" not in request.headers:
            return refusal
        if "/v2/" in request.url.path and not request.headers.get("authorization", "").startswith("DPoP "):
            challenge = f'Bearer realm="https://{HOST}/token",service="{HOST}"'
            return httpx.Response(401, headers={"www-authenticate": challenge})
        return None

    registry.fault = answer
    world.pull()
    assert proof(registry.asked[-1])["htu"] == str(registry.asked[-1].url)
