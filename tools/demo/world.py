"""A platform that behaves: every raw series a stack reads, derived from its definitions, advancing with time.

Indicators that count events get a flow of events; time-based ones get a good and a bad state; what only monitors
and golden signals read stays at values for which nothing fires. An indicator that also selects another one's events
counts those too: an availability over all routes sees the slow requests of a latency SLO as good ones. Counters only grow, histograms are complete.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias, get_args

from alerts import witness
from alerts.monitors import RATE_WINDOW, expression
from alerts.witness import Inputs, Leaf, Unsolvable
from slo import promql
from slo.model import SLO, Monitor, NotMeasured, Stack
from slo.promql import Matcher, Selector
from slo.quantity import shortest
from slo.sli import Composite, Freshness, Latency, Ratio, Simple, TimeSlice, Uptime, parts_of

ModeName: TypeAlias = Literal["normal", "outage", "slow-burn", "quiet"]
MODES: tuple[ModeName, ...] = get_args(ModeName)

RATE = 10.0  # events per second of each flow at the busiest time of the day
DAY = 900.0  # seconds of a simulated day: traffic swings once in that time
NIGHT = 0.55  # share of the traffic that is left at the quietest time of a normal day
QUIET = 0.02  # share of the traffic that is left in the mode "quiet"
BACKGROUND = 0.1  # burn rate of a normal day
SLOW_BURN = 4.0  # burn rate of the mode "slow-burn": above every ticket's threshold, below every page's
BLIP = 10.0  # seconds of one bad moment of a time-based indicator that burns slowly
STEP = 1.0  # seconds: traffic is taken as constant that long

_BUCKETS = tuple(Decimal(b) for b in ("0.005", "0.01", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"))
_AROUND = tuple(Decimal(f) for f in ("0.1", "0.25", "0.5", "1", "2", "4"))
# Where good events fall, as shares of the latency bound. The 95th percentile lies at half of it.
_GOOD = tuple(Decimal(s) for s in ("0.1", "0.25", "0.1", "0.25", "0.5", "0.1", "0.25", "0.25", "0.1", "0.5"))
_RUN = re.compile(r"(-?[\d.]+(?:[eE][+-]?\d+)?)(?:([+-][\d.]+(?:[eE][+-]?\d+)?))?x\d+")

# Where examples of two monitors contradict each other: off, so that no algorithm is wrong.
CALM = {"stella_fips_required": 0.0}

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
Sink: TypeAlias = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Mode:
    """What the platform is doing. Without a service, all of them do it."""

    name: ModeName = "normal"
    service: str = ""
    since: float = 0.0

    def hits(self, service: str) -> bool:
        return self.service in ("", service)


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

    def observe(self, value: Decimal) -> None:
        for i, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[i] += 1
        self.total += 1
        self.sum += float(value)

    def fast(self, bound: Decimal) -> Sink:
        """Takes events that are within the bound."""

        def sink(events: int) -> None:
            for _ in range(events):
                self.observe(bound * _GOOD[self.seen % len(_GOOD)])
                self.seen += 1

        return sink

    def slow(self, bound: Decimal) -> Sink:
        """Takes events that are beyond the bound."""

        def sink(events: int) -> None:
            for _ in range(events):
                self.observe(bound * 3)

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


class World:
    """All series of the given stacks. Thread-safe; `clock` is the wall clock unless a test gives its own."""

    def __init__(self, *stacks: Stack, rate: float = RATE, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rate = rate
        self.start = self._now = clock()
        self.mode = Mode(since=self.start)
        self.services: list[str] = []
        self.unsolved: list[str] = []
        self.flows: list[Flow] = []
        self.states: list[State] = []
        self.counters: dict[Key, Counter] = {}
        self.histograms: dict[Key, Histogram] = {}
        self.steady: dict[Key, Steady] = {}
        self._bounds: dict[str, set[Decimal]] = {}
        for stack in stacks:
            self.services += [s.name for s in stack.all_services if s.name not in self.services]
            self._find_histograms(stack)
        for stack in stacks:
            self._add_slos(stack)
        for stack in stacks:
            self._add_monitors(stack)
            self._add_signals(stack)

    # Switching and reading

    def switch(self, name: str, service: str = "") -> Mode:
        """Change what the platform does, from this moment. Raises ValueError for an unknown mode or service."""
        known = {mode: mode for mode in MODES}
        if name not in known:
            raise ValueError(f"mode {name!r} is unknown: use one of {', '.join(MODES)}")
        if service and service not in self.services:
            raise ValueError(f"service {service!r} is unknown: use one of {', '.join(self.services)}")
        with self._lock:
            self._advance()
            self.mode = Mode(known[name], service, self._now)
            return self.mode

    def truth(self, slo: str) -> tuple[int, int]:
        """(bad events, events) of an SLO since the world began."""
        with self._lock:
            self._advance()
            flows = [f for f in self.flows if f.slo == slo]
            return sum(f.bad_events for f in flows), sum(f.events for f in flows)

    def text(self) -> str:
        """Everything in Prometheus' text format, as of now."""
        with self._lock:
            self._advance()
            return "".join(sorted(self._lines()))

    # Time

    def _advance(self) -> None:
        now = self._clock()
        while self._now < now:
            dt = min(STEP, now - self._now)
            traffic = self._traffic(self._now + dt / 2) * dt
            for flow in self.flows:
                flow.take(flow.rate * traffic, self._share(flow))
            for state in self.states:
                leaves = state.bad if self._is_bad(state, self._now) else state.good
                for key, leaf in leaves.items():
                    if leaf.kind == "counter":
                        state.grown[key] = state.grown.get(key, 0.0) + leaf.number * dt
            for series in self.steady.values():
                stopped = self.mode.name == "outage" and self.mode.hits(series.service) and not series.clock
                if not stopped:
                    series.value += series.slope * (traffic if series.scales else dt)
            self._now += dt

    def _traffic(self, at: float) -> float:
        swing = (1 - math.cos(2 * math.pi * (at - self.start) / DAY)) / 2  # begins at the busiest time
        return (1 - (1 - NIGHT) * swing) * (QUIET if self._quiet() else 1.0)

    def _quiet(self) -> bool:
        return self.mode.name == "quiet"

    def _share(self, flow: Flow) -> float:
        if self.mode.hits(flow.service):
            if self.mode.name == "outage":
                return 1.0
            if self.mode.name == "slow-burn":
                return min(1.0, SLOW_BURN * flow.budget)
        return BACKGROUND * flow.budget

    def _is_bad(self, state: State, at: float) -> bool:
        if not self.mode.hits(state.service):
            return False
        if self.mode.name == "outage":
            return True
        if self.mode.name == "slow-burn":
            every = BLIP / min(1.0, SLOW_BURN * state.budget)  # the first comes after half of that
            return (at - self.mode.since + every / 2) % every < BLIP
        return False

    # Text

    def _lines(self) -> Iterable[str]:
        for (name, labels), counter in self.counters.items():
            if counter.value or not counter.lazy:
                yield f"{_series(name, labels)} {counter.value:.15g}\n"
        for (name, labels), h in self.histograms.items():
            if h.lazy and not h.total:
                continue
            for bound, count in zip(h.bounds, h.counts, strict=True):
                yield f"{_series(name + '_bucket', (*labels, ('le', shortest(bound))))} {count}\n"
            yield f"{_series(name + '_bucket', (*labels, ('le', '+Inf')))} {h.total}\n"
            yield f"{_series(name + '_count', labels)} {h.total}\n{_series(name + '_sum', labels)} {h.sum:.15g}\n"
        for state in self.states:
            leaves = state.bad if self._is_bad(state, self._now) else state.good
            for key in {**state.good, **state.bad}:
                leaf = leaves.get(key, Leaf("gauge", 0.0))
                number = {"gauge": leaf.number, "clock": self._now + leaf.number}.get(leaf.kind)
                yield f"{_series(*key)} {state.grown.get(key, 0.0) if number is None else number:.15g}\n"
        for key, series in self.steady.items():
            yield f"{_series(*key)} {series.value:.15g}\n"

    # What a stack reads

    def _find_histograms(self, stack: Stack) -> None:
        """Bounds of each histogram family: every latency bound, and some around it."""
        for slo in stack.slos:
            for sli in parts_of(slo.sli).values():
                if isinstance(sli, Latency):
                    base = promql.as_selector(sli.histogram)
                    assert base is not None  # the model refuses anything else
                    self._bounds.setdefault(base.metric, set()).update(sli.bound * f for f in _AROUND)
        for expr in _signal_exprs(stack):
            for selector in promql.selectors(expr):
                if selector.metric.endswith("_bucket"):
                    self._bounds.setdefault(selector.metric.removesuffix("_bucket"), set())

    def _histogram(self, base: str, labels: dict[str, str], lazy: bool = False) -> Histogram:
        bounds = tuple(sorted(self._bounds[base])) or _BUCKETS
        return self.histograms.setdefault(_key(base, labels), Histogram(bounds, [0] * len(bounds), lazy))

    def _sink(self, metric: str, labels: dict[str, str], lazy: bool = False) -> Sink:
        """Where events of a counter go; the count of a histogram is fed through the histogram."""
        base = metric.removesuffix("_count")
        if base != metric and base in self._bounds:
            h = self._histogram(base, labels, lazy)
            return h.fast(h.bounds[len(h.bounds) // 2])
        return self.counters.setdefault(_key(metric, labels), Counter(lazy=lazy)).add

    def _add_slos(self, stack: Stack) -> None:
        done: set[tuple[str, str]] = (
            set()
        )  # indicators that have a flow; a composite's parts are often SLOs too
        for slo in sorted(stack.slos, key=lambda s: isinstance(s.sli, Composite)):
            for name, sli in parts_of(slo.sli).items():
                identity = (repr(sli), repr(slo.service.selector))
                if identity in done:
                    continue
                done.add(identity)
                try:
                    self._add_sli(slo, sli)
                except Unsolvable as error:
                    self.unsolved.append(f"{slo.id}{'/' + name if name else ''}: {error}")

    def _add_sli(self, slo: SLO, sli: Simple) -> None:
        by = dict.fromkeys(slo.by, "group-1")
        budget = float(slo.objective.budget)
        match sli:
            case Ratio():
                good, bad = self._ratio(slo, sli, by)
                self.flows.append(Flow(slo.id, slo.service.name, self._rate, budget, good, bad))
            case Latency():
                if sli.native:
                    raise Unsolvable("the text format has no native histograms")
                selector = promql.as_selector(slo.selects(sli.histogram))
                assert selector is not None
                h = self._histogram(selector.metric, {**witness.labels_for(selector.matchers), **by})
                fast, slow = (h.fast(sli.bound),), (h.slow(sli.bound),)
                self.flows.append(Flow(slo.id, slo.service.name, self._rate, budget, fast, slow))
            case Uptime(quorum=quorum):
                gauge = promql.as_selector(slo.selects(sli.gauge))
                assert gauge is not None
                replicas = range(quorum if isinstance(quorum, int) else 2)
                keys = [
                    _key(
                        gauge.metric, {**witness.labels_for(gauge.matchers), **by, "instance": f"replica-{n}"}
                    )
                    for n in replicas
                ]
                up, down = ({k: Leaf("gauge", v) for k in keys} for v in (1.0, 0.0))
                self.states.append(State(slo.service.name, budget, up, down))
            case TimeSlice(condition=condition):
                self._add_state(slo, promql.in_window(slo.selects(condition), RATE_WINDOW), by)
            case Freshness(timestamp=timestamp, within=within):
                self._add_state(slo, f"time() - {slo.selects(timestamp)} <= {shortest(within.seconds)}", by)

    def _add_state(self, slo: SLO, condition: str, by: dict[str, str]) -> None:
        good, bad = (_keyed(witness.truth(condition, want), by) for want in (True, False))
        self.states.append(State(slo.service.name, float(slo.objective.budget), good, bad))

    def _ratio(self, slo: SLO, sli: Ratio, by: dict[str, str]) -> tuple[tuple[Sink, ...], tuple[Sink, ...]]:
        """Sinks of good and of bad events."""
        outcome = sli.bad if sli.bad is not None else sli.good
        chosen = _one_selector(slo, outcome or "")
        if sli.total is None:  # two counters, one of each outcome
            return (self._fed(_one_selector(slo, sli.good or ""), by),), (self._fed(chosen, by),)
        total = _one_selector(slo, sli.total)
        if total.metric == chosen.metric:  # an outcome label on one metric
            outside, within = _apart(total, chosen)
            apart = (self._sink(total.metric, {**outside, **by}, lazy=sli.good is not None),)
            inside: tuple[Sink, ...] = (
                self._sink(chosen.metric, {**within, **by}, lazy=sli.bad is not None),
            )
        else:
            every = self._fed(total, by)
            apart, inside = (every,), (every, self._fed(chosen, by))
        return (apart, inside) if sli.bad is not None else (inside, apart)

    def _fed(self, selector: Selector, by: dict[str, str]) -> Sink:
        return self._sink(selector.metric, {**witness.labels_for(selector.matchers), **by})

    def _add_monitors(self, stack: Stack) -> None:
        """Values for which no monitor fires. Where several read one series, the example with more series knows
        more about how they hang together, so it is taken first."""
        found: list[tuple[Monitor, dict[Key, Steady]]] = []
        for monitor in stack.all_monitors:
            try:
                found.append((monitor, self._calm(monitor)))
            except Unsolvable as error:
                self.unsolved.append(f"{monitor.name}: {error}")
        have = self._keys()
        for _, series in sorted(found, key=lambda pair: -len(pair[1])):
            for key, steady in series.items():
                if key not in have:
                    self.steady.setdefault(key, steady)
        for (name, _), steady in self.steady.items():
            steady.value = CALM.get(name, steady.value)

    def _calm(self, monitor: Monitor) -> dict[Key, Steady]:
        expr = expression(monitor)
        counters, service = promql.counters(expr), monitor.service.name
        if monitor.silent:
            calm = {
                _parsed(series): self._from_notation(series, values, counters, service)
                for series, values in monitor.silent.items()
            }
            _below_their_bounds(expr, calm)
            return calm
        growth = witness.growth(expr)
        leaves = growth[0] if growth is not None else witness.truth(expr, False)
        return {key: self._from_leaf(leaf, service) for key, leaf in _keyed(leaves, {}).items()}

    def _from_leaf(self, leaf: Leaf, service: str) -> Steady:
        if leaf.kind == "counter":
            return Steady(service, 0.0, leaf.number, scales=True)
        if leaf.kind == "clock":
            return Steady(service, self.start + leaf.number, 1.0, clock=True)
        return Steady(service, leaf.number)

    def _from_notation(self, series: str, values: str, counters: tuple[str, ...], service: str) -> Steady:
        """From promtool's notation, one sample a minute from time 0: a first value and a growth."""
        found = _RUN.match(values)
        if found is None:
            raise Unsolvable(f"{values!r} does not begin with a run of numbers")
        first, slope = float(found[1]), float(found[2] or 0) / 60
        metric = _parsed(series)[0]
        if metric in counters:
            return Steady(service, first, slope, scales=True)
        if slope == 1 or metric.endswith("_timestamp_seconds"):
            return Steady(service, self.start + first, slope, clock=True)
        return Steady(service, first)

    def _add_signals(self, stack: Stack) -> None:
        """Something to draw for every golden signal that nothing else feeds yet."""
        for service in stack.all_services:
            for kind, signals in service.signals.items() if service.signals else ():
                for signal in () if isinstance(signals, NotMeasured) else signals:
                    expr = promql.inject(promql.in_window(signal.expr, RATE_WINDOW), service.selector)
                    counters = promql.counters(expr)
                    for selector in promql.selectors(expr):
                        self._add_signal(selector, service.name, kind, selector.metric in counters)

    def _add_signal(self, selector: Selector, service: str, kind: str, counter: bool) -> None:
        base = re.sub("_(bucket|count|sum)$", "", selector.metric)
        is_histogram = base != selector.metric and base in self._bounds
        names = {selector.metric, base} if is_histogram else {selector.metric}
        for name, labels in self._keys():
            if name in names and witness.matches(
                dict(labels), (m for m in selector.matchers if m.name != "le")
            ):
                return
        wanted = witness.labels_for(selector.matchers)
        if is_histogram:
            h = self._histogram(base, wanted)
            self.flows.append(
                Flow("", service, self._rate, 0.0, (h.fast(h.bounds[-2]),), (h.slow(h.bounds[-2]),))
            )
        elif counter:
            slope = 0.0 if kind == "errors" else self._rate / 10
            self.steady[_key(selector.metric, wanted)] = Steady(service, 0.0, slope, scales=True)
        else:
            self.steady[_key(selector.metric, wanted)] = Steady(service, 1.0)

    def _keys(self) -> set[Key]:
        """Every series there is; a histogram under its base name and those of its parts."""
        return {
            *self.counters,
            *self.histograms,
            *((name + part, labels) for name, labels in self.histograms for part in ("_count", "_sum")),
            *(key for s in self.states for key in (*s.good, *s.bad)),
            *self.steady,
        }


def _below_their_bounds(expr: str, calm: dict[Key, Steady]) -> None:
    """An example may sit on its bound, where a test wants it; a calm day stays well below, where that is known."""
    try:
        leaves = _keyed(witness.truth(expr, False), {})
    except Unsolvable:
        return
    for key, series in calm.items():
        leaf = leaves.get(key)
        if leaf is not None and leaf.kind == "gauge" and 0 <= leaf.number < series.value and not series.clock:
            series.value = leaf.number


def _one_selector(slo: SLO, expr: str) -> Selector:
    found = promql.selectors(slo.selects(expr))
    if len(found) != 1:
        raise Unsolvable(f"{expr} reads {len(found)} selectors; one can be simulated")
    return found[0]


def _apart(total: Selector, chosen: Selector) -> tuple[dict[str, str], dict[str, str]]:
    """Labels of events that only the total selects, and of those both do. A concrete outcome reads better than none."""
    within = witness.labels_for((*total.matchers, *chosen.matchers))
    outside = witness.labels_for(total.matchers, avoid=chosen.matchers)
    for m in chosen.matchers:
        for value in ("200", "ok"):
            better = {**outside, m.name: value}
            if m.name not in outside and witness.matches(better, total.matchers) and not _one(better, m):
                outside = better
    return outside, within


def _one(labels: dict[str, str], matcher: Matcher) -> bool:
    return witness.matches(labels, (matcher,))


def _signal_exprs(stack: Stack) -> Iterable[str]:
    for service in stack.all_services:
        for _, signals in service.signals.items() if service.signals else ():
            for signal in () if isinstance(signals, NotMeasured) else signals:
                yield signal.expr


def _key(name: str, labels: dict[str, str]) -> Key:
    return name, tuple(sorted(labels.items()))


def _parsed(series: str) -> Key:
    """The key of one series in promtool's notation."""
    selector = promql.as_selector(series)
    if selector is None:
        raise Unsolvable(f"{series!r} is not a series")
    return _key(selector.metric, {m.name: m.value for m in selector.matchers})


def _keyed(inputs: Inputs, by: dict[str, str]) -> dict[Key, Leaf]:
    out = {}
    for series, leaf in inputs.items():
        name, labels = _parsed(series)
        out[_key(name, {**dict(labels), **by})] = leaf
    return out


def _series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    inside = ",".join(f"{k}={promql.quote(v)}" for k, v in labels)
    return f"{name}{{{inside}}}" if inside else name
