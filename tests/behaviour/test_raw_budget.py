"""Budgets from raw series, where no rule ever ran: a real Prometheus that only scraped, and events that are known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from slo import names
from tests import prom_world
from tests.prom_world import Asked
from tools.demo import past

SLO = Path(sys.executable).parent / "slo"
START = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp())
HOURS = 36
AT = START + HOURS * 3600
ELAPSED = HOURS / (31 * 24)
SCRAPE = 60
BUDGET = 0.01
NOTE = "computed from raw series, as nothing is recorded: gaps count as measured"
DEFINITIONS = """
from slo import SLO, Composite, Latency, Ratio, Service, Stack, Uptime
api = Service(name="api", owner="web")
errors = Ratio(bad='requests_total{code="500"}', total="requests_total")
slow = Latency(histogram="request_seconds", below="500ms")
def slo(name, sli, **more):
    return SLO(service=api, name=name, objective="99%", window="month", sli=sli, description="Answers.", **more)
stack = Stack(name="raw", slos=[
    slo("errors", errors), slo("slow", slow), slo("up", Uptime(gauge="up")), slo("regions", errors, by=["region"]),
    slo("worst", Composite(parts={"errors": errors, "slow": slow})),
    slo("weighted", Composite(parts={"errors": errors, "slow": slow}, weights={"errors": "0.25", "slow": "0.75"})),
    slo("unseen", Ratio(bad="unseen_total", total="unseen_all_total")),
    slo("recorded", errors),
])
"""


def rate(t: int) -> int:
    """Requests of one minute in one region: by day and by night."""
    return 300 if t % 86400 > 6 * 3600 else 30


# What share is bad, by region, of a minute.
ERRORS: dict[str, Callable[[int], float]] = {
    "eu": lambda t: 0.2 if 10 * 3600 <= t - START < 11 * 3600 else 0.0,
    "us": lambda t: 0.01,
}


def slow(t: int) -> float:
    return 0.1 if 20 * 3600 <= t - START < 24 * 3600 else 0.0


def down(t: int) -> bool:
    return 15 * 3600 <= t - START < 16 * 3600


def raw() -> Iterator[str]:
    """OpenMetrics lines; each region's process restarts twice."""
    requests = dict.fromkeys(((r, c) for r in ERRORS for c in ("200", "500")), 0.0)
    fast, all_ = 0.0, 0.0
    for t in range(START - 2 * 3600, AT + 1, SCRAPE):
        if t % (14 * 3600) == 0:
            requests = dict.fromkeys(requests, 0.0)
            fast = all_ = 0.0
        for (region, code), value in requests.items():
            yield f'requests_total{{region="{region}",code="{code}"}} {value:.6f} {t}\n'
        for le, value in (("0.5", fast), ("+Inf", all_)):
            yield f'request_seconds_bucket{{le="{le}"}} {value:.6f} {t}\n'
        yield f"request_seconds_count {all_:.6f} {t}\n"
        yield f"up {0 if down(t) else 1} {t}\n"
        for region, bad in ERRORS.items():
            requests[region, "500"] += rate(t) * bad(t)
            requests[region, "200"] += rate(t) * (1 - bad(t))
        fast, all_ = fast + rate(t) * (1 - slow(t)), all_ + rate(t)


def truth() -> dict[str, float]:
    """The budget left of each SLO, from the events."""
    minutes = range(START, AT, SCRAPE)
    total = sum(map(rate, minutes))
    region = {name: sum(rate(t) * bad(t) for t in minutes) / total for name, bad in ERRORS.items()}
    errors = sum(region.values()) / 2
    late = sum(rate(t) * slow(t) for t in minutes) / total
    ratios = {
        "api-errors": errors, "api-slow": late, "api-up": sum(map(down, minutes)) / len(minutes),
        "api-regions region=eu": region["eu"], "api-regions region=us": region["us"],
        "api-worst": max(errors, late), "api-weighted": 0.25 * errors + 0.75 * late,
    }  # fmt: skip
    return {name: 1 - ratio / BUDGET * ELAPSED for name, ratio in ratios.items()}


def told(folder: Path) -> dict[str, dict[str, Any]]:
    """What `slo budget` says, by SLO and group."""
    record = f'{names.REMAINING}{{stack="raw",slo="api-recorded",window="month"}} 0.25 {AT - 30}\n'
    past.store(folder, [*raw(), record])
    definitions = folder / "slos.py"
    definitions.write_text(DEFINITIONS)
    asked: Asked = prom_world.serve(folder)
    try:
        done = subprocess.run(
            [SLO, "budget", "--definitions", definitions, "--prometheus", asked.server.url, "--as-of", str(AT),
             "--output", "json"],
            capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
    finally:
        asked.stop()
    assert done.returncode == 0, done.stderr
    return {f"{r['slo']} {r['group']}".strip(): r for r in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return told(tmp_path_factory.mktemp("raw"))


@pytest.mark.parametrize("name", sorted(truth()))
def test_a_budget_from_raw_series_equals_the_truth(rows: dict[str, dict[str, Any]], name: str) -> None:
    """Counters with resets, buckets, a gauge, groups and composites: to half a per cent of the budget, with a note."""
    assert float(rows[name]["budget_left"]) == pytest.approx(truth()[name], abs=0.005)
    assert rows[name]["notes"] == [NOTE]


def test_what_has_no_series_stays_unknown(rows: dict[str, dict[str, Any]]) -> None:
    """Neither from records nor from raw series."""
    assert rows["api-unseen"]["budget_left"] is None
    assert "nothing is recorded" in rows["api-unseen"]["notes"][0]


def test_what_is_recorded_is_read_and_not_computed(rows: dict[str, dict[str, Any]]) -> None:
    """The record is the word, even where the raw series say another."""
    assert rows["api-recorded"]["budget_left"] == "0.25"
    assert NOTE not in rows["api-recorded"]["notes"]


def test_no_other_row_is_told(rows: dict[str, dict[str, Any]]) -> None:
    """A grouped SLO has a row a group, and none without."""
    assert rows.keys() == {*truth(), "api-unseen", "api-recorded"}
