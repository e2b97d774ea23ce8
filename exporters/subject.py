"""What an exporter is to the loop and the server: a subject with named targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from exporters.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one target: what `--once`, the landing page and the logs show."""

    target: str
    check: str
    outcome: Outcome
    seconds: float  # how long the check took
    at: float  # when it ended, Unix time


class Subject(Protocol):
    """Targets to check. `check` runs in worker threads, several targets at once; it publishes what it finds.

    A `check` that raises is counted by the loop and leaves every verdict as it is.
    """

    @property
    def name(self) -> str:
        """The command's word and the prefix of the metrics of its cycle: cosign, rekor or release."""

    def targets(self) -> Sequence[str]:
        """The names that are configured now."""

    def check(self, target: str) -> Sequence[Finding]:
        """Check one target; bounded by the time-outs of its configuration."""

    def close(self) -> None:
        """Let go of connections and files."""
