"""Real servers on loopback: find them, start them, wait until they are ready, end them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
INSTALLED = ROOT / ".tools" / "bin"
READY_WITHIN = 60.0  # seconds; a loaded machine with two cores
ENDS_WITHIN = 15.0
RETENTION = "100d"  # a quarter, and some days

# Our name of a tool, and Debian's.
_NAMES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
    "blackbox_exporter": ("blackbox_exporter", "prometheus-blackbox-exporter"),
    "docker-registry": ("docker-registry",),
}


class DemoError(Exception):
    """Something the demo needs is missing or failed; the message holds the remedy."""


def find(tool: str) -> str:
    """The path of a tool: a variable of its name (PROMETHEUS=...), the project's own, or the one on PATH."""
    named = os.environ.get(variable := tool.upper().replace("-", "_"))
    for candidate in (named,) if named else (*(str(INSTALLED / n) for n in _NAMES[tool]), *_NAMES[tool]):
        found = shutil.which(candidate)
        if found is not None:
            return found
    what = f"{named} (from {variable})" if named else tool
    raise DemoError(f"{what} is not installed: run `tools/peers debian`")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Different ones: all are held until the last is found."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]


def is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _ends_with_parent(command: Sequence[str]) -> tuple[str, ...]:
    """Linux ends the child when the demo dies, however it dies."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", *command) if setpriv else tuple(command)


class Server:
    """One child process that answers HTTP. It is in a session of its own: Ctrl-C reaches only the demo."""

    def __init__(self, name: str, command: Sequence[str], port: int, ready: str, log: Path) -> None:
        self.name = name
        self.command = _ends_with_parent(command)
        self.port = port
        self.log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, or start again: on the same port, over the same data."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, timeout: float = READY_WITHIN) -> None:
        """Return once it answers; raise DemoError with the end of its log when it does not in time."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if not self.running:
                raise DemoError(f"{self.name} ended at once; its log {self.log} says: {self.last_words()}")
            try:
                if httpx.get(self.url + self._ready, timeout=2, trust_env=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise DemoError(
            f"{self.name} was not ready within {timeout:.0f}s; its log {self.log} says: {self.last_words()}"
        )

    def last_words(self) -> str:
        lines = (
            self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        )
        return lines[-1] if lines else "nothing"

    def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(ENDS_WITHIN)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not heard."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()


def stop_all(servers: Iterable[Server]) -> None:
    """Tell all, then wait for each: together they end as soon as the slowest."""
    listed = list(servers)
    for server in listed:
        if server.running and server.pid is not None:
            os.kill(server.pid, signal.SIGTERM)
    for server in listed:
        server.stop()


def write_yaml(file: Path, content: Mapping[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False, width=1000), encoding="utf-8")
    return file


def prometheus(folder: Path, port: int) -> Server:
    """Reads prometheus.yaml of the folder and keeps its data there."""
    return Server(
        "prometheus",
        (
            find("prometheus"),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
        ),
        port,
        "/-/ready",
        folder / "log" / "prometheus.log",
    )


def alertmanager(folder: Path, port: int) -> Server:
    return Server(
        "alertmanager",
        (
            find("alertmanager"),
            f"--config.file={folder / 'alertmanager.yaml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ),
        port,
        "/-/ready",
        folder / "log" / "alertmanager.log",
    )


def blackbox(folder: Path, port: int) -> Server:
    return Server(
        "blackbox exporter",
        (
            find("blackbox_exporter"),
            f"--config.file={folder / 'blackbox.yaml'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        port,
        "/-/healthy",
        folder / "log" / "blackbox.log",
    )


def simulator(folder: Path, port: int, arguments: Sequence[str] = ()) -> Server:
    return Server(
        "simulator",
        (sys.executable, "-m", "tools.demo.simulator", *arguments, "--port", str(port)),
        port,
        "/-/healthy",
        folder / "log" / "simulator.log",
    )


def registry(folder: Path, port: int) -> Server:
    """Debian's docker-registry; reads release/registry.yaml of the folder."""
    config = folder / "release" / "registry.yaml"
    command = (find("docker-registry"), "serve", str(config))
    return Server("registry", command, port, "/v2/", folder / "log" / "registry.log")


def registry_config(folder: Path, port: int) -> dict[str, Any]:
    return {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }


def files(folder: Path, site: Path, port: int) -> Server:
    """A web server of a folder's files."""
    command = (
        sys.executable,
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(site),
        str(port),
    )
    return Server("file server", command, port, "/", folder / "log" / "files.log")


def exporter(folder: Path, word: str, config: Path, port: int) -> Server:
    """One of our own exporters; it is ready once it has checked everything once."""
    program = Path(sys.executable).with_name("slo-exporter")
    if not program.exists():
        raise DemoError(f"{program} is not there: run `make demo`, which installs it")
    listen = f"127.0.0.1:{port}"
    command = (str(program), word, "--config", str(config), "--listen", listen, "--log-format", "text")
    return Server(f"{word} exporter", command, port, "/-/ready", folder / "log" / f"{word}-exporter.log")


BLACKBOX_CONFIG: dict[str, Any] = {
    "modules": {
        "ready": {"prober": "http", "timeout": "3s", "http": {"preferred_ip_protocol": "ip4"}},
    }
}


def scrape_jobs(
    targets: Mapping[str, int], probes: Mapping[str, str], blackbox_port: int
) -> list[dict[str, Any]]:
    """One job for each server; the simulator's own labels win over the job's; probes go through blackbox."""
    jobs: list[dict[str, Any]] = []
    for name, port in targets.items():
        job: dict[str, Any] = {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        if name == "simulator":
            job["honor_labels"] = True
        jobs.append(job)
    if probes:
        jobs.append(
            {
                "job_name": "self-probe",
                "metrics_path": "/probe",
                "params": {"module": ["ready"]},
                "static_configs": [
                    {"targets": [url], "labels": {"target": name}} for name, url in probes.items()
                ],
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"source_labels": ["__param_target"], "target_label": "instance"},
                    {"target_label": "__address__", "replacement": f"127.0.0.1:{blackbox_port}"},
                ],
            }
        )
    return jobs


def prometheus_config(
    scrape_interval: str, rules: Path, jobs: list[dict[str, Any]], alertmanager_port: int
) -> dict[str, Any]:
    timeout = scrape_interval if scrape_interval in ("1s", "2s", "3s", "4s") else "4s"
    return {
        "global": {
            "scrape_interval": scrape_interval,
            "scrape_timeout": timeout,
            "evaluation_interval": scrape_interval,
        },
        "rule_files": [str(rules / "*.yaml")],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}],
        },
        "scrape_configs": jobs,
    }
