"""Services, SLOs, monitors and stacks: each refusal has its place and its remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from given import API, monitor, slo, stack
from pydantic import ValidationError

from slo import (
    Above,
    AlertPolicy,
    Below,
    Composite,
    GoldenSignals,
    NearZero,
    NotExploding,
    NotMeasured,
    Ratio,
    Service,
    Signal,
    Uptime,
    WhileDemand,
    promql,
)
from slo.model import RESERVED, signal_monitors

WHY = NotMeasured("nobody publishes it yet")


def signals(**changes: object) -> GoldenSignals:
    fields: dict[str, object] = {"latency": WHY, "traffic": WHY, "errors": WHY, "saturation": WHY}
    return GoldenSignals(**fields | changes)  # type: ignore[arg-type]


def depth(**changes: object) -> Signal:
    fields: dict[str, object] = {"query": "queue_depth", "alert": "QueueDeep", "when": Above("100")}
    return Signal(**fields | changes)  # type: ignore[arg-type]


REFUSED: list[tuple[str, Callable[[], object], str]] = [
    ("name", lambda: slo("Availability"), "lower-case letters, digits and dashes"),
    ("long name", lambda: slo("a" * 51), "at most 50 characters"),
    ("no owner", lambda: Service(name="api", owner=""), "owner"),
    ("tier", lambda: Service(name="api", owner="a", tier=5), "tier"),
    ("selector", lambda: Service(name="api", owner="a", selector={"a-b": "c"}), "use letters, digits and underscores"),
    ("objective as ratio", lambda: slo(objective="0.999"), "write '99.9%'"),
    ("objective as number", lambda: slo(objective=99.9), "written as text, such as '99.9%', not 99.9"),
    ("window", lambda: slo(window="1h"), "write whole days"),
    ("no description", lambda: slo(description=""), "description"),
    ("label", lambda: slo(labels={"a-b": "c"}), "use letters, digits and underscores"),
    ("internal label", lambda: slo(labels={"__a": "c"}), "use letters, digits and underscores"),
    ("by is text", lambda: slo(by="zone"), "by"),
    ("by and labels", lambda: slo(by=["zone"], labels={"zone": "a"}), "both in labels and in by: keep one"),
    ("tier off", lambda: AlertPolicy(off=["pager"]), "use one of page, ticket, page-1h"),
    ("no events", lambda: AlertPolicy(min_events=0), "min_events"),
    ("odd wait", lambda: AlertPolicy(no_data="500ms"), "write whole seconds, at most '400d'"),
    ("long wait", lambda: monitor(lasting="2y"), "write whole seconds, at most '400d'"),
    ("no reason", lambda: NotMeasured("n/a"), "reason"),
    ("bound", lambda: Above("fast"), "is a number written as text"),
    ("NaN bound", lambda: Above("NaN"), "is a number written as text"),
    ("spaced bound", lambda: Below("1_000"), "is a number written as text"),
    ("signal without name", lambda: Signal(query="a", when=Above("1")), "needs both alert= .* and when="),
    ("signal without bound", lambda: Signal(query="a", alert="Deep"), "needs both alert= .* and when="),
    ("alert name", lambda: monitor("roots_drift"), "must be CamelCase, at most 40"),
    ("long alert name", lambda: monitor("A" * 41), "must be CamelCase, at most 40"),
    ("summary", lambda: monitor(summary="it drifted"), "one static sentence"),
    ("template", lambda: monitor(summary="It drifted {{ $value }}."), "no template"),
    ("no bound at all", lambda: monitor(condition="roots_drift"), "add a bound, such as '> 0'"),
    ("a matcher only", lambda: monitor(condition='up{job="a"}'), "would always fire: add a bound"),
    ("condition", lambda: monitor(condition="a >"), "does not parse"),
    ("severity", lambda: monitor(severity="sev1"), "severity"),
    ("empty stack", lambda: stack(slos=[]), r"is empty: give it slos=\[...\] or monitors=\[...\]"),
    ("SLO twice", lambda: stack(slo(), slo()), "SLO 'api-availability' is defined twice: rename"),
    ("monitor twice", lambda: stack(monitors=[monitor(), monitor()]), "monitor 'RootsDrift' is defined twice: rename"),
    (
        "two services of a name",
        lambda: stack(slo(), slo("other", service=API.model_copy(update={"owner": "else"}))),
        "two different services are named 'api': rename",
    ),
    ("severities", lambda: stack(severities={"page": "p"}), "severities has no value for info, ticket"),
    ("label apart", lambda: stack(slo(by=["zone"]), slo("b", labels={"zone": "a"})), "another SLO's by label"),
    ("misspelt", lambda: slo(objectiv="99%"), "objectiv"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_wrong_definition_is_refused_with_the_remedy(make: Callable[[], object], message: str) -> None:
    """The error is pydantic's, so the loader can name the place."""
    with pytest.raises(ValidationError, match=message):
        make()


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_label_of_the_generated_rules_is_refused(name: str) -> None:
    """Neither labels= nor by= may overwrite what the rules set."""
    for field in ({"labels": {name: "a"}}, {"by": [name]}):
        with pytest.raises(ValidationError, match="set by the generated rules: choose another name"):
            slo(**field)


