"""The command as a process: exit codes, signals, reloads, and no secret anywhere."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import exporterkit
import httpx
import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from rawserver import answer, serving

from exporters import main
from exporters.config import Common
from exporters.loop import own
from exporters.service import KINDS

SECRET = "hunter2-hunter2"  # noqa: S105 - what the tests look for


def configured(folder: Path, **content: object) -> Path:
    file = folder / "cosign.yaml"
    file.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    return file


class Process:
    """`slo-exporter cosign` on a free port of loopback."""

    def __init__(self, config: Path, *arguments: str, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = config.parent / "log"
        self.url = f"http://127.0.0.1:{self.port}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                exporterkit.command(
                    "cosign", "--config", str(config), "--listen", f"127.0.0.1:{self.port}", *arguments
                ),
                stderr=log,
                stdout=log,
                env={"PATH": "/usr/bin:/bin", **environment},
            )

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=5, trust_env=False)

    def metrics(self) -> dict[str, float]:
        text = self.get("/metrics").text
        return {
            s.name + "".join(f"/{v}" for v in s.labels.values()): s.value
            for f in parse(text)
            for s in f.samples
        }

    def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        ends = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except httpx.TransportError:
                assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.05)

    def ready(self) -> bool:
        return self.get("/-/ready").status_code == 200

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Exit code, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(20), time.monotonic() - began


@contextmanager
def running(config: Path, *arguments: str, **environment: str) -> Iterator[Process]:
    process = Process(config, *arguments, **environment)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Done]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """A command line in this process, which is much faster than one of its own."""
    monkeypatch.setitem(sys.modules, "exporters.cosign", exporterkit)
    monkeypatch.setenv("COLUMNS", "100")
    root, ours, interval = logging.getLogger(), logging.getLogger("exporters"), sys.getswitchinterval()
    before = (root.handlers[:], root.level, ours.level)

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = main.run(arguments)
        return Done(code, *capsys.readouterr())

    yield run
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    sys.setswitchinterval(interval)


# ---- --once ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targets", "code", "verdict"),
    [
        ({"a": "verified", "b": "verified"}, 0, "verified"),
        ({"a": "verified", "b": "failed", "c": "unknown"}, 1, "failed"),
        ({"a": "verified", "b": "unknown"}, 3, "unknown"),
        ({"a": "verified", "b": "raises"}, 3, "unknown"),
        ({}, 3, "unknown"),
    ],
)
def test_once_exits_by_the_worst_verdict(
    call: Call, tmp_path: Path, targets: dict[str, str], code: int, verdict: str
) -> None:
    """Failed beats unknown beats verified; nothing checked is unknown; the JSON says the same."""
    done = call(
        "cosign", "--config", str(configured(tmp_path, targets=targets)), "--once", "--output", "json"
    )
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["verdict"] == verdict


def test_once_prints_a_table_for_a_person(call: Call, tmp_path: Path) -> None:
    """Worst first, a sentence for each, a total; a server's words bring no escape sequences along."""
    config = configured(
        tmp_path, targets={"good": "verified", "bad": "failed"}, detail="\x1b[31mforged\n by mallory"
    )
    done = call("cosign", "--config", str(config), "--once")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["TARGET", "CHECK", "OUTCOME", "REASON"]
    assert lines[1].split()[:3] == ["bad", "signature", "failed"]
    assert "bad_signature" in lines[1]
    assert lines[2].split() == ["good", "signature", "verified"]
    assert lines[-1] == "failed: 1 failed, 0 unknown, 1 verified"
    assert "\x1b" not in done.stdout + done.stderr


