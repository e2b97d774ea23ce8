"""A rollout under watch: sampled while it runs, compared with the time before, ended as soon as it must be.

At each look the events since the rollout began are compared with those of the baseline before it, SLO by SLO, by the
test of `slo.gate.regression`. The rollout is aborted when one SLO is significantly worse and burns its budget faster
than it may, or when an alert pages that did not when it began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from slo import names, promql, status
from slo.errors import DefinitionError, QueryError
from slo.gate.regression import Counts, bound, p_value, regressed
from slo.gate.verdict import Evidence, Outcome, Result, Verdict, decide
from slo.model import SLO, Stack
from slo.prometheus import Prometheus, Sample
from slo.quantity import Duration

GROUP = "rollout"
BLIND = 300  # seconds without an answer after which the end of a watch is unknown
SHORTEST_BASELINE = 3600  # seconds
Key = tuple[str, str]  # an SLO, and what sets one of its series apart


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is watched: a component, for how long, how often, and against how long a time before. Seconds."""

    component: str
    seconds: int
    every: int
    base: int  # the base window of the rules: its first samples still hold what was before
    interval: int  # of the rules: one slice of a time-based SLO

    @property
    def looks(self) -> int:
        return max(self.seconds // self.every, 1)

    @property
    def baseline(self) -> int:
        return max(self.seconds, SHORTEST_BASELINE)


@dataclass(slots=True)
class Look:
    """What one look found; `error` when Prometheus gave no answer."""

    at: float
    before: dict[Key, Counts] = field(default_factory=dict)
    now: dict[Key, Counts] = field(default_factory=dict)
    pages: frozenset[str] = frozenset()
    error: str = ""


def watched(stack: Stack, component: str) -> tuple[SLO, ...]:
    """The SLOs of a service. DefinitionError names those that have any."""
    found = tuple(s for s in stack.slos if s.service.name == component)
    if not found:
        known = ", ".join(sorted({s.service.name for s in stack.slos}))
        raise DefinitionError(f"no SLO is of component {component!r}: choose one of {known}")
    return found


def watch(
    prometheus: Prometheus,
    stack: Stack,
    rollout: Rollout,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    told: Callable[[Look], None] = lambda look: None,
) -> Verdict:
    """Look until the time is over or the rollout must be aborted; the verdict names each SLO."""
    slos = watched(stack, rollout.component)
    start = clock()
    first = _look(prometheus, stack, slos, rollout, start, start)
    last, best, answered = first, first, start if not first.error else 0.0
    while True:
        told(last)
        if not last.error:
            best, answered = last, last.at
            results = _results(slos, rollout, best, first.pages)
            if any(r.outcome is Outcome.FAILED for r in results):
                break
        if last.at - start >= rollout.seconds:
            results = _results(slos, rollout, best, first.pages)
            break
        sleep(rollout.every)
        last = _look(prometheus, stack, slos, rollout, start, clock())
    if last.at - answered > BLIND or best.error:
        results.append(_blind(last.error))
    return Verdict(
        release=rollout.component, source="", target="", at=datetime.fromtimestamp(last.at, UTC),
        decision=decide(results, unknown_blocks=True), results=tuple(results), policy="regression watch",
        warnings=tuple(prometheus.warnings), queries=prometheus.queries,
    )  # fmt: skip


def _blind(error: str) -> Result:
    return Result("prometheus", GROUP, Outcome.UNKNOWN,
                  f"Prometheus gave no answer for the last {BLIND // 60} minutes of the watch: {error or 'none at all'}.",
                  remedy="Nothing is known of the end of the rollout: look yourself, or watch again.")  # fmt: skip


def _look(
    prometheus: Prometheus, stack: Stack, slos: Sequence[SLO], rollout: Rollout, start: float, at: float
) -> Look:
    look = Look(at)
    try:
        severity = stack.severities["page"]
        ids = {s.id for s in slos}
        look.pages = frozenset(
            a.labels.get("alertname", "?") + " of " + a.labels.get("slo", a.labels.get("service", "?"))
            for a in status.firing(prometheus, stack, at)
            if a.labels.get("severity") == severity
            and (a.labels.get("slo") in ids or a.labels.get("service") == rollout.component)
        )
        since = int(at - start) - rollout.base
        if since > 0:
            look.now = _counts(prometheus, stack, slos, rollout, since, at)
        look.before = _counts(prometheus, stack, slos, rollout, rollout.baseline, start)
    except QueryError as error:
        look.error = str(error)
    return look


def _counts(
    prometheus: Prometheus, stack: Stack, slos: Sequence[SLO], rollout: Rollout, seconds: int, at: float
) -> dict[Key, Counts]:
    """Bad and all events of each series over the seconds up to a moment."""
    chosen = {"stack": stack.name, "slo": "~" + promql.any_of([s.id for s in slos])}
    query = " or ".join(
        f'label_replace(avg_over_time({names.sel(name, **chosen)}[{seconds}s]), "of", "{of}", "", "")'
        for name, of in ((names.ERRORS, "bad"), (names.TOTAL, "total"))
    )
    timed = {s.id for s in slos if s.unit == "seconds" and s.sli.kind != "composite"}
    sums: dict[Key, dict[str, Decimal]] = {}
    for sample in prometheus.query(query, at):
        value = sample.decimal
        if value is not None:
            # A time-based series is judged by its slices: seconds of one slice are no independent events.
            slices = rollout.interval if sample.labels.get("slo") in timed else 1
            sums.setdefault(_key(sample), {})[sample.labels["of"]] = value * seconds / slices
    return {key: Counts(s.get("bad", Decimal(0)), s["total"]) for key, s in sums.items() if "total" in s}


def _key(sample: Sample) -> Key:
    apart = {k: v for k, v in sample.labels.items() if k not in ("stack", "slo", "of")}
    return sample.labels.get("slo", ""), ",".join(f"{k}={v}" for k, v in sorted(apart.items()))


def _results(slos: Sequence[SLO], rollout: Rollout, look: Look, pages_before: frozenset[str]) -> list[Result]:
    """One result a series, and one for the alerts."""
    keys = sorted(look.now.keys() | look.before.keys())
    level = bound(rollout.looks, len(keys))
    budgets = {s.id: s.objective.budget for s in slos}
    results = [_result(key, look, budgets[key[0]], level) for key in keys if key[0] in budgets]
    seen = {key[0] for key in look.now}
    results += [_unmeasured(s.id) for s in slos if s.id not in seen | {k[0] for k in look.before}]
    return [*results, *_paged(look.pages - pages_before)]


def _paged(fresh: frozenset[str]) -> Iterator[Result]:
    for name in sorted(fresh):
        yield Result(f"page/{name.replace(' of ', '/')}", GROUP, Outcome.FAILED,
                     f"{name} pages since the rollout began.", remedy="Roll back.")  # fmt: skip
    if not fresh:
        yield Result("page", GROUP, Outcome.PASSED, "No alert pages that did not before.")


def _unmeasured(slo: str) -> Result:
    return Result(f"slo/{slo}", GROUP, Outcome.UNKNOWN, f"{slo} was measured neither before nor during the rollout.",
                  remedy="See whether the rules are evaluated.")  # fmt: skip


def _result(key: Key, look: Look, budget: Decimal, level: float) -> Result:
    slo, apart = key
    before = look.before.get(key, Counts(Decimal(0), Decimal(0)))
    now = look.now.get(key, Counts(Decimal(0), Decimal(0)))
    name = slo + (f" [{apart}]" if apart else "")
    check = f"slo/{slo}" + (f"/{apart}" if apart else "")
    said = f"{name}: {_said(now)} bad now, {_said(before)} before"
    p = p_value(before, now)
    evidence = (Evidence("Fisher's exact test, one-sided", f"p = {p:.3g}", f"aborts below {level:.3g}"),)
    if now.total <= 0:
        if before.total <= 0:
            return Result(check, GROUP, Outcome.PASSED, f"{name}: no events before, and none now.", evidence)
        return Result(check, GROUP, Outcome.UNKNOWN, f"{name}: no events since the rollout began.", evidence,
                      "Send it traffic, or watch longer.")  # fmt: skip
    if before.total <= 0:
        return Result(check, GROUP, Outcome.UNKNOWN, f"{said}: nothing to compare with.", evidence,
                      "Watch a component that was measured before.")  # fmt: skip
    if regressed(before, now, budget, level):
        return Result(check, GROUP, Outcome.FAILED, f"{said}: worse, and beyond its budget's rate.", evidence,
                      "Roll back.")  # fmt: skip
    return Result(check, GROUP, Outcome.PASSED, f"{said}.", evidence)


def _said(counts: Counts) -> str:
    ratio = counts.ratio
    return "nothing of 0" if ratio is None else f"{status.percent(ratio)} of {int(counts.total)}"


def duration(text: str, least: int) -> int:
    """Whole seconds, at least so many."""
    seconds = int(Duration.parse(text).seconds)
    if seconds < least:
        raise DefinitionError(f"{text!r} is too short to watch: take {Duration.of(least)} at least")
    return seconds
