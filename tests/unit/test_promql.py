"""PromQL as text and as a tree."""

from __future__ import annotations

import pytest

from slo import DefinitionError, promql
from slo.promql import Comparison, Matcher, Selector


@pytest.mark.parametrize(
    ("expr", "result"),
    [
        ("a", 'a{job="x"}'),
        ('a{job="mine"}', 'a{job="mine"}'),
        ('a{job=~"m.*"}', 'a{job=~"m.*"}'),
        ('a{b!="c"}', 'a{b!="c",job="x"}'),
        ("sum(rate(a[$window]))", 'sum(rate(a{job="x"}[$window]))'),
        ("sum by (z) (rate(a[$window])) / sum by (z) (rate(b[5m]))", 'sum by (z) (rate(a{job="x"}[$window])) / sum by (z) (rate(b{job="x"}[5m]))'),
        ("rate(a[$window] offset 1h)", 'rate(a{job="x"}[$window] offset 1h)'),
        ("a offset -5m", 'a{job="x"} offset -5m'),
        ("a offset 1500ms", 'a{job="x"} offset 1s500ms'),
        ("avg_over_time((a)[1d:5m] offset 10m)", 'avg_over_time((a{job="x"})[1d:5m] offset 10m)'),
        (r"a{b=~`\d+`}", r'a{b=~"\\d+",job="x"}'),
        ("a and on (z) b unless c", 'a{job="x"} and on (z) b{job="x"} unless c{job="x"}'),
        ("absent(a)", 'absent(a{job="x"})'),
        ("vector(1)", "vector(1)"),
        ('{__name__=~"a|b"}', '{__name__=~"a|b",job="x"}'),
    ],
)  # fmt: skip
def test_labels_are_added_to_every_selector(expr: str, result: str) -> None:
    """Equality matchers go where the label is not matched on yet; ranges, offsets and $window stay."""
    assert promql.inject(expr, {"job": "x"}) == result


def test_without_labels_an_expression_stays_as_it_was_written() -> None:
    """Not even its spaces change."""
    expr = "sum( rate(a[$window]) )"
    assert promql.inject(expr, {}) == expr


def test_a_label_value_is_quoted() -> None:
    """Quotes and backslashes in a selector's value survive."""
    assert promql.inject("a", {"path": 'C:\\"x"'}) == r'a{path="C:\\\"x\""}'


def test_a_fixed_time_is_refused_in_a_rule() -> None:
    """@ in a recording rule would freeze it."""
    with pytest.raises(DefinitionError, match="uses @, which a recording rule must not"):
        promql.inject("a @ 5", {"job": "x"})


def test_a_backtick_string_is_read_as_prometheus_reads_it() -> None:
    """Backslashes are literal between backticks, and a backtick within double quotes is text."""
    (selector,) = promql.selectors(r"a{b=`\d`}")
    assert selector.matchers == (Matcher("b", "=", r"\d"),)
    (selector,) = promql.selectors('a{b="`c`"}')
    assert selector.matchers == (Matcher("b", "=", "`c`"),)


def test_what_does_not_parse_is_refused_with_the_reason() -> None:
    """The message quotes the expression."""
    with pytest.raises(DefinitionError, match=r"PromQL 'sum\(' does not parse: "):
        promql.parse("sum(")


def test_a_hash_within_a_string_is_no_comment() -> None:
    """Only outside of strings does # start a comment, which would hide what the compiler appends."""
    assert promql.as_selector('a{b="#c"}') is not None
    with pytest.raises(DefinitionError, match="holds a comment"):
        promql.parse("a # b")


def test_a_whole_selector_is_recognised() -> None:
    """Name and sorted matchers; the name may be written as a label."""
    assert promql.as_selector('a{c="1",b!~"2"}') == Selector(
        "a", (Matcher("b", "!~", "2"), Matcher("c", "=", "1"))
    )
    assert str(promql.as_selector('{__name__="a",b="c"}')) == 'a{b="c"}'


def test_a_name_prometheus_2_cannot_read_stays_a_label() -> None:
    """`{"a.b"}` is printed so that every version reads it."""
    assert str(promql.as_selector('{"a.b"}')) == '{__name__="a.b"}'


