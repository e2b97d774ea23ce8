"""What the recorded numbers are: equal to the truth weighted by events, whatever the raw series do."""

from __future__ import annotations

from pathlib import Path

from given import API, slo, stack
from promtool import Value, holds, nothing, number, rounded

from slo import SLO, Composite, Freshness, Latency, Ratio, TimeSlice, Uptime

STEADY = {"requests_total": "0+300x720"}  # ten a second
# Records keep their name apart in a label, so that each is compared with itself: NaN differs from NaN.
_RECORDS = 'label_replace({__name__=~"slo:.+"}, "record", "$1", "__name__", "(.+)")'
NAN = f"count({_RECORDS} != {_RECORDS})"


def close(query: str, truth: str, tolerance: str) -> str:
    """1 when a record is as close to the truth as that."""
    return f"abs(sum({query}) - sum({truth})) < bool {tolerance}"


def test_an_error_series_born_late_counts_right_afterwards(tmp_path: Path) -> None:
    """No errors exist for an hour; then one event in ten fails, and both hours are counted as they were."""
    series = STEADY | {"errors_total": "_x120 0+30x600"}
    truth = "increase(errors_total[1h]) / increase(requests_total[1h])"
    holds(
        tmp_path,
        stack(),
        series,
        [
            number("58m", "sum(slo:error_ratio:1h)", 0),
            number("70m", rounded("slo:error_ratio:5m"), 0.1),
            number("2h10m", close("slo:error_ratio:1h", truth, "0.0001"), 1),
            number("2h10m", "abs(sum(slo:bad_events:1h) - 3600) < bool 100", 1),
        ],
    )


def test_day_and_night_weigh_by_their_events(tmp_path: Path) -> None:
    """A busy hour with few errors and a quiet night with many: the ratio is that of all events, not of the hours."""
    series = {
        "requests_total": "0+3000x120 360030+30x600",
        "errors_total": "0+30x120 3615+15x600",
    }
    truth = "increase(errors_total[6h]) / increase(requests_total[6h])"
    holds(
        tmp_path,
        stack(),
        series,
        [
            number("6h", rounded("slo:error_ratio:6h"), 0.0333),
            number("6h", close("slo:error_ratio:6h", truth, "0.0005"), 1),
        ],
        step="4m",
    )


def test_a_counter_that_reads_nan_reaches_no_record(tmp_path: Path) -> None:
    """One sample that is not a number is left out; the other replica still counts, and no record is NaN."""
    series = {
        'requests_total{instance="a"}': "0+300x40 NaN 12600+300x120",
        'requests_total{instance="b"}': "0+300x161",
        'errors_total{instance="a"}': "0+3x161",
        'errors_total{instance="b"}': "0+3x20 NaN 66+3x140",
    }
    holds(
        tmp_path,
        stack(),
        series,
        [
            number("75m", rounded("slo:error_ratio:5m"), 0.01),
            *(nothing(f"{at}m", NAN) for at in range(1, 75)),
            number("75m", "min_over_time((count(slo:error_ratio:5m))[70m:1m])", 1),
        ],
        step="30s",
    )


def test_gauges_that_read_nan_reach_no_record(tmp_path: Path) -> None:
    """A probe, a slice and a timestamp without a number are not measured: never bad, and never NaN."""
    slos = (
        slo("up", sli=Uptime(gauge="up")),
        slo("slice", sli=TimeSlice(condition="latency < 0.3")),
        slo("fresh", sli=Freshness(timestamp="backup_timestamp_seconds", within="1h")),
    )
    series = {
        "up": "1x20 NaN+0x20 1x40",
        "latency": "0.1x20 NaN+0x20 0.1x40",
        "backup_timestamp_seconds": "0+30x20 NaN+0x20 1230+30x40",
    }
    holds(
        tmp_path,
        stack(*slos),
        series,
        [
            *(nothing(f"{at}m", NAN) for at in range(1, 40)),
            number("40m", "count(slo:error_ratio:1h == 0)", 3),
            nothing("18m", "slo:total:rate"),
        ],
        step="30s",
    )


