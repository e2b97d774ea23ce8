"""Findings of `slo validate`: each check finds what it is for, is silent otherwise, and holds the remedy."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from given import API, monitor, slo, stack

from alerts.recording import Timing
from slo import (
    Above,
    AlertPolicy,
    Check,
    Composite,
    Duration,
    GoldenSignals,
    Latency,
    NotMeasured,
    Ratio,
    Signal,
    Stack,
    TimeSlice,
    Uptime,
    check,
)
from slo.errors import Problem, QueryError
from slo.prometheus import Prometheus

TIMING = Timing.of(Duration.of(30))
WHY = NotMeasured("nobody publishes it yet")
BUSY = {"objective": "99%"}  # no warning about low traffic


def static(s: Stack, name: str = "") -> list[Problem]:
    return [p for p in check.static(s, TIMING) if not name or p.check == name]


def only(problems: list[Problem]) -> Problem:
    (problem,) = problems
    assert problem.place
    assert problem.reason.endswith((".", "?"))
    assert problem.remedy.endswith(".")
    return problem


def test_a_sound_stack_has_no_findings() -> None:
    """Nothing is said about what is fine."""
    assert static(stack(slo(**BUSY), monitors=[monitor()])) == []


@pytest.mark.parametrize(
    "s",
    [
        stack(monitors=[monitor(condition="rate(a_seconds[5m]) > 0")]),
        stack(slo(**BUSY, sli=Ratio(bad="sum(rate(a_ratio[$window]))", total="b_total"))),
        stack(slo(**BUSY, sli=Ratio(bad="a_seconds", total="b_total"))),
        stack(slo(**BUSY, service=API.model_copy(update={"signals": GoldenSignals(
            latency=WHY, errors=WHY, saturation=WHY, traffic=Signal(query="increase(a_info[5m])"))}))),
    ],
    ids=["monitor", "promql", "selector", "signal"],
)  # fmt: skip
def test_a_rate_over_a_gauge_is_an_error(s: Stack) -> None:
    """Wherever it is written: in a monitor, an indicator, a golden signal."""
    problem = only(static(s, "rate-over-gauge"))
    assert problem.severity == "error"
    assert "named like a gauge" in problem.reason


def test_an_unknown_label_in_a_description_is_an_error() -> None:
    """Known where an aggregation fixes the labels; the alert's own are always there."""
    said = "{{ $labels.zone }} of {{ $labels.service }} drifted."
    condition = "max by (instance) (roots_drift) > 0"
    problem = only(static(stack(slo(**BUSY), monitors=[monitor(condition=condition, description=said)])))
    assert (problem.check, problem.severity) == ("unknown-label", "error")
    assert "no label 'zone'" in problem.reason
    assert problem.remedy == "Keep it with `by (zone)`, or leave it out of the description."


def test_a_label_that_may_be_there_is_no_finding() -> None:
    """Without an aggregation nobody can tell."""
    said = "{{ $labels.zone }} drifted."
    assert static(stack(slo(**BUSY), monitors=[monitor(description=said)])) == []


def test_a_value_in_a_label_is_an_error() -> None:
    """It would make a new alert at every evaluation."""
    problem = only(static(stack(slo(**BUSY), monitors=[monitor(labels={"was": "{{ $value }}"})])))
    assert (problem.check, problem.remedy) == ("value-in-label", "Put the value into the description.")


def test_one_error_that_burns_much_is_a_warning() -> None:
    """In events an hour, so that it can be compared with the traffic: 10,000 events in 30 days."""
    problem = only(static(stack(slo())))
    assert (problem.check, problem.severity) == ("one-error", "warning")
    assert problem.reason.startswith("Below 13.9 events an hour one error spends a tenth of the budget.")


def test_one_bad_slice_that_burns_much_is_a_warning() -> None:
    """99.99 % of a day are 8.6 seconds; a slice is 30."""
    problem = only(static(stack(slo(objective="99.99%", window="1d", sli=Uptime(gauge="up")))))
    assert (problem.check, problem.severity) == ("one-error", "warning")
    assert problem.reason == "One bad slice of 30s spends 347.2% of the budget."


