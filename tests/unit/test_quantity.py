"""Objectives, durations and windows: parsed once, exact, printed shortest."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo import DefinitionError, Duration, Objective, Window
from slo.quantity import shortest

PERCENTS = st.decimals("0.000001", "99.999999", places=6).map(lambda d: f"{shortest(d)}%")


def test_an_objective_is_exact() -> None:
    """99.9 % is 0.999, and its budget is 0.001: no digit more."""
    objective = Objective.parse("99.9%")
    assert (objective.ratio, objective.budget) == (Decimal("0.999"), Decimal("0.001"))


@pytest.mark.parametrize("text", ["99.9%", " 99.9% ", "99.90%", "99.9 %"])
def test_spaces_and_zeros_do_not_change_an_objective(text: str) -> None:
    """The same objective prints the same, however it was written."""
    assert str(Objective.parse(text)) == "99.9%"


@pytest.mark.parametrize(("text", "remedy"), [("0.999", "'99.9%'"), ("99.9", "'99.9%'"), ("0.5", "'50%'")])
def test_an_objective_without_a_unit_is_refused_with_what_was_meant(text: str, remedy: str) -> None:
    """Peers read a bare number in two ways, so it is refused, and the message writes it out."""
    with pytest.raises(DefinitionError, match="has no unit: write " + remedy):
        Objective.parse(text)


@pytest.mark.parametrize(
    "text", ["", "%", "ninety", "NaN", "Infinity", "-1", "1e2%", "99,9%", "--5%", "1000"]
)
def test_what_is_no_objective_is_refused_with_an_example(text: str) -> None:
    """Nonsense gets the sentence too, and no other exception."""
    with pytest.raises(DefinitionError, match="write"):
        Objective.parse(text)


@pytest.mark.parametrize("text", ["100%", "100.0%", "101%", "0%", "0.0%"])
def test_an_objective_without_a_budget_is_refused(text: str) -> None:
    """100 % leaves nothing to spend and 0 % nothing to promise."""
    with pytest.raises(
        DefinitionError, match="leaves no error budget: choose a value above 0% and below 100%"
    ):
        Objective.parse(text)


@given(PERCENTS)
def test_an_objective_survives_printing(text: str) -> None:
    """Printed and parsed again it is the same, and ratio and budget sum to exactly 1."""
    objective = Objective.parse(text)
    assert Objective.parse(str(objective)) == objective
    assert str(objective) == text
    assert objective.ratio + objective.budget == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", "0.3"), ("5m", "300"), ("1h30m", "5400"), ("1.5h", "5400"), ("1d 12h", "129600"), ("2w", "1209600"),
     ("1y", "31536000"), ("0.5ms", "0.0005")],
)  # fmt: skip
def test_a_duration_reads_prometheus_units_and_compounds(text: str, seconds: str) -> None:
    """Units of Prometheus, several of them, and fractions."""
    assert Duration.parse(text).seconds == Decimal(seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 minutes", "5m3", "-5m", "m5", "1h-5m"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    """The message names the units."""
    with pytest.raises(DefinitionError, match=r"not understood: write a number with ms, s, m, h, d or w"):
        Duration.parse(text)


@pytest.mark.parametrize("text", ["0s", "0m0s"])
def test_no_time_at_all_is_refused(text: str) -> None:
    """A duration is longer than zero."""
    with pytest.raises(DefinitionError, match="longer than zero"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(300, "5m"), (86400, "1d"), (5400, "1h30m"), (90, "1m30s"), (90000, "25h"), (Decimal("0.3"), "300ms"),
     (Decimal("1.5"), "1s500ms"), (Decimal("0.0005"), "0.5ms")],
)  # fmt: skip
def test_a_duration_prints_as_prometheus_reads_it(seconds: int, text: str) -> None:
    """One unit where one divides it, else a compound."""
    assert str(Duration.of(seconds)) == text


@given(st.integers(1, 10**12))
def test_a_duration_survives_printing(millis: int) -> None:
    """Printed and parsed again it is the same length."""
    duration = Duration.of(Decimal(millis) / 1000)
    assert Duration.parse(str(duration)) == duration


@given(st.decimals("0.000001", "0.999", places=6))
def test_a_duration_below_a_millisecond_survives_printing(millis: Decimal) -> None:
    """Microseconds are kept: latency bounds may be that short."""
    duration = Duration.parse(f"{shortest(millis)}ms")
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2592, "43m 12s"), (187200, "2d 4h"), (45, "45s"), (Decimal("0.25"), "0.25s"), (3600, "1h")],
)
def test_a_duration_reads_well(seconds: int, text: str) -> None:
    """Two units at most, for tables and sentences."""
    assert Duration.of(seconds).human == text


@pytest.mark.parametrize(
    ("text", "days", "longest", "printed"),
    [("7d", 7, 7, "7d"), ("28d", 28, 28, "28d"), ("4w", 28, 28, "28d"), ("90d", 90, 90, "90d"),
     ("month", 30, 31, "month"), ("quarter", 90, 92, "quarter")],
)  # fmt: skip
def test_a_window_is_rolling_or_of_the_calendar(text: str, days: int, longest: int, printed: str) -> None:
    """Nominal days set burn rates; the longest ones set how far a sum reaches back."""
    window = Window.parse(text)
    assert (window.days, window.longest_days, str(window)) == (days, longest, printed)


@pytest.mark.parametrize("text", ["", "0d", "401d", "30", "12h", "months", "1.5d", "year"])
def test_what_is_no_window_is_refused_with_the_choices(text: str) -> None:
    """Whole days, or month or quarter."""
    with pytest.raises(
        DefinitionError, match="write whole days from '1d' to '400d', or 'month' or 'quarter'"
    ):
        Window.parse(text)


@given(st.integers(1, 400))
def test_a_window_survives_printing(days: int) -> None:
    """Printed and parsed again it is the same."""
    assert str(Window.parse(f"{days}d")) == f"{days}d"


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """No text makes a parser fail in another way."""
    for kind in (Objective, Duration, Window):
        with suppress(DefinitionError):
            kind.parse(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.0010000", "0.001"),
        ("14.40", "14.4"),
        ("100", "100"),
        ("1E+3", "1000"),
        ("1E-7", "0.0000001"),
        ("-0", "0"),
    ],
)
def test_a_number_prints_shortest(value: str, text: str) -> None:
    """Never an exponent, never a digit that says nothing."""
    assert shortest(Decimal(value)) == text
