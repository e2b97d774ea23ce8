"""A report's figures follow from the ledger alone: what is measured, what it cost, what nobody knows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from slo import names
from slo.errors import DefinitionError
from slo.report.collect import CHUNK, Line, Report
from slo.report.period import between, month, quarter
from tests.unit.report.ledger import DAY, Ledger, at, report, slo, weighted, worst

NOVEMBER = month("2026-11")


def only(found: Report) -> Line:
    (line,) = found.lines
    return line


def test_a_whole_month_is_its_bad_share_of_the_budget() -> None:
    """0.4 % of events bad, of 1 % that may be."""
    line = only(report(Ledger().write("api-reads", "2026-11-01", 30, 0.004), NOVEMBER, slo("reads")))
    assert (line.ratio, line.measured, line.left) == (Decimal("0.004"), 1, Decimal("0.6"))
    assert line.state == "kept"


def test_half_a_month_s_data_is_half_a_month_s_spending() -> None:
    """Time that nobody measured burns nothing; the line is incomplete."""
    found = report(Ledger().write("api-reads", "2026-11-01", 15, 0.004), NOVEMBER, slo("reads"))
    assert (only(found).measured, only(found).left) == (Decimal("0.5"), Decimal("0.8"))
    assert found.incomplete == found.lines


def test_a_month_that_is_not_over_is_judged_against_its_whole_length() -> None:
    """Ten days of thirty spent a third of what the whole month would."""
    ledger = Ledger().write("api-reads", "2026-11-01", 10, 0.003)
    found = report(ledger, NOVEMBER, slo("reads"), now="2026-11-11")
    assert found.unfinished
    assert only(found).left == Decimal("0.9")
    assert found.incomplete == ()


def test_what_is_healed_after_midnight_belongs_to_the_month_that_it_is_dated_by() -> None:
    """Samples that arrive within two hours after the end, labelled as November's."""
    ledger = Ledger().write("api-reads", "2026-11-01", 30, 0.004)
    ((key, points),) = ledger.series.items()
    points.append((at("2026-12-01") + 600, "3.5", "0"))
    late = only(report(ledger, NOVEMBER, slo("reads")))
    assert late.ratio == pytest.approx(Decimal("0.004") + Decimal("3.5") / (len(points) - 1))
    assert dict(key)["month"] == "11"


def test_another_month_s_samples_do_not_count() -> None:
    """October was a disaster; November is not."""
    ledger = Ledger().write("api-reads", "2026-10-01", 31, 0.5).write("api-reads", "2026-11-01", 30, 0.004)
    line = only(report(ledger, NOVEMBER, slo("reads")))
    assert line.left == Decimal("0.6")
    assert line.before == Decimal(50)


def test_a_period_before_without_data_is_unknown() -> None:
    """Not zero."""
    assert (
        only(report(Ledger().write("api-reads", "2026-11-01", 30, 0), NOVEMBER, slo("reads"))).before is None
    )


def test_a_quarter_brings_its_months_together() -> None:
    """Weighted by their events: a ratio of sums, no mean of ratios."""
    ledger = Ledger().write("api-reads", "2026-07-01", 31, 0.3, 30).write("api-reads", "2026-08-01", 61, 0, 1)
    line = only(report(ledger, quarter("2026-Q3"), slo("reads")))
    assert line.ratio == Decimal("0.3") * 31 / (30 * 31 + 61)
    assert line.measured == 1


def test_a_plain_range_has_no_period_before() -> None:
    """And takes all samples in it, of whatever month."""
    ledger = Ledger().write("api-reads", "2026-10-01", 61, 0.004)
    line = only(report(ledger, between(at("2026-10-25"), at("2026-11-04")), slo("reads")))
    assert line.before is None
    assert line.ratio == Decimal("0.004")
    assert line.measured == 1


def test_without_any_data_nothing_is_measured() -> None:
    """Neither good nor bad."""
    found = report(Ledger(), NOVEMBER, slo("reads"))
    assert (only(found).left, only(found).state) == (None, "not measured")
    assert found.headline == "0 of 0 SLOs kept their objective, 1 not measured."


