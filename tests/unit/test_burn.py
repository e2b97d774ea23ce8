"""Burn rates: derived from budget share and period, exact, and detected when the formula says."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from given import slo
from hypothesis import given
from hypothesis import strategies as st

from slo import SLO, AlertPolicy, Composite, Objective, Ratio, Uptime, Window
from slo.budget import budget_text, budget_time, cost, events_text
from slo.burn import TIERS, Resolved, Tier, detection, resolve, window_seconds

FACTORS = {
    # the table's source: Google's workbook, for 30 days
    "30d": ["14.4", "6", "3", "1"],
    "month": ["14.4", "6", "3", "1"],
    "28d": ["13.44", "5.6", "2.8", "1"],  # 0.9333 is below the floor
    "90d": ["43.2", "18", "9", "3"],
    "quarter": ["43.2", "18", "9", "3"],
    "7d": ["6", "3", "1.5", "1"],  # 3.36, 1.4, 0.7 and 0.2333 are below the floors
}


@pytest.mark.parametrize(("window", "factors"), FACTORS.items())
def test_factors_follow_from_share_and_period(window: str, factors: list[str]) -> None:
    """As exact decimals; at 30 days they are the workbook's."""
    assert [str(r.factor) for r in resolve(slo(window=window), 30).tiers] == factors


def test_a_factor_below_its_floor_is_replaced_and_reported() -> None:
    """2 % of a week in an hour is a burn rate that healthy services reach."""
    (first, *_) = resolve(slo(window="7d"), 30).tiers
    assert first.replaced == "2% of a 7d budget in 1h is a burn rate of 3.36; 6 is used"


def test_nothing_is_reported_where_nothing_is_replaced() -> None:
    """The workbook's own period needs no replacement."""
    assert [r.replaced for r in resolve(slo(window="30d"), 30).tiers] == ["", "", "", ""]


def test_the_share_follows_a_replaced_factor() -> None:
    """The guard counts the events of the burn rate that is used: 6 for an hour is 3.57 % of a week."""
    (first, *_) = resolve(slo(window="7d"), 30).tiers
    assert first.share == Decimal("0.0357")


@pytest.mark.parametrize(("objective", "factor"), [("95%", "10"), ("90%", "5"), ("50%", "1")])
def test_a_threshold_of_all_events_is_replaced_by_half(objective: str, factor: str) -> None:
    """14.4 times a budget of 7 % or more could never be exceeded."""
    (first, *_) = resolve(slo(objective=objective), 30).tiers
    if objective == "95%":  # 14.4 x 5 % is 72 %: reachable, kept
        assert (str(first.factor), first.replaced) == ("14.4", "")
    else:
        assert str(first.factor) == factor
        assert "would need" in first.replaced


@given(st.integers(1, 400), st.integers(1, 99_999))
def test_every_threshold_can_be_exceeded(days: int, promille: int) -> None:
    """Whatever window and objective, a burn rate is positive and below 100 % errors."""
    objective = Objective(Decimal(promille) / 100_000)
    for r in resolve(slo(window=Window(days), objective=objective), 30).tiers:
        assert r.factor >= 1
        assert r.factor * objective.budget < 1
        assert r.share > 0


@pytest.mark.parametrize(
    ("window", "left"),
    [("1d", ["page-1h", "page-6h"]), ("2d", ["page-1h", "page-6h", "ticket-1d"]), ("3d", ["page-1h", "page-6h", "ticket-1d"]),
     ("4d", ["page-1h", "page-6h", "ticket-1d", "ticket-3d"])],
)  # fmt: skip
def test_a_window_that_does_not_fit_the_period_is_dropped(window: str, left: list[str]) -> None:
    """A tier longer than the period makes no sense; it is named among those left out."""
    policy = resolve(slo(window=window), 30)
    assert [r.tier.name for r in policy.tiers] == left
    assert len(policy.dropped) == 4 - len(left)
    assert all("does not fit into a period of" in text for text in policy.dropped)


@pytest.mark.parametrize(
    ("off", "left"),
    [(["page"], ["ticket-1d", "ticket-3d"]), (["ticket"], ["page-1h", "page-6h"]), (["page-1h"], ["page-6h", "ticket-1d", "ticket-3d"]),
     (["page", "ticket"], [])],
)  # fmt: skip
def test_a_tier_is_switched_off_by_the_definition(off: list[str], left: list[str]) -> None:
    """By severity or one by one, and said so."""
    policy = resolve(slo(alerts=AlertPolicy(off=off)), 30)
    assert [r.tier.name for r in policy.tiers] == left
    assert all("switched off by the definition" in text for text in policy.dropped)


def test_usual_policies_are_shared_by_name() -> None:
    """SLOs of one window and unit share their alerts, whatever their objective and service."""
    assert {resolve(slo(objective=o), 30).id for o in ("99%", "99.9%", "99.99%")} == {"30d-events"}


@pytest.mark.parametrize(
    "changes",
    [
        {"alerts": AlertPolicy(min_events=9)},
        {"alerts": AlertPolicy(off=["page"])},
        {"alerts": AlertPolicy(no_data="1h")},
        {"objective": "50%"},
        {"service": slo().service.model_copy(update={"runbooks": "https://example.org"})},
    ],
    ids=["min_events", "off", "no_data", "cap", "runbooks"],
)
def test_what_changes_the_alerts_changes_the_policys_name(changes: dict[str, object]) -> None:
    """Or two SLOs would share rules that differ."""
    ids = {resolve(s, 30).id for s in (slo(), slo(**changes))}
    assert len(ids) == 2
    assert all(i.startswith("30d-events") for i in ids)


