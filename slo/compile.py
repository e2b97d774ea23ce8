"""From a stack to every output file, in memory: a pure function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import dashboards
from alerts import alertmanager, promtests, render
from alerts.recording import Timing, budget_labels
from alerts.rules import policies, rule_files
from slo import chart, contents
from slo.artifact import Output
from slo.chart import Content
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
    timing = config.timing
    outputs = sorted(
        (*_outputs(stack, timing), *chart.build(chart_content(stack, config))), key=lambda o: o.path
    )
    return (*outputs, Output(MANIFEST, _manifest(stack, timing, [o.path for o in outputs])))


def _outputs(stack: Stack, timing: Timing) -> Iterator[Output]:
    files = rule_files(stack, timing)
    for file in files:
        text = render.rule_file(file)
        yield Output(f"prometheus/{file.name}.yaml", text)
        yield Output(
            f"prometheus-operator/{file.name}.yaml", render.prometheus_rule(file.name, text, stack.name)
        )
    yield Output("alertmanager/alertmanager.yaml", alertmanager.config(stack))
    for dashboard in dashboards.build(stack, timing):
        yield Output(f"grafana/{dashboard.file}.json", dashboard.pretty())
    for name, text in promtests.tests(stack, files, timing):
        yield Output(f"tests/{name}.yaml", text)


def chart_content(stack: Stack, config: Config) -> Content:
    """What the stack's chart holds; where the stack has modes, the differences of the others too."""
    whole = _content(stack, config.timing)
    mode, *others = config.modes or [""]
    variants = {
        other: contents.variant(whole, _content(config.modes[other], config.timing)) for other in others
    }
    return replace(whole, mode=mode, variants=variants)


def _content(stack: Stack, timing: Timing) -> Content:
    files = rule_files(stack, timing)
    texts = {f.name: render.rule_file(f) for f in files}
    return contents.content(stack, timing, files, texts, alertmanager.config(stack))


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
