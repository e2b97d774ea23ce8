"""Budgets against the truth, over simulated weeks in Prometheus' own engine: month's end, midnight outages, gaps.

The rules of the period are run as queries at the moments a test looks at: evaluated every two minutes of a
simulated fortnight they would take hours, and change nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from world import Incident, World, at, replay

from slo import SLO, Ratio, Service, Stack, names, tree
from slo.compile import compile_stack

pytestmark = [pytest.mark.live, pytest.mark.slow]

START, END = at("2026-10-29 00:00"), at("2026-11-07 00:00")
NOVEMBER = at("2026-11-01 00:00")
BUDGET = 0.001
BEFORE_MIDNIGHT = Incident(at("2026-10-31 23:30"), NOVEMBER, 1.0)
AFTER_MIDNIGHT = Incident(at("2026-11-02 00:00"), at("2026-11-02 00:30"), 1.0)
AT_NOON = Incident(at("2026-11-04 12:00"), at("2026-11-04 12:20"), 0.5)
GAP = (at("2026-11-04 12:05"), at("2026-11-04 12:15"))
LOOKS = (
    *(NOVEMBER + d for d in (-60, 240, 600, 1800, 3600)),
    *(at("2026-11-02 00:00") + d for d in (-60, 300, 900, 1800, 3600, 7200)),
    *range(at("2026-11-02 12:00"), END, 6 * 3600),
    END - 60,
)


def slo(window: str) -> SLO:
    return SLO(
        service=Service(name="api", owner="web"), name=window, objective="99.9%", window=window,
        sli=Ratio(bad='requests_total{code=~"5.."}', total="requests_total"), description="Requests succeed.",
    )  # fmt: skip


def labelled(expr: str, window: str) -> str:
    """The expression with the label its rule would add."""
    return f'label_replace(({expr}), "window", "{window}", "", "")'


def run(folder: Path, gaps: tuple[tuple[int, int], ...]) -> tuple[World, dict[str, dict[int, float]]]:
    """(the world, budget left by SLO and time)."""
    root = Path(__file__).resolve().parents[2]
    tool = root / ".tools" / "replay"
    assert tool.exists(), "the replay tool is not built: run `make test-live`"
    tree.write(
        folder / "out", compile_stack(Stack(name="truth", slos=[slo("month"), slo("quarter"), slo("7d")]))
    )
    files, period = [], {}
    for file in sorted((folder / "out" / "prometheus").glob("truth-*.yaml")):
        groups = []
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                if rule.get("record") in (names.PERIOD_RATIO, names.REMAINING):
                    period[rule["record"], rule["labels"]["window"]] = rule["expr"]
            unread = (
                "slo:error_ratio",
                "slo:bad_events",
                "slo:error_budget:events",
                names.REMAINING,
                names.THRESHOLD,
            )
            group["rules"] = [
                r for r in group["rules"] if "record" in r and not r["record"].startswith(unread)
            ]
            groups += [group] if group["rules"] else []
        file.write_text(yaml.safe_dump({"groups": groups}))
        files += [file] if groups else []
    inside = re.compile(re.escape(names.PERIOD_RATIO) + r"\{[^}]*\}")
    left = [
        inside.sub(lambda _, w=w: labelled(period[names.PERIOD_RATIO, w], w), period[names.REMAINING, w])  # type: ignore[misc]
        for w in ("month", "quarter", "7d")
    ]
    world = World(START, END, (BEFORE_MIDNIGHT, AFTER_MIDNIGHT, AT_NOON), gaps)
    query = {"name": "left", "expr": " or ".join(f"({e})" for e in left), "times": list(LOOKS)}
    records = '{__name__=~"slo:.*"}'
    nan = {"name": "nan", "expr": f"count({records}) - count({records} > -Inf)", "times": [END - 60]}
    answer = replay(tool, folder, world, files, [query, nan])
    assert [r["value"] for r in answer["queries"]["nan"][0]["result"]] == [0], "a record holds NaN"
    found: dict[str, dict[int, float]] = {}
    for point in answer["queries"]["left"]:
        for series in point["result"]:
            found.setdefault(series["metric"]["slo"], {})[int(point["time"])] = float(series["value"])
    return world, found


def truth(world: World, window: str, t: int) -> float:
    """Budget left, from the events themselves. The world begins on 29 October: before, nothing was measured."""
    day = 86400
    since, length = {
        "7d": (t - 7 * day, 0),
        "month": (NOVEMBER, 30 * day) if t >= NOVEMBER else (at("2026-10-01 00:00"), 31 * day),
        "quarter": (at("2026-10-01 00:00"), 92 * day),
    }[window]
    bad, total = world.truth(since, t)
    share = (t - max(since, world.start)) / length if length else 1.0
    return 1 - bad / total / BUDGET * share if total else 1.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tmp_path_factory.mktemp("whole"), ())


def settled(t: int) -> bool:
    """Away from the hour after an incident, in which the newest two minutes weigh much."""
    return all(not i.start <= t < i.end + 7200 for i in (BEFORE_MIDNIGHT, AFTER_MIDNIGHT, AT_NOON))


@pytest.mark.parametrize("window", ["month", "quarter", "7d"])
def test_a_budget_equals_the_truth(whole: Any, window: str) -> None:
    """Every settled look is within 0.5 % of the budget plus 1.5 % of what was spent, `rate`'s own inexactness."""
    world, found = whole
    looks = {t: v for t, v in found[f"api-{window}"].items() if settled(t)}
    assert len(looks) > 15
    for t, value in looks.items():
        expected = truth(world, window, t)
        assert abs(value - expected) < 0.005 + 0.015 * (1 - expected), (window, t, value, expected)


def test_a_month_starts_with_its_whole_budget(whole: Any) -> None:
    """Of an outage that ends at midnight at most a minute, half the ledger's step, is counted in the new month."""
    _, found = whole
    for after in (600, 3600):
        leaked = 1 - found["api-month"][NOVEMBER + after]
        a_minute = 60 / after / BUDGET * after / (30 * 86400)
        assert 0 <= leaked < a_minute


def test_an_outage_at_midnight_is_in_the_budget_within_minutes(whole: Any) -> None:
    """Five minutes into an outage the month's budget is no more than base and ledger (2m each) behind."""
    world, found = whole
    for after in (300, 900, 1800):
        t = AFTER_MIDNIGHT.start + after
        behind = truth(world, "month", t - 240) - truth(world, "month", t)
        assert found["api-month"][t] - truth(world, "month", t) < behind + 0.005


def test_a_gap_inside_an_incident_is_healed(tmp_path: Path, whole: Any) -> None:
    """Ten of twenty minutes of an incident go unseen: the counters give back all but a quarter of them."""
    world, found = run(tmp_path, (GAP,))
    bad, total = world.truth(*GAP)
    _, so_far = world.truth(NOVEMBER, END - 60)
    swallowed = bad / so_far / BUDGET * (END - 60 - NOVEMBER) / (30 * 86400)
    missing = found["api-month"][END - 60] - truth(world, "month", END - 60)
    print(
        f"the gap hid {swallowed:.1%} of the budget; after healing {missing:.1%} is missing ({bad} of {total} events bad)"
    )
    assert abs(missing) < swallowed / 4 + 0.01
