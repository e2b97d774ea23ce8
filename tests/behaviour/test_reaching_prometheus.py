"""How a real Prometheus is reached: TLS, passwords, client certificates, a path prefix, a tenant's proxy, warnings."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import bcrypt
import httpx
import pytest
import yaml

from slo import names
from slo.http_config import load_access
from tests import gatekit
from tests.prom_world import HEALTHY, Asked
from tests.rawserver import Authority
from tools.demo import past, servers

AT = 1_795_000_000
PASSWORD = "s3cret-of-the-test"  # noqa: S105
DEFINITIONS = """
from slo import SLO, Ratio, Service, Stack
stack = Stack(name="far", slos=[
    SLO(service=Service(name="api", owner="web"), name="reads", objective="99%", window="month",
        sli=Ratio(bad="bad_total", total="all_total"), description="Answers.")])
"""


class Guarded:
    """A real Prometheus behind a web configuration file."""

    def __init__(self, folder: Path, web: dict[str, Any], reach: dict[str, Any], path: str = "") -> None:
        self.folder = folder
        (folder / "slos.py").write_text(DEFINITIONS)
        past.store(
            folder, [f'{names.REMAINING}{{stack="far",slo="api-reads",window="month"}} 0.25 {AT - 30}\n']
        )
        servers.write_yaml(folder / "prometheus.yaml", {"global": {"scrape_interval": "30s"}})
        servers.write_yaml(folder / "web.yaml", web)
        port = servers.free_port()
        self.address = f"https://127.0.0.1:{port}"
        self.url = self.address + path
        command = [*servers.prometheus(folder, port).command, f"--web.config.file={folder / 'web.yaml'}",
                   f"--web.external-url={self.url}"]  # fmt: skip
        self.server = servers.Server("prometheus", command, port, "", folder / "log" / "prometheus.log")
        self.server.start()
        self._wait(self.config("wait.yaml", reach))

    def _wait(self, config: Path) -> None:
        end = time.monotonic() + servers.READY_WITHIN
        access = load_access(config)
        with httpx.Client(verify=access.verify, auth=access.auth, trust_env=False) as client:
            while True:
                try:
                    if client.get(f"{self.url}/-/ready").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                assert time.monotonic() < end, self.server.last_words()
                time.sleep(0.1)

    def config(self, name: str, content: dict[str, Any]) -> Path:
        file = self.folder / name
        file.write_text(yaml.safe_dump(content))
        return file

    def slo(self, *arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
        return gatekit.slo_at(url or self.url, *arguments, "--definitions", str(self.folder / "slos.py"))

    def budget(self, config: dict[str, Any] | None, url: str = "") -> subprocess.CompletedProcess[str]:
        given = [] if config is None else ["--http-config", str(self.config("http.yaml", config))]
        return self.slo("budget", "--as-of", str(AT), "--output", "json", *given, url=url)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def password(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Behind TLS, a password, and a path."""
    certificate, key = authority.issue("server")
    web = {
        "tls_server_config": {"cert_file": str(certificate), "key_file": str(key)},
        "basic_auth_users": {"me": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()},
    }
    guarded = Guarded(tmp_path_factory.mktemp("password"), web, right(authority), "/monitoring/prom")
    yield guarded
    guarded.server.stop()