def test_an_slo_without_any_alert_is_a_warning() -> None:
    """Every tier switched off: nobody is told."""
    problem = only(static(stack(slo(**BUSY, alerts=AlertPolicy(off=["page", "ticket"])))))
    assert (problem.check, problem.severity) == ("no-alert", "warning")
    assert "page-1h: switched off" in problem.text


@pytest.mark.parametrize(
    "s",
    [
        stack(slo(**BUSY, sli=Latency(histogram="h", below="1s", native=True))),
        stack(slo(**BUSY), monitors=[monitor(condition="count(a) > 3")]),
    ],
    ids=["SLO", "monitor"],
)
def test_what_has_no_generated_test_is_told(s: Stack) -> None:
    """Unknown, never silently untested."""
    problem = only(static(s))
    assert (problem.check, problem.severity) == ("no-test", "unknown")
    assert problem.reason.startswith("No test was generated: ")


# Against a server


class Server:
    """A Prometheus that knows some metrics."""

    def __init__(self, **changes: Any) -> None:
        self.answers: dict[str, Any] = {
            "label/__name__/values": [
                "errors_total",
                "requests_total",
                "h_bucket",
                "h_count",
                "up",
                "roots_drift",
            ],
            "metadata": {"errors_total": [{"type": "counter"}], "up": [{"type": "gauge"}]},
            "status/flags": {"storage.tsdb.retention.time": "60d"},
            "query": {
                "resultType": "vector",
                "result": [{"metric": {"le": le}, "value": [0, "1"]} for le in ("0.1", "1.0", "10", "+Inf")],
            },
        } | changes

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers[request.url.path.removeprefix("/api/v1/")]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, json={"status": "success", "data": answer})


def live(s: Stack, **changes: Any) -> list[Problem]:
    url = "http://prometheus.example.org"
    return check.live(s, TIMING, url, Prometheus(url, httpx.MockTransport(Server(**changes))))


def latency(below: str) -> Stack:
    return stack(slo(sli=Latency(histogram="h", below=below)))


def test_a_server_that_has_everything_yields_no_findings() -> None:
    """Metrics, types, buckets, retention."""
    journey = slo("journey", sli=Composite(parts={"a": slo().sli, "b": Uptime(gauge="up")}))
    s = stack(slo(), journey, *latency("1s").slos[:0], monitors=[monitor()])
    assert live(s) == []
    assert live(latency("1s")) == []


def test_a_metric_that_does_not_exist_is_an_error_of_an_slo() -> None:
    """Its name is shown."""
    problem = only(live(stack(slo(sli=Ratio(bad="typo_total", total="requests_total")))))
    assert (problem.check, problem.severity, problem.text) == ("metric-missing", "error", "typo_total")


def test_a_check_that_nothing_can_answer_is_listed_with_what_to_do() -> None:
    """The gate would say "cannot tell"; what the rules record, and alerts, come by themselves."""
    query = "max(backup_age) < bool 86400 and on () count(slo:clock:seconds) and on () count(ALERTS)"
    backup = Check(name="backup-fresh", title="Backed up", query=query, description="Nightly backups.",
                   remedy="Run the backup.", evidence="max(backup_age)", measures="age")  # fmt: skip
    problem = only(live(stack(slo(), checks=[backup])))
    assert (problem.place, problem.severity, problem.text) == ("check backup-fresh", "warning", "backup_age")
    assert "waive backup-fresh in the gate's policy" in problem.remedy


def test_a_metric_that_does_not_exist_is_a_warning_of_a_monitor() -> None:
    """Some exist only once something went wrong."""
    problem = only(live(stack(monitors=[monitor(condition="typo > 0")])))
    assert (problem.check, problem.severity, problem.text) == ("metric-missing", "warning", "typo")


