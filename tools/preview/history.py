"""A Prometheus with five weeks of a simulated platform, so that pictures show more than the minutes a demo has run.

Something happened in those weeks, and something happens now. The series are the demo's, the records and alerts those
of the generated rules. All moments of evaluation are as far apart, as budgets take them to be. The clock is the
simulation's: the same code, the same data.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from alerts.recording import Timing
from alerts.rules import rule_files
from slo import Duration, catalog
from slo.model import Stack
from tools.demo import past
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
    with past.serving(folder, LOOKBACK) as server:
        yield server.url


def _digest() -> str:
    simulated = (
        ROOT / "tools" / "demo" / f"{part}.py" for part in ("world", "plan", "series", "pods", "past")
    )
    digest = hashlib.sha256()
    for file in (*sorted((ROOT / "generated" / "prometheus").glob("*.yaml")), *simulated, Path(__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def build(folder: Path, stacks: tuple[Stack, ...]) -> None:
    """Fill the folder of a Prometheus. Takes some minutes."""
    rules = [
        rule for s in stacks for f in rule_files(s, TIMING) for group in f.groups for rule in group.rules
    ]
    past.store(folder, raw(stacks))
    evaluated = past.Grid(START, NOW, STEP)
    past.build(folder, rules, [evaluated], evaluated, LOOKBACK)
