"""The raw series of a service in a given state, in promtool's notation: what generated tests feed in."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from alerts import witness
from alerts.recording import le_pattern
from alerts.witness import Inputs, Unsolvable
from slo import promql
from slo.model import SLO
from slo.promql import Selector
from slo.quantity import shortest
from slo.sli import Freshness, Latency, Ratio, Simple, TimeSlice, Uptime, parts_of

TRAFFIC = Decimal(10)  # events per second: plenty for every guard


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time with steady traffic (events per second) and a steady share of it bad.

    `reset` restarts counters at 0 first; `unborn` leaves series out that only exist once there are errors;
    `missing` leaves everything out. `blip` is how long one bad moment of a time-based indicator lasts.
    """

    seconds: int
    traffic: Decimal
    bad: Decimal
    reset: bool = False
    unborn: bool = False
    missing: bool = False
    blip: int = 0


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter's share of the good and of the bad events."""

    good: int
    bad: int
    only_errors: bool = False


class Simulator:
    """The raw series of one SLO; built once, run over any phases. Raises Unsolvable when it cannot be."""

    def __init__(self, slo: SLO) -> None:
        self._slo = slo
        self._parts = tuple(parts_of(slo.sli).values())
        self._counters = [_counters(slo, sli) for sli in self._parts]

    def run(self, phases: tuple[Phase, ...], step: int) -> dict[str, str]:
        """promtool's notation of every series over the phases, one sample each `step` seconds."""
        out: dict[str, str] = {}
        for sli, counters in zip(self._parts, self._counters, strict=True):
            if counters is None:
                values = _timed(self._slo, sli, phases, step)
            else:
                values = {n: v for n, c in counters.items() if (v := _counter(c, phases, step))}
            for name, value in values.items():
                if out.setdefault(name, value) != value:
                    raise Unsolvable(f"two parts want {name} differently")
        return out


def simulate(slo: SLO, phases: tuple[Phase, ...], step: int) -> dict[str, str]:
    """Every raw series of the SLO over the phases. Raises Unsolvable."""
    return Simulator(slo).run(phases, step)


def _counters(slo: SLO, sli: Simple) -> dict[str, Counter] | None:
    """The counters of a counting kind; None for a time-based one."""
    match sli:
        case Ratio():
            return _ratio(slo, sli)
        case Latency():
            return _latency(slo, sli)
        case _:
            return None


def _timed(slo: SLO, sli: Simple, phases: tuple[Phase, ...], step: int) -> dict[str, str]:
    match sli:
        case Uptime(quorum=quorum):
            selector = promql.as_selector(slo.selects(sli.gauge))
            assert selector is not None
            replicas = quorum if isinstance(quorum, int) else 2
            series = [
                witness.series_for(selector, {**_by(slo), "instance": f"replica-{n}"})
                for n in range(replicas)
            ]
            return {s: _gauge({s: 1.0}, {s: 0.0}, s, phases, step) for s in series}
        case TimeSlice(condition=condition):
            return _states(slo, promql.in_window(slo.selects(condition), "5m"), phases, step)
        case Freshness(timestamp=timestamp, within=within):
            return _states(
                slo, f"time() - {slo.selects(timestamp)} <= {shortest(within.seconds)}", phases, step
            )
    raise AssertionError(sli)


def _by(slo: SLO) -> dict[str, str]:
    return dict.fromkeys(slo.by, "group-1")


# Counting kinds


def _only(slo: SLO, expr: str) -> Selector:
    found = promql.selectors(slo.selects(expr))
    if len(found) != 1 or not set(promql.counters(expr)) <= {found[0].metric}:
        raise Unsolvable(f"{expr} reads {len(found)} selectors; one can be simulated")
    allowed = ("Call", "AggregateExpr", "ParenExpr", "MatrixSelector", "VectorSelector")
    if any(type(n).__name__ not in allowed for n in promql.walk(promql.parse(expr))):
        raise Unsolvable(f"{expr} does more than sum a rate")
    return found[0]


def _ratio(slo: SLO, sli: Ratio) -> dict[str, Counter]:
    by = _by(slo)
    if sli.total is None:
        good, bad = _only(slo, sli.good or ""), _only(slo, sli.bad or "")
        return {
            witness.series_for(good, by): Counter(1, 0),
            witness.series_for(bad, by): Counter(0, 1, only_errors=True),
        }
    total = _only(slo, sli.total)
    chosen = _only(slo, sli.bad if sli.bad is not None else sli.good or "")
    is_bad = sli.bad is not None
    if chosen.metric != total.metric:
        return {
            witness.series_for(total, by): Counter(1, 1),
            witness.series_for(chosen, by): Counter(0, 1, only_errors=True) if is_bad else Counter(1, 0),
        }
    both = witness.labels_for((*total.matchers, *chosen.matchers))
    rest = witness.labels_for(total.matchers, avoid=chosen.matchers)
    inside = promql.series(total.metric, {**both, **by})
    outside = promql.series(total.metric, {**rest, **by})
    return {
        outside: Counter(1, 0) if is_bad else Counter(0, 1),
        inside: Counter(0, 1, only_errors=True) if is_bad else Counter(1, 0),
    }


