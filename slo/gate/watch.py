"""A rollout under watch: sampled while it runs, compared with the time before, ended as soon as it must be.

At each look the events since the rollout began are compared with those of the baseline before it, SLO by SLO, by the
test of `slo.gate.regression`. The rollout is aborted when one SLO is significantly worse and burns its budget faster
than it may, or when an alert pages that did not when it began. It may go on when all was seen to the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from slo import status
from slo.errors import DefinitionError
from slo.gate.evaluate import doubted
from slo.gate.look import PATIENCE, Key, Look, Rollout, Seen, Watcher
from slo.gate.regression import Counts, bound, p_value, regressed, telling
from slo.gate.verdict import Evidence, Outcome, Result, Verdict, decide
from slo.model import SLO, Stack
from slo.prometheus import Prometheus
from slo.quantity import Duration, shortest

GROUP = "rollout"
SHORTEST = 120  # seconds: the first base window of the rules, one to five minutes, tells nothing
# Of the time since the rollout began: a restart leaves a gap, a watch has no more.
LEAST_SEEN = Decimal("0.5")
SCRAPED = "See whether it is scraped, and its rules are evaluated."
TRAFFIC = "Send it traffic, or watch longer."
NOTHING = Seen(Counts(Decimal(0), Decimal(0)), Decimal(0), fresh=False)


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
    """Look until the time is over or the rollout must be aborted; the verdict names each SLO.

    A last look that was not answered, or in which something is not measured any more, is taken again for as long as
    PATIENCE says; then it is unknown.
    """
    slos = watched(stack, rollout.component)
    start = clock()
    watcher = Watcher(prometheus, stack, slos, rollout, start)
    last = answered = watcher.look(start)
    while True:
        told(last)
        answered = answered if last.error else last
        results = _results(slos, rollout, answered)
        over = last.at - start - rollout.seconds
        failed = any(r.outcome is Outcome.FAILED for r in results)
        if failed or over >= PATIENCE or (over >= 0 and last.complete):
            break
        sleep(rollout.every)
        last = watcher.look(clock())
    if last.error:
        results.append(_blind(last.error))
    return Verdict(
        release=rollout.component, source="", target="", at=datetime.fromtimestamp(last.at, UTC),
        decision=decide(results, unknown_blocks=True), results=tuple(results), policy="regression watch",
        warnings=answered.warnings, queries=prometheus.queries,
    )  # fmt: skip


def _blind(error: str) -> Result:
    return Result("prometheus", GROUP, Outcome.UNKNOWN,
                  f"Prometheus gave no answer at the end of the watch, nor within {Duration.of(PATIENCE)} after it: {error}.",
                  remedy="Nothing is known of the end of the rollout: look yourself, or watch again.")  # fmt: skip


def _results(slos: Sequence[SLO], rollout: Rollout, look: Look) -> list[Result]:
    """One result a series, and one for the alerts; none of a look that was not answered."""
    if look.error:
        return []
    before = look.before.seen if look.before else {}
    keys = sorted(look.now.keys() | before.keys())
    level = bound(rollout.looks, len(keys))
    budgets = {s.id: s.objective.budget for s in slos}
    # Where nothing happens, before or now, there is nothing to lose; but a rollout is not shown to be good by that.
    idle = not any(s.counts.total > 0 for s in look.now.values())
    pairs = [_Pair(k, before.get(k, NOTHING), look.now.get(k, NOTHING), budgets[k[0]], level) for k in keys]
    results = [_result(pair, rollout, look.since, idle) for pair in pairs]
    measured = {key[0] for key in keys}
    results += [_unmeasured(s.id) for s in slos if s.id not in measured]
    if look.before is not None:
        results += _paged(look.pages - look.before.pages)
    return doubted(results, look.warnings)


def _paged(fresh: frozenset[str]) -> Iterator[Result]:
    for name in sorted(fresh):
        yield Result(f"page/{name.replace(' of ', '/')}", GROUP, Outcome.FAILED,
                     f"{name} pages since the rollout began.", remedy="Roll back.")  # fmt: skip
    if not fresh:
        yield Result("page", GROUP, Outcome.PASSED, "No alert pages that did not before.")


def _unmeasured(slo: str) -> Result:
    return Result(f"slo/{slo}", GROUP, Outcome.UNKNOWN, f"{slo} was measured neither before nor during the rollout.",
                  remedy="See whether the rules are evaluated.")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pair:
    """One series before and since, its budget, and the p-value below which it is worse."""

    key: Key
    before: Seen
    now: Seen
    budget: Decimal
    level: float


def _result(pair: _Pair, rollout: Rollout, since: int, idle: bool) -> Result:
    slo, apart = pair.key
    before, now = pair.before.counts, pair.now.counts
    p = p_value(before, now)
    evidence = (Evidence("Fisher's exact test, one-sided", _p(p), f"aborts below {pair.level:.3g}"),)
    name = slo + (f" [{apart}]" if apart else "")
    check = f"slo/{slo}" + (f"/{apart}" if apart else "")
    said = f"{_said(now)} bad now, {_said(before)} before"
    if regressed(before, now, pair.budget, pair.level):
        sentence = (
            f"{name}: {said}: significantly worse ({_p(p)}, which aborts below {pair.level:.2g}), "
            f"and its budget burns {_times(now, pair.budget)} as fast as it may."
        )
        return Result(check, GROUP, Outcome.FAILED, sentence, evidence, "Roll back.")
    if now.total <= 0 and before.total <= 0 and not idle and pair.now.fresh:
        return Result(check, GROUP, Outcome.PASSED, f"{name}: no events before, and none now.", evidence)
    reason, remedy = _doubt(pair, rollout, since)
    if reason:
        return Result(check, GROUP, Outcome.UNKNOWN, f"{name}: {said}; {reason}.", evidence, remedy)
    return Result(check, GROUP, Outcome.PASSED, f"{name}: {said}.", evidence)


def _doubt(pair: _Pair, rollout: Rollout, since: int) -> tuple[str, str]:
    """Why one cannot tell, and what to do about it; empty when one can: it was not worse, and would have been seen."""
    before, now = pair.before, pair.now
    if now is NOTHING:
        return "not measured since the rollout began", SCRAPED
    if not now.fresh:
        return "not measured any more", SCRAPED
    if now.seconds < LEAST_SEEN * since:
        return f"measured for only {_seconds(now.seconds)} of {_seconds(since)}", "Watch again."
    if now.counts.total <= 0:
        return "no events since the rollout began", TRAFFIC
    if before.counts.total <= 0:
        return "nothing to compare with", "Watch a component that was measured, and had traffic, before."
    if before.seconds < LEAST_SEEN * rollout.seconds:
        return (
            f"measured for only {_seconds(before.seconds)} before the rollout",
            "Watch a component that was measured for as long before.",
        )
    if not telling(before.counts, now.counts, pair.level):
        return "too few to tell, whatever they were", TRAFFIC
    return "", ""


def _seconds(seconds: Decimal | int) -> Duration:
    return Duration.of(int(seconds))


def _p(p: float) -> str:
    return f"p = {p:.2g}" if p >= 1e-300 else "p < 1e-300"


def _times(now: Counts, budget: Decimal) -> str:
    burn = (now.ratio or Decimal(0)) / budget
    return f"{shortest(burn.quantize(Decimal('0.1') if burn < 10 else Decimal(1)))}x"


def _said(counts: Counts) -> str:
    ratio = counts.ratio
    return "nothing of 0" if ratio is None else f"{status.percent(ratio)} of {int(counts.total)}"


def duration(text: str, least: int) -> int:
    """Whole seconds, at least so many."""
    seconds = int(Duration.parse(text).seconds)
    if seconds < least:
        raise DefinitionError(f"{text!r} is too short to watch: take {Duration.of(least)} at least")
    return seconds
