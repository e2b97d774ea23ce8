"""A real Prometheus scrapes the exporters' server, over mutual TLS and with a password."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import bcrypt
import httpx
import pytest
from exporterkit import fake
from rawserver import Authority

from exporters import metrics as m
from exporters import page
from exporters.collector import Instruments
from exporters.exposition import Exposition
from exporters.loop import Loop
from exporters.server import Server, Site
from exporters.webconfig import Guard

TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"


@pytest.fixture
def protected(tmp_path: Path) -> tuple[Server, Authority]:
    """One verified and one failed image behind the strictest web-config file."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("exporter")
    web = {
        "tls_server_config": {
            "cert_file": str(certificate),
            "key_file": str(key),
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": str(authority.file),
            "client_allowed_sans": ["prometheus.example"],
            "min_version": "TLS13",
        },
        "basic_auth_users": {"prometheus": bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()},
    }
    (tmp_path / "web.yaml").write_text(json.dumps(web), encoding="utf-8")
    instruments = Instruments(m.COSIGN)
    subject = fake({"good": "verified", "bad": "failed"}, instruments)
    loop = Loop(subject, instruments, subject.config)
    loop.cycle()
    state = page.State("x", "1", time.time(), None, True, 60)
    exposition = Exposition(instruments, threading.Event())
    server = Server("127.0.0.1:0", Site(loop, exposition, Guard(tmp_path / "web.yaml"), lambda: state))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, authority


def test_binaryscrapes_over_mutual_tls_with_a_password(
    tmp_path: Path, protected: tuple[Server, Authority]
) -> None:
    """The job with everything is up and has the verdicts; without password or certificate it is down."""
    server, authority = protected
    certificate, key = authority.issue("prometheus", "prometheus.example")
    client = {"ca_file": str(authority.file), "cert_file": str(certificate), "key_file": str(key)}
    jobs = {
        "whole": {"tls_config": client, "basic_auth": {"username": "prometheus", "password": "right"}},
        "wrong": {"tls_config": client, "basic_auth": {"username": "prometheus", "password": "wrong"}},
        "bare": {"tls_config": {"ca_file": str(authority.file)}, "basic_auth": {"username": "prometheus", "password": "right"}},
    }  # fmt: skip
    target = {"scheme": "https", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}]}  # fmt: skip
    config = {"scrape_configs": [{"job_name": name, **target, **how} for name, how in jobs.items()]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    binary = shutil.which(TOOLS / "prometheus") or shutil.which("prometheus")
    assert binary is not None, "prometheus is not installed: `make test` installs it"
    command = [binary, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address={address}"]  # fmt: skip

    def ask(query: str) -> dict[str, str]:
        answer = httpx.get(
            f"http://{address}/api/v1/query", params={"query": query}, timeout=10, trust_env=False
        )
        found = answer.json()["data"]["result"]
        return {s["metric"].get("component", s["metric"]["job"]): s["value"][1] for s in found}

    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log, stdout=log) as prometheus,
    ):
        try:
            ends = time.monotonic() + 60
            up: dict[str, str] = {}
            while len(up) < len(jobs) or up["whole"] != "1":
                assert time.monotonic() < ends, f"{up}: {(tmp_path / 'log').read_text()}"
                time.sleep(0.2)
                try:
                    up = ask("up")
                except httpx.TransportError:
                    continue
            verdicts = ask('cosign_image_verified{job="whole"}')
        finally:
            prometheus.terminate()
    assert up == {"whole": "1", "wrong": "0", "bare": "0"}
    assert verdicts == {"good": "1", "bad": "0"}