@pytest.fixture(scope="module")
def mutual(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Behind mutual TLS."""
    certificate, key = authority.issue("mutual-server")
    web = {
        "tls_server_config": {
            "cert_file": str(certificate), "key_file": str(key), "client_ca_file": str(authority.file),
            "client_auth_type": "RequireAndVerifyClientCert",
        },
    }  # fmt: skip
    guarded = Guarded(tmp_path_factory.mktemp("mutual"), web, {"tls_config": mine(authority)})
    yield guarded
    guarded.server.stop()


def right(authority: Authority, **change: Any) -> dict[str, Any]:
    return {
        "basic_auth": {"username": "me", "password": PASSWORD},
        "tls_config": {"ca_file": str(authority.file)},
    } | change


def mine(authority: Authority) -> dict[str, str]:
    certificate, key = authority.issue("me")
    return {"ca_file": str(authority.file), "cert_file": str(certificate), "key_file": str(key)}


def left(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    return str(row["budget_left"])


def test_tls_a_password_and_a_path(password: Guarded, authority: Authority) -> None:
    """All three at once, as behind a gateway."""
    assert left(password.budget(right(authority))) == "0.25"


def test_a_password_in_a_file(password: Guarded, authority: Authority) -> None:
    """Beside the configuration."""
    (password.folder / "password").write_text(f"{PASSWORD}\n")
    auth = {"username": "me", "password_file": "password"}
    assert left(password.budget(right(authority, basic_auth=auth))) == "0.25"


def refused(done: subprocess.CompletedProcess[str], said: str) -> bool:
    """One sentence, exit code 2, and no secret."""
    assert done.returncode == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert PASSWORD not in done.stderr
    assert "Traceback" not in done.stderr
    return said in done.stderr


def test_a_wrong_password_is_told(password: Guarded, authority: Authority) -> None:
    """And neither password."""
    wrong = {"username": "me", "password": PASSWORD + "x"}
    done = password.budget(right(authority, basic_auth=wrong))
    assert refused(done, "lets nobody in like this (HTTP 401): see --http-config")


def test_a_secret_in_the_address_is_not_shown(password: Guarded, authority: Authority) -> None:
    """Whatever else is wrong."""
    url = password.url.replace("https://", f"https://me:{PASSWORD}@").replace("/monitoring", "/elsewhere")
    done = password.budget({"tls_config": {"ca_file": str(authority.file)}}, url)
    assert refused(done, "127.0.0.1")


def test_an_unknown_authority_is_refused(password: Guarded, authority: Authority) -> None:
    """Its certificate is nobody's that this machine trusts."""
    auth = {"basic_auth": right(authority)["basic_auth"]}
    assert refused(password.budget(auth), "certificate verify failed")


def test_a_certificate_of_another_name_is_refused(password: Guarded, authority: Authority) -> None:
    """server_name says which it must be; and makes another address's right."""
    tls = {"ca_file": str(authority.file), "server_name": "prometheus.example.org"}
    assert refused(password.budget(right(authority, tls_config=tls)), "certificate verify failed")
    assert left(password.budget(right(authority, tls_config=tls | {"server_name": "localhost"}))) == "0.25"


def test_the_authority_can_be_waived(password: Guarded, authority: Authority) -> None:
    """As Prometheus' own clients can."""
    assert left(password.budget(right(authority, tls_config={"insecure_skip_verify": True}))) == "0.25"


def test_without_its_path_it_is_no_prometheus(password: Guarded, authority: Authority) -> None:
    """The sentence asks the right question."""
    assert refused(password.budget(right(authority), password.address), "is it a Prometheus?")


def test_mutual_tls(mutual: Guarded, authority: Authority) -> None:
    """With a certificate of the authority that the server trusts."""
    assert left(mutual.budget({"tls_config": mine(authority)})) == "0.25"


def test_mutual_tls_without_a_certificate_is_refused(mutual: Guarded, authority: Authority) -> None:
    """In a sentence."""
    assert refused(mutual.budget({"tls_config": {"ca_file": str(authority.file)}}), "cannot ask")


def test_mutual_tls_with_somebody_else_s_certificate_is_refused(
    mutual: Guarded, authority: Authority, tmp_path: Path
) -> None:
    """One that another authority issued."""
    tls = mine(Authority(tmp_path / "stranger")) | {"ca_file": str(authority.file)}
    assert refused(mutual.budget({"tls_config": tls}), "cannot ask")


# ---- a proxy before the world's Prometheus ----------------------------------------------------------------------


class Proxy(ThreadingHTTPServer):
    """Passes on what has the tenant's header, as Mimir asks for it; adds warnings to each answer."""

    def __init__(self, target: str, tenant: str = "", warnings: tuple[str, ...] = ()) -> None:
        self.target, self.tenant, self.warnings = target, tenant, warnings
        super().__init__(("127.0.0.1", 0), _Proxied)
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Proxied(BaseHTTPRequestHandler):
    server: Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.tenant and self.headers.get("X-Scope-OrgID") != self.server.tenant:
            self._send(401, b"no org id\n", "text/plain")
            return
        kind = self.headers["Content-Type"]
        answer = httpx.post(
            self.server.target + self.path,
            content=body,
            headers={"Content-Type": kind},
            timeout=60,
            trust_env=False,
        )
        said = answer.json()
        if self.server.warnings:
            said["warnings"] = list(self.server.warnings)
        self._send(answer.status_code, json.dumps(said).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def tenants(asked: Asked) -> Iterator[Proxy]:
    with Proxy(asked.server.url, tenant="team-a") as proxy:
        yield proxy
        proxy.shutdown()


@pytest.fixture
def partial(asked: Asked) -> Iterator[Proxy]:
    with Proxy(asked.server.url, warnings=("store 2 of 3 did not answer <b>",)) as proxy:
        yield proxy
        proxy.shutdown()


def test_a_tenant_is_named(tenants: Proxy) -> None:
    """With its header the proxy lets the question through; without it, or with another's, nobody."""
    ask = ("budget", "--as-of", str(HEALTHY), "signer-*")
    assert gatekit.slo_at(tenants.url, *ask, "--tenant", "team-a").returncode == 0
    for other in ((), ("--tenant", "team-b")):
        done = gatekit.slo_at(tenants.url, *ask, *other)
        assert refused(done, "lets nobody in like this (HTTP 401): see --http-config and --tenant")


def gate(url: str, asked: Asked, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Of a release that may be promoted."""
    file = gatekit.release(asked, folder)
    return gatekit.slo_at(url, "gate", "--release", str(file), "--from", "edge", "--to", "stable",
                          "--as-of", str(HEALTHY), *more)  # fmt: skip


def test_a_gate_that_nobody_lets_in_cannot_tell(tenants: Proxy, asked: Asked, tmp_path: Path) -> None:
    """Exit code 3; with the tenant the same release is promoted."""
    assert gate(tenants.url, asked, tmp_path).returncode == 3
    assert gate(tenants.url, asked, tmp_path, "--tenant", "team-a").returncode == 0


def test_a_partial_answer_promotes_nothing(partial: Proxy, asked: Asked, tmp_path: Path) -> None:
    """What an answer with warnings shows as good is not sure: nothing passes, and the verdict says why."""
    done = gate(partial.url, asked, tmp_path, "--output", "json")
    assert done.returncode == 3
    verdict = json.loads(done.stdout)
    assert "passed" not in {r["outcome"] for r in verdict["results"]}
    assert verdict["warnings"][0] == "store 2 of 3 did not answer <b>"


def test_a_partial_answer_is_told_with_every_budget(partial: Proxy) -> None:
    """On stderr, whatever the output's format."""
    done = gatekit.slo_at(partial.url, "budget", "--as-of", str(HEALTHY), "--output", "csv")
    assert done.returncode == 0
    assert "warns: store 2 of 3 did not answer" in done.stderr


def test_a_partial_answer_is_told_in_the_report(partial: Proxy, tmp_path: Path) -> None:
    """On the page, as text."""
    file = tmp_path / "report.html"
    done = gatekit.slo_at(partial.url, "report", "--month", "2026-02", "--html", str(file))
    assert done.returncode == 0, done.stderr
    assert "The data may be partial: store 2 of 3 did not answer &lt;b&gt;" in file.read_text()


def test_secrets_come_from_the_environment_as_well(password: Guarded, authority: Authority) -> None:
    """SLO_PROMETHEUS_URL and SLO_HTTP_CONFIG, as a pipeline gives them."""
    config = password.config("env.yaml", right(authority))
    done = subprocess.run(
        [gatekit.SLO, "budget", "--as-of", str(AT), "--output", "json", "--definitions",
         str(password.folder / "slos.py")],
        capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "SLO_PROMETHEUS_URL": password.url, "SLO_HTTP_CONFIG": str(config)},
    )  # fmt: skip
    assert left(done) == "0.25"