@pytest.mark.parametrize("expr", ["sum(a)", "a[5m]", "a + b", "a offset 5m", "a @ 5", "5"])
def test_anything_else_is_no_selector(expr: str) -> None:
    """An offset is part of the query, so it is not dropped silently."""
    assert promql.as_selector(expr) is None


def test_selectors_come_in_the_order_of_the_text_and_once() -> None:
    """Those of subqueries and aggregations too."""
    expr = 'sum(rate(a[5m])) / max_over_time((b{c="d"})[1h:]) + a'
    assert [str(s) for s in promql.selectors(expr)] == ["a", 'b{c="d"}']


def test_counters_are_what_stands_under_a_rate() -> None:
    """rate, increase and irate; not delta, not a plain gauge."""
    expr = "rate(a[5m]) + increase(b[5m]) + irate(c[5m]) + delta(d[5m]) + e"
    assert promql.counters(expr) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("expr", "result"),
    [
        ("a < 0.3", Comparison("a", "<", "0.3")),
        ("((a >= 5))", Comparison("a", ">=", "5")),
        ("a < bool 1", Comparison("a", "<", "1")),
        ("sum(a) / sum(b) == 1", Comparison("sum(a) / sum(b)", "==", "1")),
        ("a > b", Comparison("a", ">", "b")),
        ("1 != a", Comparison("1", "!=", "a")),
    ],
)
def test_a_comparison_is_split_at_its_operator(expr: str, result: Comparison) -> None:
    """Query, operator, bound."""
    assert promql.as_comparison(expr) == result


@pytest.mark.parametrize(
    "expr", ["a", "a + 1", "a > 0 and b > 0", "absent(a)", "a > on (x) b", "a < ignoring (y) b"]
)
def test_what_is_no_plain_comparison_is_not_split(expr: str) -> None:
    """Labels to match on would be lost by splitting."""
    assert promql.as_comparison(expr) is None


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("sum(a)", set()),
        ("sum by (x, y) (a) > 5", {"x", "y"}),
        ("topk(3, sum by (x) (a))", {"x"}),
        ("(max by (x) (a)) unless b", {"x"}),
        ("sum by (x) (a) and b", {"x"}),
        ("vector(1)", set()),
        ("time() - max by (x) (a) > 5", {"x"}),
        ("clamp_max(sum(a) >= 3, 1)", set()),
        ("sum(a) or vector(0)", set()),
        ("sum by (x) (a) or sum by (y) (a)", {"x", "y"}),
        ("1 - 2 * sum by (x) (a)", {"x"}),
        ("sum by (x, y) (a) * on (x) sum by (x) (a)", {"x"}),
        ("label_replace(sum(a), 'x', 'y', '', '')", None),
        ("a > 5", None),
        ("sum without (x) (a)", None),
        ("rate(a[5m])", None),
        ("sum by (x) (a) > b", None),
    ],
)
def test_labels_of_a_result_are_known_where_an_aggregation_fixes_them(
    expr: str, labels: set[str] | None
) -> None:
    """None where any label may be there: then nothing is claimed."""
    assert promql.result_labels(expr) == labels


@pytest.mark.parametrize(
    "expr", ["a > 0", "a unless b", "a and b", "absent(a)", "sum(a > 0)", "absent_over_time(a[5m])"]
)
def test_a_condition_decides(expr: str) -> None:
    """It compares, or asks for presence or absence."""
    assert promql.decides(expr)


@pytest.mark.parametrize("expr", ["a", 'up{job="a"}', "sum(a)", "a + b", 'a{b!="c"}', "a or b"])
def test_a_query_that_decides_nothing_is_recognised(expr: str) -> None:
    """A matcher's = is no comparison."""
    assert not promql.decides(expr)


def test_names_become_a_pattern_of_literals() -> None:
    """Dots are escaped, dashes stay readable."""
    assert promql.any_of(["a-b", "c.d", "e+f"]) == r"a-b|c\.d|e\+f"


def test_text_keeps_what_stands_in_quotes() -> None:
    """Spaces shrink outside of strings only."""
    assert promql.text(promql.parse('a{b="c  d"}  >   2')) == 'a{b="c  d"} > 2'


def test_the_window_is_filled_in() -> None:
    """Everywhere it stands."""
    assert promql.in_window("rate(a[$window]) - rate(b[$window])", "2m") == "rate(a[2m]) - rate(b[2m])"
