"""Multi-window, multi-burn-rate alerts, shared by all SLOs of one policy."""

from __future__ import annotations

from alerts import annotate
from alerts.recording import budget_of
from slo import links, names
from slo.artifact import Rule
from slo.burn import Policy, Resolved
from slo.model import SLO, Stack
from slo.names import sel
from slo.quantity import shortest

KEEP_FIRING = {"page": "5m", "ticket": "30m"}  # a page that flaps wakes people twice
SUMMARY = {
    "page": "The error budget burns so fast that it will soon be gone.",
    "ticket": "The error budget burns faster than it may.",
}


def alerts(stack: Stack, policy: Policy, slos: tuple[SLO, ...]) -> list[Rule]:
    """The page and the ticket of one policy; `slos` are those it holds for."""
    return [
        _alert(stack, policy, slos, severity, policy.of(severity))
        for severity in ("page", "ticket")
        if policy.of(severity)
    ]


def _alert(
    stack: Stack, policy: Policy, slos: tuple[SLO, ...], severity: str, tiers: tuple[Resolved, ...]
) -> Rule:
    composite = policy.parts > 0
    budget = sel(names.BUDGET, stack=stack.name, policy=policy.id)
    by = tuple(sorted({label for slo in slos for label in slo.by}))
    carried = ", ".join(
        ("service", "owner", "tier", "window", *sorted({n for slo in slos for n in slo.labels}))
    )
    conditions = "\n  or\n".join(_tier(stack.name, policy, r, budget, composite) for r in tiers)
    name = names.PAGE if severity == "page" else names.TICKET
    return Rule(
        alert=name,
        expr=f"(\n{conditions}\n)\n/ on (slo) group_left ({carried})\ntopk by (slo) (1, {budget})",
        keep_firing=KEEP_FIRING[severity],
        labels={
            "severity": stack.severities["page" if severity == "page" else "ticket"],
            "policy": policy.id,
        },
        annotations={
            "summary": SUMMARY[severity],
            "description": annotate.burn_description(policy, tuple(r.tier.long for r in tiers), by),
            "runbook_url": links.runbook_url(stack, name, policy.runbooks),
            "dashboard_url": links.detail_url(stack),
        },
    )


def _tier(stack: str, policy: Policy, r: Resolved, budget: str, composite: bool) -> str:
    """Both windows above the burn rate, and enough bad events in the long one to matter.

    The multi-window condition alone pages for one failed request of one. So the long window must also hold
    `min_bad` bad events, and the tier's share of the budget as counted in events of the period's traffic.
    """
    bound = f"on (slo) group_left () ({shortest(r.factor)} * {budget_of(budget)})"
    bad = sel(names.bad_events(r.tier.long), stack=stack)
    enough = f"max without (window) ({shortest(r.share)} * {sel(names.BUDGET_EVENTS, stack=stack)})"
    matters = f"{bad} >= {policy.min_bad}\n    and {bad} >= {enough}"
    if composite:
        matters = f"max without (component, part) (\n      {matters}\n    )"
    return (
        f"  (\n    {sel(names.error_ratio(r.tier.long), stack=stack)} > {bound}\n"
        f"    and {sel(names.error_ratio(r.tier.short), stack=stack)} > {bound}\n"
        f"    and {matters}\n  )"
    )
