"""Calendar budgets: what is elapsed, and what a month's end does. promtool starts on 1 January 1970."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from given import slo, stack
from promtool import holds, nothing, number, run

from alerts.recording import ELAPSED
from slo import AlertPolicy

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Every seventeen hours and eleven days through three years with a leap day between, and centuries that differ.
MOMENTS = [
    start + n * timedelta(days=11, hours=17)
    for start, count in ((datetime(2023, 1, 1, tzinfo=UTC), 95), (datetime(2100, 1, 1, tzinfo=UTC), 32))
    for n in range(count)
] + [
    datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
    datetime(2024, 3, 1, tzinfo=UTC),
    datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC),
]


def elapsed(moment: datetime, period: str) -> float:
    """The share of the month or quarter that has passed, by Python's own calendar."""
    first = moment.month if period == "month" else moment.month - (moment.month - 1) % 3
    months = 1 if period == "month" else 3
    start = datetime(moment.year, first, 1, tzinfo=UTC)
    days = sum(calendar.monthrange(moment.year, m)[1] for m in range(first, first + months))
    return (moment - start) / timedelta(days=days)


@pytest.mark.parametrize("period", ["month", "quarter"])
def test_the_elapsed_share_is_that_of_the_true_calendar(tmp_path: Path, period: str) -> None:
    """Leap years, the year 2100 without one, and quarters of 90, 91 and 92 days."""
    checks = [
        {
            "eval_time": f"{int((moment - EPOCH).total_seconds())}s",
            "expr": f"round(1000000 * sum({ELAPSED[period]})) / 1000000",
            "exp_samples": [
                {"labels": "{}", "value": round(1_000_000 * elapsed(moment, period)) / 1_000_000}
            ],
        }
        for moment in MOMENTS
    ]
    test = {"evaluation_interval": "100d", "tests": [{"interval": "100d", "promql_expr_test": checks}]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
    content, output = run("test", "rules", "test.yaml", cwd=tmp_path)
    assert content, output


def test_an_outage_on_the_first_day_leaves_most_of_a_month(tmp_path: Path) -> None:
    """100 minutes down on the first day of a 99 % month leave 77 %: judged against the whole month, not the day."""
    holds(
        tmp_path,
        stack(slo(objective="99%", window="month")),
        {"requests_total": "0+600x1440", "errors_total": "0x600 600+600x99 60000x740"},
        [number("24h", "abs(sum(slo:error_budget_remaining:ratio) - 0.776) < bool 0.02", 1)],
        step="10m",
        interval="1m",
    )


@pytest.mark.parametrize(
    ("window", "days"), [("month", 31), pytest.param("quarter", 90, marks=pytest.mark.slow)]
)
def test_a_period_starts_with_its_whole_budget(tmp_path: Path, window: str, days: int) -> None:
    """Errors late in a period are spent; an hour into the next one nothing is. (Midnight itself: tests/live.)"""
    hours, samples = days * 24, days * 24 * 30
    series = {
        "requests_total": f"0+120x{samples + 300}",
        "errors_total": f"0x{samples - 780} 60+60x719 43200x360",
    }
    left = "sum(last_over_time(slo:error_budget_remaining:ratio[55m]))"
    quiet = slo(window=window, alerts=AlertPolicy(off=["page", "ticket"]))
    holds(
        tmp_path,
        stack(quiet),
        series,
        [
            number(f"{hours - 1}h", f"{left} < bool -1", 1),
            number(f"{hours + 1}h", left, 1),
            number(f"{hours + 1}h", "sum(last_over_time(slo:error_ratio:period[55m]))", 0),
        ],
        step="50m",
        interval="2m",
        scrape="60s",
    )


def test_time_that_nobody_measured_burns_nothing(tmp_path: Path) -> None:
    """Counted since the second day only, the same outage costs the same share of the month."""
    holds(
        tmp_path,
        stack(slo(objective="99%", window="month")),
        {"requests_total": "_x1440 0+600x1440", "errors_total": "_x1440 0x600 600+600x99 60000x740"},
        [
            number("48h", "abs(sum(slo:error_budget_remaining:ratio) - 0.776) < bool 0.02", 1),
            number("48h", "abs(sum(slo:period_measured:ratio) * 31 - 1) < bool 0.03", 1),
            number("48h", "abs(sum(slo:period_elapsed:ratio) * 31 - 2) < bool 0.03", 1),
        ],
        step="10m",
        interval="1m",
    )


@pytest.mark.parametrize("window", ["30d", "month"])
def test_a_service_without_traffic_has_its_whole_budget(tmp_path: Path, window: str) -> None:
    """Nothing happened, so nothing is spent, and the gauge does not go blank."""
    holds(
        tmp_path,
        stack(slo(window=window)),
        {"requests_total": "7x80", "errors_total": "2x80"},
        [number("30m", "sum(slo:error_budget_remaining:ratio)", 1)],
    )


def test_the_ledger_names_its_month_and_quarter(tmp_path: Path) -> None:
    """Last month stays readable by its label."""
    holds(
        tmp_path,
        stack(slo(window="month")),
        {"requests_total": "0+300x80"},
        [
            number("20m", 'count(slo:total:ledger{month="1",quarter="1"})', 1),
            nothing("20m", 'slo:total:ledger{month!="1"}'),
        ],
    )


def test_a_rolling_budget_forgets_what_left_the_window(tmp_path: Path) -> None:
    """An outage counts in a one-day window for a day and not longer."""
    holds(
        tmp_path,
        stack(slo(window="1d")),
        {"requests_total": "0+600x3000", "errors_total": "0x60 600+600x9 6000x2930"},
        [
            number("12h", "sum(slo:error_budget_remaining:ratio) < bool 0", 1),
            number("27h", "sum(slo:error_budget_remaining:ratio)", 1),
        ],
        step="10m",
        interval="1m",
    )
