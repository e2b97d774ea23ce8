"""The background: cycles over all targets, a few checks at once, each bounded. A check that raises or hangs is
counted and left behind; it holds up neither the cycle nor a scrape."""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.config import Common
from exporters.outcome import CouldNotCheck, Outcome, Verdict
from exporters.subject import Finding, Subject

log = logging.getLogger(__name__)

WHOLE = "all"  # the check of a finding that is about a target's checks as a whole
HANGING = 4  # times `concurrency`: threads that may hang before no more are started
PAUSE = 1.0  # seconds between two cycles when one took longer than the interval

_BY_NAME = {metric.name: metric for metric in m.ALL}
# Errors are the exporter's own; a verdict is at most a warning.
_SEVERITY = {
    Verdict.FAILED: logging.WARNING,
    Verdict.UNKNOWN: logging.WARNING,
    Verdict.VERIFIED: logging.INFO,
}


def own(prefix: str, name: str) -> m.Metric:
    """A metric that each exporter has about itself, such as own("cosign", "info")."""
    return _BY_NAME[f"{prefix}_exporter_{name}"]


@dataclass(slots=True, eq=False)
class _Run:
    """One check under way, in a thread of its own."""

    target: str
    began: float  # monotonic
    tell: queue.SimpleQueue[_Run] | None
    done: threading.Event = field(default_factory=threading.Event)
    findings: tuple[Finding, ...] = ()
    raised: bool = False
    given_up: bool = False


