"""The stretch of time a report is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from slo.errors import DefinitionError

_YEAR = r"(19[7-9]\d|[2-8]\d{3})"  # Unix time, and what a datetime holds with a period to spare
_MONTH = re.compile(_YEAR + r"-(0[1-9]|1[0-2])", re.ASCII)
_QUARTER = re.compile(_YEAR + r"-Q([1-4])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` until before `end` (UTC). `label` and `value` are the calendar label of the ledger, if it is one."""

    start: datetime
    end: datetime
    title: str
    label: str = ""
    value: str = ""

    @property
    def seconds(self) -> int:
        return int((self.end - self.start).total_seconds())

    @property
    def before(self) -> Period | None:
        """The calendar period before this one; None for a plain range."""
        if self.label == "month":
            return month(f"{self.start - timedelta(days=1):%Y-%m}")
        if self.label == "quarter":
            last = self.start - timedelta(days=1)
            return quarter(f"{last.year}-Q{(last.month + 2) // 3}")
        return None

    def elapsed(self, now: datetime) -> Decimal:
        """The share of it that is over."""
        share = Decimal(int((now - self.start).total_seconds())) / self.seconds
        return min(max(share, Decimal(0)), Decimal(1))


def month(text: str) -> Period:
    """ "2026-10"."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise DefinitionError(f"month {text!r} is not understood: write year and month, such as 2026-10")
    return _calendar("month", int(found[1]), int(found[2]), 1, f"{datetime(int(found[1]), int(found[2]), 1):%B %Y}",
                     str(int(found[2])))  # fmt: skip


def quarter(text: str) -> Period:
    """ "2026-Q3"."""
    found = _QUARTER.fullmatch(text)
    if found is None:
        raise DefinitionError(f"quarter {text!r} is not understood: write year and quarter, such as 2026-Q3")
    return _calendar(
        "quarter", int(found[1]), 3 * int(found[2]) - 2, 3, f"{found[1]}, quarter {found[2]}", found[2]
    )


def _calendar(label: str, year: int, first: int, months: int, title: str, value: str) -> Period:
    after = first - 1 + months
    return Period(datetime(year, first, 1, tzinfo=UTC), datetime(year + after // 12, after % 12 + 1, 1, tzinfo=UTC),
                  title, label, value)  # fmt: skip


def between(start: float, end: float) -> Period:
    """Any range of Unix times."""
    if not 3600 <= end - start <= 366 * 86400:
        raise DefinitionError("a report covers from one hour to one year: mend --from and --to")
    first, last = (datetime.fromtimestamp(t, UTC) for t in (start, end))
    return Period(first, last, f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")
