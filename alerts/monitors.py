"""Monitors: alerts that are no SLO."""

from __future__ import annotations

from slo import links, promql
from slo.artifact import Rule
from slo.model import Monitor, Stack

RATE_WINDOW = "5m"  # what `$window` means in a monitor


def expression(monitor: Monitor) -> str:
    return promql.in_window(monitor.expr, RATE_WINDOW)


def alert(stack: Stack, monitor: Monitor) -> Rule:
    return Rule(
        alert=monitor.name,
        expr=expression(monitor),
        lasting=str(monitor.lasting) if monitor.lasting else "",
        keep_firing=str(monitor.keep_firing) if monitor.keep_firing else "",
        labels={
            "severity": stack.severities[monitor.severity], "stack": stack.name,
            "service": monitor.service.name, "owner": monitor.service.owner, **monitor.labels,
        },
        annotations={
            "summary": monitor.summary,
            "description": monitor.description or f"{monitor.summary} The value is {{{{ $value | humanize }}}}.",
            "runbook_url": links.runbook_url(stack, monitor.name, monitor.service.runbooks, monitor.runbook),
            "dashboard_url": links.service_url(stack, monitor.service.name),
        },
    )  # fmt: skip