def test_once_ends_though_a_check_hangs(tmp_path: Path) -> None:
    """It is given up, and the process does not wait for its thread."""
    config = configured(tmp_path, targets={"a": "hangs"}, check_timeout="200ms")
    command = exporterkit.command("cosign", "--config", str(config), "--once", "--output", "json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["findings"][0]["reason"] == "timeout"


def test_once_that_cannot_begin_is_unknown(call: Call, tmp_path: Path) -> None:
    """A trusted root that cannot be read says nothing about any image."""
    done = call("cosign", "--config", str(configured(tmp_path, broken=True)), "--once")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "slo-exporter: could not check: the trusted root cannot be read\n"


# ---- usage -----------------------------------------------------------------------------------


def test_a_configuration_that_cannot_be_used_is_one_sentence(call: Call, tmp_path: Path) -> None:
    """With exit code 2, for serving, for --once and for check-config."""
    config = configured(tmp_path, intervall="1m")
    expected = f"slo-exporter: {config}: key 'intervall' is unknown: did you mean 'interval'?\n"
    for arguments in (["cosign", "--config", str(config)], ["cosign", "--config", str(config), "--once"], ["check-config", "cosign", str(config)]):  # fmt: skip
        done = call(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_an_address_that_is_taken_is_one_sentence(call: Call, tmp_path: Path) -> None:
    """Exit code 2, before any check."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = call("cosign", "--config", str(configured(tmp_path)), "--listen", address)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"slo-exporter: {address}: cannot listen there (Address already in use): choose another address with --listen"
    )


def test_a_good_configuration_is_said_to_be_one(call: Call, tmp_path: Path) -> None:
    """Its web-config file is read too."""
    config = configured(tmp_path, targets={"a": "verified"})
    done = call("check-config", "cosign", str(config))
    assert (done.returncode, done.stdout) == (0, f"{config}: a configuration of the cosign exporter\n")
    done = call("check-config", "cosign", str(configured(tmp_path, web_config="nope.yaml")))
    assert done.returncode == 2
    assert f"{tmp_path / 'nope.yaml'}: cannot be read" in done.stderr


def test_the_schema_is_of_the_exporters_own_configuration(call: Call) -> None:
    """A draft that editors know; it accepts what the exporter accepts."""
    schema = json.loads(call("schema", "cosign").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema)
    assert valid.is_valid({"targets": {"a": "verified"}, "interval": "1m"})
    assert not valid.is_valid({"targetz": {}})


def test_help_teaches(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to run, and what the exit codes mean."""
    monkeypatch.setenv("COLUMNS", "80")
    done = call("--help")
    for said in (
        "slo-exporter cosign --config",
        "--once",
        "schema",
        "Exit codes",
        "0 all verified, 1 some failed",
    ):
        assert said in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


# ---- signals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_though_checks_hang(tmp_path: Path, number: int) -> None:
    """Exit code 0 within 5 s, a kept connection or not."""
    config = configured(tmp_path, targets={f"t{n}": "hangs" for n in range(8)})
    with running(config) as exporter:
        exporter.until(lambda: exporter.get("/-/healthy").status_code == 200)
        with socket.create_connection(("127.0.0.1", exporter.port)):
            code, seconds = exporter.end(number)
    assert (code, seconds < 5) == (0, True), exporter.log.read_text()
    assert "the exporter ends while checks are under way" in exporter.log.read_text()


def test_scrapes_and_health_go_on_while_checks_hang(tmp_path: Path) -> None:
    """Not ready, since no cycle has ended; healthy, and what is known is served."""
    targets = {"a": "verified", **{f"t{n}": "hangs" for n in range(20)}}
    with running(configured(tmp_path, targets=targets), "--log-format", "text") as exporter:
        exporter.until(lambda: exporter.metrics().get("cosign_image_verified/signature/a") == 1)
        assert exporter.get("/-/healthy").status_code == 200
        assert exporter.get("/-/ready").status_code == 503
        assert exporter.metrics()["cosign_exporter_config_last_reload_successful"] == 1
        assert exporter.metrics()["cosign_exporter_cycle_failures_total"] == 0
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ INFO the cosign exporter serves ", exporter.log.read_text())


def test_a_hangup_reads_the_configuration_again(tmp_path: Path) -> None:
    """A bad one keeps the former, and says so in the metric, the log and on the page; a good one takes over."""
    config = configured(tmp_path, targets={"a": "verified"}, interval="1h")
    good = "cosign_exporter_config_last_reload_successful"
    with running(config) as exporter:
        exporter.until(exporter.ready)
        configured(tmp_path, targets={"b": "verified"}, interval="1h", typo=1)
        exporter.process.send_signal(signal.SIGHUP)
        exporter.until(lambda: exporter.metrics()[good] == 0)
        assert "cosign_image_verified/signature/a" in exporter.metrics()
        assert "the configuration stays as it was" in exporter.log.read_text()
        assert "was refused" in exporter.get("/").text
        configured(tmp_path, targets={"b": "verified"}, interval="1h")
        exporter.process.send_signal(signal.SIGHUP)
        exporter.until(lambda: exporter.metrics()[good] == 1)
        exporter.until(lambda: "cosign_image_verified/signature/b" in exporter.metrics())
        exporter.until(lambda: "cosign_image_verified/signature/a" not in exporter.metrics())
        assert exporter.end()[0] == 0


def test_a_configmap_that_changes_is_noticed(tmp_path: Path) -> None:
    """Kubernetes swaps the symlink ..data; a subject that cannot be built keeps the former one."""
    mount = tmp_path / "etc"
    mount.mkdir()
    for number, content in enumerate(({"a": "verified"}, None, {"b": "verified"})):
        (tmp_path / "etc" / f"..{number}").mkdir()
        said = {"broken": True} if content is None else {"targets": content, "interval": "1h"}
        configured(mount / f"..{number}", **said)

    def swap(number: int) -> None:
        (mount / "..new").symlink_to(f"..{number}")
        os.replace(mount / "..new", mount / "..data")

    swap(0)
    config = mount / "cosign.yaml"
    config.symlink_to("..data/cosign.yaml")
    with running(config) as exporter:
        exporter.until(exporter.ready)
        swap(1)
        exporter.until(lambda: exporter.metrics()["cosign_exporter_config_last_reload_successful"] == 0)
        assert "the trusted root cannot be read" in exporter.log.read_text()
        swap(2)
        exporter.until(lambda: "cosign_image_verified/signature/b" in exporter.metrics())
        assert exporter.metrics()["cosign_exporter_config_last_reload_successful"] == 1


# ---- secrets ---------------------------------------------------------------------------------


def test_no_secret_is_in_a_log_a_metric_or_a_page(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though a server repeats what it was sent, in its status line, its headers and its redirects."""
    said: list[bytes] = [
        answer(302, Location=f"http://user:{SECRET}@127.0.0.1/"),
        answer(302, Location=f"http://127.0.0.1:1/?token={SECRET}"),
        f"HTTP/1.1 503 Bearer {SECRET}\r\nContent-Length: 0\r\n\r\n".encode(),
        f"{SECRET} is no HTTP\r\n\r\n".encode(),
    ]
    with serving(lambda connection, number: connection.sendall(said[number % len(said)])) as server:
        config = configured(
            tmp_path,
            targets={f"t{n}": "fetches" for n in range(2)},
            url=f"{server.url}/v2/?access_token=none",
            token={"env": "TOKEN"},
            log_level="debug",
            timeout="2s",
            interval=1,
            concurrency=1,
        )
        with running(config, TOKEN=SECRET) as exporter:
            exporter.until(lambda: len(server.heads) > 4)
            shown = (
                exporter.get("/").text + exporter.get("/metrics").text + exporter.get("/probe?target=t1").text
            )
            exporter.end()
        monkeypatch.setenv("TOKEN", SECRET)
        once = call("cosign", "--config", str(config), "--once")
    assert f"Bearer {SECRET}" in server.heads[0]
    for text in (shown, exporter.log.read_text(), once.stdout, once.stderr):
        assert SECRET not in text


def test_every_log_line_is_json_by_default(tmp_path: Path) -> None:
    """With time, level and message."""
    with running(configured(tmp_path, targets={"a": "failed"})) as exporter:
        exporter.until(exporter.ready)
        exporter.end()
    lines = [json.loads(line) for line in exporter.log.read_text().splitlines()]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert [line["verdict"] for line in lines if line.get("target") == "a"] == ["failed"]


def test_only_the_command_prints() -> None:
    """Everything else logs, or returns what it found."""
    exporters = Path(__file__).parents[3] / "exporters"
    printing = [
        str(file.relative_to(exporters))
        for file in exporters.rglob("*.py")
        if re.search(r"^\s*print\(|\bConsole\(|sys\.stdout", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert printing == ["main.py"]


def test_every_exporter_has_what_the_command_needs() -> None:
    """A configuration with the common keys, a constructor, a verifier's name, and the metrics about itself."""
    for kind in KINDS.values():
        assert issubclass(kind.config(), Common)
        assert callable(kind.module().build)
        assert kind.module().VERIFIER
        for name in ("info", "last_cycle_timestamp_seconds", "cycle_failures_total"):
            assert own(kind.prefix, name) in kind.metrics
