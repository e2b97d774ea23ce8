"""All rule files of a stack, in the order in which they read each other."""

from __future__ import annotations

from alerts import burn_rate, health, monitors
from alerts.recording import Timing, base_file, shared_file
from slo.artifact import RuleFile, split
from slo.burn import Policy, resolve
from slo.model import SLO, Stack

SLOS_PER_FILE = 10


def policies(stack: Stack, timing: Timing) -> dict[str, Policy]:
    """The alert policy of every SLO, by SLO id."""
    return {slo.id: resolve(slo, timing.interval) for slo in stack.slos}


def rule_files(stack: Stack, timing: Timing) -> tuple[RuleFile, ...]:
    """Base rules, shared rules, alerts, monitors."""
    by_slo = policies(stack, timing)
    files: list[RuleFile] = []
    for i in range(0, len(stack.slos), SLOS_PER_FILE):
        files.append(
            base_file(stack, stack.slos[i : i + SLOS_PER_FILE], by_slo, timing, i // SLOS_PER_FILE + 1)
        )
    if stack.slos:
        files.append(shared_file(stack, by_slo, timing))
        files.append(_alert_file(stack, by_slo, timing))
    watched = stack.all_monitors
    if watched:
        rules = [monitors.alert(stack, m) for m in watched]
        absent = [r for m in watched if (r := health.monitor_no_data(stack, m)) is not None]
        stem = f"{stack.name}-monitors"
        files.append(RuleFile(stem, (*split(stem, "1m", rules), *split(f"{stem}-data", "1m", absent))))
    return tuple(files)


def _alert_file(stack: Stack, by_slo: dict[str, Policy], timing: Timing) -> RuleFile:
    members: dict[str, list[SLO]] = {}
    for slo in stack.slos:
        members.setdefault(by_slo[slo.id].id, []).append(slo)
    unique = {p.id: p for p in by_slo.values()}
    fast, health_rules = [], [health.rules_failing(stack)]
    for name in sorted(members):
        fast += burn_rate.alerts(stack, unique[name], tuple(members[name]))
        health_rules.append(health.no_data(stack, unique[name], tuple(members[name])))
    stem = f"{stack.name}-alerts"
    return RuleFile(
        stem,
        (*split(f"{stem}-burn", timing.interval_text, fast), *split(f"{stem}-health", "1m", health_rules)),
    )
