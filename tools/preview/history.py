"""A month of the past for the demo's Prometheus, so that pictures show more than the minutes the demo has run.

The simulated platform lives through a month in which something happened. Its series become blocks on disk; then the
generated rules are evaluated over them by Prometheus itself, each when those that it reads are stored. The newer, the
closer: a record of the last day lies two minutes from the next, one of the first weeks two hours.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from alerts.recording import Timing
from alerts.rules import rule_files
from slo import Duration, names, promql
from slo.artifact import Rule
from slo.model import Stack
from tools.demo import servers
from tools.demo.servers import DemoError
from tools.demo.world import ModeName, World

MINUTE, HOUR, DAY = 60, 3600, 86400
QUERY_WITHIN = 120.0  # seconds
ALERTS = ("pending", "firing")

# What happened, in seconds before now: one thing at a time, so each has an end.
EVENTS: tuple[tuple[int, ModeName, str], ...] = (
    (20 * DAY, "outage", "rekor"),
    (20 * DAY - 40 * MINUTE, "normal", ""),
    (5 * DAY, "slow-burn", "scanner"),
    (4 * DAY, "normal", ""),
    (2 * DAY, "outage", "concelier"),
    (2 * DAY - 25 * MINUTE, "normal", ""),
    (30 * HOUR, "outage", "authority"),
    (30 * HOUR - 8 * MINUTE, "normal", ""),
    (9 * HOUR, "slow-burn", "signer"),
    (3 * HOUR, "normal", ""),
)


@dataclass(frozen=True, slots=True)
class Grid:
    """Moments of evaluation: from `start` to `end` (Unix seconds), every `step` seconds."""

    start: int
    end: int
    step: int

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, self.end + 1, self.step))


def grids(now: int) -> tuple[Grid, ...]:
    """The past in three parts; each begins where the one before ends."""
    end = now // (2 * HOUR) * 2 * HOUR
    month, week, day = end - 32 * DAY, end - 8 * DAY, end - 26 * HOUR
    return (
        Grid(month, week - 1, 2 * HOUR),
        Grid(week, day - 1, 10 * MINUTE),
        Grid(day, now // MINUTE * MINUTE, 2 * MINUTE),
    )


def scrapes(parts: Iterable[Grid]) -> Iterator[int]:
    """When the platform was scraped: at each moment and a minute before, so that each has a rate."""
    for part in parts:
        for at in part:
            yield from (at - MINUTE, at)


def raw(stacks: tuple[Stack, ...], parts: tuple[Grid, ...]) -> Iterator[str]:
    """OpenMetrics lines of all that was scraped."""
    clock = float(parts[0].start - 2 * MINUTE)
    end = parts[-1].end
    world = World(*stacks, clock=lambda: clock, day=DAY, step=HOUR)
    for series in world.steady.values():
        if series.clock and not series.slope:
            series.value += end - clock  # what expires did not do so in the meantime
    ahead = [(end - before, mode, service) for before, mode, service in EVENTS]
    for at in scrapes(parts):
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


def write(folder: Path, stacks: tuple[Stack, ...], timing: Timing, now: int) -> None:
    """Fill the folder of a Prometheus, `folder`/prometheus, up to `now`. Takes a minute or two."""
    parts = grids(now)
    rules = [
        rule for s in stacks for f in rule_files(s, timing) for group in f.groups for rule in group.rules
    ]
    _store(folder, raw(stacks, parts))
    for level in levels(rule for rule in rules if rule.record):
        with _Server(folder) as server:
            lines = [line for rule in level for line in _recorded(server, rule, parts)]
        _store(folder, lines)
    with _Server(folder) as server:
        lines = [line for rule in rules if rule.alert for line in _alerted(server, rule, parts[1:])]
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


class _Server:
    """A Prometheus over what is stored so far. It scrapes nothing and evaluates nothing by itself."""

    def __init__(self, folder: Path) -> None:
        servers.write_yaml(folder / "prometheus.yaml", {"global": {"scrape_interval": "30s"}})
        self._server = servers.prometheus(folder, servers.free_port())
        self._client = httpx.Client(trust_env=False, timeout=QUERY_WITHIN)

    def __enter__(self) -> _Server:
        self._server.start()
        self._server.wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._server.stop()

    def series(self, expr: str, part: Grid) -> list[dict[str, Any]]:
        asked = {"query": expr, "start": part.start, "end": part.end, "step": part.step}
        answer = self._client.post(f"{self._server.url}/api/v1/query_range", data=asked).json()
        if answer["status"] != "success":
            raise DemoError(f"Prometheus says {answer['error']} of {expr}")
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def _labels(metric: Mapping[str, str], rule: Rule) -> dict[str, str]:
    return {name: value for name, value in metric.items() if name != "__name__"} | dict(rule.labels)


def _recorded(server: _Server, rule: Rule, parts: Iterable[Grid]) -> Iterator[str]:
    expr = rule.expr
    if rule.record in (names.TICK, names.LEDGER_TICK):
        expr = expr.replace(
            "[1d])", "[1d] offset 1s)"
        )  # the clock's sample of this very moment is stored already
    for part in parts:
        for series in server.series(expr, part):
            head = promql.series(rule.record, _labels(series["metric"], rule))
            yield from (f"{head} {value} {at}\n" for at, value in series["values"])


def _alerted(server: _Server, rule: Rule, parts: Iterable[Grid]) -> Iterator[str]:
    """ALERTS of a rule: pending from its first sample on, firing once that has lasted."""
    lasting = int(Duration.parse(rule.lasting).seconds) if rule.lasting else 0
    for part in parts:
        for series in server.series(rule.expr, part):
            labels = _labels(series["metric"], rule) | {"alertname": rule.alert}
            since = last = 0
            for at, _ in series["values"]:
                since = since if at - last == part.step else at
                last = at
                state = ALERTS[at - since >= lasting]
                yield f"{promql.series('ALERTS', labels | {'alertstate': state})} 1 {at}\n"
