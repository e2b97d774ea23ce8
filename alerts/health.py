"""Alerts about the measuring itself: an indicator without data, a monitor without data, rules that fail."""

from __future__ import annotations

from slo import links, names, promql
from slo.artifact import Rule
from slo.burn import Policy
from slo.model import SLO, Monitor, Stack
from slo.names import sel


def no_data(stack: Stack, policy: Policy, slos: tuple[SLO, ...]) -> Rule:
    """An SLO whose errors were not recorded. An error series that is merely unborn is recorded as 0."""
    budget = sel(names.BUDGET, stack=stack.name, policy=policy.id)
    errors = sel(names.ERRORS, stack=stack.name)
    carried = ", ".join(
        ("stack", "slo", "service", "owner", "tier", *sorted({n for x in slos for n in x.labels}))
    )
    expr = f"{budget}\nunless on (slo) {errors}"
    if policy.parts:
        parts = f"count by (slo) (group by (slo, component, part) ({errors}))"
        expr = f"({expr})\nor\n({budget} and on (slo) ({parts} < {policy.parts}))"
    return Rule(
        alert=names.NO_DATA,
        expr=f"group by ({carried}) (\n{expr}\n)",
        lasting=policy.no_data,
        labels={"severity": stack.severities["ticket"], "policy": policy.id},
        annotations={
            "summary": "A service level indicator has no data, so nothing is known about its objective.",
            "description": "{{ $labels.slo }} has had no usable sample for "
            + policy.no_data
            + ": its metric is absent, NaN, or lacks the bucket of its latency bound. Its burn-rate alerts cannot fire.",
            "runbook_url": links.runbook_url(stack, names.NO_DATA, policy.runbooks),
            "dashboard_url": links.detail_url(stack),
        },
    )


def monitor_no_data(stack: Stack, monitor: Monitor) -> Rule | None:
    """A monitor that asks for it is told when a series it reads is absent."""
    if monitor.no_data is None:
        return None
    absent = [f"sum(absent({s}))" for s in promql.selectors(monitor.expr)]
    return Rule(
        alert=names.MONITOR_NO_DATA,
        expr="\nor\n".join(dict.fromkeys(absent)),
        lasting=str(monitor.no_data),
        labels={
            "severity": stack.severities["ticket"], "stack": stack.name, "monitor": monitor.name,
            "service": monitor.service.name, "owner": monitor.service.owner,
        },
        annotations={
            "summary": "A monitor cannot see what it watches.",
            "description": f"{monitor.name} cannot fire: a series it reads has been absent for {monitor.no_data}.",
            "runbook_url": links.runbook_url(stack, names.MONITOR_NO_DATA, monitor.service.runbooks),
            "dashboard_url": links.service_url(stack, monitor.service.name),
        },
    )  # fmt: skip


def rules_failing(stack: Stack) -> Rule:
    """Prometheus reports failing rules of this stack."""
    group = f".*;{stack.name}-.*"  # "file;group"
    return Rule(
        alert=names.RULES_FAILING,
        expr=f"sum by (rule_group) (increase({sel('prometheus_rule_evaluation_failures_total', rule_group='~' + group)}[10m])) > 0",
        lasting="5m",
        labels={"severity": stack.severities["ticket"], "stack": stack.name},
        annotations={
            "summary": "Prometheus fails to evaluate rules of this stack, so alerts may be blind.",
            "description": "{{ $value | humanize }} evaluations of {{ $labels.rule_group }} failed within 10 minutes.",
            "runbook_url": links.runbook_url(stack, names.RULES_FAILING),
            "dashboard_url": links.dashboard_url(stack, names.META),
        },
    )
