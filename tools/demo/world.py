"""A platform that behaves: the series of a plan, advancing with time. Counters only grow, histograms are complete."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from alerts.witness import Leaf
from slo.model import Stack
from slo.quantity import shortest
from tools.demo.plan import Plan
from tools.demo.series import Flow, State, text_of

ModeName: TypeAlias = Literal["normal", "outage", "slow-burn", "quiet", "tampered"]
MODES: tuple[ModeName, ...] = get_args(ModeName)

RATE = 10.0  # events per second of each flow at the busiest time of the day
DAY = 900.0  # seconds of a simulated day: traffic swings once in that time
NIGHT = 0.55  # share of the traffic that is left at the quietest time of a normal day
QUIET = 0.02  # share of the traffic that is left in the mode "quiet"
BACKGROUND = 0.1  # burn rate of a normal day
SLOW_BURN = 4.0  # burn rate of the mode "slow-burn": above every ticket's threshold, below every page's
BLIP = 10.0  # seconds of one bad moment of a time-based indicator that burns slowly
STEP = 1.0  # seconds: traffic is taken as constant that long


@dataclass(frozen=True, slots=True)
class Mode:
    """What the platform is doing. Without a service, all of them do it."""

    name: ModeName = "normal"
    service: str = ""
    since: float = 0.0

    def hits(self, service: str) -> bool:
        return self.service in ("", service)


class World:
    """All series of the given stacks. Thread-safe; `clock` is the wall clock unless a test gives its own.

    A test that lets weeks pass gives a longer `day` and `step` too. Without `exporters`, real ones publish their metrics.
    """

    def __init__(
        self,
        *stacks: Stack,
        rate: float = RATE,
        clock: Callable[[], float] = time.time,
        day: float = DAY,
        step: float = STEP,
        exporters: bool = True,
    ) -> None:
        self._clock = clock
        self._day, self._step = day, step
        self._lock = threading.Lock()
        self.start = self._now = clock()
        self.mode = Mode(since=self.start)
        self._exporters = exporters
        plan = Plan(stacks, rate, self.start, exporters)
        self.services, self.unsolved = plan.services, plan.unsolved
        self.flows, self.states, self.steady = plan.flows, plan.states, plan.steady
        self.counters, self.histograms = plan.counters, plan.histograms
        self.published = plan.published
        self._publish(0.0)

    # Switching and reading

    def switch(self, name: str, service: str = "") -> Mode:
        """Change what the platform does, from this moment. Raises ValueError for an unknown mode or service."""
        known = {mode: mode for mode in MODES}
        if name not in known:
            raise ValueError(f"mode {name!r} is unknown: use one of {', '.join(MODES)}")
        if name == "tampered" and not self._exporters:
            raise ValueError(
                "mode 'tampered' is of simulated exporters, and these are real: "
                "start with --release bad, or with --simulate-exporters"
            )
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
            dt = min(self._step, now - self._now)
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
            self._publish(dt)

    def _publish(self, dt: float) -> None:
        for series in self.published:
            series.advance(self._now, dt, self.mode.name if self.mode.hits(series.service) else "normal")

    def _traffic(self, at: float) -> float:
        swing = (1 - math.cos(2 * math.pi * (at - self.start) / self._day)) / 2  # begins at the busiest time
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
                yield f"{text_of(name, labels)} {counter.value:.15g}\n"
        for (name, labels), h in self.histograms.items():
            if h.lazy and not h.total:
                continue
            for bound, count in zip(h.bounds, h.counts, strict=True):
                yield f"{text_of(name + '_bucket', (*labels, ('le', shortest(bound))))} {count}\n"
            yield f"{text_of(name + '_bucket', (*labels, ('le', '+Inf')))} {h.total}\n"
            yield f"{text_of(name + '_count', labels)} {h.total}\n{text_of(name + '_sum', labels)} {h.sum:.15g}\n"
        for state in self.states:
            leaves = state.bad if self._is_bad(state, self._now) else state.good
            for key in {**state.good, **state.bad}:
                leaf = leaves.get(key, Leaf("gauge", 0.0))
                number = {"gauge": leaf.number, "clock": self._now + leaf.number}.get(leaf.kind)
                yield f"{text_of(*key)} {state.grown.get(key, 0.0) if number is None else number:.15g}\n"
        for published in self.published:
            yield f"{text_of(*published.key)} {published.value:.15g}\n"
        for key, series in self.steady.items():
            yield f"{text_of(*key)} {series.value:.15g}\n"
