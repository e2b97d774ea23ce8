"""Generated tests: which scenarios an SLO and a monitor get, and what is left out honestly."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from given import monitor, slo, stack

from alerts.promtests import monitor_untestable, untestable
from slo import SLO, AlertPolicy, Composite, Freshness, Latency, Monitor, Ratio, Stack, TimeSlice, Uptime
from slo.compile import compile_stack


def files(s: Stack) -> dict[str, Any]:
    return {
        o.path.removeprefix("tests/").removesuffix(".yaml"): yaml.safe_load(o.text)
        for o in compile_stack(s)
        if o.path.startswith("tests/")
    }


def scenarios(s: Stack, name: str = "slo-api-availability") -> list[str]:
    return [t["name"].split(": ", 1)[1] for t in files(s)[name]["tests"]]


def test_an_slo_is_tested_in_every_state_the_issue_names() -> None:
    """Outage, health, reset, no traffic, one error, unborn errors, no data; and apart from them the slow burn."""
    found = scenarios(stack())
    for words in ("a total outage pages within", "health at half", "counter reset", "no traffic", "one error at ten",
                  "never born", "no data raises"):  # fmt: skip
        assert [n for n in found if words in n], words
    (slow,) = scenarios(stack(), "slo-api-availability.slow")
    assert slow.startswith("a slow burn of")


def test_an_slo_named_slow_is_not_taken_for_the_slow_burn_of_another() -> None:
    """Every test file has a path of its own."""
    s = stack(slo("api"), slo("api-slow"))
    paths = [o.path for o in compile_stack(s)]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    "sli",
    [
        Uptime(gauge="up"),
        TimeSlice(condition="latency < 0.3"),
        Freshness(timestamp="backup_timestamp_seconds", within="1h"),
    ],
    ids=lambda s: type(s).__name__,
)
def test_a_time_based_slo_has_no_scenario_about_events(sli: Uptime) -> None:
    """There is no counter to reset and no traffic to lack."""
    found = " ".join(scenarios(stack(slo(sli=sli))))
    assert "a total outage pages" in found
    assert "counter reset" not in found
    assert "no traffic" not in found


def test_without_page_tiers_no_page_is_expected() -> None:
    """The outage scenario is left out, not failed."""
    assert not [n for n in scenarios(stack(slo(alerts=AlertPolicy(off=["page"])))) if "outage" in n]


def test_without_tickets_there_is_no_slow_burn() -> None:
    """Nothing would tell of it."""
    assert "slo-api-availability.slow" not in files(stack(slo(alerts=AlertPolicy(off=["ticket"]))))


@pytest.mark.parametrize(
    "made",
    [
        slo(sli=Ratio(bad="sum(rate(a[$window])) - sum(rate(b[$window]))", total="c")),
        slo(sli=Latency(histogram="h", below="1s", native=True)),
        slo(sli=TimeSlice(condition="count(a) > 3")),
        slo(sli=Composite(parts={"a": Uptime(gauge="up"), "b": TimeSlice(condition="deriv(a[5m]) < 3")})),
    ],
    ids=["two selectors", "native", "count", "part"],
)
def test_an_slo_that_cannot_be_simulated_has_no_test_and_a_reason(made: SLO) -> None:
    """`validate` shows the reason; no test pretends."""
    assert untestable(made)
    assert files(stack(made)) == {}


def test_a_testable_slo_gives_no_reason() -> None:
    """Empty when a test could be generated."""
    assert untestable(slo()) == ""


def test_a_monitor_is_tested_to_fire_and_to_stay_silent() -> None:
    """And, where it asks for it, to say that it is blind."""
    assert scenarios(stack(monitors=[monitor()]), "monitor-RootsDrift") == [
        "fires when its condition holds",
        "is silent when it does not",
    ]
    assert scenarios(stack(monitors=[monitor(no_data="1h")]), "monitor-RootsDrift")[2:] == [
        "is reported blind when its series are absent",
        "is not reported blind when they are there",
    ]


def test_a_monitor_beyond_reach_is_tested_with_its_authors_series() -> None:
    """fires= and silent= replace what cannot be derived."""
    hard: Monitor = monitor(condition="count(a) > 3")
    assert monitor_untestable(hard)
    given = hard.model_copy(update={"fires": {"a{}": "1x9"}, "silent": {"a{}": "0x9"}})
    assert monitor_untestable(given) == ""
    (fires, silent) = files(stack(monitors=[given]))["monitor-RootsDrift"]["tests"]
    assert fires["input_series"] == [{"series": "a{}", "values": "1x9"}]
    assert silent["input_series"] == [{"series": "a{}", "values": "0x9"}]


def test_a_test_loads_only_what_it_needs() -> None:
    """The SLO's base rules, the shared ones and its policy's alerts: promtool stays quick."""
    s = stack(*(slo(f"s{n}") for n in range(25)), slo("other", window="7d"))
    assert files(s)["slo-api-s24"]["rule_files"] == [
        "../prometheus/demo-base-003.yaml",
        "../prometheus/demo-shared.yaml",
        "../prometheus/demo-alerts-30d-events.yaml",
    ]


def test_groups_are_evaluated_in_the_order_they_read_each_other() -> None:
    """Base, shared, alerts."""
    order = files(stack())["slo-api-availability"]["group_eval_order"]
    assert (
        order.index("demo-base-001-short-01")
        < order.index("demo-shared-short")
        < order.index("demo-burn-30d-events")
    )
