"""Input series that make a PromQL condition true, or false: the evidence of generated tests.

Works backwards from the wanted value through the expression. Where it cannot, it raises Unsolvable and the
author gives the series by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from slo import promql
from slo.promql import Matcher, Selector

_SRE: Any = re._parser  # type: ignore[attr-defined]  # the only parser of regular expressions at hand


class Unsolvable(Exception):
    """No input series were found for an expression; the message says which part."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """How one series behaves: a gauge's value, a counter's slope per second, a clock's distance from now."""

    kind: Literal["gauge", "counter", "clock"]
    number: float


Inputs = dict[str, Leaf]


def merge(*many: Inputs) -> Inputs:
    """All series together; the same series wanted in two ways is Unsolvable."""
    out: Inputs = {}
    for one in many:
        for name, leaf in one.items():
            if out.setdefault(name, leaf) != leaf:
                raise Unsolvable(f"{name} would need two values at once")
    return out


# Labels that satisfy matchers


@lru_cache(maxsize=4096)
def example(pattern: str) -> str:
    """A text that a (fully anchored) regular expression matches."""
    try:
        text = _from_tokens(_SRE.parse(pattern))
    except (re.error, KeyError, OverflowError) as error:
        raise Unsolvable(f"no example for the pattern {pattern!r}: {error}") from None
    if not re.fullmatch(pattern, text):
        raise Unsolvable(f"no example for the pattern {pattern!r}")
    return text


def _from_tokens(tokens: Iterable[Any]) -> str:
    out = ""
    for op, value in tokens:
        name = str(op)
        if name == "LITERAL":
            out += chr(value)
        elif name in ("ANY", "NOT_LITERAL"):
            out += "0" if value != ord("0") else "1"
        elif name == "IN":
            out += _from_class(value)
        elif name == "BRANCH":
            out += _from_tokens(value[1][0])
        elif name == "SUBPATTERN":
            out += _from_tokens(value[-1])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            out += _from_tokens(value[2]) * value[0]
        elif name != "AT":
            raise KeyError(name)
    return out