def test_a_missing_histogram_is_named_by_its_series() -> None:
    """As the server would know them."""
    problems = live(stack(slo(sli=Latency(histogram="other", below="1s"))))
    assert {p.text for p in problems} == {"other_bucket", "other_count"}


def test_a_native_histogram_is_named_by_itself() -> None:
    """It has no _bucket."""
    problems = live(stack(slo(sli=Latency(histogram="other", below="1s", native=True))))
    assert {p.text for p in problems} == {"other"}


def test_a_rate_over_what_the_server_calls_a_gauge_is_an_error() -> None:
    """Names deceive; metadata does not."""
    s = stack(monitors=[monitor(condition="rate(up[5m]) > 0")])
    problem = only(live(s))
    assert (problem.check, problem.severity) == ("rate-over-gauge", "error")
    assert problem.reason == "The server says up is a gauge."


@pytest.mark.parametrize("below", ["100ms", "1s", "10s"])
def test_a_bound_that_is_a_bucket_is_fine(below: str) -> None:
    """However the server writes it."""
    assert live(latency(below)) == []


def test_a_bound_that_is_no_bucket_is_an_error_with_the_buckets() -> None:
    """In order, to choose from."""
    problem = only(live(latency("300ms")))
    assert (problem.check, problem.severity) == ("bucket", "error")
    assert "Buckets: 0.1, 1.0, 10, +Inf" in problem.reason


def test_a_histogram_without_series_now_is_unknown() -> None:
    """A service that is down is no wrong bound."""
    problem = only(live(latency("300ms"), query={"resultType": "vector", "result": []}))
    assert (problem.check, problem.severity) == ("bucket", "unknown")


@pytest.mark.parametrize(
    ("flags", "fine"),
    [
        ({"storage.tsdb.retention.time": "31d"}, True),
        ({"storage.tsdb.retention.time": "1y"}, True),
        ({"storage.tsdb.retention.time": "30d"}, False),
        ({"storage.tsdb.retention.time": "0s", "storage.tsdb.retention": "0s"}, False),  # the default: 15d
        ({"storage.tsdb.retention": "90d"}, True),
        ({}, False),
    ],
    ids=str,
)
def test_a_window_longer_than_the_retention_is_an_error(flags: dict[str, str], fine: bool) -> None:
    """A month needs 31 days; 15 are the default."""
    problems = live(stack(slo(window="month")), **{"status/flags": flags})
    assert [p.check for p in problems] == ([] if fine else ["retention"])
    if problems:
        assert only(problems).remedy == "Start it with --storage.tsdb.retention.time=33d or more."


@pytest.mark.parametrize("question", ["metadata", "status/flags", "query"])
@pytest.mark.parametrize("answer", [httpx.ReadTimeout("too slow"), None, "text", 5], ids=repr)
def test_a_question_without_an_answer_is_unknown(question: str, answer: object) -> None:
    """Could not check is its own answer: neither fine nor broken."""
    problem = only(live(latency("1s"), **{question: answer}))
    assert problem.severity == "unknown"
    assert problem.reason.startswith("Could not check: ")


@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), None, {"a": 1}], ids=repr)
def test_a_server_that_answers_nothing_cannot_be_validated_against(answer: object) -> None:
    """The command says so and exits 2."""
    with pytest.raises(QueryError):
        live(stack(), **{"label/__name__/values": answer})


def test_a_condition_is_checked_with_its_service_labels() -> None:
    """A slice reads the metric of its condition."""
    s = stack(slo(sli=TimeSlice(condition="typo < 0.3")))
    assert [p.text for p in live(s)] == ["typo"]


def test_a_golden_signals_alert_is_checked_like_a_monitor() -> None:
    """It is one."""
    signals = GoldenSignals(latency=WHY, errors=WHY, traffic=WHY,
                            saturation=Signal(query="typo", alert="Deep", when=Above("1")))  # fmt: skip
    s = stack(slo(service=API.model_copy(update={"signals": signals})))
    assert [(p.place, p.text) for p in live(s)] == [("monitor Deep", "typo")]
