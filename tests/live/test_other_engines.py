"""Budgets, gate and report over Prometheus 3 and VictoriaMetrics: the same data, the same answers as over Prometheus 2."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import gatekit, prom_world
from tests.prom_world import EARLY, HEALTHY, OUTAGE, TAMPERED, Asked
from tools.demo import servers

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("engines")]

TOOLS = servers.ROOT / ".tools"
MOMENTS = {
    "healthy": HEALTHY, "tampered": TAMPERED, "early": EARLY, "outage": OUTAGE, "before": HEALTHY - 100 * 86400,
}  # fmt: skip
BATCH = 100_000  # lines of one import


@dataclass
class Engines:
    """The reference, a release to judge, and the URLs of the others by name."""

    asked: Asked
    release: Path
    urls: dict[str, str]


def prometheus3(folder: Path, data: Path) -> servers.Server:
    """Over a copy of the blocks that Prometheus 2 wrote."""
    binary = TOOLS / "prometheus3" / "prometheus"
    assert binary.exists(), "Prometheus 3 is missing: run tools/peers prometheus3"
    shutil.copytree(data, folder / "prometheus")
    servers.write_yaml(folder / "prometheus.yaml", {"global": {"scrape_interval": "30s"}})
    port = servers.free_port()
    command = [
        str(binary) if c == servers.find("prometheus") else c
        for c in servers.prometheus(folder, port).command
    ]
    return servers.Server("prometheus 3", command, port, "/-/ready", folder / "log" / "prometheus.log")


def victoria(folder: Path) -> servers.Server:
    binary = TOOLS / "victoria" / "usr" / "bin" / "victoria-metrics"
    assert binary.exists(), "VictoriaMetrics is missing: run tools/peers victoria"
    port = servers.free_port()
    command = (
        str(binary),
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
    )
    return servers.Server("VictoriaMetrics", command, port, "/health", folder / "log" / "victoria.log")


def imported(server: servers.Server, data: Path) -> int:
    """Every sample of the blocks, by VictoriaMetrics' own API; how many there were."""
    command = [servers.find("promtool"), "tsdb", "dump", str(data)]
    count = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dump:
        assert dump.stdout is not None
        lines = (re.sub(r'^\{__name__="([^"]+)"(?:, )?', r"\1{", line) for line in dump.stdout)
        while batch := list(itertools.islice(lines, BATCH)):
            count += len(batch)
            url = f"{server.url}/api/v1/import/prometheus"
            httpx.post(url, content="".join(batch).encode(), timeout=60, trust_env=False).raise_for_status()
    httpx.get(f"{server.url}/internal/force_flush", timeout=60, trust_env=False).raise_for_status()
    return count


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    folder = tmp_path_factory.mktemp("engines")
    (folder / "world").mkdir()
    prom_world.build(folder / "world")
    data = folder / "world" / "prometheus"
    others = {
        "prometheus 3": prometheus3(folder / "three", data),
        "VictoriaMetrics": victoria(folder / "victoria"),
    }
    started = list(others.values())
    try:
        for server in started:
            server.start()
            server.wait_ready()
        assert imported(others["VictoriaMetrics"], data) > 1_000_000
        asked = prom_world.serve(folder / "world")
        started.append(asked.server)
        urls = {name: server.url for name, server in others.items()}
        yield Engines(asked, gatekit.release(asked, folder), urls)
    finally:
        servers.stop_all(started)


def budgets(url: str, at: int) -> Any:
    done = gatekit.slo_at(url, "budget", "--as-of", str(at), "--output", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def verdict(url: str, release: Path, at: int) -> tuple[int, Any]:
    """Exit code and verdict; a query's text is not what differs."""
    done = gatekit.slo_at(url, "gate", "--release", str(release), "--from", "edge", "--to", "stable", "--as-of",
                          str(at), "--output", "json")  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    return done.returncode, json.loads(done.stdout)


ENGINES = ["prometheus 3", "VictoriaMetrics"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_budgets_are_the_same(engines: Engines, engine: str, moment: str) -> None:
    """To the last digit that is shown, and unknown where they are unknown."""
    at = MOMENTS[moment]
    assert budgets(engines.urls[engine], at) == budgets(engines.asked.server.url, at)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_verdict_is_the_same(engines: Engines, engine: str, moment: str) -> None:
    """Every check, with its evidence."""
    at = MOMENTS[moment]
    expected = verdict(engines.asked.server.url, engines.release, at)
    assert verdict(engines.urls[engine], engines.release, at) == expected
    assert expected[0] == {"healthy": 0, "before": 3}.get(moment, 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_report_is_the_same(engines: Engines, engine: str, tmp_path: Path) -> None:
    """Figures, incidents and alerts. How long a last sample still counts is each server's own: an incident that the
    data end with may be longer by up to five minutes."""
    told = []
    for url in (engines.asked.server.url, engines.urls[engine]):
        file = tmp_path / "report.json"
        done = gatekit.slo_at(url, "report", "--month", "2026-03", "--json", str(file))
        assert done.returncode == 0, done.stderr
        told.append(json.loads(file.read_text()))
    lengths = [[i.pop("seconds") for x in report["slos"] for i in x["incidents"]] for report in told]
    assert told[1] == told[0]
    assert lengths[0]
    assert all(abs(a - b) <= 300 for a, b in zip(*lengths, strict=True))
