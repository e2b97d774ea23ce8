"""An error budget in the units people use."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from slo.model import SLO
from slo.quantity import Duration, shortest


def budget_time(slo: SLO) -> Duration:
    """How long everything may be bad within the window: budget × period (30 days for a month, 90 for a quarter)."""
    return Duration.of(slo.objective.budget * slo.window.seconds)


def budget_text(slo: SLO) -> str:
    """ "0.1% (43m 12s)": the share, and the time a total outage may last."""
    return f"{shortest(slo.objective.budget * 100)}% ({budget_time(slo).human})"


def events_text(slo: SLO) -> str:
    """The budget in events: "1 bad of 1000"."""
    one_in = (1 / slo.objective.budget).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    return f"1 bad event of {shortest(one_in)}"


def cost(bad: Decimal, seconds: Decimal, slo: SLO) -> Decimal:
    """The share of the budget that an outage of a `bad` share of events spends in some seconds, at even traffic."""
    return bad * seconds / (slo.objective.budget * slo.window.seconds)