class Loop:
    """Runs a subject's checks, keeps the newest findings, and publishes what a cycle did.

    `run` blocks until `stop` is set. `clock` is Unix time and may jump; waits use `monotonic`.
    """

    def __init__(
        self,
        subject: Subject,
        instruments: Instruments,
        settings: Common,
        *,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.subject = subject
        self.instruments = instruments
        self.settings = settings
        self.stop = threading.Event() if stop is None else stop
        self.ready = threading.Event()  # after the first cycle
        self.cycled: Callable[[], None] = lambda: None  # called at the end of each cycle
        self._clock, self._monotonic, self._chance = clock, monotonic, chance
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._findings: dict[str, tuple[Finding, ...]] = {}
        self._known: dict[str, float] = {}  # when each target last had verdicts only
        self._running: dict[str, _Run] = {}
        self._next: tuple[Subject, Common] | None = None

    # ---- what others ask -------------------------------------------------------------------

    def findings(self) -> list[Finding]:
        """The newest finding of each check of each target."""
        with self._lock:
            return [finding for found in self._findings.values() for finding in found]

    def knows(self, target: str) -> bool:
        """Is it the name of a target, as the newest cycle lists them?"""
        return target in self._names

    def replace(self, subject: Subject, settings: Common) -> None:
        """Go on with another configuration. The cycle under way starts no more checks."""
        with self._lock:
            dropped, self._next = self._next, (subject, settings)
        if dropped is not None:
            dropped[0].close()
        self._wake.set()

    def halt(self, grace: float) -> bool:
        """Let `run` return at once, whatever checks do. Waits `grace` seconds for them; did all end?"""
        self.stop.set()
        self._wake.set()
        ends = self._monotonic() + grace
        with self._lock:
            running = [run for run in self._running.values() if not run.given_up]
        return all(run.done.wait(max(0.0, ends - self._monotonic())) for run in running)

    def check_now(self, target: str, seconds: float) -> tuple[Finding, ...] | None:
        """Check one target outside the cycle, or wait for its check under way; None when that takes too long."""
        run = self._start(target, None)
        return run.findings if run.done.wait(seconds) else None

    # ---- cycles ----------------------------------------------------------------------------

    def run(self) -> None:
        while not self.stop.is_set():
            began = self._monotonic()
            self._swap()
            self.cycle()
            spread = self.settings.jitter * (2 * self._chance() - 1)
            due = began + self.settings.interval * (1 + spread)
            self._wake.wait(max(PAUSE, due - self._monotonic()))
            self._wake.clear()

    def cycle(self) -> None:
        """Check every target once. Never raises."""
        prefix, began = self.subject.name, self._monotonic()
        failures = own(prefix, "cycle_failures_total")
        try:
            targets = self._targets()
        except Exception as error:
            self.instruments.inc(failures)
            detail = error.detail if isinstance(error, CouldNotCheck) else repr(error)
            log.error("the cycle ended early: the targets cannot be listed: %s", detail, exc_info=not isinstance(error, CouldNotCheck))  # fmt: skip
            self._ended()
            return
        broken, complete = self._check(targets)
        seconds = self._monotonic() - began
        if broken:
            self.instruments.inc(failures)
        if complete:
            self.instruments.set(own(prefix, "last_cycle_timestamp_seconds"), self._clock())
        self.instruments.set(own(prefix, "cycle_duration_seconds"), seconds)
        counts = Counter(str(f.outcome.verdict) for f in self.findings())
        log.info(
            "cycle over %d targets: %d verified, %d failed, %d unknown",
            len(targets),
            *(counts[v] for v in m.OUTCOMES),
            extra={"seconds": round(seconds, 3), "broken": broken},
        )
        self._ended()

    def _ended(self) -> None:
        self.ready.set()
        self.cycled()

    def _targets(self) -> list[str]:
        """What to check, longest without a verdict first. Forgets what is no longer configured."""
        targets = list(dict.fromkeys(self.subject.targets()))
        self._names = frozenset(targets)
        with self._lock:
            gone = (self._findings.keys() | self._known.keys()) - set(targets)
            for target in gone:
                self._findings.pop(target, None)
                self._known.pop(target, None)
        for target in sorted(gone):
            self.instruments.forget(target)
        return sorted(targets, key=lambda target: self._known.get(target, 0.0))

    def _check(self, targets: Sequence[str]) -> tuple[int, bool]:
        """Returns how many targets' checks raised or were given up, and whether all targets were begun."""
        waiting = list(reversed(targets))
        finished: queue.SimpleQueue[_Run] = queue.SimpleQueue()
        active: set[_Run] = set()
        broken = 0
        while waiting or active:
            while waiting and self._free(len(active)):
                run = self._start(waiting.pop(), finished)
                if run.tell is finished:
                    active.add(run)
                else:  # begun by a probe just now, or in a former cycle that gave it up
                    broken += run.given_up
            if self.stop.is_set() or not active:
                break
            broken += self._await(finished, active)
        return broken, not waiting

    def _free(self, active: int) -> bool:
        """May another check be started?"""
        if self.stop.is_set() or self._next is not None or active >= self.settings.concurrency:
            return False
        with self._lock:
            hanging = sum(run.given_up for run in self._running.values())
        return hanging < HANGING * self.settings.concurrency

    def _await(self, finished: queue.SimpleQueue[_Run], active: set[_Run]) -> int:
        """Wait for one check to end, or for the time of some to be over; returns how many went wrong."""
        oldest = min(run.began for run in active)
        left = oldest + self.settings.check_timeout - self._monotonic()
        with suppress(queue.Empty):
            run = finished.get(timeout=min(max(left, 0.0), 0.2))  # in slices, so that a stop is seen soon
            active.discard(run)
            return int(run.raised)
        late = [r for r in active if self._monotonic() - r.began >= self.settings.check_timeout]
        for run in late:
            active.discard(run)
            self._give_up(run)
        return len(late)

    def _swap(self) -> None:
        with self._lock:
            following, self._next = self._next, None
            if following is None:
                return
            before, (self.subject, self.settings) = self.subject, following
        _close(before)

    # ---- one check -------------------------------------------------------------------------

    def _start(self, target: str, tell: queue.SimpleQueue[_Run] | None) -> _Run:
        """Start a target's check in a thread; while one is under way, that one is returned."""
        with self._lock:
            run = self._running.get(target)
            if run is not None:
                return run
            run = self._running[target] = _Run(target, self._monotonic(), tell)
            subject = self.subject
        # A daemon: the process ends whether or not it does.
        threading.Thread(target=self._one, args=(subject, run), name=f"check {target}", daemon=True).start()
        return run

    def _one(self, subject: Subject, run: _Run) -> None:
        try:
            run.findings = tuple(subject.check(run.target))
        except Exception as error:  # one bad target never ends the others
            run.raised = True
            log.exception("the check of %s raised", run.target, extra={"target": run.target})
            outcome = Outcome(Verdict.UNKNOWN, "internal", f"the check raised {type(error).__name__}")
            run.findings = self._about(run, outcome)
        with self._lock:
            if self._running.get(run.target) is run:
                del self._running[run.target]
        self._keep(run)
        run.done.set()
        if run.tell is not None:
            run.tell.put(run)

    def _give_up(self, run: _Run) -> None:
        with self._lock:
            run.given_up = True
        limit = self.settings.check_timeout
        log.error("the check of %s was given up after %g s", run.target, limit, extra={"target": run.target})
        outcome = Outcome(Verdict.UNKNOWN, "timeout", f"the check has not ended within {limit:g} s")
        found = self._about(run, outcome)
        with self._lock:
            self._findings[run.target] = found

    def _about(self, run: _Run, outcome: Outcome) -> tuple[Finding, ...]:
        """What was known, and that the check as a whole could not be made."""
        with self._lock:
            before = tuple(f for f in self._findings.get(run.target, ()) if f.check != WHOLE)
        return (*before, Finding(run.target, WHOLE, outcome, self._monotonic() - run.began, self._clock()))

    def _keep(self, run: _Run) -> None:
        with self._lock:
            before = {f.check: f.outcome for f in self._findings.get(run.target, ())}
            self._findings[run.target] = run.findings
            if all(f.outcome.verdict is not Verdict.UNKNOWN for f in run.findings):
                self._known[run.target] = self._monotonic()
        for finding in run.findings:
            _say(finding, before.get(finding.check))


def _say(finding: Finding, before: Outcome | None) -> None:
    """Log an outcome when it changes, not each time."""
    outcome = finding.outcome
    if before is not None and (before.verdict, before.reason) == (outcome.verdict, outcome.reason):
        return
    # A first "verified" is what everyone expects; after another outcome it is news.
    quiet = before is None and outcome.verdict is Verdict.VERIFIED
    log.log(
        logging.DEBUG if quiet else _SEVERITY[outcome.verdict],
        "%s of %s: %s%s",
        finding.check,
        finding.target,
        outcome.verdict,
        f" ({outcome.reason}): {outcome.detail}" if outcome.reason else "",
        extra={"target": finding.target, "check": finding.check, "verdict": str(outcome.verdict), "reason": outcome.reason},
    )  # fmt: skip


def _close(subject: Subject) -> None:
    try:
        subject.close()
    except Exception:
        log.exception("closing the former configuration's connections raised")
