"""Whether a rollout is worse than before: an exact test, and not of differences that do no harm."""

from __future__ import annotations

from decimal import Decimal
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.gate.regression import ALPHA, Counts, bound, p_value, regressed, telling

BUDGET = Decimal("0.001")


def counts(bad: int, total: int) -> Counts:
    return Counts(Decimal(bad), Decimal(total))


@given(st.integers(0, 30), st.integers(1, 60), st.integers(0, 30), st.integers(1, 60))
def test_it_is_the_hypergeometric_tail(k0: int, n0: int, k1: int, n1: int) -> None:
    """Against the sum written out with whole numbers."""
    k0, k1 = min(k0, n0), min(k1, n1)
    bad, everything = k0 + k1, n0 + n1
    tail = sum(comb(bad, k) * comb(everything - bad, n1 - k) for k in range(k1, min(bad, n1) + 1))
    expected = tail / comb(everything, n1) if k1 else 1.0
    assert p_value(counts(k0, n0), counts(k1, n1)) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_millions_of_events_are_judged_at_once() -> None:
    """By logarithms; no factorial overflows."""
    before, now = counts(1_000, 100_000_000), counts(2_000, 100_000_000)
    assert p_value(before, now) < 1e-50


SAME = {
    "nothing is bad": (counts(0, 1000), counts(0, 1000)),
    "as bad as before": (counts(50, 10_000), counts(50, 10_000)),
    "better": (counts(50, 10_000), counts(5, 10_000)),
    "one error more": (counts(2, 1000), counts(3, 1000)),
    "nothing is known of before": (counts(0, 0), counts(5, 10)),
    "nothing happens now": (counts(5, 1000), counts(0, 0)),
    "worse, and harmless": (counts(0, 100_000_000), counts(500, 10_000_000)),
}


@pytest.mark.parametrize("name", SAME)
def test_no_regression_is_seen_where_there_is_none(name: str) -> None:
    """A false abort costs a rollout."""
    assert not regressed(*SAME[name], BUDGET, bound(60, 3))


WORSE = {
    "an outage": (counts(10, 100_000), counts(1000, 1000)),
    "twenty times the errors": (counts(10, 100_000), counts(20, 10_000)),
    "a few of few, where none were": (counts(0, 10_000), counts(6, 100)),
}


@pytest.mark.parametrize("name", WORSE)
def test_a_regression_is_seen(name: str) -> None:
    """Soon: the rollout goes on while it is looked for."""
    assert regressed(*WORSE[name], BUDGET, bound(60, 3))


def test_the_bound_is_shared_by_all_looks_and_slos() -> None:
    """So that the chance of a false abort in the whole watch stays below ALPHA."""
    assert bound(60, 3) * 180 == pytest.approx(ALPHA)


def test_half_a_second_of_a_slice_is_no_crash() -> None:
    """Rates times seconds are rarely whole."""
    assert 0 < p_value(Counts(Decimal("0.4"), Decimal("99.6")), Counts(Decimal("3.5"), Decimal("60.2"))) < 1


def test_how_many_events_could_tell() -> None:
    """One of a hundred and one comes up by chance too often; three of them do not."""
    level = bound(60, 3)
    assert not telling(counts(0, 100), counts(0, 1), level)
    assert telling(counts(0, 100), counts(0, 3), level)
    assert telling(counts(100, 100), counts(0, 3), level)  # what they were does not matter
    assert not telling(counts(0, 0), counts(0, 1000), level)
