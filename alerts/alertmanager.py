"""Alertmanager's configuration: who is told, and which alerts keep others quiet."""

from __future__ import annotations

from alerts import render
from slo import names, promql
from slo.model import Stack

GROUP_BY = ("alertname", "stack", "service", "slo")


def config(stack: Stack) -> str:
    """Routes by severity and owner, inhibition, and receivers to fill in.

    A page silences the ticket of the same SLO. Alertmanager takes two missing labels for equal ones, so both
    sides must carry `slo`, and grouping labels are compared too. An exporter that is down silences the alerts
    that say its results are missing.
    """
    severity = stack.severities
    grouping = sorted({label for slo in stack.slos for label in slo.by})
    equal = ", ".join(("stack", "slo", *grouping))
    owners = sorted({s.owner for s in stack.all_services})
    called = _slugs(owners)
    receivers = ["default", *(f"{kind}-{called[o]}" for o in owners for kind in ("page", "ticket"))]
    route = "".join(
        f"    - matchers: [{_m('owner', owner)}]\n"
        f"      routes:\n"
        f"        - matchers: [{_m('severity', severity['page'])}]\n"
        f"          receiver: page-{called[owner]}\n"
        f"          group_wait: 10s\n"
        f"          repeat_interval: 1h\n"
        f"        - matchers: [{_m('severity', severity['ticket'])}]\n"
        f"          receiver: ticket-{called[owner]}\n"
        for owner in owners
    )
    return (
        f"{render.HEADER}# Receivers are empty on purpose: give them your pager's and tracker's settings by values or overlay.\n"
        "route:\n  receiver: default\n"
        f"  group_by: [{', '.join(GROUP_BY)}]\n"
        "  group_wait: 30s\n  group_interval: 5m\n  repeat_interval: 12h\n"
        f"  routes:\n{route}"
        "inhibit_rules:\n"
        "  # A page silences the ticket of the same SLO.\n"
        f"  - source_matchers: [{_m('alertname', names.PAGE)}, {_any('slo')}]\n"
        f"    target_matchers: [{_m('alertname', names.TICKET)}, {_any('slo')}]\n"
        f"    equal: [{equal}]\n"
        "  # Rules that fail explain indicators without data.\n"
        f"  - source_matchers: [{_m('alertname', names.RULES_FAILING)}, {_any('stack')}]\n"
        f"    target_matchers: [{_m('alertname', names.NO_DATA)}, {_any('stack')}]\n"
        "    equal: [stack]\n"
        f"{_feeds(stack)}"
        "receivers:\n" + "".join(f"  - name: {r}\n" for r in receivers)
    )


def _feeds(stack: Stack) -> str:
    """A monitor labelled `feeds: SERVICE` says whose data stop when it fires: that service's tickets are then known."""
    return "".join(
        f"  # {monitor.name} explains why what it feeds is missing or old.\n"
        f"  - source_matchers: [{_m('alertname', monitor.name)}, {_m('feeds', monitor.labels['feeds'])}]\n"
        f"    target_matchers: ['alertname!=\"{monitor.name}\"', {_m('service', monitor.labels['feeds'])}, "
        f"{_m('severity', stack.severities['ticket'])}]\n"
        "    equal: [stack]\n"
        for monitor in stack.all_monitors
        if "feeds" in monitor.labels
    )


def _m(label: str, value: str) -> str:
    """A matcher as a single-quoted YAML string."""
    text = f"{label}={promql.quote(value)}"
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else render.scalar(text)


def _any(label: str) -> str:
    return f"'{label}=~\".+\"'"


def _slugs(owners: list[str]) -> dict[str, str]:
    """A receiver's name for every owner; owners that would share one are numbered."""
    out: dict[str, str] = {}
    for owner in owners:
        slug = "".join(c if c.isascii() and c.isalnum() else "-" for c in owner.lower()).strip("-") or "owner"
        taken = sum(s == slug or s.startswith(f"{slug}--") for s in out.values())
        out[owner] = f"{slug}--{taken + 1}" if taken else slug
    return out