def test_a_time_based_guard_counts_slices() -> None:
    """Five slices of 30 s, or of 60 s where rules are evaluated every minute."""
    up = slo(sli=Uptime(gauge="up"))
    assert [resolve(up, interval).min_bad for interval in (30, 60)] == [150, 300]


def test_a_composite_of_events_is_guarded_by_events() -> None:
    """Its unit is time, but a handful of its parts' events is what keeps it quiet."""
    ratio = Ratio(bad="errors_total", total="requests_total")
    journey = slo(sli=Composite(parts={"a": ratio, "b": ratio}))
    assert (resolve(journey, 30).min_bad, resolve(journey, 30).parts) == (5, 2)


def test_tiers_are_ordered_from_fast_to_slow() -> None:
    """Longer windows spend more and burn slower."""
    for before, after in pairwise(TIERS):
        assert window_seconds(before.long) < window_seconds(after.long)
        assert before.share <= after.share
        assert before.floor > after.floor


# Detection: the formula against the rules' own arithmetic, replayed


def replayed(
    long: int, short: int, threshold: float, bad: float, base: int, interval: int, phase: int
) -> float | None:
    """Seconds until both windows exceed the threshold: rates over `base`, recorded each `interval`, summed.

    Events flow evenly from long before; errors start at 0. `phase` shifts the evaluations.
    """
    times = range(phase - long - base, long + base + interval, interval)
    rate = [bad * min(max(t, 0), base) / base for t in times]
    for i, t in enumerate(times):
        if t <= 0:
            continue

        def over(window: int, at: int = i) -> float:
            count = max(1, (window if window != 300 else 300 - base) // interval)
            return sum(rate[max(0, at - count + 1) : at + 1]) / count

        if over(long) > threshold and over(short) > threshold:
            return t
    return None


CASES = [
    (tier, objective, bad, base)
    for tier in TIERS[:2]
    for objective in ("99%", "99.9%", "99.99%", "99.999%")
    for bad in (1.0, 0.5, 0.1, 0.02)
    for base in (60, 120)
]


@pytest.mark.parametrize(("tier", "objective", "bad", "base"), CASES)
def test_detection_times_are_those_of_the_rules(tier: Tier, objective: str, bad: float, base: int) -> None:
    """An upper bound over every phase of evaluation, and no more than two evaluations and half a base too high."""
    interval = 30
    budget = Objective.parse(objective).budget
    resolved = next(r for r in resolve(slo(objective=objective), interval).tiers if r.tier == tier)
    told = detection(resolved, budget, Decimal(str(bad)), base, 2 * interval)
    threshold = float(resolved.factor * budget)
    found = [
        replayed(window_seconds(tier.long), window_seconds(tier.short), threshold, bad, base, interval, phase)
        for phase in range(0, interval, 5)
    ]
    if told is None:
        assert found == [None] * len(found)
        return
    worst = max(t for t in found if t is not None)
    assert None not in found
    assert worst <= told <= worst + 2 * interval + base / 2 + 5


def test_detection_never_comes_where_the_threshold_is_not_exceeded() -> None:
    """1 % of errors never page a 99.9 % objective in the fast tier."""
    (fast, *_) = resolve(slo(), 30).tiers
    assert detection(fast, Decimal("0.001"), Decimal("0.01"), 120, 60) is None


def test_detection_is_faster_for_a_worse_outage() -> None:
    """And never longer than the long window and what surrounds it."""
    (fast, *_) = resolve(slo(), 30).tiers
    times = [detection(fast, Decimal("0.001"), Decimal(b), 120, 60) for b in ("1", "0.5", "0.1", "0.02")]
    known = [t for t in times if t is not None]
    assert known == sorted(known)
    assert len(known) == 4
    assert known[-1] <= 3600 + 120 + 60


# Budgets in the units people use


@pytest.mark.parametrize(
    ("objective", "window", "text"),
    [("99.9%", "30d", "0.1% (43m 12s)"), ("99.9%", "month", "0.1% (43m 12s)"), ("99.5%", "quarter", "0.5% (10h 48m)"),
     ("99%", "7d", "1% (1h 40m)")],
)  # fmt: skip
def test_a_budget_reads_as_share_and_time(objective: str, window: str, text: str) -> None:
    """Exactly, and for a total outage."""
    assert budget_text(slo(objective=objective, window=window)) == text


def test_a_budget_reads_in_events() -> None:
    """One of so many."""
    assert [events_text(slo(objective=o)) for o in ("99.9%", "99.95%", "97%")] == [
        "1 bad event of 1000",
        "1 bad event of 2000",
        "1 bad event of 33.3",
    ]


def test_an_outage_costs_its_share_of_the_period() -> None:
    """The whole budget time, all bad, costs the whole budget."""
    s: SLO = slo()
    assert cost(Decimal(1), budget_time(s).seconds, s) == 1
    assert cost(Decimal("0.1"), budget_time(s).seconds, s) == Decimal("0.1")


def test_a_resolved_tier_is_a_value() -> None:
    """Equal tiers are equal, so policies can be compared."""
    a, b = (Resolved(TIERS[0], Decimal(6), Decimal("0.1")) for _ in range(2))
    assert a == b
