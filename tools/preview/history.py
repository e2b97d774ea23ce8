"""A Prometheus with five weeks of a simulated platform, so that pictures show more than the minutes a demo has run.

Something happened in those weeks, and something happens now. The demo's series become blocks on disk; then the
generated rules are evaluated over them by Prometheus itself, each when those that it reads are stored. All moments of
evaluation are as far apart, as budgets take them to be. The clock is the simulation's: the same code, the same data.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from alerts.recording import Timing
from alerts.rules import rule_files
from slo import Duration, catalog, names, promql
from slo.artifact import Rule
from slo.model import Stack
from tools.demo import servers
from tools.demo.servers import DemoError, Server
from tools.demo.world import ModeName, World
from tools.preview.build import BUILT, ROOT

MINUTE, HOUR, DAY = 60, 3600, 86400
NOW = int(datetime(2026, 3, 19, 12, tzinfo=UTC).timestamp())
START = NOW - 33 * DAY
STEP = 15 * MINUTE  # between two evaluations of a rule
CLOSE = (
    NOW - 26 * HOUR
)  # from here on the platform was scraped every minute, as rates of a day's graph need it
LOOKBACK = "16m"  # a sample stands until the next evaluation
TIMING = Timing.of(Duration.of(30))
QUERY_WITHIN = 120.0  # seconds
ALERTS = ("pending", "firing")

# What happened, in seconds before now: one thing at a time, so each has an end. The last one has none yet.
EVENTS: tuple[tuple[int, ModeName, str], ...] = (
    (24 * DAY, "outage", "rekor"),
    (24 * DAY - 45 * MINUTE, "normal", ""),
    (8 * DAY, "slow-burn", "scanner"),
    (7 * DAY, "normal", ""),
    (5 * DAY, "outage", "concelier"),
    (5 * DAY - 75 * MINUTE, "normal", ""),
    (2 * DAY, "tampered", ""),
    (2 * DAY - 2 * HOUR, "normal", ""),
    (14 * HOUR, "slow-burn", "attestor"),
    (6 * HOUR, "normal", ""),
    (25 * MINUTE, "outage", "attestor"),
)


def scrapes() -> Iterator[int]:
    """When the platform was scraped: at each evaluation and a minute before, so that each has a rate; then closely."""
    for at in range(START, CLOSE, STEP):
        yield from (at - MINUTE, at)
    yield from range(CLOSE, NOW + 1, MINUTE)


def raw(stacks: tuple[Stack, ...]) -> Iterator[str]:
    """OpenMetrics lines of all that was scraped."""
    clock = float(START - 2 * MINUTE)
    world = World(*stacks, clock=lambda: clock, day=DAY, step=HOUR)
    for series in world.steady.values():
        if series.clock and not series.slope:
            series.value += NOW - clock  # what expires did not do so in the meantime
    ahead = [(NOW - before, mode, service) for before, mode, service in EVENTS]
    for at in scrapes():
        while ahead and ahead[0][0] <= at:
            moment, mode, service = ahead.pop(0)
            clock = max(clock, float(moment))
            world.switch(mode, service)
        clock = float(at)
        yield from (f"{line} {at}\n" for line in world.text().splitlines())


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
        waiting = [rule for rule in waiting if rule not in level]
    return found


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of a Prometheus that holds it; built at the first time, and when its sources changed. Raises DemoError."""
    folder = BUILT / f"history-{_digest()}"
    if not folder.exists():
        begun = BUILT / "history.begun"
        for old in (begun, *BUILT.glob("history-*")):
            shutil.rmtree(old, ignore_errors=True)
        begun.mkdir(parents=True)
        build(begun, (catalog.stack(),))
        begun.rename(folder)
    with _serving(folder) as server:
        yield server.url


def _digest() -> str:
    simulated = (ROOT / "tools" / "demo" / f"{part}.py" for part in ("world", "plan", "series", "pods"))
    digest = hashlib.sha256()
    for file in (*sorted((ROOT / "generated" / "prometheus").glob("*.yaml")), *simulated, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def build(folder: Path, stacks: tuple[Stack, ...]) -> None:
    """Fill the folder of a Prometheus. Takes some minutes."""
    rules = [
        rule for s in stacks for f in rule_files(s, TIMING) for group in f.groups for rule in group.rules
    ]
    _store(folder, raw(stacks))
    for level in levels(rule for rule in rules if rule.record):
        with _serving(folder) as server:
            lines = [line for rule in level for line in _recorded(server, rule)]
        _store(folder, lines)
    with _serving(folder) as server:
        lines = [line for rule in rules if rule.alert for line in _alerted(server, rule)]
    _store(folder, lines)


def _store(folder: Path, lines: Iterable[str]) -> None:
    file = folder / "history.txt"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(lines)
        out.write("# EOF\n")
    done = subprocess.run(
        [servers.find("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=1500h", "openmetrics",
         "--quiet", file, folder / "prometheus"],
        capture_output=True, text=True,
    )  # fmt: skip
    file.unlink()
    if done.returncode != 0:
        raise DemoError(f"promtool did not take the simulated past: {(done.stdout + done.stderr).strip()}")


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[Server]:
    """A Prometheus over what is stored so far. It scrapes nothing and evaluates nothing by itself."""
    servers.write_yaml(folder / "prometheus.yaml", {"global": {"scrape_interval": "30s"}})
    server = servers.prometheus(folder, servers.free_port())
    server.command = (*server.command, f"--query.lookback-delta={LOOKBACK}")
    server.start()
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


def _series(server: Server, expr: str) -> list[dict[str, Any]]:
    asked = {"query": expr, "start": START, "end": NOW, "step": STEP}
    url = f"{server.url}/api/v1/query_range"
    answer = httpx.post(url, data=asked, timeout=QUERY_WITHIN, trust_env=False).json()
    if answer["status"] != "success":
        raise DemoError(f"Prometheus says {answer['error']} of {expr}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def _labels(metric: Mapping[str, str], rule: Rule) -> dict[str, str]:
    return {name: value for name, value in metric.items() if name != "__name__"} | dict(rule.labels)


def _recorded(server: Server, rule: Rule) -> Iterator[str]:
    expr = rule.expr
    if rule.record in (names.TICK, names.LEDGER_TICK):
        expr = expr.replace(
            "[1d])", "[1d] offset 1s)"
        )  # the clock's sample of this very moment is stored already
    for series in _series(server, expr):
        head = promql.series(rule.record, _labels(series["metric"], rule))
        yield from (f"{head} {value} {at}\n" for at, value in series["values"])


def _alerted(server: Server, rule: Rule) -> Iterator[str]:
    """ALERTS of a rule: pending from its first sample on, firing once that has lasted."""
    lasting = int(Duration.parse(rule.lasting).seconds) if rule.lasting else 0
    for series in _series(server, rule.expr):
        labels = _labels(series["metric"], rule) | {"alertname": rule.alert}
        since = last = 0
        for at, _ in series["values"]:
            since = since if at - last == STEP else at
            last = at
            state = ALERTS[at - since >= lasting]
            yield f"{promql.series('ALERTS', labels | {'alertstate': state})} 1 {at}\n"