def test_the_default_window_is_the_calendar_month() -> None:
    """Stella's budgets are monthly."""
    assert str(slo().model_copy().__class__.model_fields["window"].default) == "month"


def test_an_id_is_service_and_name() -> None:
    """It is unique within the stack."""
    assert slo().id == "api-availability"


def test_a_composite_is_stated_in_time() -> None:
    """Its budget is in minutes, even of parts that count events."""
    ratio = Ratio(bad="errors_total", total="requests_total")
    assert slo(sli=Composite(parts={"a": ratio, "b": ratio})).unit == "seconds"
    assert slo(sli=Uptime(gauge="up")).unit == "seconds"
    assert slo(sli=ratio).unit == "events"


def test_the_selector_reaches_every_metric() -> None:
    """An SLO's metrics are those of its indicator with the service's labels."""
    mine = API.model_copy(update={"selector": {"job": "api"}})
    assert [str(s) for s in slo(service=mine).metrics()] == [
        'requests_total{job="api"}',
        'errors_total{job="api"}',
    ]


@pytest.mark.parametrize(
    ("when", "condition"),
    [
        (Above("5"), "q > 5"),
        (Below("5"), "q < 5"),
        (NearZero(), "q > 0.01"),
        (NotExploding(factor="4", past="1d", floor="2"), "q > 4 * avg_over_time((q)[1d:5m] offset 10m) and q > 2"),
        (WhileDemand(demand="scans_total"), "(sum(sum(rate(scans_total[$window]))) > 0) unless on() (sum(q) > 0)"),
    ],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_a_signals_condition_is_promql(when: Above, condition: str) -> None:
    """Each kind of condition, as the alert reads it."""
    assert when.condition("q") == condition


def test_a_bound_holds_for_the_whole_query() -> None:
    """`a or b` above a bound compares both sides, not b alone."""
    assert Above("5").condition("a or b") == "(a or b) > 5"
    assert promql.as_comparison(Above("5").condition("a or b")) is not None


@pytest.mark.parametrize(
    ("query", "expr"),
    [
        ("scans_total", "sum(rate(scans_total[$window]))"),
        ("queue_depth", "queue_depth"),
        ("a_seconds_bucket", "histogram_quantile(0.95, sum by (le) (rate(a_seconds_bucket[$window])))"),
        ("a_seconds_count", "sum(rate(a_seconds_count[$window]))"),
        ("max(queue_depth)", "max(queue_depth)"),
    ],
)
def test_a_signal_is_drawn_as_its_kind(query: str, expr: str) -> None:
    """A counter as its rate, buckets as the 95th percentile, all else as it is."""
    assert Signal(query=query).expr == expr


def test_a_signal_may_be_text_one_or_several() -> None:
    """A query is a signal; a list is several."""
    many = signals(traffic="scans_total", errors=Signal(query="errors_total"), saturation=["a", depth()])
    assert [len(found) if isinstance(found, tuple) else 0 for _, found in many.items()] == [0, 1, 1, 2]


def test_a_signal_that_alerts_becomes_a_monitor() -> None:
    """Its condition, severity and name are the signal's; its summary is a sentence even when none was given."""
    service = API.model_copy(update={"signals": signals(saturation=depth(severity="page"))})
    (found,) = signal_monitors(service)
    assert (found.name, found.condition, found.severity) == ("QueueDeep", "queue_depth > 100", "page")
    assert found.summary == "A golden signal of api is out of bounds."


def test_a_service_without_signals_asks_for_no_monitor() -> None:
    """Nothing measured, nothing watched."""
    assert signal_monitors(API) == ()
    assert signal_monitors(API.model_copy(update={"signals": signals()})) == ()


def test_a_stack_knows_services_in_order_of_first_mention() -> None:
    """Those named directly, then those of SLOs and monitors, each once."""
    web = Service(name="web", owner="team-web")
    s = stack(slo(), services=[web], monitors=[monitor()])
    assert [x.name for x in s.all_services] == ["web", "api"]


def test_a_signals_monitor_is_counted_once_for_many_slos() -> None:
    """Two SLOs of a service do not double its monitors."""
    service = API.model_copy(update={"signals": signals(saturation=depth())})
    s = stack(slo(service=service), slo("other", service=service))
    assert [m.name for m in s.all_monitors] == ["QueueDeep"]


def test_a_definition_cannot_be_changed() -> None:
    """Definitions are frozen."""
    with pytest.raises(ValidationError, match="frozen"):
        slo().name = "other"  # type: ignore[misc]