def test_no_traffic_has_no_ratio(tmp_path: Path) -> None:
    """Without events there is neither a ratio nor a burn, and the total is known to be 0."""
    holds(
        tmp_path,
        stack(),
        {"requests_total": "5x80", "errors_total": "1x80"},
        [nothing("30m", '{__name__=~"slo:error_ratio:[0-9].*"}'), number("30m", "sum(slo:total:rate)", 0)],
    )


def test_a_reset_counter_is_no_burst(tmp_path: Path) -> None:
    """After a restart from 0 the ratio stays what it was."""
    series = {"requests_total": "0+300x60 0+300x60", "errors_total": "0+3x60 0+3x60"}
    holds(
        tmp_path,
        stack(),
        series,
        [
            number("50m", rounded("max_over_time(slo:error_ratio:5m[40m])"), 0.01),
            number("50m", rounded("min_over_time(slo:error_ratio:5m[40m])"), 0.01),
        ],
        step="30s",
    )


def test_a_latency_objective_counts_what_is_slower(tmp_path: Path) -> None:
    """Events above the bound are bad; le="1" and le="1.0" are the same bucket."""
    series = {
        'seconds_bucket{instance="old",le="1"}': "0+270x60",
        'seconds_bucket{instance="old",le="+Inf"}': "0+300x60",
        'seconds_count{instance="old"}': "0+300x60",
        'seconds_bucket{instance="new",le="1.0"}': "0+270x60",
        'seconds_bucket{instance="new",le="10"}': "0+300x60",
        'seconds_count{instance="new"}': "0+300x60",
    }
    fast = slo("latency", sli=Latency(histogram="seconds", below="1s"))
    holds(tmp_path, stack(fast), series, [number("20m", rounded("slo:error_ratio:5m"), 0.1)])


def journey(weights: dict[str, str] | None = None) -> SLO:
    scan = Ratio(bad="scan_errors_total", total="scans_total")
    sign = Ratio(bad="sign_errors_total", total="signs_total")
    return slo("journey", sli=Composite(parts={"scan": scan, "sign": sign}, weights=weights))


SCANS = {"scans_total": "0+300x80", "scan_errors_total": "0+30x80"}
IDLE = {"signs_total": "7x80", "sign_errors_total": "3x80"}
SIGNS = {"signs_total": "0+300x80", "sign_errors_total": "0+60x80"}


def test_a_journey_is_as_bad_as_its_worst_part(tmp_path: Path) -> None:
    """Of two parts with 10 % and 20 % errors the larger counts."""
    holds(
        tmp_path,
        stack(journey()),
        SCANS | SIGNS,
        [number("30m", rounded("slo:error_ratio:5m"), 0.2)],
    )


def test_an_idle_part_of_a_journey_counts_nothing(tmp_path: Path) -> None:
    """While nothing is signed, the journey is as bad as its scans."""
    holds(
        tmp_path,
        stack(journey()),
        SCANS | IDLE,
        [number("30m", rounded("slo:error_ratio:5m"), 0.1)],
    )


def test_a_weighted_journey_adds_up_its_parts(tmp_path: Path) -> None:
    """0.4 of 10 % and 0.6 of 20 % are 16 %."""
    holds(
        tmp_path,
        stack(journey({"scan": "0.4", "sign": "0.6"})),
        SCANS | SIGNS,
        [
            number("30m", rounded("slo:error_ratio:5m"), 0.16),
            number("30m", rounded("slo:error_ratio:period"), 0.16),
        ],
    )


def test_an_idle_part_of_a_weighted_journey_counts_nothing(tmp_path: Path) -> None:
    """0.4 of 10 % and 0.6 of nothing are 4 %: the weights are not spread anew."""
    holds(
        tmp_path,
        stack(journey({"scan": "0.4", "sign": "0.6"})),
        SCANS | IDLE,
        [number("30m", rounded("slo:error_ratio:5m"), 0.04)],
    )


def test_a_composite_stands_beside_simple_indicators(tmp_path: Path) -> None:
    """Worst-of, weighted and simple SLOs share their rules without a collision."""
    weighted = journey({"scan": "0.4", "sign": "0.6"}).model_copy(update={"name": "weighted"})
    simple = slo("scan", sli=Ratio(bad="scan_errors_total", total="scans_total"))
    holds(
        tmp_path,
        stack(journey(), weighted, simple),
        SCANS | SIGNS,
        [
            Value(
                "30m",
                "round(10000 * sum by (slo) (slo:error_ratio:30m)) / 10000",
                {'{slo="api-journey"}': 0.2, '{slo="api-weighted"}': 0.16, '{slo="api-scan"}': 0.1},
            )
        ],
    )


