"""Series that make a condition true or false are found by working backwards, or honestly not at all."""

from __future__ import annotations

import re

import pytest

from alerts import witness
from alerts.witness import Leaf, Unsolvable
from slo import promql
from slo.promql import Matcher


@pytest.mark.parametrize(
    "pattern",
    ["5..", "2..|3..", "[45]..", "a+b*", "(foo|bar)baz", "[^0]", ".*", "", r"\d{3}", r"\w+-\s?x", "api-.+", "[a-z]{2,5}", "(?:x)?y"],
)  # fmt: skip
def test_an_example_matches_its_pattern(pattern: str) -> None:
    """Fully anchored, as in Prometheus."""
    assert re.fullmatch(pattern, witness.example(pattern))


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(a)\1(?<=x)", "(", r"[^\x00-\U0010ffff]"])
def test_a_pattern_without_an_example_says_so(pattern: str) -> None:
    """The author gives the series then."""
    with pytest.raises(Unsolvable, match="no example for the pattern"):
        witness.example(pattern)


@pytest.mark.parametrize(
    ("matchers", "labels"),
    [
        ([Matcher("a", "=", "x")], {"a": "x"}),
        ([Matcher("a", "!=", "x")], {}),
        ([Matcher("a", "=~", "5..")], {"a": "500"}),
        ([Matcher("a", "!~", "5..")], {}),
        ([Matcher("a", "!=", ""), Matcher("a", "!~", "5..")], {"a": "200"}),
        ([Matcher("a", "=", "")], {}),
    ],
    ids=str,
)
def test_labels_satisfy_their_matchers(matchers: list[Matcher], labels: dict[str, str]) -> None:
    """An absent label is the empty text."""
    assert witness.labels_for(matchers) == labels or witness.matches(witness.labels_for(matchers), matchers)


def test_labels_avoid_what_they_must() -> None:
    """The rest of a total: selected by it, and not by the errors."""
    total, errors = (Matcher("job", "=", "a"),), (Matcher("code", "=~", "5.."),)
    found = witness.labels_for(total, avoid=errors)
    assert witness.matches(found, total)
    assert not witness.matches(found, errors)


def test_matchers_no_series_can_satisfy_are_unsolvable() -> None:
    """Two values at once."""
    with pytest.raises(Unsolvable, match="no series satisfies"):
        witness.labels_for([Matcher("a", "=", "x"), Matcher("a", "=", "y")])


# A condition, and the leaves that make it true and false; evaluated below by our own small reading of them.
TRUTHS = [
    ("a > 5", {"a{}": 20.0}, {"a{}": 1.25}),
    ("a < 5", {"a{}": 1.25}, {"a{}": 20.0}),
    ("a == 1", {"a{}": 1.0}, {"a{}": 0.25}),
    ("a != 0", {"a{}": 1.0}, {"a{}": 0.0}),
    ("a >= 5", {"a{}": 20.0}, {"a{}": 1.25}),
    ("sum(a) > 5", {"a{}": 20.0}, {"a{}": 1.25}),
    ("a * 2 > 5", {"a{}": 10.0}, {"a{}": 0.625}),
    ("10 - a > 5", {"a{}": -10.0}, {"a{}": 8.75}),
    ("a / b > 0.5", {"a{}": 200.0, "b{}": 100.0}, {"a{}": 12.5, "b{}": 100.0}),
    ("a > 5 and b > 5", {"a{}": 20.0, "b{}": 20.0}, {"a{}": 1.25, "b{}": 20.0}),
    ("a > 5 unless b > 5", {"a{}": 20.0, "b{}": 1.25}, {"a{}": 20.0, "b{}": 20.0}),
    ("a > 5 or b > 5", {"a{}": 20.0, "b{}": 1.25}, {"a{}": 1.25, "b{}": 1.25}),
    ('a{b="c"} > 5', {'a{b="c"}': 20.0}, {'a{b="c"}': 1.25}),
    ("rate(a[5m]) > 5", {"a{}": 20.0}, {"a{}": 1.25}),
    ("increase(a[5m]) > 300", {"a{}": 4.0}, {"a{}": 0.25}),
    ("max_over_time(a[1h]) > 5", {"a{}": 20.0}, {"a{}": 1.25}),
    ("absent(a)", {}, {"a{}": 1.0}),
    ("time() - a > 3600", {"a{}": -14400.0}, {"a{}": -900.0}),
    ("a - time() < 3600", {"a{}": 900.0}, {"a{}": 14400.0}),
    ("clamp_min(a, 0) > 5", {"a{}": 20.0}, {"a{}": 1.25}),
]


@pytest.mark.parametrize(("expr", "true", "false"), TRUTHS, ids=[t[0] for t in TRUTHS])
def test_a_condition_is_made_true_and_false(
    expr: str, true: dict[str, float], false: dict[str, float]
) -> None:
    """Values of gauges, slopes of counters, distances of timestamps."""
    for want, leaves in ((True, true), (False, false)):
        assert {n: leaf.number for n, leaf in witness.truth(expr, want).items()} == leaves


@pytest.mark.parametrize(
    ("expr", "kind"),
    [
        ("a > 5", "gauge"),
        ("rate(a[5m]) > 5", "counter"),
        ("time() - a > 5", "clock"),
        ("a - time() < 5", "clock"),
    ],
)
def test_a_series_moves_as_its_query_reads_it(expr: str, kind: str) -> None:
    """Counters grow, timestamps keep their distance from now."""
    assert {leaf.kind for leaf in witness.truth(expr, True).values()} == {kind}


@pytest.mark.parametrize(
    "expr", ["count(a) > 3", "deriv(a[5m]) > 0", "changes(a[1h]) > 0", "a > 5 and a < 3", "a"]
)
def test_a_condition_beyond_reach_says_so(expr: str) -> None:
    """No guess: `validate` asks the author for series instead."""
    with pytest.raises(Unsolvable):
        witness.truth(expr, True)


def test_a_quantile_is_made_of_buckets() -> None:
    """All observations fall between the bounds around the wanted value."""
    leaves = witness.truth("histogram_quantile(0.95, sum by (le) (rate(a_bucket[5m]))) > 1", True)
    assert leaves == {
        'a_bucket{le="3.96"}': Leaf("counter", 0.0),
        'a_bucket{le="4.04"}': Leaf("counter", 1.0),
        'a_bucket{le="+Inf"}': Leaf("counter", 1.0),
    }


def test_growth_is_told_from_any_other_condition() -> None:
    """A query against its own past needs a before and an after."""
    found = witness.growth("a > 3 * avg_over_time((a)[1d:5m] offset 10m) and a > 0")
    assert found is not None
    assert witness.growth("a > 3 * b") is None


@pytest.mark.parametrize(
    ("expr", "value"), [("3", 3.0), ("-(2 + 1) * 60", -180.0), ("6 / 4", 1.5), ("a", None), ("1 / 0", None)]
)
def test_a_constant_is_computed(expr: str, value: float | None) -> None:
    """Bounds may be written as sums and products."""
    assert witness.constant(promql.parse(expr)) == value
