"""When alerts fire, when they stay silent, and what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from given import API, monitor, slo, stack
from promtool import Value, firing, holds, nothing, number

from slo import AlertPolicy, Composite, Freshness, Latency, Ratio, Stack, TimeSlice, Uptime

PAGE, TICKET, BLIND = (
    firing(f"SLO{name}") for name in ("ErrorBudgetBurnFast", "ErrorBudgetBurnSlow", "NoData")
)
OUTAGE = {"requests_total": "0+300x60 18300+300x300", "errors_total": "0x60 300+300x60 18000x240"}


def events(every: int, until: int, start: int = 0) -> str:
    """A counter that grows by one each `every` minutes from `start` to `until`, sampled each 30 s."""
    return " ".join(str(max(0, (n // 2 - start) // every)) for n in range(2 * until))


def test_an_outage_pages_and_recovery_clears_it(tmp_path: Path) -> None:
    """Half an hour of total outage pages within minutes; half an hour of health later the page is gone."""
    holds(
        tmp_path,
        stack(),
        OUTAGE,
        [
            nothing("30m", PAGE),
            number("36m", PAGE, 1),
            number("60m", PAGE, 1),
            nothing("105m", PAGE),
        ],
    )


def test_a_page_keeps_firing_five_minutes_after_its_condition_ended(tmp_path: Path) -> None:
    """An outage that flaps does not page twice: keep_firing_for holds the page, and then lets go."""
    short = slo(alerts=AlertPolicy(off=["ticket", "page-6h"]))
    ends = "timestamp(slo:error_ratio:5m > 0.0144)"
    holds(
        tmp_path,
        stack(short),
        OUTAGE,
        [
            number("64m", f"count({ends})", 1),
            nothing("66m", "slo:error_ratio:5m > 0.0144"),
            number("68m", PAGE, 1),
            nothing("75m", PAGE),
        ],
    )


def test_one_failed_request_of_one_is_silent(tmp_path: Path) -> None:
    """100 % errors of a single event page nobody."""
    series = {"requests_total": "0x20 1x100", "errors_total": "0x20 1x100"}
    checks = [nothing(f"{at}m", alert) for at in (11, 12, 15, 30, 59) for alert in (PAGE, TICKET)]
    holds(tmp_path, stack(), series, [number("11m", "sum(slo:error_ratio:5m)", 1), *checks])


def test_a_total_outage_at_twelve_events_an_hour_pages_in_the_end(tmp_path: Path) -> None:
    """Low traffic delays the page until five events failed; it comes within the hour."""
    series = {"requests_total": events(5, 240), "errors_total": events(5, 240, start=60)}
    holds(
        tmp_path,
        stack(),
        series,
        [nothing("60m", PAGE), nothing("75m", PAGE), number("2h", PAGE, 1)],
    )


def test_min_events_sets_the_handful(tmp_path: Path) -> None:
    """Two bad events suffice where the definition says so; five are needed where it does not."""
    series = {"requests_total": events(5, 120), "errors_total": events(5, 120, start=60)}
    few = slo("few", alerts=AlertPolicy(min_events=2))
    holds(
        tmp_path,
        stack(slo(), few),
        series,
        [Value("75m", f"{PAGE.replace('count(', 'count by (slo) (')}", {'{slo="api-few"}': 1})],
    )


def test_a_slow_burn_tickets_and_does_not_page(tmp_path: Path) -> None:
    """0.4 % of errors are four times the budget's pace: a ticket within a day, never a page."""
    holds(
        tmp_path,
        stack(),
        {"requests_total": "0+600x1560", "errors_total": "0+2.4x1560"},
        [number("25h", TICKET, 1), nothing("25h", f"max_over_time({PAGE}[24h:10m])")],
        step="10m",
        interval="1m",
    )


def test_each_value_of_a_grouping_label_has_its_own_alert(tmp_path: Path) -> None:
    """Of two tenants the one with an outage pages, and the page names it, its owner and its service."""
    series = {
        'requests_total{tenant="a"}': "0+300x120",
        'errors_total{tenant="a"}': "0x60 0+300x60",
        'requests_total{tenant="b"}': "0+300x120",
        'errors_total{tenant="b"}': "0+0x120",
    }
    holds(
        tmp_path,
        stack(slo(by=["tenant"], labels={"journey": "checkout"})),
        series,
        [
            Value(
                "50m",
                "count by (tenant, slo, service, owner, tier, window, severity, stack, journey) "
                '(ALERTS{alertname="SLOErrorBudgetBurnFast",alertstate="firing"})',
                {
                    '{tenant="a",slo="api-availability",service="api",owner="team-api",tier="2",window="30d",'
                    'severity="critical",stack="demo",journey="checkout"}': 1
                },
            )
        ],
    )


