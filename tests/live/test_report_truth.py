"""The report and the budgets against the truth: months of known events, through real rules into a real Prometheus.

The rules run in Prometheus' own engine over simulated months (tests/live/replay), its samples are served by the
Prometheus that users have, and the commands ask that. Rules that nothing is summed from, over windows of days or of
the month, are evaluated only where a test looks: every two minutes of a quarter they would take hours, and change
nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from world import Incident, World, at, replay

from slo import names, tree
from slo.compile import compile_stack
from slo.load import load
from tools.demo import servers

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.xdist_group("truth")]

SLO = Path(sys.executable).parent / "slo"
ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600
BUDGET = 0.001
DEFINITIONS = """
from slo import SLO, Ratio, Service, Stack
api = Service(name="api", owner="web", tier=1)
stack = Stack(name="truth", slos=[
    SLO(service=api, name="requests", objective="99.9%", window="month", description="Requests succeed.",
        sli=Ratio(bad='requests_total{code=~"5.."}', total="requests_total")),
])
"""
# Records that others are summed from: these are evaluated all the time.
SUMMED = (names.CLOCK, names.TICK, names.HOUR_WEIGHT, names.LEDGER_CLOCK, names.LEDGER_TICK, names.TOTAL_LEDGER,
          names.ERRORS_LEDGER)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """A stretch of time from a few hours before `first` to a few after `last`, both a month's first moment."""

    first: int
    last: int
    incidents: tuple[Incident, ...]
    looks: tuple[int, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()


BY_DAY = Incident(at("2023-10-05 14:00"), at("2023-10-05 14:25"), 0.2)
BY_NIGHT = Incident(at("2023-10-19 02:30"), at("2023-10-19 04:30"), 0.3)
OVER_MIDNIGHT = Incident(at("2023-10-31 22:00"), at("2023-11-01 02:00"), 1.0)
AT_NOON = Incident(at("2023-11-08 12:00"), at("2023-11-08 12:20"), 0.5)
SLOW = Incident(at("2023-11-20 18:00"), at("2023-11-20 20:00"), 0.03)
IN_FEBRUARY = Incident(
    at("2024-02-29 09:00"), at("2024-02-29 09:40"), 0.3
)  # the day that other years have not

AUTUMN = Scenario(
    at("2023-10-01 00:00"), at("2023-12-01 00:00"), (BY_DAY, BY_NIGHT, OVER_MIDNIGHT, AT_NOON, SLOW),
    looks=tuple(at(t) for t in ("2023-10-16 12:00", "2023-10-31 23:58", "2023-11-01 12:00", "2023-11-15 00:00",
                                "2023-11-30 23:58")),
)  # fmt: skip
FEBRUARY = Scenario(
    at("2024-02-01 00:00"), at("2024-03-01 00:00"), (IN_FEBRUARY,),
    looks=(at("2024-02-15 12:00"), at("2024-02-29 23:58")),
)  # fmt: skip
# Prometheus is down: in the middle of an incident; for a night and a day; through the beginning of an incident.
GAPS = (
    (AT_NOON.start + 300, AT_NOON.start + 900),
    (at("2023-11-14 20:00"), at("2023-11-16 02:00")),
    (SLOW.start - 1200, SLOW.start + 1800),
)
GAPPY = Scenario(
    at("2023-11-01 00:00"), at("2023-12-01 00:00"), (AT_NOON, SLOW), (at("2023-11-30 23:58"),), GAPS
)


class Months:
    """What one scenario left behind: its events, and a Prometheus that serves what was recorded of them."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.definitions = folder / "slos.py"
        self.definitions.write_text(DEFINITIONS)
        self.world = World(
            scenario.first - 4 * HOUR, scenario.last + 4 * HOUR, scenario.incidents, scenario.gaps, night=0.02
        )
        self.alerts: list[dict[str, Any]] = []
        self.server: servers.Server | None = None
        self.reports: dict[str, dict[str, Any]] = {}

    def play(self) -> None:
        tool = ROOT / ".tools" / "replay"
        assert tool.exists(), "the replay tool is not built: run `make test-live`"
        files, only = self._rules()
        keep = self.folder / "prometheus"
        self.alerts = replay(tool, self.folder, self.world, files, [], only=only, keep=str(keep))["alerts"]

    def _rules(self) -> tuple[list[Path], dict[str, list[list[int]]]]:
        """The generated rules, those that are only looked at in groups of their own."""
        burning = [[i.start - 2 * HOUR, i.end + 3 * HOUR] for i in self.scenario.incidents]
        looked = [[t - 600, t + 60] for t in self.scenario.looks]
        tree.write(self.folder / "out", compile_stack(load(self.definitions)))
        only = {}
        files = sorted((self.folder / "out" / "prometheus").glob("truth-*.yaml"))
        for file in files:
            groups = []
            for group in yaml.safe_load(file.read_text())["groups"]:
                base = "-base-" in group["name"]
                apart = {True: [], False: []}
                for rule in group["rules"]:
                    apart[base or rule.get("record") in SUMMED].append(rule)
                groups += [group | {"rules": apart[True]}] if apart[True] else []
                if apart[False]:
                    name = f"{group['name']}-looked-at"
                    groups.append(group | {"name": name, "rules": apart[False]})
                    only[name] = sorted(burning + looked)
            file.write_text(yaml.safe_dump({"groups": groups}))
        return files, only

    def serve(self) -> None:
        servers.write_yaml(self.folder / "prometheus.yaml", {"global": {"scrape_interval": "30s"}})
        self.server = servers.prometheus(self.folder, servers.free_port())
        self.server.start()
        self.server.wait_ready()

    def slo(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        assert self.server is not None
        where = ("--definitions", str(self.definitions), "--prometheus", self.server.url)
        done = subprocess.run(
            [SLO, *arguments, *where], capture_output=True, text=True, check=False,
            env={"PATH": os.environ["PATH"], "NO_COLOR": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done

    def report(self, month: str) -> dict[str, Any]:
        """What the report of a month or a quarter says."""
        if month not in self.reports:
            file = self.folder / f"{month}.json"
            kind = "--quarter" if "Q" in month else "--month"
            self.slo("report", kind, month, "--json", str(file))
            self.reports[month] = json.loads(file.read_text())
        (line,) = self.reports[month]["slos"]
        return line

    def spent(self, start: int, end: int, until: int | None = None, months: int = 1) -> float:
        """The share of the budget of a period that its own events spent, up to a moment of it."""
        until = end if until is None else until
        bad, total = self.world.truth(start, until)
        return bad / total / BUDGET * (until - start) / (end - start)


def month(text: str) -> tuple[int, int]:
    """The first moment of a month, and of the next."""
    first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()), int(after.timestamp())


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Months]]:
    """All scenarios, replayed on both cores and served."""
    every = {
        name: Months(scenario, tmp_path_factory.mktemp(name))
        for name, scenario in (("autumn", AUTUMN), ("gappy", GAPPY), ("february", FEBRUARY))
    }
    try:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(m.play) for m in every.values()]:
                done.result()
        for m in every.values():
            m.serve()
        yield every
    finally:
        servers.stop_all(m.server for m in every.values() if m.server is not None)


MONTHS = [("autumn", "2023-10"), ("autumn", "2023-11"), ("february", "2024-02")]


@pytest.mark.parametrize(("name", "text"), MONTHS)
def test_a_month_s_report_equals_the_truth(months: dict[str, Months], name: str, text: str) -> None:
    """To half a per cent of the budget: day and night, resets of counters, an outage over the month's end."""
    line, truth = months[name].report(text), 1 - months[name].spent(*month(text))
    deviation = float(line["budget_left"]) - truth
    print(f"\n{text}: {line['budget_left']} left, in truth {truth:.6f}: {deviation:+.4%} of the budget")
    assert abs(deviation) < 0.005
    assert line["complete"] is True


def test_a_quarter_s_report_equals_the_truth_of_what_it_has(months: dict[str, Months]) -> None:
    """Two of three months are measured: judged by these, and marked."""
    start, end = at("2023-10-01 00:00"), at("2024-01-01 00:00")
    line, truth = (
        months["autumn"].report("2023-Q4"),
        1 - months["autumn"].spent(start, end, at("2023-12-01 04:00")),
    )
    assert abs(float(line["budget_left"]) - truth) < 0.005
    assert line["complete"] is False


LOOKS = [(name, t) for name, s in (("autumn", AUTUMN), ("february", FEBRUARY)) for t in s.looks]


@pytest.mark.parametrize(("name", "moment"), LOOKS)
def test_a_budget_of_any_moment_equals_the_truth(months: dict[str, Months], name: str, moment: int) -> None:
    """Away from incidents, to half a per cent of the budget, or of what was spent where that is more."""
    when = datetime.fromtimestamp(moment, UTC)
    rows = json.loads(months[name].slo("budget", "--as-of", when.isoformat(), "--output", "json").stdout)
    truth = 1 - months[name].spent(*month(f"{when:%Y-%m}"), moment)
    deviation = float(rows[0]["budget_left"]) - truth
    print(f"\n{when:%Y-%m-%d %H:%M}: {deviation:+.4%} of the budget, of which {1 - truth:.1%} were spent")
    assert abs(deviation) < 0.005 * max(1, 1 - truth)


def test_the_month_before_is_what_its_own_report_says(months: dict[str, Months]) -> None:
    """Month over month."""
    autumn = months["autumn"]
    before = 1 - float(autumn.report("2023-10")["budget_left"])
    assert float(autumn.report("2023-11")["spent_before"]) == pytest.approx(before, abs=1e-4)


COSTS = [
    ("autumn", "2023-10", BY_DAY), ("autumn", "2023-10", BY_NIGHT), ("autumn", "2023-11", AT_NOON),
    ("autumn", "2023-11", SLOW), ("february", "2024-02", IN_FEBRUARY), ("autumn", "2023-10", OVER_MIDNIGHT),
    ("autumn", "2023-11", OVER_MIDNIGHT),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "incident"), COSTS)
