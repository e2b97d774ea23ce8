"""Indicators are refused where they cannot mean what they say, with the remedy in the sentence."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from pydantic import ValidationError

from slo import Composite, Freshness, Latency, Ratio, Signal, TimeSlice, Uptime
from slo.sli import counts_time, parts_of

RATIO = Ratio(bad="errors_total", total="requests_total")


def composite(**changes: object) -> Composite:
    return Composite(**{"parts": {"a": RATIO, "b": RATIO}} | changes)  # type: ignore[arg-type]


REFUSED: list[tuple[str, Callable[[], object], str]] = [
    ("one side", lambda: Ratio(total="a"), "takes two of total=, bad= and good="),
    ("three sides", lambda: Ratio(total="a", bad="b", good="c"), "takes two of total=, bad= and good="),
    ("rate by hand", lambda: Ratio(total="sum(rate(a[5m]))", bad="b"), r"write .*sum\(rate\(metric\[\$window\]\)\)"),
    ("a range", lambda: Ratio(total="a[$window]", bad="b"), r"does not yield events per second: write 'sum\(rate"),
    ("a scalar", lambda: Ratio(total="scalar(rate(a[$window]))", bad="b"), "does not yield events per second"),
    ("an offset", lambda: Ratio(total="a offset 5m", bad="b"), "neither a series selector nor PromQL with"),
    ("a comment", lambda: Ratio(total="sum(rate(a[$window])) # all", bad="b"), "holds a comment"),
    ("no PromQL", lambda: Ratio(total="a{", bad="b"), "does not parse"),
    ("nothing selected", lambda: Ratio(total="{}", bad="b"), "at least one non-empty matcher"),
    ("or of matchers", lambda: Ratio(total='a{x="1" or y="2"}', bad="b"), "use =~"),
    ("bucket named", lambda: Latency(histogram="a_bucket", below="1s"), "write the base name without _bucket"),
    ("count named", lambda: Latency(histogram="a_count", below="1s"), "write the base name without _count"),
    ("sum named", lambda: Latency(histogram="a_sum", below="1s"), "write the base name without _sum"),
    ("no name", lambda: Latency(histogram='{job="a"}', below="1s"), "has no metric name: write it"),
    ("no selector", lambda: Latency(histogram="sum(a)", below="1s"), "not a series selector: write 'metric"),
    ("no bound", lambda: Latency(histogram="a", below="fast"), "write a number with ms, s, m"),
    ("bound as number", lambda: Latency(histogram="a", below=0.3), "written as text, such as '5m', not 0.3"),  # type: ignore[arg-type]
    ("gauge expression", lambda: Uptime(gauge="max(up)"), "not a series selector: write"),
    ("no replica", lambda: Uptime(gauge="up", quorum=0), "write a number of replicas from 1, or a share"),
    ("more than all", lambda: Uptime(gauge="up", quorum="101%"), "write a number of replicas from 1, or a share"),
    ("words", lambda: Uptime(gauge="up", quorum="most%"), "write a number of replicas from 1, or a share"),
    ("no share sign", lambda: Uptime(gauge="up", quorum="50"), "write a number of replicas from 1, or a share"),
    ("no comparison", lambda: TimeSlice(condition="latency"), "write '<query> < <bound>'"),
    ("and", lambda: TimeSlice(condition="a > 0 and b > 0"), "write '<query> < <bound>'"),
    ("labels to match", lambda: TimeSlice(condition="a < on (x) b"), r"'a - on \(x\) b < 0'"),
    ("two scalars", lambda: TimeSlice(condition="time() < 5"), "comparisons between scalars"),
    ("timestamp expression", lambda: Freshness(timestamp="max(t)", within="1h"), "not a series selector"),
    ("one part", lambda: composite(parts={"a": RATIO}), "at least two parts"),
    ("unnamed part", lambda: composite(parts={"": RATIO, "b": RATIO}), "name it with letters, digits and dashes"),
    ("other weights", lambda: composite(weights={"a": "1"}), "name the same ones"),
    ("weights of 0.9", lambda: composite(weights={"a": "0.4", "b": "0.5"}), "sum to 1, not 0.9"),
    ("negative weight", lambda: composite(weights={"a": "1.5", "b": "-0.5"}), "must be positive"),
    ("weight in words", lambda: composite(weights={"a": "half", "b": "half"}), "decimals written as text"),
    ("NaN weight", lambda: composite(weights={"a": "NaN", "b": "1"}), "must be positive and sum to 1"),
    ("misspelt", lambda: Ratio(total="a", bda="b"), "bda"),  # type: ignore[call-arg]
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_cannot_be_meant_is_refused_with_the_remedy(make: Callable[[], object], message: str) -> None:
    """The error is pydantic's, so the loader can name the place; its text holds what to write instead."""
    with pytest.raises(ValidationError, match=message):
        make()


@pytest.mark.parametrize("quorum", [1, 3, "50%", "100%", "0.5%"], ids=str)
def test_a_quorum_is_a_number_or_a_share(quorum: int | str) -> None:
    """Replicas from 1, or a share of those that report."""
    assert Uptime(gauge="up", quorum=quorum).quorum == quorum


def test_a_ratio_takes_promql_with_a_window() -> None:
    """Any PromQL will do that yields events per second over $window."""
    expr = 'sum by (zone) (rate(a{b="c"}[$window])) - on (zone) sum by (zone) (rate(d[$window]))'
    assert Ratio(bad=expr, total="e").bad == expr


def test_a_signal_stands_for_its_query() -> None:
    """A golden signal may be given where a metric is expected."""
    assert Ratio(bad=Signal(query="errors_total"), total="requests_total").bad == "errors_total"


def test_the_bound_is_in_the_unit_of_the_buckets() -> None:
    """300 ms are 0.3 in seconds and 300 in milliseconds."""
    seconds = Latency(histogram="a", below="300ms")
    assert seconds.bound == Decimal("0.3")
    assert Latency(histogram="a", below="300ms", unit="milliseconds").bound == 300


def test_three_thirds_must_sum_exactly() -> None:
    """0.33, 0.33, 0.34 are a whole; weights are decimals, so nothing is nearly 1."""
    parts = dict.fromkeys("abc", RATIO)
    assert Composite(parts=parts, weights={"a": "0.33", "b": "0.33", "c": "0.34"}).weights is not None


def test_an_indicator_cannot_be_changed() -> None:
    """Definitions are frozen."""
    with pytest.raises(ValidationError, match="frozen"):
        RATIO.bad = "other"  # type: ignore[misc]


def test_every_kind_counts_events_or_time() -> None:
    """Ratio and latency count events; probes, slices and timestamps count time."""
    timed = (Uptime(gauge="up"), TimeSlice(condition="a < 1"), Freshness(timestamp="t", within="1h"))
    assert all(counts_time(s) for s in timed)
    assert not any(counts_time(s) for s in (RATIO, Latency(histogram="a", below="1s"), composite()))


def test_a_simple_indicator_is_its_own_only_part() -> None:
    """So a backend walks parts and needs no second case."""
    assert parts_of(RATIO) == {"": RATIO}
    assert parts_of(composite()) == {"a": RATIO, "b": RATIO}
