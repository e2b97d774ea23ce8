"""PromQL as text and as a tree: parse, check, select, inject matchers. The only importer of promql_parser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import promql_parser as pp

from slo.errors import DefinitionError

WINDOW = "$window"
_STRING = re.compile(r"""`[^`]*`|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
_SIMPLE = re.compile(r"[\w.:|/ -]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
COUNTER_FUNCTIONS = ("rate", "increase", "irate")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label matcher of a selector; `op` is one of =, !=, =~, !~."""

    name: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A series selector: metric name and matchers, without range or offset."""

    metric: str
    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        inside = ",".join(f"{m.name}{m.op}{quote(m.value)}" for m in self.matchers)
        return f"{self.metric}{{{inside}}}" if inside else self.metric

    def with_labels(self, labels: Mapping[str, str]) -> Selector:
        """Add equality matchers for labels the selector does not already match on."""
        have = {m.name for m in self.matchers}
        extra = tuple(Matcher(k, "=", v) for k, v in labels.items() if k not in have)
        return Selector(self.metric, self.matchers + extra)


def quote(value: str) -> str:
    """A PromQL string literal."""
    return f'"{value}"' if _SIMPLE.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def is_label(name: str) -> bool:
    return _LABEL.fullmatch(name) is not None


def is_metric(name: str) -> bool:
    return _METRIC.fullmatch(name) is not None


def in_window(expr: str, window: str) -> str:
    """Fill the `$window` placeholder."""
    return expr.replace(WINDOW, window)


@lru_cache(maxsize=4096)
def parse(expr: str) -> Any:
    """Parse, or raise DefinitionError with the parser's reason. `$window` is read as 5m."""
    if "#" in _STRING.sub("", expr):
        raise DefinitionError(
            f"PromQL {expr!r} holds a comment, which would hide what follows: write it in Python"
        )
    # The parser refuses a backslash inside a backtick string, which Prometheus accepts.
    text = _STRING.sub(lambda m: quote(m[0][1:-1]) if m[0][0] == "`" else m[0], in_window(expr, "5m"))
    try:
        tree = pp.parse(text)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DefinitionError(f"PromQL {expr!r} does not parse: {reason}") from None
    if any(isinstance(n, pp.VectorSelector) and n.matchers.or_matchers for n in walk(tree)):
        raise DefinitionError(f"PromQL {expr!r} uses `or` between matchers, which Prometheus lacks: use =~")
    return tree


def selector_of(node: Any) -> Selector:
    """The selector of a VectorSelector node."""
    ops = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    metric, matchers = node.name or "", []
    for m in node.matchers.matchers:
        op = ops[str(m.op).rsplit(".", 1)[-1]]
        if m.name == "__name__" and op == "=" and is_metric(m.value):
            metric = m.value
        else:
            matchers.append(Matcher(m.name, op, m.value))
    return Selector(metric, tuple(sorted(matchers, key=lambda m: (m.name, m.op, m.value))))


@lru_cache(maxsize=4096)
def as_selector(expr: str) -> Selector | None:
    """The selector, when the whole expression is one instant selector without offset or @; else None."""
    node = parse(expr)
    plain = isinstance(node, pp.VectorSelector) and node.offset is None and node.at is None
    return selector_of(node) if plain else None


def children(node: Any) -> Iterator[Any]:
    """The direct sub-expressions of a node."""
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        child = getattr(node, name, None)
        if isinstance(child, pp.Expr):
            yield child
    yield from getattr(node, "args", None) or ()


def walk(node: Any) -> Iterator[Any]:
    yield node
    for child in children(node):
        yield from walk(child)


def selectors(expr: str) -> tuple[Selector, ...]:
    """Every series selector of an expression, in the order of the text, without repeats."""
    found = [selector_of(n) for n in walk(parse(expr)) if isinstance(n, pp.VectorSelector)]
    return tuple(dict.fromkeys(found))