def test_without_traffic_the_budget_is_whole() -> None:
    """Measured, and nothing was bad."""
    assert only(report(Ledger().write("api-reads", "2026-11-01", 30, 0, 0), NOVEMBER, slo("reads"))).left == 1


def test_negative_sums_are_no_credit() -> None:
    """The healing term can swing below zero; an SLO is never better than perfect."""
    line = only(report(Ledger().write("api-reads", "2026-11-01", 30, -0.002), NOVEMBER, slo("reads")))
    assert line.left == 1


def test_nan_is_no_number() -> None:
    """What Prometheus cannot sum is unknown."""
    line = only(report(Ledger().write("api-reads", "2026-11-01", 30, 0, "NaN"), NOVEMBER, slo("reads")))
    assert line.left is None


def test_the_worst_part_of_a_composite_counts() -> None:
    """0.2 % and 0.6 % are 0.6 %."""
    ledger = Ledger().write("api-all", "2026-11-01", 30, 0.002, component="db")
    ledger.write("api-all", "2026-11-01", 30, 0.006, component="cache")
    assert only(report(ledger, NOVEMBER, slo("all", sli=worst("db", "cache")))).ratio == Decimal("0.006")


def test_weighted_parts_are_weighed() -> None:
    """0.25 of 0.8 % and 0.75 of 0.4 % are 0.5 %."""
    ledger = Ledger().write("api-all", "2026-11-01", 30, 0.008, part="db")
    ledger.write("api-all", "2026-11-01", 30, 0.004, part="cache")
    found = report(ledger, NOVEMBER, slo("all", sli=weighted(db="0.25", cache="0.75")))
    assert only(found).ratio == Decimal("0.005")


def test_each_group_is_a_line() -> None:
    """Worst first."""
    ledger = Ledger().write("api-reads", "2026-11-01", 30, 0.001, region="eu")
    ledger.write("api-reads", "2026-11-01", 30, 0.02, region="us")
    found = report(ledger, NOVEMBER, slo("reads", by=["region"]))
    assert [(x.name, x.state) for x in found.lines] == [
        ("api-reads [region=us]", "missed"), ("api-reads [region=eu]", "kept"),
    ]  # fmt: skip


STATES = [(0.004, "kept"), (0.008, "at risk"), (0.02, "missed")]


@pytest.mark.parametrize(("errors", "state"), STATES)
def test_the_result_in_a_word(errors: float, state: str) -> None:
    """A quarter of the budget is where the risk begins."""
    assert (
        only(report(Ledger().write("api-reads", "2026-11-01", 30, errors), NOVEMBER, slo("reads"))).state
        == state
    )


def test_gaps_do_not_make_a_missed_month_kept() -> None:
    """2 % bad in the third of a month that was measured: over, and missed."""
    line = only(report(Ledger().write("api-reads", "2026-11-01", 10, 0.02), NOVEMBER, slo("reads")))
    assert line.left is not None
    assert line.left > 0
    assert line.state == "missed"


def outage() -> Ledger:
    """A quiet month with an hour of nothing but errors on the 10th."""
    ledger = Ledger().write("api-reads", "2026-11-01", 9.5, 0)
    ledger.write("api-reads", "2026-11-10 12:00", 1 / 24, 1)
    return ledger.write("api-reads", "2026-11-10 13:00", 20 - 13 / 24, 0)


def test_an_outage_is_one_incident_with_its_cost() -> None:
    """An hour of 720, at a budget of 1 %."""
    (incident,) = report(outage(), NOVEMBER, slo("reads")).incidents
    assert (incident.start, incident.end) == (at("2026-11-10 12:00"), at("2026-11-10 13:00"))
    assert float(incident.spent) == pytest.approx(1 / 720 / 0.01, rel=1e-9)