def test_a_change_of_owner_breaks_no_rule_and_doubles_no_alert(tmp_path: Path) -> None:
    """While the budget series of the old and of the new owner both live, one page fires and the period adds up."""
    old = (
        'slo:error_budget:ratio{stack="demo",slo="api-availability",service="api",owner="team-old",tier="2",'
        'window="30d",unit="events",base="2m",policy="30d-events"}'
    )
    holds(
        tmp_path,
        stack(),
        OUTAGE | {old: "0.001x360"},
        [
            number("50m", "count(slo:error_budget:ratio)", 2),
            number("50m", PAGE, 1),
            number("50m", "count(slo:error_budget_remaining:ratio)", 1),
            number("50m", "count(slo:error_budget:events)", 1),
            nothing("50m", BLIND),
        ],
    )


def test_an_absent_indicator_raises_the_health_alert_alone(tmp_path: Path) -> None:
    """Metrics that never existed are reported after a quarter of an hour."""
    holds(
        tmp_path,
        stack(),
        {},
        [nothing("14m", BLIND), number("18m", BLIND, 1), nothing("18m", PAGE), nothing("18m", TICKET)],
    )


def test_an_unborn_error_series_is_health(tmp_path: Path) -> None:
    """A service that never failed has no error series: that is no missing data."""
    holds(tmp_path, stack(), {"requests_total": "0+300x120"}, [nothing("1h", BLIND)])


@pytest.mark.parametrize(
    ("sli", "series"),
    [
        (Uptime(gauge="up"), {"up": "NaN+0x120"}),
        (TimeSlice(condition="latency < 0.3"), {"latency": "NaN+0x120"}),
        (
            Freshness(timestamp="backup_timestamp_seconds", within="1h"),
            {"backup_timestamp_seconds": "NaN+0x120"},
        ),
        (
            Latency(histogram="seconds", below="300ms"),
            {'seconds_bucket{le="0.5"}': "0+300x120", "seconds_count": "0+300x120"},
        ),
    ],
    ids=["probe", "slice", "timestamp", "bucket"],
)
def test_an_indicator_without_a_usable_value_raises_the_health_alert(
    tmp_path: Path, sli: Uptime, series: dict[str, str]
) -> None:
    """A value that is no number, and a latency bound that is no bucket, are missing data and never bad."""
    holds(
        tmp_path,
        stack(slo(sli=sli)),
        series,
        [number("20m", BLIND, 1), nothing("20m", PAGE), nothing("20m", "slo:errors:rate")],
    )


def test_a_journey_with_a_part_missing_raises_the_health_alert(tmp_path: Path) -> None:
    """A part that was never measured is reported, though the other parts are."""
    parts = {"scan": Ratio(bad="errors_total", total="requests_total"), "sign": Uptime(gauge="signer_up")}
    journey = slo("journey", sli=Composite(parts=parts))
    holds(tmp_path, stack(journey), {"requests_total": "0+300x120"}, [number("20m", BLIND, 1)])


def test_a_stale_backup_pages_without_any_event(tmp_path: Path) -> None:
    """Time-based indicators alert on minutes: a timestamp beyond its age burns the budget."""
    fresh = slo("backup", sli=Freshness(timestamp="backup_timestamp_seconds", within="10m"))
    holds(
        tmp_path,
        stack(fresh),
        {"backup_timestamp_seconds": "0x200"},
        [nothing("10m", PAGE), number("20m", PAGE, 1)],
    )


def test_a_tier_that_is_off_does_not_fire(tmp_path: Path) -> None:
    """Without page tiers an outage raises no page."""
    holds(tmp_path, stack(slo(alerts=AlertPolicy(off=["page"]))), OUTAGE, [nothing("50m", PAGE)])


def test_severities_are_the_stacks(tmp_path: Path) -> None:
    """A stack that calls its pages `sev1` gets alerts that say so."""
    s = stack(severities={"page": "sev1", "ticket": "sev3", "info": "sev5"})
    holds(tmp_path, s, OUTAGE, [number("50m", firing("SLOErrorBudgetBurnFast", severity="sev1"), 1)])


