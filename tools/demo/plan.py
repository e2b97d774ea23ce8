"""Every raw series a stack reads, derived from its definitions.

Indicators that count events get a flow of events; time-based ones get a good and a bad state; what only monitors
and golden signals read stays at values for which nothing fires. An indicator that also selects another one's events
counts those too: an availability over all routes sees the slow requests of a latency SLO as good ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from alerts import witness
from alerts.monitors import RATE_WINDOW, expression
from alerts.witness import Leaf, Unsolvable
from exporters.metrics import WRITE_DURATION
from slo import promql
from slo.model import SLO, Monitor, NotMeasured, Stack
from slo.promql import Matcher, Selector
from slo.quantity import shortest
from slo.sli import Composite, Freshness, Latency, Ratio, Simple, TimeSlice, Uptime, parts_of
from tools.demo import pods
from tools.demo.series import (
    Counter,
    Flow,
    Histogram,
    Key,
    Sink,
    State,
    Steady,
    in_turn,
    key_of,
    keyed,
    parsed,
)

_BUCKETS = tuple(Decimal(b) for b in ("0.005", "0.01", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10"))
_AROUND = tuple(Decimal(f) for f in ("0.1", "0.25", "0.5", "1", "2", "4"))
_RUN = re.compile(r"(-?[\d.]+(?:[eE][+-]?\d+)?)(?:([+-][\d.]+(?:[eE][+-]?\d+)?))?x\d+")

# Where examples of two monitors contradict each other: off, so that no algorithm is wrong.
CALM = {"stella_fips_required": 0.0}


class Plan:
    """The series of the given stacks at their beginning. `rate` is each flow's events per second.

    Without `exporters`, what our exporters publish is left out: real ones run.
    """

    def __init__(self, stacks: tuple[Stack, ...], rate: float, start: float, exporters: bool = True) -> None:
        watched = exporters and any(pods.reads(stack) for stack in stacks)
        self._spread = pods.spread if watched else _alone
        self.published = list(pods.published()) if watched else []
        self._rate = rate
        self._start = start
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
        if watched:
            self._add_flow("rekor", WRITE_DURATION.name, {})
        if not exporters:
            self._leave_out_exporters()

    def _leave_out_exporters(self) -> None:
        """Their events still flow, into series that nobody sees."""
        self.counters = {key: c for key, c in self.counters.items() if not pods.ours(key)}
        self.histograms = {key: h for key, h in self.histograms.items() if not pods.ours(key)}
        self.steady = {key: s for key, s in self.steady.items() if not pods.ours(key)}
        self.states = [s for s in self.states if not any(map(pods.ours, s.good))]

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
        bounds = tuple(sorted(pods.BUCKETS.get(base) or self._bounds[base])) or _BUCKETS
        return self.histograms.setdefault(key_of(base, labels), Histogram(bounds, [0] * len(bounds), lazy))

    def _sink(self, metric: str, labels: dict[str, str], lazy: bool = False) -> Sink:
        """Where events of a counter go; the count of a histogram is fed through the histogram."""
        base = metric.removesuffix("_count")
        if base != metric and base in self._bounds:
            return in_turn([h.fast(h.bounds[len(h.bounds) // 2]) for h in self._timers(base, labels, lazy)])
        return in_turn(
            [
                self.counters.setdefault(key_of(metric, {**more, **labels}), Counter(lazy=lazy)).add
                for more in self._spread(metric)
            ]
        )

    def _timers(self, base: str, labels: dict[str, str], lazy: bool = False) -> list[Histogram]:
        return [self._histogram(base, {**more, **labels}, lazy) for more in self._spread(base)]

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
                timers = self._timers(selector.metric, {**witness.labels_for(selector.matchers), **by})
                fast = (in_turn([h.fast(sli.bound) for h in timers]),)
                slow = (in_turn([h.slow(sli.bound) for h in timers]),)
                self.flows.append(Flow(slo.id, slo.service.name, self._rate, budget, fast, slow))
            case Uptime(quorum=quorum):
                gauge = promql.as_selector(slo.selects(sli.gauge))
                assert gauge is not None
                replicas = range(quorum if isinstance(quorum, int) else 2)
                keys = [
                    key_of(
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
        good, bad = (keyed(witness.truth(condition, want), by) for want in (True, False))
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
                if key not in have and not self._is_published(key):
                    self.steady.setdefault(key, steady)
        for (name, _), steady in self.steady.items():
            steady.value = CALM.get(name, steady.value)

    def _calm(self, monitor: Monitor) -> dict[Key, Steady]:
        expr = expression(monitor)
        counters, service = promql.counters(expr), monitor.service.name
        if monitor.silent:
            calm = {
                parsed(series): self._from_notation(series, values, counters, service)
                for series, values in monitor.silent.items()
            }
            _below_their_bounds(expr, calm)
            return calm
        growth = witness.growth(expr)
        leaves = growth[0] if growth is not None else witness.truth(expr, False)
        return {key: self._from_leaf(leaf, service) for key, leaf in keyed(leaves, {}).items()}

    def _from_leaf(self, leaf: Leaf, service: str) -> Steady:
        if leaf.kind == "counter":
            return Steady(service, 0.0, leaf.number, scales=True)
        if leaf.kind == "clock":
            return Steady(service, self._start + leaf.number, 1.0, clock=True)
        return Steady(service, leaf.number)

    def _from_notation(self, series: str, values: str, counters: tuple[str, ...], service: str) -> Steady:
        """From promtool's notation, one sample a minute from time 0: a first value and a growth."""
        found = _RUN.match(values)
        if found is None:
            raise Unsolvable(f"{values!r} does not begin with a run of numbers")
        first, slope = float(found[1]), float(found[2] or 0) / 60
        metric = parsed(series)[0]
        if metric in counters:
            return Steady(service, first, slope, scales=True)
        if slope == 1 or metric.endswith("_timestamp_seconds"):
            return Steady(service, self._start + first, slope, clock=True)
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
                    self._split_up(expr)

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
            self._add_flow(service, base, wanted)
        elif counter:
            slope = 0.0 if kind == "errors" else self._rate / 10
            self.steady[key_of(selector.metric, wanted)] = Steady(service, 0.0, slope, scales=True)
        else:
            self.steady[key_of(selector.metric, wanted)] = Steady(service, 1.0)

    def _add_flow(self, service: str, base: str, labels: dict[str, str]) -> None:
        """Events of a histogram that no SLO reads."""
        timers = self._timers(base, labels)
        good = in_turn([h.fast(h.bounds[-2]) for h in timers])
        bad = in_turn([h.slow(h.bounds[-2]) for h in timers])
        self.flows.append(Flow("", service, self._rate, 0.0, (good,), (bad,)))

    def _split_up(self, expr: str) -> None:
        """A signal that groups a gauge by a label which nothing gave a value: one series for each value in use."""
        for node in promql.walk(promql.parse(expr)):
            grouped = type(node).__name__ == "AggregateExpr" and type(node.expr).__name__ == "VectorSelector"
            for label in node.modifier.labels if grouped and node.modifier is not None else ():
                name = promql.selector_of(node.expr).metric
                whole = self.steady.pop(key_of(name, {}), None)
                if whole is None:
                    continue
                values = {dict(labels)[label] for _, labels in self._keys() if label in dict(labels)}
                for value in sorted(values) or ["a", "b"]:
                    self.steady[key_of(name, {label: value})] = replace(whole)

    def _is_published(self, key: Key) -> bool:
        """Whether our exporters publish this series, with more labels perhaps."""
        if not self.published or key[0] in pods.NAMES:
            return bool(self.published)
        return any(p.key[0] == key[0] and {*key[1]} <= {*p.key[1]} for p in self.published)

    def _keys(self) -> set[Key]:
        """Every series there is; a histogram under its base name and those of its parts."""
        return {
            *self.counters,
            *self.histograms,
            *((name + part, labels) for name, labels in self.histograms for part in ("_count", "_sum")),
            *(key for s in self.states for key in (*s.good, *s.bad)),
            *self.steady,
            *(p.key for p in self.published),
        }


def _below_their_bounds(expr: str, calm: dict[Key, Steady]) -> None:
    """An example may sit on its bound, where a test wants it; a calm day stays well below, where that is known."""
    try:
        leaves = keyed(witness.truth(expr, False), {})
    except Unsolvable:
        return
    for key, series in calm.items():
        leaf = leaves.get(key)
        if leaf is not None and leaf.kind == "gauge" and 0 <= leaf.number < series.value and not series.clock:
            series.value = leaf.number


def _alone(metric: str) -> list[dict[str, str]]:
    return [{}]


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
