"""What a gate says: one result per condition, with its evidence, and the decision that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """Of one condition. `WAIVED` and `OVERRIDDEN` count as passed, and are always shown with their reason."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    WAIVED = "waived"
    OVERRIDDEN = "overridden"


class Decision(StrEnum):
    PROMOTE = "promote"
    BLOCK = "block"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """0 promote, 1 block, 3 unknown; 2 is a usage error."""
        return {Decision.PROMOTE: 0, Decision.BLOCK: 1, Decision.UNKNOWN: 3}[self]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The number behind a result: what was asked, what came back ("" for nothing), the bound, and when."""

    query: str
    value: str
    bound: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """One condition. `check` names it in a policy's waivers and overrides; `group` is a heading for readers."""

    check: str
    group: str
    outcome: Outcome
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    reason: str = ""  # of a waiver or an override, with who and until when


@dataclass(frozen=True, slots=True)
class Verdict:
    """All results of one run, and the decision. A rollout has no channels: `source` and `target` are empty."""

    release: str
    source: str
    target: str
    at: datetime
    decision: Decision
    results: tuple[Result, ...]
    policy: str
    warnings: tuple[str, ...] = ()
    digest: str = ""  # sha256 of the release manifest, where one was given
    queries: int = field(default=0, compare=False)

    def of(self, *outcomes: Outcome) -> tuple[Result, ...]:
        return tuple(r for r in self.results if r.outcome in outcomes)

    @property
    def headline(self) -> str:
        """One sentence for the top of every output."""
        what = (
            f"{self.release} from {self.source} to {self.target}"
            if self.source
            else f"the rollout of {self.release}"
        )
        failed, unknown = self.of(Outcome.FAILED), self.of(Outcome.UNKNOWN)
        if self.decision is Decision.PROMOTE:
            rest = (
                f"; {_count(unknown, 'check')} could not be made, which the policy allows" if unknown else ""
            )
            return f"{'Promote' if self.source else 'Go on with'} {what}: {_count(self.results, 'check')}, none failed{rest}."
        if self.decision is Decision.BLOCK:
            return f"{'Do not promote' if self.source else 'Abort'} {what}: {_count(failed, 'check')} failed."
        return f"Cannot tell whether to {'promote' if self.source else 'go on with'} {what}: {_count(unknown, 'check')} could not be made."


def _count(results: Sequence[Result], what: str) -> str:
    return f"{len(results)} {what}{'' if len(results) == 1 else 's'}"


def decide(results: Sequence[Result], unknown_blocks: bool) -> Decision:
    """A failure blocks. Without one, what could not be checked leaves the answer open, unless the policy lets it pass."""
    outcomes = {r.outcome for r in results}
    if Outcome.FAILED in outcomes:
        return Decision.BLOCK
    if not outcomes or (Outcome.UNKNOWN in outcomes and unknown_blocks):
        return Decision.UNKNOWN
    return Decision.PROMOTE