def test_an_incident_has_its_edges_and_its_cost(
    months: dict[str, Months], name: str, text: str, incident: Incident
) -> None:
    """Each month's part: start and length to the base window and two evaluations, cost to 1 % of the budget."""
    first, after = month(text)
    start, end = max(incident.start, first), min(incident.end, after)
    found = [i for i in months[name].report(text)["incidents"] if abs(_time(i["start"]) - start) < HOUR]
    assert len(found) == 1, found
    (said,) = found
    _, total = months[name].world.truth(first, after)
    spent = months[name].world.truth(start, end)[0] / total / BUDGET
    print(
        f"\n{said['start']}: {_time(said['start']) - start:+.0f}s, length {said['seconds'] - (end - start):+d}s, "
        f"spent {said['spent']}, in truth {spent:.4f}, alerts {said['alerts']}"
    )
    assert abs(_time(said["start"]) - start) <= 240
    assert abs(said["seconds"] - (end - start)) <= 300
    assert abs(float(said["spent"]) - spent) < 0.01


def test_no_other_incident_is_told(months: dict[str, Months]) -> None:
    """Background errors and quiet nights cost no budget that is worth a line."""
    found = [len(months[name].report(text)["incidents"]) for name, text in MONTHS]
    assert found == [len([c for c in COSTS if c[:2] == m]) for m in MONTHS]