def _from_class(items: list[Any]) -> str:
    op, value = items[0]
    name = str(op)
    if name == "LITERAL":
        return chr(value)
    if name == "RANGE":
        return chr(value[0])
    if name == "CATEGORY":
        return {"CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " "}[str(value)]
    if name == "NEGATE":
        return next(c for c in "0aZ-_" if re.fullmatch("[^" + re.escape(c) + "]", "x"))
    raise KeyError(name)


def matches(labels: Mapping[str, str], matchers: Iterable[Matcher]) -> bool:
    """Whether a series with these labels is selected; an absent label is the empty text, as in Prometheus."""
    return all(_one(labels.get(m.name, ""), m) for m in matchers)


def _one(value: str, m: Matcher) -> bool:
    if m.op in ("=", "!="):
        return (value == m.value) == (m.op == "=")
    return (re.fullmatch(m.value, value) is not None) == (m.op == "=~")


def labels_for(want: Iterable[Matcher], avoid: tuple[Matcher, ...] = ()) -> dict[str, str]:
    """Labels that all of `want` select and, when given, that `avoid` as a whole does not."""
    wanted = tuple(want)
    options: dict[str, list[str]] = {}
    for m in (*wanted, *avoid):
        choices = options.setdefault(m.name, ["", "200", "ok", "other"])
        if m.op in ("=", "!="):
            choices.insert(0, m.value)
        else:
            choices.insert(0, example(m.value))
    combos: list[dict[str, str]] = [{}]
    for name, values in options.items():
        combos = [{**c, name: v} for c in combos for v in dict.fromkeys(values)][:4096]
    for combo in combos:
        if matches(combo, wanted) and (not avoid or not matches(combo, avoid)):
            return {k: v for k, v in combo.items() if v}
    raise Unsolvable(
        "no series satisfies " + ", ".join(f"{m.name}{m.op}{m.value!r}" for m in (*wanted, *avoid))
    )


def series_for(selector: Selector, extra: Mapping[str, str] | None = None) -> str:
    return promql.series(selector.metric, {**labels_for(selector.matchers), **(extra or {})})


# Values


def truth(expr: str, want: bool) -> Inputs:
    """Inputs that make a condition true (it yields a sample) or false (its series exist, it yields none)."""
    return _truth(promql.parse(expr), want)


def _truth(node: Any, want: bool) -> Inputs:
    kind = type(node).__name__
    if kind == "ParenExpr":
        return _truth(node.expr, want)
    if kind == "AggregateExpr":
        return _truth(node.expr, want)
    if kind == "Call" and node.func.name in ("absent", "absent_over_time"):
        return {} if want else _value(node.args[0], 1.0)
    if kind == "BinaryExpr":
        op = str(node.op)
        if op == "and":
            return merge(_truth(node.lhs, want), _truth(node.rhs, True))
        if op == "unless":
            return merge(_truth(node.lhs, True), _truth(node.rhs, not want))
        if op == "or":
            return merge(_truth(node.lhs, want), _truth(node.rhs, False))
        if op in _COMPARE:
            return _compare(node, op, want)
    raise Unsolvable(f"no comparison in {promql.text(node)}")


_COMPARE = {
    ">": lambda a, b: a > b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


def _compare(node: Any, op: str, want: bool) -> Inputs:
    bound = constant(node.rhs)
    fixed: Inputs = {}
    if bound is None:
        bound = 1000.0
        fixed = _value(node.rhs, bound)
    for candidate in (bound / 4, bound * 4, bound, bound + 1, bound - 1, 0.0, 1.0):
        if _COMPARE[op](candidate, bound) == want:
            return merge(_value(node.lhs, candidate), fixed)
    raise Unsolvable(f"no value for {promql.text(node)}")


def constant(node: Any) -> float | None:
    """The value of a constant expression, or None."""
    kind = type(node).__name__
    if kind == "NumberLiteral":
        return float(node.val)
    if kind == "ParenExpr":
        return constant(node.expr)
    if kind == "UnaryExpr":
        inner = constant(node.expr)
        return None if inner is None else -inner
    if kind == "BinaryExpr":
        left, right = constant(node.lhs), constant(node.rhs)
        if left is None or right is None:
            return None
        ops = {"+": left + right, "-": left - right, "*": left * right, "/": left / right if right else None}
        return ops.get(str(node.op))
    return None


_OVER_TIME = ("avg_over_time", "max_over_time", "min_over_time", "last_over_time", "quantile_over_time")


def _value(node: Any, v: float) -> Inputs:
    """Inputs for which the expression is about v."""
    kind = type(node).__name__
    if kind in ("ParenExpr", "SubqueryExpr"):
        return _value(node.expr, v)
    if kind == "MatrixSelector":
        return _value(node.vector_selector, v)
    if kind == "VectorSelector":
        return {series_for(promql.selector_of(node)): Leaf("gauge", v)}
    if kind == "AggregateExpr":
        if str(node.op) == "count":
            raise Unsolvable(f"count() in {promql.text(node)}")
        return _value(node.expr, v)
    if kind == "Call":
        return _call(node, v)
    if kind == "BinaryExpr":
        return _arithmetic(node, v)
    raise Unsolvable(promql.text(node))


def _call(node: Any, v: float) -> Inputs:
    name, args = node.func.name, list(node.args)
    if name in promql.COUNTER_FUNCTIONS:
        window = args[0].range.total_seconds()
        selector = promql.selector_of(args[0].vector_selector)
        return {series_for(selector): Leaf("counter", v / window if name == "increase" else v)}
    if name in ("delta", "changes", "resets", "deriv"):
        raise Unsolvable(promql.text(node))
    if name == "histogram_quantile":
        return _quantile(args[1], v)
    if name in _OVER_TIME:
        return _value(args[-1], v)
    if name in (
        "clamp_min",
        "clamp_max",
        "scalar",
        "vector",
        "abs",
        "label_replace",
        "label_join",
        "ceil",
        "floor",
        "round",
    ):
        return _value(args[0], v)
    raise Unsolvable(promql.text(node))


def _quantile(node: Any, v: float) -> Inputs:
    """All observations fall just below v: the buckets up to v are empty but the last."""
    found = [n for n in promql.walk(node) if type(n).__name__ == "VectorSelector"]
    if len(found) != 1 or v <= 0:
        raise Unsolvable(promql.text(node))
    selector = promql.selector_of(found[0])
    return {
        series_for(selector, {"le": format(v * 0.99, ".9g")}): Leaf("counter", 0.0),
        series_for(selector, {"le": format(v * 1.01, ".9g")}): Leaf("counter", 1.0),
        series_for(selector, {"le": "+Inf"}): Leaf("counter", 1.0),
    }


def _is_time(node: Any) -> bool:
    return type(node).__name__ == "Call" and node.func.name == "time"


def _arithmetic(node: Any, v: float) -> Inputs:
    op, left, right = str(node.op), constant(node.lhs), constant(node.rhs)
    if op == "-" and _is_time(node.lhs):
        return _clock(node.rhs, -v)
    if op == "-" and _is_time(node.rhs):
        return _clock(node.lhs, v)
    if right is not None and op in "+-*/":
        return _value(
            node.lhs, {"+": v - right, "-": v + right, "*": v / right if right else v, "/": v * right}[op]
        )
    if left is not None and op in "+-*/":
        return _value(
            node.rhs,
            {"+": v - left, "-": left - v, "*": v / left if left else v, "/": left / v if v else 1.0}[op],
        )
    if op == "/":
        return merge(_value(node.rhs, 100.0), _value(node.lhs, 100.0 * v))
    if op == "-":
        return merge(_value(node.rhs, 100.0), _value(node.lhs, 100.0 + v))
    if op == "+":
        return merge(_value(node.rhs, 0.0), _value(node.lhs, v))
    if op == "*":
        return merge(_value(node.rhs, 1.0), _value(node.lhs, v))
    if op == "or":
        return _value(node.lhs, v)
    raise Unsolvable(promql.text(node))


def _clock(node: Any, ahead: float) -> Inputs:
    """A timestamp `ahead` seconds from now."""
    return {name: Leaf("clock", ahead) for name in _value(node, 0.0)}


def growth(expr: str) -> tuple[Inputs, Inputs] | None:
    """For `q > factor * (q's own past) and ...`: inputs of calm and of growth; None for any other condition."""
    node = promql.parse(expr)
    while type(node).__name__ == "ParenExpr" or (
        type(node).__name__ == "BinaryExpr" and str(node.op) == "and"
    ):
        node = node.expr if type(node).__name__ == "ParenExpr" else node.lhs
    if type(node).__name__ != "BinaryExpr" or str(node.op) not in (">", ">="):
        return None
    past = [n for n in promql.walk(node.rhs) if type(n).__name__ == "SubqueryExpr"]
    if not past or promql.text(past[0].expr).strip("()") != promql.text(node.lhs).strip("()"):
        return None
    return _value(node.lhs, 10.0), _value(node.lhs, 10000.0)