def said(folder: Path, s: Stack, series: dict[str, str], at: str, **run: str) -> str:
    """The description of the only page that fires. promtool prints what it got when it expected something else."""
    expected = {"eval_time": at, "alertname": "SLOErrorBudgetBurnFast", "exp_alerts": []}
    with pytest.raises(AssertionError) as caught:
        holds(folder, s, series, alerts=[expected], **run)
    found: list[str] = re.findall(r'description="(.*?)", (?:runbook_url|summary)=', str(caught.value))
    assert len(found) == 1, str(caught.value)
    return found[0]


N = r"-?[\d.]+(e\+\d+)?[kM]?"  # a number as Prometheus makes it readable


def test_a_page_says_how_bad_it_is_and_how_long_the_budget_lasts(tmp_path: Path) -> None:
    """Bad of total, the rate of burning, what is left and for how long."""
    s = stack(slo(objective="99%"))
    series = {"requests_total": "0+600x2200", "errors_total": "0x2160 300+300x39"}
    text = said(tmp_path, s, series, "36h40m", step="10m", interval="1m")
    assert re.fullmatch(
        rf"api-availability burns its error budget {N} times as fast as it may\. "
        rf"Bad: {N} of {N} events \({N}%\) over the last hour; {N} of {N} events \({N}%\) over the last 6 hours\. "
        rf"Budget left in this 30d window: {N}%; at this rate the rest lasts (\d+[hms] ?)+\.",
        text,
    ), text


def test_a_page_of_a_probe_speaks_of_time(tmp_path: Path) -> None:
    """A time-based indicator was bad for so many minutes, not events."""
    s = stack(slo("uptime", sli=Uptime(gauge="up")))
    text = said(tmp_path, s, {"up": "1x59 0x20"}, "40m")
    spans = [rf"1\dm 0s over the last {span} \({N}% of what was measured\)" for span in ("hour", "6 hours")]
    assert re.search(rf"Bad: {'; '.join(spans)}\.", text), text
    assert "unknown" not in text


def test_a_page_of_a_group_names_the_group(tmp_path: Path) -> None:
    """Numbers are those of the tenant that is down, not of all tenants."""
    series = {
        'requests_total{tenant="a \\"quoted\\""}': "0+300x80",
        'errors_total{tenant="a \\"quoted\\""}': "0+300x80",
        'requests_total{tenant="b"}': "0+300x80",
    }
    text = said(tmp_path, stack(slo(by=["tenant"])), series, "40m")
    assert text.startswith('api-availability tenant=a \\"quoted\\" burns its error budget 1k times')
    assert text.count("(100%)") == 2
    assert "unknown" not in text


def test_a_page_of_a_journey_knows_every_number(tmp_path: Path) -> None:
    """A composite has parts, so its page names the ratio and the budget."""
    parts = {"scan": Ratio(bad="errors_total", total="requests_total"), "up": Uptime(gauge="up")}
    s = stack(slo("journey", sli=Composite(parts=parts)))
    series = {"requests_total": "0+300x80", "errors_total": "0+300x80", "up": "1x80"}
    text = said(tmp_path, s, series, "40m")
    assert "Bad: 100% over the last hour" in text
    assert "unknown" not in text


def test_a_monitor_fires_after_it_has_lasted(tmp_path: Path) -> None:
    """The condition must hold for `lasting`; the alert carries severity, service and owner."""
    s = stack(monitors=[monitor(lasting="10m", severity="page")])
    series = {"requests_total": "0+300x80", "roots_drift": "0x20 1x60"}
    fired = firing("RootsDrift", severity="critical", service="api", owner="team-api", stack="demo")
    holds(tmp_path, s, series, [nothing("19m", fired), number("22m", fired, 1)])


def test_a_monitor_that_sees_nothing_says_so(tmp_path: Path) -> None:
    """With no_data set, absent series raise an alert that names the monitor; without, they do not."""
    s = stack(monitors=[monitor(no_data="10m"), monitor("Other", condition="other > 0")])
    holds(
        tmp_path,
        s,
        {"requests_total": "0+300x80"},
        [
            nothing("9m", firing("MonitorNoData")),
            number("12m", firing("MonitorNoData", monitor="RootsDrift"), 1),
            number("12m", firing("MonitorNoData"), 1),
        ],
    )


def test_a_monitor_keeps_firing_as_long_as_it_says(tmp_path: Path) -> None:
    """keep_firing holds the alert over a gap in its condition."""
    s = stack(monitors=[monitor(keep_firing="10m")])
    series = {"roots_drift": "1x20 0x80", "requests_total": "0+300x100"}
    holds(tmp_path, s, series, [number("15m", firing("RootsDrift"), 1), nothing("22m", firing("RootsDrift"))])