def test_an_outage_lists_the_alerts_and_how_soon_they_fired(months: dict[str, Months]) -> None:
    """As the rule engine fired them."""
    autumn = months["autumn"]
    (said,) = [
        i for i in autumn.report("2023-11")["incidents"] if abs(_time(i["start"]) - AT_NOON.start) < HOUR
    ]
    fired: dict[str, float] = {}
    for a in autumn.alerts:
        if a["state"] == "firing" and 0 <= a["time"] - AT_NOON.start < HOUR:
            fired.setdefault(a["alertname"], a["time"])
    told = {a["name"]: _time(said["start"]) + a["after_seconds"] for a in said["alerts"]}
    print(
        f"\nfired after { ({n: round(t - AT_NOON.start) for n, t in fired.items()}) } s, told {said['alerts']}"
    )
    assert names.PAGE in fired
    assert told.keys() == fired.keys()
    assert all(abs(told[n] - t) <= 60 for n, t in fired.items())


def test_gaps_are_measured_and_marked(months: dict[str, Months]) -> None:
    """A month in which Prometheus was down is incomplete, and judged by the rest of it."""
    gappy = months["gappy"]
    line, truth = gappy.report("2023-11"), 1 - gappy.spent(*month("2023-11"))
    deviation = float(line["budget_left"]) - truth
    down = sum(b - a for a, b in GAPS)
    print(
        f"\nPrometheus was down for {down / HOUR:.1f} h, of {sum(gappy.world.truth(*g)[0] for g in GAPS)} bad events: "
        f"{line['budget_left']} left, in truth {truth:.4f}: {deviation:+.2%} of the budget; "
        f"measured {float(line['measured']):.4f}"
    )
    assert line["complete"] is False
    assert float(line["measured"]) == pytest.approx(1 - down / (30 * 24 * HOUR), abs=0.001)
    assert abs(deviation) < 0.1


def _time(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
