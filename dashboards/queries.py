"""PromQL that the generic dashboards share. It serves any stack: groups of an SLO (its `by` labels) stay apart unnamed.

A row is one SLO, or one group of it, with the labels stack, slo, window, service, owner, tier and its group's. Every
column of a table has the same labels, so that rows meet.
"""

from __future__ import annotations

from slo import names
from slo.board import Value, Variable
from slo.names import sel

STACK = {"stack": "~$stack"}
CHOSEN = {**STACK, "owner": "~$owner", "service": "~$service", "tier": "~$tier"}
KNOWN = "service, owner, tier"

VARIABLES = (
    Variable(name="stack", title="Stack", of=names.BUDGET, label="stack", several=True, all=True, everything=".+"),
    Variable(name="owner", title="Owner", of=sel(names.BUDGET, stack="~$stack"), label="owner",
             several=True, all=True, everything=".+"),
    Variable(name="service", title="Service", of=sel(names.BUDGET, stack="~$stack", owner="~$owner"), label="service",
             several=True, all=True, everything=".+"),
    Variable(name="tier", title="Tier", of=sel(names.BUDGET, stack="~$stack"), label="tier",
             several=True, all=True, everything=".+"),
)  # fmt: skip

# After a restart with changed labels an SLO has two budget series for a few minutes; a bare join would fail then.
INFO = f"topk by (stack, slo) (1, {sel(names.BUDGET, **CHOSEN)})"
ONE = f"(0 * {INFO} + 1)"
LEFT = f"{sel(names.REMAINING, **STACK)} * on (stack, slo) group_left ({KNOWN}) {ONE}"
_OBJECTIVE = f"max by (stack, slo, window, {KNOWN}) ({sel(names.OBJECTIVE, **CHOSEN)})"
# Rows with their objective. An SLO without data has a row too, though it has no groups and no budget to show.
ROWS = (
    f"(0 * ({LEFT}) + on (stack, slo) group_left () max by (stack, slo) ({_OBJECTIVE}))\n"
    f"or\n({_OBJECTIVE} unless on (stack, slo) {sel(names.REMAINING, **STACK)})"
)

ALERT = (
    Value(of="3", text="PAGE", colour="bad"),
    Value(of="2", text="Ticket", colour="warning"),
    Value(of="1", text="No data", colour="unknown"),
    Value(of="0", text="–"),
    Value(of="absent", text="–"),
)


def firing(alert: str, **labels: str) -> str:
    return sel("ALERTS", alertname=alert, alertstate="firing", **labels)


def worst_alert(**labels: str) -> str:
    """3 where a page fires, 2 a ticket, 1 that data is missing; by stack and SLO, all of its groups together."""
    weighed = " or ".join(
        f"{weight} * {firing(alert, **labels)}"
        for weight, alert in ((3, names.PAGE), (2, names.TICKET), (1, names.NO_DATA))
    )
    return f"max by (stack, slo) ({weighed})"


def burn(window: str) -> str:
    """How many times as fast as it may each row burns its budget."""
    ratio = sel(names.error_ratio(window), **STACK)
    return f"{ratio} / on (stack, slo) group_left (window, {KNOWN}) {INFO}"


def indicator(window: str) -> str:
    """The share of good events within a window."""
    ratio = sel(names.error_ratio(window), **STACK)
    return f"1 - ({ratio} * on (stack, slo) group_left (window, {KNOWN}) {ONE})"


def gone_in(window: str) -> str:
    """Seconds until the budget is spent, burning on as in the window; only where that is within one period."""
    period = f"on (stack, window) group_left () {sel(names.PERIOD, **STACK)}"
    return f"(({LEFT}) > 0) / ({burn(window)} > 0) * {period} < {period}"


def counted(rows: str) -> str:
    """How many, or 0 where there are SLOs to count among: nothing recorded at all is no zero."""
    return f"count({rows}) or 0 * count({INFO})"


NO_DATA = f"{INFO} unless on (stack, slo) {sel(names.ERRORS, **STACK)}"
