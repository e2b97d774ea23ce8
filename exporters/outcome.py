"""What a check may answer: verified, failed, or unknown. Unknown is never good and never bad."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    VERIFIED = "verified"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, the reason for a bad one (of a closed set in `exporters.metrics`), and a sentence for a person."""

    verdict: Verdict
    reason: str = ""
    detail: str = ""


class Refused(Exception):
    """An answer was reached, and it is no. `reason` is one of FAILURE_REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    @property
    def outcome(self) -> Outcome:
        return Outcome(Verdict.FAILED, self.reason, self.detail)


class CouldNotCheck(Exception):
    """No answer was reached. `reason` is one of ERROR_REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    @property
    def outcome(self) -> Outcome:
        return Outcome(Verdict.UNKNOWN, self.reason, self.detail)


Problem = Refused | CouldNotCheck