def test_failing_rules_of_the_stack_are_reported(tmp_path: Path) -> None:
    """Prometheus' own count of failed evaluations raises an alert for this stack's groups, not for others'."""
    series = {
        'prometheus_rule_evaluation_failures_total{rule_group="/etc/rules/demo-shared.yaml;demo-shared-short"}': "0+1x60",
        'prometheus_rule_evaluation_failures_total{rule_group="/etc/rules/other.yaml;other"}': "0+1x60",
    }
    holds(tmp_path, stack(), series, [number("20m", firing("SLORulesFailing"), 1)])


def test_services_of_one_stack_do_not_mix(tmp_path: Path) -> None:
    """An outage of one service pages for its SLO alone, with its owner."""
    other = API.model_copy(update={"name": "web", "owner": "team-web"})
    web = slo(service=other, sli=Ratio(bad="web_errors_total", total="web_requests_total"))
    series = OUTAGE | {"web_requests_total": "0+300x360"}
    holds(
        tmp_path,
        stack(slo(), web),
        series,
        [
            Value(
                "50m",
                'count by (slo, owner) (ALERTS{alertname="SLOErrorBudgetBurnFast",alertstate="firing"})',
                {'{slo="api-availability",owner="team-api"}': 1},
            )
        ],
    )


def test_a_journey_of_each_tenant_pages_for_the_tenant(tmp_path: Path) -> None:
    """Parts, weights and grouping labels together: one tenant's part is down, and its journey alone pages."""
    part = {n: Ratio(bad=f"{n}_errors_total", total=f"{n}s_total") for n in ("scan", "sign")}
    slos = (
        slo("worst", sli=Composite(parts=part), by=["tenant"]),
        slo("weighted", sli=Composite(parts=part, weights={"scan": "0.5", "sign": "0.5"}), by=["tenant"]),
        slo("zones", by=["zone"]),
    )
    series = {f'{n}s_total{{tenant="{t}"}}': "0+300x80" for n in part for t in "ab"}
    series |= {'scan_errors_total{tenant="a"}': "0+300x80", 'requests_total{zone="x"}': "0+300x80"}
    holds(
        tmp_path,
        stack(*slos),
        series,
        [
            Value(
                "40m",
                'count by (slo, tenant, zone) (ALERTS{alertname="SLOErrorBudgetBurnFast",alertstate="firing"})',
                {'{slo="api-worst",tenant="a"}': 1, '{slo="api-weighted",tenant="a"}': 1},
            ),
            Value(
                "40m",
                "round(10000 * sum by (slo, tenant) (slo:error_ratio:30m{zone=''})) / 10000",
                {
                    '{slo="api-worst",tenant="a"}': 1,
                    '{slo="api-worst",tenant="b"}': 0,
                    '{slo="api-weighted",tenant="a"}': 0.5,
                    '{slo="api-weighted",tenant="b"}': 0,
                },
            ),
            nothing("40m", BLIND),
        ],
    )


def test_slos_apart_by_different_labels_share_their_alerts(tmp_path: Path) -> None:
    """One by tenant, one by zone: both page, each with its own label."""
    slos = (slo("tenants", by=["tenant"]), slo("zones", by=["zone"]))
    series = {
        f"{n}_total{{{label}}}": "0+300x80"
        for n in ("requests", "errors")
        for label in ('tenant="a",zone="x"',)
    }
    holds(
        tmp_path,
        stack(*slos),
        series,
        [
            Value(
                "40m",
                'count by (slo, tenant, zone) (ALERTS{alertname="SLOErrorBudgetBurnFast",alertstate="firing"})',
                {'{slo="api-tenants",tenant="a"}': 1, '{slo="api-zones",zone="x"}': 1},
            )
        ],
    )


def test_a_tenant_that_stops_reporting_does_not_hide_another(tmp_path: Path) -> None:
    """Its series end; the other's outage pages all the same."""
    series = {
        'requests_total{tenant="gone"}': "0+300x20 _x100",
        'requests_total{tenant="a"}': "0+300x120",
        'errors_total{tenant="a"}': "0x60 300+300x60",
    }
    paged = firing("SLOErrorBudgetBurnFast", tenant="a")
    holds(tmp_path, stack(slo(by=["tenant"])), series, [nothing("29m", PAGE), number("45m", paged, 1)])
