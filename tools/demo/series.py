"""The kinds of series a simulated platform has: counters, histograms, flows of events, states, steady values."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import TypeAlias

from alerts.witness import Inputs, Leaf, Unsolvable
from slo import promql

# Where good events fall, as shares of the latency bound. The 95th percentile lies at half of it.
_GOOD = tuple(Decimal(s) for s in ("0.1", "0.25", "0.1", "0.25", "0.5", "0.1", "0.25", "0.25", "0.1", "0.5"))

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
Sink: TypeAlias = Callable[[int], None]


@dataclass(slots=True)
class Counter:
    """A counter; `lazy` ones are not exposed before their first event, as labelled error series are."""

    value: float = 0.0
    lazy: bool = False

    def add(self, events: int) -> None:
        self.value += events


@dataclass(slots=True)
class Histogram:
    """A classic histogram: cumulative buckets, count and sum."""

    bounds: tuple[Decimal, ...]
    counts: list[int]
    lazy: bool = False
    total: int = 0
    sum: float = 0.0
    seen: int = 0

    def observe(self, value: Decimal, times: int = 1) -> None:
        for i in range(bisect_left(self.bounds, value), len(self.bounds)):
            self.counts[i] += times
        self.total += times
        self.sum += float(value) * times

    def fast(self, bound: Decimal) -> Sink:
        """Takes events that are within the bound."""

        def sink(events: int) -> None:
            rounds, rest = divmod(events, len(_GOOD))
            for share in _GOOD if rounds else ():
                self.observe(bound * share, rounds)
            for _ in range(rest):
                self.observe(bound * _GOOD[self.seen % len(_GOOD)])
                self.seen += 1

        return sink

    def slow(self, bound: Decimal) -> Sink:
        """Takes events that are beyond the bound."""

        def sink(events: int) -> None:
            if events:
                self.observe(bound * 3, events)

        return sink


def in_turn(sinks: Sequence[Sink]) -> Sink:
    """Takes events and hands them on, as many to each."""
    if len(sinks) == 1:
        return sinks[0]
    turn = 0

    def sink(events: int) -> None:
        nonlocal turn
        each, rest = divmod(events, len(sinks))
        for i, one in enumerate(sinks):
            one(each + ((i - turn) % len(sinks) < rest))
        turn = (turn + rest) % len(sinks)

    return sink


@dataclass(slots=True)
class Flow:
    """The events of one indicator. `bad_events` and `events` are the truth rules are compared with."""

    slo: str
    service: str
    rate: float
    budget: float
    good: tuple[Sink, ...]
    bad: tuple[Sink, ...]
    events: int = 0
    bad_events: int = 0
    owed_good: float = 0.0
    owed_bad: float = 0.0

    def take(self, events: float, share: float) -> None:
        self.owed_good += events * (1 - share)
        self.owed_bad += events * share
        good, bad = int(self.owed_good), int(self.owed_bad)
        self.owed_good, self.owed_bad = self.owed_good - good, self.owed_bad - bad
        for sink in self.good:
            sink(good)
        for sink in self.bad:
            sink(bad)
        self.events += good + bad
        self.bad_events += bad


@dataclass(slots=True)
class State:
    """A time-based indicator: its series when the moment is good, and when it is bad."""

    service: str
    budget: float
    good: dict[Key, Leaf]
    bad: dict[Key, Leaf]
    grown: dict[Key, float] = field(default_factory=dict)


@dataclass(slots=True)
class Steady:
    """A series only monitors and signals read: value, growth per second, and whether it is a timestamp."""

    service: str
    value: float
    slope: float = 0.0
    clock: bool = False
    scales: bool = False  # a counter's growth follows the traffic


def key_of(name: str, labels: dict[str, str]) -> Key:
    return name, tuple(sorted(labels.items()))


def parsed(series: str) -> Key:
    """The key of one series in promtool's notation."""
    selector = promql.as_selector(series)
    if selector is None:
        raise Unsolvable(f"{series!r} is not a series")
    return key_of(selector.metric, {m.name: m.value for m in selector.matchers})


def keyed(inputs: Inputs, by: dict[str, str]) -> dict[Key, Leaf]:
    out = {}
    for series, leaf in inputs.items():
        name, labels = parsed(series)
        out[key_of(name, {**dict(labels), **by})] = leaf
    return out


@cache
def text_of(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    inside = ",".join(f"{k}={promql.quote(v)}" for k, v in labels)
    return f"{name}{{{inside}}}" if inside else name
