"""The few shapes of a monitor's condition, each with series on which it fires and on which it is silent.

Every shape aggregates, so that a restarted or doubled exporter neither resets an alert nor doubles it. Examples
are judged at their last sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from slo import Duration, Monitor, Service, promql
from slo.errors import DefinitionError
from slo.quantity import shortest

MINUTES = 150  # of example; longer than any shape's window and any monitor's `lasting` together


@dataclass(frozen=True, slots=True)
class Shape:
    """A condition, and promtool series (1m apart) that make it fire or stay silent."""

    condition: str
    fires: Mapping[str, str]
    silent: Mapping[str, str]


def seconds(duration: Duration) -> str:
    return shortest(duration.seconds)


def constant(value: str | int, minutes: int = MINUTES) -> str:
    return f"{value}+0x{minutes}"


def rising(step: int, minutes: int = MINUTES) -> str:
    """A counter that grows by `step` a minute; as a timestamp, 60 is "always now"."""
    return f"0+{step}x{minutes}"


def example(selector: str, by: tuple[str, ...] = (), sample: Mapping[str, str] | None = None) -> str:
    """A series that the selector matches, with a value for each label of `by`; `sample` has the last word."""
    found = promql.as_selector(selector)
    if found is None:
        raise DefinitionError(f"{selector!r} is not a series selector: an example series follows one")
    labels = dict.fromkeys(by, "a")
    for m in found.matchers:
        if m.op == "=":
            labels[m.name] = m.value
        elif m.op == "=~":  # made concrete: "5.." is 500, "insert|update" is insert
            labels[m.name] = m.value.split("|")[0].replace(".*", "a").replace(".+", "a").replace(".", "0")
    return promql.series(found.metric, labels | dict(sample or {}))


def _over(function: str, selector: str, by: tuple[str, ...]) -> str:
    return f"{function} by ({', '.join(by)}) ({selector})" if by else f"{function}({selector})"


def above(selector: str, bound: str, *by: str, function: str = "max") -> Shape:
    """A gauge above a bound."""
    series = example(selector, by)
    more = shortest(Decimal(bound) * 2 + 1)
    return Shape(
        f"{_over(function, selector, by)} > {bound}", {series: constant(more)}, {series: constant(bound)}
    )


def below(selector: str, bound: str, *by: str, function: str = "min") -> Shape:
    """A gauge below a bound: a verdict, a state, a version. With function="max" all series must be below it."""
    series = example(selector, by)
    less = shortest(Decimal(bound) - 1)
    return Shape(
        f"{_over(function, selector, by)} < {bound}", {series: constant(less)}, {series: constant(bound)}
    )


def outside(selector: str, low: Duration, high: Duration, *by: str) -> Shape:
    """A gauge of seconds outside a range."""
    series = example(selector, by)
    least, most = _over("min", selector, by), _over("max", selector, by)
    return Shape(
        f"{least} < {seconds(low)} or {most} > {seconds(high)}",
        {series: constant(shortest(high.seconds + 1))},
        {series: constant(seconds(low))},
    )


def older(selector: str, age: Duration, *by: str) -> Shape:
    """A timestamp longer ago than an age."""
    series = example(selector, by)
    return Shape(
        f"time() - {_over('max', selector, by)} > {seconds(age)}",
        {series: constant(f"-{shortest(age.seconds + 3600)}")},
        {series: rising(60)},
    )


def sooner(selector: str, notice: Duration, *by: str) -> Shape:
    """A timestamp that is reached within a notice and not yet passed. Its value is the time left."""
    series = example(selector, by)
    far = shortest(notice.seconds + MINUTES * 60 + 86400)
    left = f"{_over('max', selector, by)} - time()"
    return Shape(
        f"{left} < {seconds(notice)} and {left} > 0",
        {series: constant(MINUTES * 60 + 3600)},
        {series: constant(far)},
    )


def rose(selector: str, window: str, *by: str, bound: str = "0") -> Shape:
    """A counter that grew by more than a bound within a window."""
    series = example(selector, by)
    return Shape(
        f"{_over('sum', f'increase({selector}[{window}])', by)} > {bound}",
        {series: rising(10)},
        {series: constant(7)},
    )


def share(part: str, whole: str, bound: str, window: str = "10m") -> Shape:
    """One counter's growth as a share of another's."""
    return Shape(
        f"sum(rate({part}[{window}])) / sum(rate({whole}[{window}])) > {bound}",
        {example(part): rising(50), example(whole, sample={"example": "rest"}): rising(50)},
        {example(part): constant(5), example(whole, sample={"example": "rest"}): rising(100)},
    )


def sagged(selector: str, factor: str) -> Shape:
    """A rate below a share of yesterday's at this time, and of last week's where that is known.

    Both, because a Saturday is no Friday and the first week has no week before it. Where yesterday's rate was
    nothing worth the name, nothing is missed.
    """
    now, day, week = (f"sum(rate({selector}[30m]{offset}))" for offset in ("", " offset 1d", " offset 1w"))
    series = example(selector)
    minutes = 24 * 60
    # A counter that vanished with its service is no rate of its own: nothing is 0 here.
    now = f"({now} or 0 * {day})"
    return Shape(
        f"{now} < {factor} * {day} and {day} > 0.01 unless {now} >= {factor} * {week}",
        {series: f"0+60x{minutes} {minutes * 60}+0x{MINUTES - 1}"},
        {series: rising(60, minutes + MINUTES)},
    )


def monitor(
    name: str, service: Service, shape: Shape, summary: str, description: str = "", **more: Any
) -> Monitor:
    """A ticket that waits ten minutes, unless told otherwise."""
    options = {"lasting": "10m"} | more
    return Monitor(
        name=name, service=service, condition=shape.condition, summary=summary, description=description,
        fires=shape.fires, silent=shape.silent, **{k: v for k, v in options.items() if v is not None},
    )  # fmt: skip
