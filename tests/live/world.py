"""A service whose every event is known: traffic by day and night, incidents, deploys, and scrapes of it."""

from __future__ import annotations

import json
import math
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCRAPE = 30


def at(text: str) -> int:
    """Seconds since the epoch of "2026-11-01 00:00" (UTC)."""
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class Incident:
    """From start to end, this share of requests fails."""

    start: int
    end: int
    bad: float


@dataclass
class World:
    """Requests of two replicas, one pair of counters each, cumulative at every scrape.

    Traffic swings between `peak` and `night` requests per second. Each replica restarts (its counters too) every
    `restart` seconds. Counts are whole events: what accumulates is what truth() sums.
    """

    start: int
    end: int
    incidents: tuple[Incident, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    peak: float = 50.0
    night: float = 0.5
    restart: int = 86400 * 3
    background: float = 0.0001
    good: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        owed_good = owed_bad = 0.0
        for t in range(self.start, self.end, SCRAPE):
            share = max([self.background, *(i.bad for i in self.incidents if i.start <= t < i.end)])
            swing = (1 - math.cos(2 * math.pi * (t % 86400) / 86400)) / 2
            rate = (self.night + (self.peak - self.night) * swing) * SCRAPE
            owed_good, owed_bad = owed_good + rate * (1 - share), owed_bad + rate * share
            self.good.append(int(owed_good))
            self.bad.append(int(owed_bad))
            owed_good, owed_bad = owed_good % 1, owed_bad % 1

    def truth(self, start: int, end: int) -> tuple[int, int]:
        """(bad, total) events between two times."""
        a, b = ((max(t, self.start) - self.start) // SCRAPE for t in (start, end))
        bad = sum(self.bad[a:b])
        return bad, bad + sum(self.good[a:b])

    def down(self, t: int) -> bool:
        return any(a <= t < b for a, b in self.gaps)

    def write(self, path: Path, metric: str = "requests_total") -> None:
        """The scrapes, one JSON line a series. An error series exists once there was an error."""
        with path.open("w") as out:
            for replica in (0, 1):
                for code, events in (("200", self.good), ("500", self.bad)):
                    values: list[float | None] = []
                    total = 0
                    for n, count in enumerate(events):
                        t = self.start + n * SCRAPE
                        if n and (t + replica * self.restart // 2) % self.restart < SCRAPE:
                            total = 0
                        # An event of [t - 30, t) is seen by the scrape at t.
                        values.append(None if self.down(t) or (code == "500" and total == 0) else total)
                        total += count // 2 + (count % 2 if replica == 0 else 0)
                    labels = {"__name__": metric, "code": code, "instance": f"replica-{replica}"}
                    line = {"labels": labels, "start": self.start, "step": SCRAPE, "values": values}
                    out.write(json.dumps(line) + "\n")


def replay(
    tool: Path, folder: Path, world: World, rules: list[Path], queries: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """Run the rules over the world with Prometheus' own engine; `more` is of the scenario (replay/README.md)."""
    series = folder / "series.jsonl"
    world.write(series)
    scenario = {
        "rule_files": [str(r) for r in rules],
        "start": world.start,
        "end": world.end,
        "series_file": str(series),
        "gaps": [list(g) for g in world.gaps],
        "queries": queries,
        "group_offsets": "hashed",
        **more,
    }
    file = folder / "scenario.json"
    file.write_text(json.dumps(scenario))
    done = subprocess.run([tool, file], capture_output=True, text=True, check=False, timeout=1500)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
