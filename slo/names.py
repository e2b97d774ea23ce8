"""Every generated name, in one place. No name holds the base window or an SLO's period: those are labels."""

from __future__ import annotations

import hashlib

from slo.promql import quote

TOTAL = "slo:total:rate"  # events per second over the base window
ERRORS = "slo:errors:rate"  # bad events per second over the base window
TOTAL_HOURLY = "slo:total:hourly_rate"  # the same over one raw hour: heals what the base window missed
ERRORS_HOURLY = "slo:errors:hourly_rate"
TOTAL_LEDGER = "slo:total:ledger"  # the base, healed by the hour, dated by month and quarter (UTC)
ERRORS_LEDGER = "slo:errors:ledger"
BUDGET = "slo:error_budget:ratio"  # one series per SLO: its value, and in labels all that is known of it
WEIGHT = "slo:part_weight:ratio"
OBJECTIVE = "slo:objective:ratio"
PERIOD_RATIO = "slo:error_ratio:period"
REMAINING = "slo:error_budget_remaining:ratio"
BUDGET_EVENTS = "slo:error_budget:events"
THRESHOLD = "slo:alert_threshold:burn_rate"
ELAPSED = "slo:period_elapsed:ratio"
MEASURED = "slo:period_measured:ratio"  # the share of the whole period that has ledger samples
CLOCK = "slo:clock:seconds"
TICK = "slo:tick:seconds"
LEDGER_CLOCK = "slo:ledger_clock:seconds"
LEDGER_TICK = "slo:ledger_tick:seconds"
PERIOD = "slo:period:seconds"  # the true length of the current period, by stack and window
HOUR_WEIGHT = "slo:hour_weight:ratio"

PAGE = "SLOErrorBudgetBurnFast"
TICKET = "SLOErrorBudgetBurnSlow"
NO_DATA = "SLONoData"
MONITOR_NO_DATA = "MonitorNoData"
RULES_FAILING = "SLORulesFailing"
# Dashboards: uids are for ever, links point at them.
OVERVIEW = "slo-overview"
DETAIL = "slo-detail"
META = "slo-meta"
GENERIC_BOARDS = (OVERVIEW, DETAIL, META)
UID_LIMIT = 40  # Grafana's

GENERIC_ALERTS = (PAGE, TICKET, NO_DATA, MONITOR_NO_DATA, RULES_FAILING)


def error_ratio(window: str) -> str:
    return f"slo:error_ratio:{window}"


def bad_events(window: str) -> str:
    return f"slo:bad_events:{window}"


def golden_board(service: str) -> str:
    """The uid of a service's golden signals; a long name is shortened, and keeps apart by its digest."""
    uid = f"golden-{service}"
    if len(uid) <= UID_LIMIT:
        return uid
    return f"{uid[: UID_LIMIT - 7]}-{hashlib.sha256(uid.encode()).hexdigest()[:6]}"


def sel(name: str, **labels: str) -> str:
    """`name{label="value",...}`; a value that starts with ~ is a regular expression."""
    inside = ",".join(
        f"{k}=~{quote(v[1:])}" if v.startswith("~") else f"{k}={quote(v)}" for k, v in labels.items()
    )
    return f"{name}{{{inside}}}"
