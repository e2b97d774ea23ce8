"""All rule files of a stack, in the order in which they read each other."""

from __future__ import annotations

from alerts import burn_rate, health, monitors
from alerts.recording import Timing, base_file, shared_file
from slo.artifact import Rule, RuleFile, split
from slo.burn import Policy, resolve
from slo.model import SLO, Monitor, Stack

SLOS_PER_FILE = 10


def policies(stack: Stack, timing: Timing) -> dict[str, Policy]:
    """The alert policy of every SLO, by SLO id."""
    return {slo.id: resolve(slo, timing.interval) for slo in stack.slos}


def rule_files(stack: Stack, timing: Timing) -> tuple[RuleFile, ...]:
    """Base rules, shared rules, alerts, monitors."""
    by_slo = policies(stack, timing)
    packs = [stack.slos[i : i + SLOS_PER_FILE] for i in range(0, len(stack.slos), SLOS_PER_FILE)]
    files = [base_file(stack, pack, by_slo, timing, n) for n, pack in enumerate(packs, 1)]
    if stack.slos:
        files.append(shared_file(stack, by_slo, timing))
        files += _alert_files(stack, by_slo, timing)
    return (*files, *_monitor_files(stack))


def monitor_file_name(stack: Stack, monitor: Monitor) -> str:
    return f"{stack.name}-monitors-{monitor.service.name}"


def _monitor_files(stack: Stack) -> list[RuleFile]:
    """One file per service: each monitor, followed by what tells that it is blind."""
    rules: dict[str, list[Rule]] = {}
    for monitor in stack.all_monitors:
        chosen = rules.setdefault(monitor_file_name(stack, monitor), [])
        chosen.append(monitors.alert(stack, monitor))
        blind = health.monitor_no_data(stack, monitor)
        if blind is not None:
            chosen.append(blind)
    return [RuleFile(name, split(name, "1m", chosen)) for name, chosen in rules.items()]


def alert_file_name(stack: Stack, policy: Policy) -> str:
    return f"{stack.name}-alerts-{policy.id}"


def _alert_files(stack: Stack, by_slo: dict[str, Policy], timing: Timing) -> list[RuleFile]:
    """One file per policy: a test of one SLO loads only the alerts that can concern it."""
    members: dict[str, list[SLO]] = {}
    for slo in stack.slos:
        members.setdefault(by_slo[slo.id].id, []).append(slo)
    unique = {p.id: p for p in by_slo.values()}
    files = [
        RuleFile(
            alert_file_name(stack, unique[name]),
            (
                *split(
                    f"{stack.name}-burn-{name}",
                    timing.interval_text,
                    burn_rate.alerts(stack, unique[name], tuple(slos)),
                ),
                *split(
                    f"{stack.name}-health-{name}", "1m", [health.no_data(stack, unique[name], tuple(slos))]
                ),
            ),
        )
        for name, slos in sorted(members.items())
    ]
    files.append(
        RuleFile(f"{stack.name}-alerts", split(f"{stack.name}-health", "1m", [health.rules_failing(stack)]))
    )
    return files
