"""Versions: a semantic core, perhaps with a suffix for the channel, perhaps with a calendar tag (blueprint §1.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TEXT = re.compile(
    r"v?(?P<major>\d{1,6})\.(?P<minor>\d{1,6})\.(?P<patch>\d{1,6})"
    r"(?:-(?P<suffix>[0-9A-Za-z.-]{1,40}))?(?:\+[0-9A-Za-z.-]{1,80})?"
    r"(?: \((?P<calendar>\d{4}\.(?:0[1-9]|1[0-2]))\))?"
)
CALENDAR_YEARS = range(2000, 10_000)  # a major version in here is a year: 2025.09.2


@dataclass(frozen=True, slots=True)
class Version:
    """`core` is the text of MAJOR.MINOR.PATCH as written; `suffix` is what follows the hyphen."""

    core: str
    major: int
    minor: int
    patch: int
    suffix: str = ""
    calendar: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read "2.4.1", "2.4.1-edge", "2.4.1 (2027.06)" or "2025.09.2"; ValueError says what is wrong."""
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError(
                f"{text[:60]!r} is no version: write MAJOR.MINOR.PATCH, such as 2.4.1 or 2.4.1-edge"
            )
        major, minor, patch = found.group("major", "minor", "patch")
        return cls(
            f"{major}.{minor}.{patch}",
            int(major),
            int(minor),
            int(patch),
            suffix=found["suffix"] or "",
            calendar=found["calendar"] or "",
        )

    @property
    def is_calendar(self) -> bool:
        return self.major in CALENDAR_YEARS

    @property
    def month(self) -> str:
        """YYYY.MM of a calendar version; empty for a semantic one."""
        return f"{self.major}.{self.minor:02d}" if self.is_calendar else ""

    @property
    def order(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    def minors_from(self, other: Version) -> int | None:
        """How many minor versions apart; None when the majors differ, which no skew rule allows.

        Calendar versions count months, so that 2026.01 follows 2025.12.
        """
        if self.is_calendar and other.is_calendar:
            return abs((self.major - other.major) * 12 + self.minor - other.minor)
        return abs(self.minor - other.minor) if self.major == other.major else None

    def __str__(self) -> str:
        return f"{self.core}{'-' * bool(self.suffix)}{self.suffix}"
