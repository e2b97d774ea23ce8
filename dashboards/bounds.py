"""Which bounds belong to a signal: those of the service's SLOs over the same series, and those its alert compares with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from slo import promql
from slo.model import SLO, Above, Below, Signal
from slo.promql import Selector
from slo.quantity import shortest
from slo.sli import Latency, Ratio, TimeSlice, parts_of


@dataclass(frozen=True, slots=True, order=True)
class Bound:
    """A value not to cross, in the signal's unit, and whose it is."""

    value: Decimal
    of: str


def _covers(signal: Selector, other: Selector) -> bool:
    """Whether the signal shows the other's series: the same metric, and no matcher that the other lacks."""
    return signal.metric == other.metric and set(signal.matchers) <= set(other.matchers)


def histogram_of(expr: str) -> Selector | None:
    """The one histogram whose quantile an expression takes."""
    found = promql.selectors(expr)
    return found[0] if "histogram_quantile(" in expr and len(found) == 1 else None


def of_slos(expr: str, slos: tuple[SLO, ...]) -> Iterator[Bound]:
    """Bounds of latencies and of conditions over the series that the expression shows."""
    shown = promql.selectors(expr)
    for slo in slos:
        for part in parts_of(slo.sli).values():
            if isinstance(part, Latency):
                histogram = promql.as_selector(slo.selects(part.histogram))
                assert histogram is not None  # the model refuses anything else
                names = {histogram.metric, f"{histogram.metric}_bucket"}
                if any(s.metric in names and set(s.matchers) <= set(histogram.matchers) for s in shown):
                    yield Bound(part.bound, f"{slo.name}: at most {part.below}")
            elif isinstance(part, TimeSlice):
                split = promql.as_comparison(slo.selects(part.condition))
                assert split is not None  # as above
                value = _decimal(split.bound)
                judged = promql.selectors(split.query)
                if value is not None and any(_covers(s, j) for s in shown for j in judged):
                    yield Bound(value, f"{slo.name}: {split.op} {split.bound}")


def budgets_of(expr: str, slos: tuple[SLO, ...]) -> Iterator[SLO]:
    """SLOs whose bad events an error share shows: their budget is its bound."""
    shown = promql.selectors(expr)
    for slo in slos:
        if isinstance(slo.sli, Ratio) and slo.sli.bad is not None:
            bad = promql.selectors(slo.selects(slo.sli.bad))
            if bad and all(b in shown for b in bad):
                yield slo


def of_alert(signal: Signal) -> Iterator[Bound]:
    if isinstance(signal.when, Above | Below):
        word = "above" if isinstance(signal.when, Above) else "below"
        yield Bound(Decimal(signal.when.bound), f"alerts {word} {signal.when.bound}")


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def as_text(value: Decimal) -> str:
    return shortest(value)