def _latency(slo: SLO, sli: Latency) -> dict[str, Counter]:
    if sli.native:
        raise Unsolvable("promtool 2.42 has no notation for native histograms")
    selector = promql.as_selector(slo.selects(sli.histogram))
    assert selector is not None
    labels = {**witness.labels_for(selector.matchers), **_by(slo)}
    bound = le_pattern(sli.bound).split("|")[0].replace("\\", "")
    return {
        promql.series(f"{selector.metric}_bucket", {**labels, "le": bound}): Counter(1, 0),
        promql.series(f"{selector.metric}_bucket", {**labels, "le": "+Inf"}): Counter(1, 1),
        promql.series(f"{selector.metric}_count", labels): Counter(1, 1),
    }


def _counter(c: Counter, phases: tuple[Phase, ...], step: int) -> str:
    """`start+slopexN` runs, one a phase. The value continues across phases unless a phase resets it."""
    now, runs = Decimal(0), []
    for phase in phases:
        samples = phase.seconds // step
        if phase.missing or (phase.unborn and c.only_errors):
            runs.append(f"_x{samples}")
            continue
        if phase.reset:
            now = Decimal(0)
        slope = phase.traffic * (c.good * (1 - phase.bad) + c.bad * phase.bad) * step
        runs.append(f"{_text(now)}+{_text(slope)}x{samples - 1}")
        now += slope * samples
    return " ".join(runs) if any(not r.startswith("_") for r in runs) else ""


# Time-based kinds


def _states(slo: SLO, condition: str, phases: tuple[Phase, ...], step: int) -> dict[str, str]:
    good, bad = witness.truth(condition, True), witness.truth(condition, False)
    by = _by(slo)
    out = {}
    for name in {**good, **bad}:
        labelled = _with(name, by)
        kinds = {leaf.kind for state in (good, bad) if (leaf := state.get(name))}
        if "counter" in kinds:
            out[labelled] = _slopes(good, bad, name, phases, step)
        elif kinds == {"clock"}:
            out[labelled] = _clock(good, bad, name, phases, step)
        else:
            out[labelled] = _gauge(_numbers(good), _numbers(bad), name, phases, step)
    return out


def _numbers(state: Inputs) -> dict[str, float]:
    return {name: leaf.number for name, leaf in state.items()}


def _with(series: str, labels: dict[str, str]) -> str:
    if not labels:
        return series
    selector = promql.as_selector(series)
    assert selector is not None
    return promql.series(selector.metric, {**{m.name: m.value for m in selector.matchers}, **labels})


def _moments(phase: Phase, step: int) -> list[bool]:
    """Which samples of a phase are bad: evenly spaced blips that make up the bad share."""
    count = phase.seconds // step
    if phase.bad in (0, 1):
        return [phase.bad == 1] * count
    length = max(1, phase.blip // step)
    every = max(length + 1, int(length / phase.bad))
    return [i % every >= every - length for i in range(count)]


def _runs(phase: Phase, step: int) -> list[tuple[bool, int]]:
    runs: list[tuple[bool, int]] = []
    for bad in _moments(phase, step):
        if runs and runs[-1][0] == bad:
            runs[-1] = (bad, runs[-1][1] + 1)
        else:
            runs.append((bad, 1))
    return runs


def _gauge(
    good: dict[str, float], bad: dict[str, float], name: str, phases: tuple[Phase, ...], step: int
) -> str:
    out = []
    for phase in phases:
        if phase.missing:
            out.append(f"NaN+0x{phase.seconds // step - 1}")  # a value that is none
            continue
        for is_bad, count in _runs(phase, step):
            value = (bad if is_bad else good).get(name, 0.0)
            out.append(f"{value:.12g}x{count - 1}")
    return " ".join(out)


def _clock(good: Inputs, bad: Inputs, name: str, phases: tuple[Phase, ...], step: int) -> str:
    out, at = [], 0
    for phase in phases:
        if phase.missing:
            out.append(f"NaN+0x{phase.seconds // step - 1}")
            at += phase.seconds
            continue
        for is_bad, count in _runs(phase, step):
            ahead = (bad if is_bad else good)[name].number
            out.append(f"{ahead + at:.12g}+{step}x{count - 1}")
            at += count * step
    return " ".join(out)


def _slopes(good: Inputs, bad: Inputs, name: str, phases: tuple[Phase, ...], step: int) -> str:
    out, now = [], 0.0
    for phase in phases:
        if phase.missing:
            out.append(f"_x{phase.seconds // step}")
            continue
        for is_bad, count in _runs(phase, step):
            leaf = (bad if is_bad else good).get(name)
            slope = (leaf.number if leaf else 0.0) * step
            out.append(f"{now:.12g}+{slope:.12g}x{count - 1}")
            now += slope * count
    return " ".join(out)


def _text(value: Decimal) -> str:
    return shortest(value.quantize(Decimal("0.000000001")))
