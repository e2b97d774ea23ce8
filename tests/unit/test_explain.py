"""What `slo explain` tells of an SLO: every fact one asks for before being paged."""

from __future__ import annotations

import pytest
from given import slo

from alerts.recording import Timing
from slo import SLO, AlertPolicy, Composite, Duration, Ratio, Uptime
from slo.explain import Explanation, explain

TIMING = Timing.of(Duration.of(30))


def told(made: SLO) -> Explanation:
    return explain(made, TIMING)


def test_facts_name_budget_in_minutes_and_events() -> None:
    """Service, objective, budget, indicator."""
    assert dict(told(slo(by=["tenant"])).facts) == {
        "service": "api, owned by team-api, tier 2",
        "objective": "99.9% over any 30 days",
        "error budget": "0.1% (43m 12s), 1 bad event of 1000",
        "indicator": "ratio, apart by tenant",
    }


def test_a_calendar_window_is_told_as_one() -> None:
    """UTC, as Prometheus' month() is."""
    assert dict(told(slo(window="quarter")).facts)["objective"] == "99.9% over each calendar quarter (UTC)"


def test_a_time_budget_has_no_events() -> None:
    """Minutes only."""
    assert dict(told(slo(sli=Uptime(gauge="up"))).facts)["error budget"] == "0.1% (43m 12s)"


def test_every_tier_tells_detection_and_cost() -> None:
    """For a total, a 10 % and a 1 % outage; never where the threshold is not reached."""
    rows = {t.name: t for t in told(slo()).tiers}
    assert list(rows) == ["page-1h", "page-6h", "ticket-1d", "ticket-3d"]
    assert rows["page-1h"].above == "14.4x (1.44% bad) in 1h and 5m"
    assert rows["page-1h"].detection[2] == "never"
    assert rows["ticket-3d"].detection[2] != "never"
    assert all(cell.endswith("%)") for cell in rows["page-1h"].detection[:2])


def test_a_total_outage_costs_about_the_tiers_share() -> None:
    """2 % of the budget, plus what passes until the rules have seen it."""
    fast = told(slo(objective="99%")).tiers[0].detection[0]
    cost = float(fast.partition("(")[2].rstrip("%)"))
    assert 2 <= cost <= 3


def test_a_guard_that_the_window_cannot_hold_is_never() -> None:
    """1 % of an hour are 36 bad seconds, and a page needs 150: however long it lasts."""
    fast = told(slo(objective="99.99%", sli=Uptime(gauge="up"))).tiers[0]
    assert fast.detection[0] != "never"
    assert fast.detection[2] == "never"


def test_low_traffic_is_told_in_events_an_hour() -> None:
    """The delay the guard adds, and where a tier cannot fire at all."""
    notes = told(slo()).notes
    assert any(
        n.startswith("page-1h waits for 5 bad events") and "below 5 an hour this tier cannot fire" in n
        for n in notes
    )


def test_a_time_based_guard_is_told_in_time() -> None:
    """Five slices of thirty seconds."""
    assert "No tier fires before 2m 30s were bad (5 slices)." in told(slo(sli=Uptime(gauge="up"))).notes


def test_what_was_replaced_or_left_out_is_told() -> None:
    """So that nobody waits for an alert that does not exist."""
    notes = " ".join(told(slo(window="2d", alerts=AlertPolicy(off=["page-6h"]))).notes)
    assert "page-1h: 2% of a 2d budget in 1h is a burn rate of 0.96; 6 is used" in notes
    assert "page-6h: switched off by the definition" in notes
    assert "ticket-3d: a window of 3d does not fit into a period of 2d" in notes


@pytest.mark.parametrize(
    ("weights", "how"),
    [
        (None, "the largest error ratio of its parts"),
        ({"a": "0.5", "b": "0.5"}, "the weighted sum of its parts' error ratios"),
    ],
)
def test_a_journey_tells_its_formula_and_its_parts(weights: dict[str, str] | None, how: str) -> None:
    """And a query for each part."""
    part = Ratio(bad="errors_total", total="requests_total")
    found = told(slo(sli=Composite(parts={"a": part, "b": part}, weights=weights)))
    assert f"In every window the journey's error ratio is {how}; an idle part counts 0." in found.notes
    assert [name.partition(",")[0] for name, _ in found.queries] == [
        "total of a",
        "bad of a",
        "total of b",
        "bad of b",
    ]
