"""Registries on this machine: Debian's (distribution 2.8), and go-containerregistry's with the Referrers API."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

TOOLS = Path(__file__).parents[2] / ".tools"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """Until the server answers, whatever it answers."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            httpx.get(url, timeout=2)
            return
        except httpx.TransportError:
            assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer within {seconds} s")


@contextmanager
def running(
    command: list[str], url: str, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A server, from its first answer on; ended on the way out."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        wait_for(url, process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def docker_registry(folder: Path, auth: str = "", port: int = 0) -> Iterator[str]:
    """Debian's docker-registry; yields host:port. `auth` is the YAML of its `auth` section."""
    binary = TOOLS / "bin" / "docker-registry"
    assert binary.exists(), "docker-registry is missing: run tools/peers debian"
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}"
    )
    with running(
        [str(binary), "serve", str(config)], f"http://127.0.0.1:{port}/v2/", folder / "registry.log"
    ):
        yield f"127.0.0.1:{port}"


@contextmanager
def referrers_registry(folder: Path) -> Iterator[str]:
    """go-containerregistry's registry, which has the Referrers API; built by `make test-live`."""
    binary = TOOLS / "registry"
    assert binary.exists(), (
        "the registry is missing: cd tests/live/registry && go build -o ../../../.tools/registry ."
    )
    process = subprocess.Popen([binary], stdout=subprocess.PIPE, stderr=(folder / "registry.log").open("wb"))
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.wait(timeout=10)
