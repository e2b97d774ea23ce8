"""What a watch sees: the events of a component since its rollout began, and those before, as the rules recorded them.

Events are those that were recorded: a sum of rates times the spacing of the rules' evaluations. What nobody recorded,
before the watch or in a gap of it, is counted on neither side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from slo import names, promql, status
from slo.errors import QueryError
from slo.gate.regression import Counts
from slo.model import SLO, Stack
from slo.prometheus import Prometheus, Sample
from slo.quantity import Duration
from slo.sli import Composite, counts_time, parts_of

SHORTEST_BASELINE = 3600  # seconds
PATIENCE = 120  # seconds after the end in which a server that restarts may come back
Key = tuple[str, str]  # an SLO, and what sets one of its series apart


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is watched: a component, for how many seconds, and how many there are between two looks."""

    component: str
    seconds: int
    every: int

    @property
    def looks(self) -> int:
        """The most there can be."""
        return (self.seconds + PATIENCE) // self.every + 1

    @property
    def baseline(self) -> int:
        return max(self.seconds, SHORTEST_BASELINE)


@dataclass(frozen=True, slots=True)
class Seen:
    """One series over a stretch of time: its events, the seconds that were recorded, whether it was at the end."""

    counts: Counts
    seconds: Decimal
    fresh: bool


@dataclass(frozen=True, slots=True)
class Before:
    """What was before the rollout: events, and what paged. `base` is the rules' base window in seconds.

    A sample of the rules tells of the whole base window before it, so those of the rollout's first base window still
    tell of what was before it.
    """

    seen: dict[Key, Seen]
    pages: frozenset[str]
    base: int


@dataclass(slots=True)
class Look:
    """What one look found; `error` when Prometheus gave no answer, `warnings` where its answer may be partial."""

    at: float
    before: Before | None = None
    since: int = 0  # seconds that can be judged: those of the rollout without its first base window
    now: dict[Key, Seen] = field(default_factory=dict)
    pages: frozenset[str] = frozenset()
    error: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it is a word on the present of every series that was measured before or since."""
        if self.error or self.before is None or not self.now:
            return False
        return self.before.seen.keys() <= self.now.keys() and all(s.fresh for s in self.now.values())


@dataclass(slots=True)
class Watcher:
    """Asks Prometheus about some SLOs since a moment (Unix time); what was before, once it has been told."""

    prometheus: Prometheus
    stack: Stack
    slos: Sequence[SLO]
    rollout: Rollout
    start: float
    _before: Before | None = None

    def look(self, at: float) -> Look:
        look = Look(at)
        self.prometheus.warnings = []
        try:
            look.before = before = self._before or self._past(at)
            if before is not None:
                look.since = max(int(at - self.start) - before.base, 0)
                look.pages = self._pages(at)
                look.now = self._seen(look.since, at, before.base) if look.since else {}
        except QueryError as error:
            look.error = str(error)
        look.warnings = tuple(self.prometheus.warnings)
        if not look.error and not look.warnings:  # what may be partial is asked for again
            self._before = look.before
        return look

    def _past(self, at: float) -> Before | None:
        """None when no rule of these SLOs has run in the last hour."""
        budgets = self.prometheus.query(f"last_over_time({self._select(names.BUDGET)}[1h])", at)
        bases = [int(Duration.parse(b.labels["base"]).seconds) for b in budgets if "base" in b.labels]
        if not bases:
            return None
        seen = self._seen(self.rollout.baseline, self.start, max(bases))
        return Before(seen, self._pages(self.start), max(bases))

    def _pages(self, at: float) -> frozenset[str]:
        severity, ids = self.stack.severities["page"], {s.id for s in self.slos}
        return frozenset(
            a.labels.get("alertname", "?") + " of " + a.labels.get("slo", a.labels.get("service", "?"))
            for a in status.firing(self.prometheus, self.stack, at)
            if a.labels.get("severity") == severity
            and (a.labels.get("slo") in ids or a.labels.get("service") == self.rollout.component)
        )

    def _select(self, name: str) -> str:
        return names.sel(name, stack=self.stack.name, slo="~" + promql.any_of([s.id for s in self.slos]))

    def _seen(self, seconds: int, at: float, base: int) -> dict[Key, Seen]:
        """Each series over the seconds up to a moment; without the rules' spacing nothing can be counted."""
        total = self._select(names.TOTAL)
        asked = {
            "bad": f"sum_over_time({self._select(names.ERRORS)}[{seconds}s])",
            "total": f"sum_over_time({total}[{seconds}s])",
            "samples": f"count_over_time({total}[{seconds}s])",
            "newest": f"timestamp({total})",
            "tick": f"min_over_time({names.sel(names.TICK, stack=self.stack.name)}[1h])",
        }
        query = " or ".join(f'label_replace({q}, "of", "{of}", "", "")' for of, q in asked.items())
        ours, ticks = {s.id for s in self.slos}, list[Decimal]()
        found: dict[Key, dict[str, Decimal]] = {}
        for sample in self.prometheus.query(query, at):
            value, of = sample.decimal, sample.labels.get("of", "")
            if value is not None and of == "tick":
                ticks.append(value)
            elif value is not None and sample.labels.get("slo") in ours:
                found.setdefault(_key(sample), {})[of] = value
        tick = min(ticks, default=Decimal(0))
        if tick <= 0:
            return {}
        return {
            key: Seen(
                self._counts(key, of, tick),
                seconds=min(of["samples"] * tick, Decimal(seconds)),
                fresh=of.get("newest", Decimal(0)) >= Decimal(at) - base,
            )
            for key, of in found.items()
            if {"total", "samples"} <= of.keys()
        }

    def _counts(self, key: Key, of: dict[str, Decimal], tick: Decimal) -> Counts:
        # A sample of a time-based series is one slice: its seconds are no independent events.
        each = Decimal(1) if self._timed(key) else tick
        return Counts(of.get("bad", Decimal(0)) * each, of["total"] * each)

    def _timed(self, key: Key) -> bool:
        """Whether a series counts time; one of a composite is of one of its parts."""
        slo = next(s for s in self.slos if s.id == key[0])
        apart = key[1].split(",")
        for part, sli in parts_of(slo.sli).items():
            if not isinstance(slo.sli, Composite) or {f"component={part}", f"part={part}"} & set(apart):
                return counts_time(sli)
        return False


def _key(sample: Sample) -> Key:
    apart = {k: v for k, v in sample.labels.items() if k not in ("stack", "slo", "of")}
    return sample.labels.get("slo", ""), ",".join(f"{k}={v}" for k, v in sorted(apart.items()))
