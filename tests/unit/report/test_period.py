"""A period is written as people write it, and refused with what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from slo.errors import DefinitionError
from slo.report.period import between, month, quarter


@pytest.mark.parametrize(
    ("text", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-11", 30), ("2026-12", 31), ("2100-02", 28)]
)
def test_a_month_has_its_true_length(text: str, days: int) -> None:
    """Leap years too."""
    assert month(text).seconds == days * 86400


@pytest.mark.parametrize(
    ("text", "days"), [("2026-Q1", 90), ("2028-Q1", 91), ("2026-Q3", 92), ("2026-Q4", 92)]
)
def test_a_quarter_has_its_true_length(text: str, days: int) -> None:
    """And ends in the next year, if it is the fourth."""
    assert quarter(text).seconds == days * 86400


def test_titles_are_words() -> None:
    """As a heading holds them."""
    assert [month("2026-01").title, quarter("2026-Q4").title] == ["January 2026", "2026, quarter 4"]


def test_before_january_comes_december() -> None:
    """Of the year before; and the fourth quarter before the first."""
    assert month("2026-01").before == month("2025-12")
    assert quarter("2026-Q1").before == quarter("2025-Q4")
    assert quarter("2026-Q3").before == quarter("2026-Q2")


@pytest.mark.parametrize(
    "text",
    ["", "2026", "2026-13", "2026-00", "26-10", "0000-05", "9999-12", "٢٠٢٦-10", "2026-1", "2026-10-01"],
)
def test_what_is_no_month_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(DefinitionError, match="write year and month, such as 2026-10"):
        month(text)


@pytest.mark.parametrize("text", ["2026-Q5", "2026-Q0", "2026-3", "9999-Q4", "Q3"])
def test_what_is_no_quarter_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(DefinitionError, match="such as 2026-Q3"):
        quarter(text)


@pytest.mark.parametrize(("start", "end"), [(0, 3599), (7200, 0), (0, 367 * 86400), (0, float("nan"))])
def test_a_range_is_from_an_hour_to_a_year(start: float, end: float) -> None:
    """Shorter says nothing, longer is no question of a report."""
    with pytest.raises(DefinitionError, match="from one hour to one year"):
        between(start, end)


def test_a_moment_before_and_after_the_period_is_none_and_all_of_it() -> None:
    """The share that is over stays within 0 and 1."""
    october = month("2026-10")
    moments = [datetime(2026, m, d, tzinfo=UTC) for m, d in ((9, 1), (10, 16), (12, 1))]
    assert [october.elapsed(m) for m in moments] == [0, Decimal(15) / 31, 1]