def counters(expr: str) -> tuple[str, ...]:
    """Metric names under rate, increase or irate: those must be counters."""
    names: list[str] = []
    for node in walk(parse(expr)):
        if isinstance(node, pp.Call) and node.func.name in COUNTER_FUNCTIONS:
            names += [selector_of(n).metric for n in walk(node) if isinstance(n, pp.VectorSelector)]
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition taken apart: `query op bound`, both sides PromQL text."""

    query: str
    op: str
    bound: str


def as_comparison(expr: str) -> Comparison | None:
    """Split `query < bound` at its outermost comparison; None when there is none, or one that names its labels."""
    node = parse(expr)
    while isinstance(node, pp.ParenExpr):
        node = node.expr
    if not isinstance(node, pp.BinaryExpr):
        return None
    op = str(node.op)
    if op not in COMPARISONS or (node.modifier is not None and node.modifier.matching is not None):
        return None
    return Comparison(text(node.lhs), op, text(node.rhs))


def text(node: Any) -> str:
    """A node as one line of PromQL. (The library's str() does not escape; its prettify() does.)"""
    parts = re.split(r'("(?:[^"\\]|\\.)*")', node.prettify())
    return "".join(p if i % 2 else re.sub(r"\s+", " ", p) for i, p in enumerate(parts)).strip()


# A range nobody writes stands in for `$window` while an expression goes through the parser and its printer.
_STAND_IN, _PRINTED = "7777777s", "90d29m37s"


def inject(expr: str, labels: Mapping[str, str]) -> str:
    """Add equality matchers to every selector that does not already match on the label."""
    if not labels:
        return expr

    def rewrite(n: Any) -> Any:
        if not isinstance(n, pp.VectorSelector):
            return n
        if n.at is not None:
            raise DefinitionError(f"PromQL {expr!r} uses @, which a recording rule must not")
        offset = f" offset {round(n.offset.total_seconds() * 1000)}ms" if n.offset else ""
        return pp.parse(str(selector_of(n).with_labels(labels)) + offset)

    node = parse(in_window(expr, _STAND_IN))
    return text(pp.transform(node, rewrite)).replace(_PRINTED, WINDOW)


def denominator(expr: str) -> str | None:
    """What a quotient divides by; None where the outermost operation is no division."""
    node = parse(in_window(expr, _STAND_IN))
    while isinstance(node, pp.ParenExpr):
        node = node.expr
    if not isinstance(node, pp.BinaryExpr) or str(node.op) != "/":
        return None
    return text(node.rhs).replace(_PRINTED, WINDOW)


def series(metric: str, labels: Mapping[str, str]) -> str:
    """One series in promtool's notation."""
    inside = ",".join(f"{k}={quote(v)}" for k, v in sorted(labels.items()))
    return f"{metric}{{{inside}}}"


def any_of(names: Iterable[str]) -> str:
    """A regular expression that matches exactly these literal names."""
    return "|".join(re.escape(n).replace("\\-", "-") for n in names)


def decides(expr: str) -> bool:
    """Whether an expression compares, or asks for presence or absence, so that it can be an alert's condition."""
    return any(
        (isinstance(n, pp.BinaryExpr) and str(n.op) in (*COMPARISONS, "and", "unless"))
        or (isinstance(n, pp.Call) and n.func.name.startswith("absent"))
        for n in walk(parse(expr))
    )


def grouped(expr: str) -> str:
    """The expression, in parentheses where a comparison appended to it would bind tighter."""
    node = parse(expr)
    loose = isinstance(node, pp.BinaryExpr) and str(node.op) in (*COMPARISONS, "and", "unless", "or")
    return f"({expr})" if loose else expr


def result_labels(expr: str) -> set[str] | None:
    """The labels an expression's result can have, where aggregations fix them; None where any may be there."""
    return _labels(parse(expr))


def _labels(node: Any) -> set[str] | None:
    if isinstance(node, pp.ParenExpr):
        return _labels(node.expr)
    if isinstance(node, pp.AggregateExpr):
        if str(node.op) in ("topk", "bottomk", "limitk"):
            return _labels(node.expr)
        modifier = node.modifier
        if modifier is None:
            return set()
        return set(modifier.labels) if modifier.type == pp.AggModifierType.By else None
    if isinstance(node, pp.BinaryExpr):
        return _joined(node)
    if isinstance(node, pp.Call):
        if node.func.name in ("time", "vector", "scalar"):
            return set()
        return _labels(node.args[0]) if node.func.name in _KEEP_LABELS else None
    return None


_KEEP_LABELS = frozenset(
    {"abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max", "sqrt", "ln", "exp"}
)


def _joined(node: pp.BinaryExpr) -> set[str] | None:
    """Of a scalar and a vector the vector's; of two vectors what both sides and their matching leave."""
    left, right = _labels(node.lhs), _labels(node.rhs)
    if str(node.op) in ("and", "unless") or _scalar(node.rhs):
        return left
    if _scalar(node.lhs):
        return right
    if left is None or right is None:
        return None
    return left | right if str(node.op) == "or" else left & right if left != right else left


def _scalar(node: Any) -> bool:
    if isinstance(node, pp.ParenExpr):
        return _scalar(node.expr)
    if isinstance(node, pp.BinaryExpr):
        return _scalar(node.lhs) and _scalar(node.rhs)
    return isinstance(node, pp.NumberLiteral) or (
        isinstance(node, pp.Call) and node.func.name in ("time", "scalar")
    )