REPLICAS = {
    'up{instance="a"}': "1x80",
    'up{instance="b"}': "0x80",
    'up{instance="c"}': "0x80",
}


def test_a_quorum_of_replicas_decides(tmp_path: Path) -> None:
    """Of three replicas one is up: enough for a quorum of 1, too few for 2 and for half of them."""
    slos = [
        slo(f"up-{n}", sli=Uptime(gauge="up", quorum=q)) for n, q in (("1", 1), ("2", 2), ("half", "50%"))
    ]
    holds(
        tmp_path,
        stack(*slos),
        REPLICAS,
        [
            Value(
                "30m",
                "sum by (slo) (slo:error_ratio:30m)",
                {'{slo="api-up-1"}': 0, '{slo="api-up-2"}': 1, '{slo="api-up-half"}': 1},
            )
        ],
    )


def test_exactly_the_quorum_is_up(tmp_path: Path) -> None:
    """Half of the replicas satisfy a quorum of 50 %."""
    half = slo("up", sli=Uptime(gauge="up", quorum="50%"))
    series = {'up{instance="a"}': "1x80", 'up{instance="b"}': "0x80"}
    holds(tmp_path, stack(half), series, [number("30m", "sum(slo:error_ratio:30m)", 0)])


def test_a_replica_that_vanishes_counts_against_a_number_and_not_against_a_share(tmp_path: Path) -> None:
    """A share is of those that report; a number of replicas is missed when one of them is gone."""
    slos = [slo(f"up-{n}", sli=Uptime(gauge="up", quorum=q)) for n, q in (("2", 2), ("all", "100%"))]
    series = {'up{instance="a"}': "1x200", 'up{instance="b"}': "1x20 _x180"}
    holds(
        tmp_path,
        stack(*slos),
        series,
        [
            Value(
                "9m", "sum by (slo) (slo:error_ratio:5m)", {'{slo="api-up-2"}': 0, '{slo="api-up-all"}': 0}
            ),
            Value(
                "50m", "sum by (slo) (slo:error_ratio:5m)", {'{slo="api-up-2"}': 1, '{slo="api-up-all"}': 0}
            ),
        ],
    )


def test_all_series_of_a_condition_must_hold(tmp_path: Path) -> None:
    """One replica above the bound makes the slice bad; one that reports nothing does not."""
    sliced = slo("slice", sli=TimeSlice(condition="latency < 0.3"), by=["zone"])
    series = {
        'latency{zone="x",instance="a"}': "0.1x80",
        'latency{zone="x",instance="b"}': "0.5x80",
        'latency{zone="y",instance="a"}': "0.1x80",
        'latency{zone="y",instance="b"}': "NaN+0x80",
    }
    holds(
        tmp_path,
        stack(sliced),
        series,
        [Value("30m", "sum by (zone) (slo:error_ratio:30m)", {'{zone="x"}': 1, '{zone="y"}': 0})],
    )


def test_the_services_selector_keeps_other_series_out(tmp_path: Path) -> None:
    """Series of another job do not count."""
    mine = API.model_copy(update={"selector": {"job": "mine"}})
    series = {
        'requests_total{job="mine"}': "0+300x80",
        'errors_total{job="mine"}': "0+30x80",
        'requests_total{job="other"}': "0+300x80",
        'errors_total{job="other"}': "0+300x80",
    }
    holds(
        tmp_path,
        stack(slo(service=mine)),
        series,
        [number("30m", rounded("slo:error_ratio:5m"), 0.1)],
    )


def test_the_base_window_does_not_change_a_ratio(tmp_path: Path) -> None:
    """Scraped every minute instead of every 15 seconds, the same burn reads the same."""
    for scrape in ("15s", "60s"):
        holds(
            tmp_path,
            stack(),
            {"requests_total": "0+300x200", "errors_total": "0+3x200"},
            [number("80m", rounded(f"slo:error_ratio:{w}"), 0.01) for w in ("5m", "30m", "1h")],
            step="2m",
            scrape=scrape,
        )
