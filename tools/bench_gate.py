"""Measure one run of `slo gate` over many SLOs in a real Prometheus: wall time, peak memory and queries."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from slo import names
from tools.demo import servers

DEFINITIONS = """
from slo import SLO, Ratio, Service, Stack
services = [Service(name=f"service-{{n}}", owner="team") for n in range({count} // 10)]
stack = Stack(name="bench", slos=[
    SLO(service=services[n // 10], name=f"slo-{{n % 10}}", objective="99.9%", window="month", description="Answers.",
        sli=Ratio(bad="bad_total", total="all_total"))
    for n in range({count})
])
"""
RELEASE = """release: {version: "2.4.1", channel: "edge", date: "2026-11-01T12:00:00Z", calendar: "2026.11"}
components:
  - {name: signer, image: registry.example.org/signer@sha256:%s}
""" % ("ab" * 32)


def records(count: int, now: int) -> Iterator[str]:
    """Ten minutes of what the rules record of each SLO, as OpenMetrics."""
    values = {
        names.BUDGET: "0.001", names.REMAINING: "0.9", names.PERIOD_RATIO: "0.0001", names.MEASURED: "0.5",
        names.BUDGET_EVENTS: "1000", **{names.error_ratio(w): "0.0001" for w in ("5m", "1h", "6h", "1d", "3d")},
    }  # fmt: skip
    for name, value in values.items():
        yield f"# TYPE {name} gauge\n"
        for n in range(count):
            for at in range(now - 600, now + 1, 60):
                yield f'{name}{{stack="bench",slo="service-{n // 10}-slo-{n % 10}"}} {value} {at}\n'
    yield "# EOF\n"


def measure(folder: Path, count: int, repeat: int = 5) -> None:
    """One line: SLOs, seconds (median), peak MiB, queries."""
    now = int(time.time()) - 60
    (folder / "definitions.py").write_text(DEFINITIONS.format(count=count))
    (folder / "release.yaml").write_text(RELEASE)
    (folder / "records.txt").write_text("".join(records(count, now)))
    servers.write_yaml(folder / "prometheus.yaml", {"global": {"scrape_interval": "30s"}})
    subprocess.run(
        [str(servers.find("promtool")), "tsdb", "create-blocks-from", "openmetrics", "--quiet", folder / "records.txt",
         folder / "prometheus"], check=True,
    )  # fmt: skip
    server = servers.prometheus(folder, servers.free_port())
    server.start()
    try:
        server.wait_ready()
        command: list[str | Path] = [
            Path(sys.executable).parent / "slo", "gate", "--release", folder / "release.yaml", "--from", "edge",
            "--to", "stable", "--definitions", folder / "definitions.py", "--prometheus", server.url,
            "--as-of", str(now), "--output", "json",
        ]  # fmt: skip
        seconds, verdict = [], {}
        for _ in range(repeat):
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            seconds.append(time.perf_counter() - start)
            verdict = json.loads(done.stdout)
        judged = sum(r["check"].startswith("budget/") for r in verdict["results"])
        assert judged == count, f"{judged} of {count} SLOs were judged"
        print(
            f"slo gate: {judged} SLOs, {verdict['decision']}, {median(seconds):.2f} s, {verdict['queries']} queries"
        )
    finally:
        server.stop()
