"""One attempt at one operation of one log: counted, timed, and its failure named."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.outcome import CouldNotCheck, Outcome, Problem, Refused, Verdict
from exporters.subject import Finding

T = TypeVar("T")

NO_ANSWER = ("timeout", "unreachable", "rate_limited", "bad_response")


def reason_of(error: Exception) -> str:
    """One of PROBE_FAILURE_REASONS for what an attempt raised."""
    if isinstance(error, Refused):
        return error.reason
    reason = error.reason if isinstance(error, CouldNotCheck) else "internal"
    if reason in ("unauthorized", "too_large"):
        return "bad_response"  # the log answered, and it was no use
    return reason if reason in m.PROBE_FAILURE_REASONS else "internal"


def worse(one: Problem | None, other: Problem) -> Problem:
    """A proven failure says more than the lack of an answer; else the first one counts."""
    if one is None or (isinstance(other, Refused) and not isinstance(one, Refused)):
        return other
    return one


class Findings:
    """The findings of one check, each with the time since the one before."""

    def __init__(
        self, target: str, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._target, self._clock, self._monotonic = target, clock, monotonic
        self._began = monotonic()
        self.found: list[Finding] = []

    def add(self, check: str, problem: Problem | None, detail: str = "") -> None:
        outcome = Outcome(Verdict.VERIFIED, detail=detail) if problem is None else problem.outcome
        now = self._monotonic()
        self.found.append(Finding(self._target, check, outcome, now - self._began, self._clock()))
        self._began = now


class Probe:
    """Runs the operations of one log, or mirror, and remembers whether it answered."""

    def __init__(
        self, instruments: Instruments, log: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._instruments = instruments
        self._log = log
        self._monotonic = monotonic
        self.answered = True

    def start(self, operations: tuple[str, ...]) -> None:
        """All series exist at 0 before the first event, so that increase() sees it."""
        for operation in operations:
            self._instruments.inc(m.PROBES, 0, log=self._log, operation=operation)
            for reason in m.PROBE_FAILURE_REASONS:
                self._instruments.inc(m.PROBE_FAILURES, 0, log=self._log, operation=operation, reason=reason)

    def once(self, operation: str, attempt: Callable[[], T]) -> T:
        """Raises what the attempt raises."""
        began = self._monotonic()
        try:
            return attempt()
        except Exception as error:
            reason = reason_of(error)
            self._instruments.inc(m.PROBE_FAILURES, log=self._log, operation=operation, reason=reason)
            if operation != "write" and reason in NO_ANSWER:
                self.answered = False
            raise
        finally:
            self._instruments.inc(m.PROBES, log=self._log, operation=operation)
            seconds = self._monotonic() - began
            self._instruments.observe(m.PROBE_DURATION, seconds, log=self._log, operation=operation)

    def before(self, operation: str, step: Callable[[], T]) -> T:
        """A step before an operation: a failed one when it raises, and else nothing that counts."""
        try:
            return step()
        except Exception as error:
            return self.once(operation, partial(_raise, error))

    def twice(self, operation: str, attempt: Callable[[bool], T]) -> T:
        """A refusal is asked for twice, the second time past every cache: once may be an error on the way."""
        try:
            return self.once(operation, lambda: attempt(False))
        except Refused:
            return self.once(operation, lambda: attempt(True))


def _raise(error: Exception) -> NoReturn:
    raise error
