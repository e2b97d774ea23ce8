"""A Prometheus that holds a simulated past: samples become blocks on disk, and over them Prometheus itself evaluates
the generated rules, each when those that it reads are stored."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from slo import Duration, names, promql
from slo.artifact import Rule
from tools.demo import servers
from tools.demo.servers import DemoError, Server

QUERY_WITHIN = 120.0  # seconds
ALERTS = ("pending", "firing")


@dataclass(frozen=True, slots=True)
class Grid:
    """Moments of evaluation: from, to (both are among them), and the seconds between two."""

    start: int
    end: int
    step: int


def build(
    folder: Path, rules: Sequence[Rule], records: Sequence[Grid], alerts: Grid, lookback: str = "5m"
) -> None:
    """Evaluate rules over what the folder's Prometheus holds: recording rules on their grids, alerts on one.

    `lookback` is how long a sample stands. Raises DemoError.
    """
    for level in levels(rule for rule in rules if rule.record):
        with serving(folder, lookback) as server:
            lines = [line for rule in level for grid in records for line in _recorded(server, rule, grid)]
        store(folder, lines)
    with serving(folder, lookback) as server:
        lines = [line for rule in rules if rule.alert for line in _alerted(server, rule, alerts)]
    store(folder, lines)


def levels(recorded: Iterable[Rule]) -> list[list[Rule]]:
    """Recording rules in the order in which they read each other."""
    waiting = list(recorded)
    found: list[list[Rule]] = []
    while waiting:
        unknown = {rule.record for rule in waiting}
        reads = [
            {s.metric for s in promql.selectors(rule.expr)} & (unknown - {rule.record}) for rule in waiting
        ]
        level = [rule for rule, read in zip(waiting, reads, strict=True) if not read]
        if not level:
            raise DemoError(f"these records read each other in a circle: {', '.join(sorted(unknown))}")
        found.append(level)
        waiting = [rule for rule, read in zip(waiting, reads, strict=True) if read]
    return found


def store(folder: Path, lines: Iterable[str]) -> None:
    """OpenMetrics lines become blocks of the folder's Prometheus. Raises DemoError."""
    file = folder / "samples.txt"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(lines)
        out.write("# EOF\n")
    done = subprocess.run(
        [servers.find("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=1500h", "openmetrics",
         "--quiet", file, folder / "prometheus"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    file.unlink()
    if done.returncode != 0:
        raise DemoError(f"promtool did not take the simulated past: {(done.stdout + done.stderr).strip()}")


def serve(folder: Path, lookback: str = "5m") -> Server:
    """A running Prometheus over what is stored so far. It scrapes nothing and evaluates nothing by itself."""
    servers.write_yaml(folder / "prometheus.yaml", {"global": {"scrape_interval": "30s"}})
    server = servers.prometheus(folder, servers.free_port())
    server.command = (*server.command, f"--query.lookback-delta={lookback}")
    server.start()
    try:
        server.wait_ready()
    except DemoError:
        server.stop()
        raise
    return server


@contextlib.contextmanager
def serving(folder: Path, lookback: str = "5m") -> Iterator[Server]:
    """The same for as long as it is needed."""
    server = serve(folder, lookback)
    try:
        yield server
    finally:
        server.stop()


def _series(server: Server, expr: str, grid: Grid) -> list[dict[str, Any]]:
    asked = {"query": expr, "start": grid.start, "end": grid.end, "step": grid.step}
    url = f"{server.url}/api/v1/query_range"
    answer = httpx.post(url, data=asked, timeout=QUERY_WITHIN, trust_env=False).json()
    if answer["status"] != "success":
        raise DemoError(f"Prometheus says {answer['error']} of {expr}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def _labels(metric: Mapping[str, str], rule: Rule) -> dict[str, str]:
    return {name: value for name, value in metric.items() if name != "__name__"} | dict(rule.labels)


def _recorded(server: Server, rule: Rule, grid: Grid) -> Iterator[str]:
    expr = rule.expr
    if rule.record in (
        names.TICK,
        names.LEDGER_TICK,
    ):  # the clock's sample of this very moment is stored already
        expr = expr.replace("[1d])", "[1d] offset 1s)")
    for series in _series(server, expr, grid):
        head = promql.series(rule.record, _labels(series["metric"], rule))
        yield from (f"{head} {value} {at}\n" for at, value in series["values"])


def _alerted(server: Server, rule: Rule, grid: Grid) -> Iterator[str]:
    """ALERTS of a rule: pending from its first sample on, firing once that has lasted; and since when."""
    lasting = int(Duration.parse(rule.lasting).seconds) if rule.lasting else 0
    for series in _series(server, rule.expr, grid):
        labels = _labels(series["metric"], rule) | {"alertname": rule.alert}
        since = last = 0
        for at, _ in series["values"]:
            since = since if at - last == grid.step else at
            last = at
            state = ALERTS[at - since >= lasting]
            yield f"{promql.series('ALERTS', labels | {'alertstate': state})} 1 {at}\n"
            yield f"{promql.series('ALERTS_FOR_STATE', labels)} {since} {at}\n"