def test_an_incident_has_the_edges_and_the_alerts_that_were_recorded() -> None:
    """An alert that was firing before is not this incident's."""
    ledger = outage()
    began = at("2026-11-10 12:00")
    ledger.bad = [began + 90, began + 1800, began + 3570]
    ledger.alerts = {
        names.PAGE: [began + 210, began + 240],
        "Other": [began - 600, began + 600],
        "Far": [0.0],
    }
    (incident,) = report(ledger, NOVEMBER, slo("reads")).incidents
    assert (incident.start, incident.seconds) == (began + 90, 3510)
    assert incident.alerts == ((names.PAGE, 120.0),)


def test_a_single_error_of_a_quiet_night_is_no_edge() -> None:
    """Neither one before the incident's first bucket, nor one in it."""
    ledger = outage()
    began = at("2026-11-10 12:00")
    ledger.bad = [began - 840, began + 30, *(began + 540 + 30 * n for n in range(90)), began + 3600 + 800]
    (incident,) = report(ledger, NOVEMBER, slo("reads")).incidents
    assert (incident.start, incident.end) == (began + 540, began + 540 + 90 * 30)


def test_an_outage_over_midnight_ends_with_the_month() -> None:
    """Its rest is the next month's."""
    ledger = Ledger().write("api-reads", "2026-11-01", 29.5, 0).write("api-reads", "2026-11-30 12:00", 1, 1)
    midnight = at("2026-12-01")
    ledger.bad = [at("2026-11-30 12:00") + 300 * n for n in range(288)]
    (incident,) = report(ledger, NOVEMBER, slo("reads")).incidents
    assert (incident.start, incident.end) == (at("2026-11-30 12:00"), pytest.approx(midnight, abs=60))


def test_two_outages_with_a_pause_are_two_incidents() -> None:
    """The costliest first; one with a short breath between is one."""
    ledger = Ledger().write("api-reads", "2026-11-01", 1, 1).write("api-reads", "2026-11-02", 1, 0)
    ledger.write("api-reads", "2026-11-03", 2, 1).write("api-reads", "2026-11-05", 1 / 72, 0)
    ledger.write("api-reads", "2026-11-05 00:20", 1, 1)
    found = report(ledger, NOVEMBER, slo("reads"))
    assert [i.start for i in found.incidents] == [at("2026-11-03"), at("2026-11-01")]


def test_what_the_buckets_spent_is_what_the_month_spent() -> None:
    """The burn-down ends at what is left."""
    line = only(report(outage(), NOVEMBER, slo("reads")))
    assert line.spent is not None
    assert float(sum(v for _, v in line.spending)) == pytest.approx(float(line.spent))


def test_many_objectives_are_asked_in_chunks() -> None:
    """One range query for every CHUNK of them."""
    ledger = Ledger().write("api-s1", "2026-11-01", 1, 0)
    report(ledger, NOVEMBER, *(slo(f"s{n}") for n in range(2 * CHUNK + 1)))
    assert len([q for q in ledger.asked if "!= 0" in q]) == 3
    assert len(ledger.asked) == 8 + 3


def test_warnings_of_the_server_are_the_report_s() -> None:
    """The data may be partial."""
    ledger = Ledger(warnings=["a store did not answer"]).write("api-reads", "2026-11-01", 1, 0)
    assert report(ledger, NOVEMBER, slo("reads")).warnings == ("a store did not answer",)


def test_the_first_minutes_of_a_month_are_no_error() -> None:
    """There is nothing to draw yet."""
    ledger = Ledger().write("api-reads", "2026-11-01", 0.01, 0)
    found = report(ledger, NOVEMBER, slo("reads"), now="2026-11-01 00:11")
    assert (only(found).left, only(found).spending) == (1, ())


def test_a_month_that_has_not_begun_is_refused() -> None:
    """It would be a page without a word on it."""
    with pytest.raises(DefinitionError, match="January 2027 has not begun: choose a period of the past"):
        report(Ledger(), month("2027-01"), slo("reads"))


def test_a_long_range_asks_for_no_more_points_than_prometheus_gives() -> None:
    """A year in longer buckets."""
    ledger = Ledger().write("api-reads", "2026-01-01", 1, 0.5)
    found = report(ledger, between(at("2025-12-20"), at("2025-12-20") + 366 * DAY), slo("reads"))
    assert only(found).spending
