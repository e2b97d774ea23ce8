"""From a stack to every output file, in memory: a pure function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import dashboards
from alerts import alertmanager, promtests, render
from alerts.recording import Timing, budget_labels
from alerts.rules import policies, rule_files
from dashboards import Dashboard
from slo import chart, contents
from slo.artifact import Output, RuleFile
from slo.chart import Board, Content
from slo.model import Stack
from slo.quantity import Duration, shortest

MANIFEST = "slos.json"


@dataclass(frozen=True, slots=True)
class Config:
    """What a deployment decides: how often Prometheus scrapes.

    `modes` are the same stack for each kind of object store, the stack's own first: its chart holds them all.
    """

    scrape_interval: Duration = Duration.of(30)
    modes: Mapping[str, Stack] = field(default_factory=dict)

    @property
    def timing(self) -> Timing:
        return Timing.of(self.scrape_interval)


def compile_stack(stack: Stack, config: Config | None = None) -> tuple[Output, ...]:
    """All outputs, sorted by path. Same stack and config, same bytes."""
    config = config or Config()
    compiled = _compile(stack, config.timing)
    content = _chart(compiled, config)
    made = (*_outputs(compiled), *chart.build(content), *chart.compose(content))
    outputs = sorted(made, key=lambda o: o.path)
    return (*outputs, Output(MANIFEST, _manifest(stack, config.timing, [o.path for o in outputs])))


@dataclass(frozen=True, slots=True)
class _Compiled:
    stack: Stack
    timing: Timing
    files: tuple[RuleFile, ...]
    rules: Mapping[str, str]
    routing: str
    dashboards: tuple[Dashboard, ...]


def _compile(stack: Stack, timing: Timing) -> _Compiled:
    files = rule_files(stack, timing)
    rules = {f.name: render.rule_file(f) for f in files}
    return _Compiled(stack, timing, files, rules, alertmanager.config(stack), dashboards.build(stack, timing))


def _outputs(c: _Compiled) -> Iterator[Output]:
    for name, text in c.rules.items():
        yield Output(f"prometheus/{name}.yaml", text)
        yield Output(f"prometheus-operator/{name}.yaml", render.prometheus_rule(name, text, c.stack.name))
    yield Output("alertmanager/alertmanager.yaml", c.routing)
    for dashboard in c.dashboards:
        yield Output(f"grafana/{dashboard.file}.json", dashboard.pretty())
    for name, text in promtests.tests(c.stack, c.files, c.timing):
        yield Output(f"tests/{name}.yaml", text)


def _chart(compiled: _Compiled, config: Config) -> Content:
    """What the stack's chart holds; where the stack has modes, what the others have otherwise too."""
    own = _content(compiled)
    mode, *others = config.modes or [""]
    variants = {
        other: contents.variant(own, _content(_compile(config.modes[other], config.timing)))
        for other in others
    }
    return replace(own, mode=mode, variants=variants)


def _content(c: _Compiled) -> Content:
    boards = [Board(d.uid, f"{d.file}.json", d.title, d.folder, d.compact()) for d in c.dashboards]
    return contents.content(c.stack, c.timing, c.files, c.rules, c.routing, boards)


def _manifest(stack: Stack, timing: Timing, paths: list[str]) -> str:
    by_slo = policies(stack, timing)
    slos = []
    for slo in stack.slos:
        policy = by_slo[slo.id]
        slos.append(
            {
                "id": slo.id,
                "description": slo.description,
                "objective": str(slo.objective),
                "error_budget": shortest(slo.objective.budget),
                "kind": slo.sli.kind,
                "by": list(slo.by),
                "labels": budget_labels(stack, slo, policy, timing),
                "alerts": [
                    {
                        "tier": r.tier.name,
                        "burn_rate": shortest(r.factor),
                        "budget_share": shortest(r.share),
                        "replaced": r.replaced,
                    }
                    for r in policy.tiers
                ],
                "tiers_left_out": list(policy.dropped),
                "min_bad": policy.min_bad,
            }
        )
    monitors = [
        {
            "name": m.name,
            "service": m.service.name,
            "severity": stack.severities[m.severity],
            "summary": m.summary,
        }
        for m in stack.all_monitors
    ]
    manifest = {
        "stack": stack.name,
        "base_window": timing.base_text,
        "slos": slos,
        "monitors": monitors,
        "files": paths,
    }
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
