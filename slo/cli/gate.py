"""`slo gate`: may this release be promoted, now?"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from slo.board import Check
from slo.cli.budget import parse_time
from slo.cli.options import (
    LOCAL,
    DefinitionsOption,
    HTTPConfigFile,
    Metrics,
    PrometheusURL,
    Tenant,
    app,
    asking,
)
from slo.gate import outputs
from slo.gate.evaluate import judge
from slo.gate.policy import default_text, load_policy
from slo.gate.verdict import Outcome, Result, Verdict
from slo.model import Stack
from slo.tree import write_text

# Checks of the dashboard that sum up what the gate judges one by one: each SLO by its bounds, each page by its name.
_JUDGED_APART = frozenset({"budgets-left", "alerts-quiet"})

if TYPE_CHECKING:
    from exporters.bundle.manifest import Release

_COLOUR = {
    Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.UNKNOWN: "yellow", Outcome.WAIVED: "cyan",
    Outcome.OVERRIDDEN: "magenta",
}  # fmt: skip


class Form(StrEnum):
    table = "table"
    json = "json"
    markdown = "markdown"
    junit = "junit"
    sarif = "sarif"


@app.command()
def gate(
    release: Annotated[
        Path, typer.Option("--release", help="The release manifest: release.yaml, or the platform's JSON.")
    ],
    source: Annotated[str, typer.Option("--from", help="The channel it is on: edge, stable, hotfix.")],
    target: Annotated[str, typer.Option("--to", help="The channel it should go to: stable, lts.")],
    rules: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            help="What must hold, in YAML. Default: what `slo policy` prints.",
            show_default=False,
        ),
    ] = None,
    prometheus: PrometheusURL = LOCAL,
    http_config: HTTPConfigFile = None,
    tenant: Tenant = "",
    output: Annotated[
        Form, typer.Option("--output", help="table, json, markdown, junit or sarif.")
    ] = Form.table,
    statement: Annotated[
        Path | None,
        typer.Option(
            "--statement",
            help="Also write the verdict as an in-toto statement, for `cosign attest-blob`.",
            show_default=False,
        ),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Judge a moment of the past.", show_default=False)
    ] = None,
    all_results: Annotated[bool, typer.Option("--all", help="Show what passed too.")] = False,
    definitions: DefinitionsOption = None,
    metrics: Metrics = None,
) -> None:
    """May this release go from one channel to the next, now? Each answer comes with its evidence and its remedy.

    Exit codes: 0 promote, 1 do not, 3 cannot tell (something could not be checked), 2 usage error.
    """
    from slo.gate.release import read_release  # the exporters' parser, which other commands do without

    chosen, name = load_policy(rules)
    chosen.transition(source, target, name)  # a wrong channel is a usage error, whatever Prometheus says
    candidate, manifest = read_release(release, source, target)
    stack, client = asking(definitions, metrics, prometheus, http_config, tenant)
    with client:
        checks = _checks(stack, definitions, metrics, manifest, source)
        verdict = judge(client, stack, checks, candidate, chosen, name, parse_time(as_of) or time.time())
    if statement is not None:
        write_text(statement, outputs.as_statement(verdict, candidate.subjects))
    _print(verdict, output, str(release), all_results)
    raise typer.Exit(verdict.decision.exit_code)


@app.command()
def policy() -> None:
    """Print the gate's default policy, with comments: copy it, change it, give it to `slo gate --policy`."""
    sys.stdout.write(default_text())


def _checks(
    stack: Stack, definitions: Path | None, metrics: Path | None, release: Release, source: str
) -> tuple[Check, ...]:
    """The stack's own checks; for the Stella Ops catalogue those of this release take the place of their namesakes."""
    checks = {c.name: c for c in stack.checks if c.name not in _JUDGED_APART}
    if definitions is not None:
        return tuple(checks.values())
    from slo.catalog.metrics import load_metrics
    from slo.catalog.promotion import release_checks

    digests = [c.image.digest for c in release.components]
    own = release_checks(load_metrics(metrics), stack, release.seen_as, digests, source)
    return tuple((checks | {c.name: c for c in own}).values())


def _print(verdict: Verdict, form: Form, manifest: str, everything: bool) -> None:
    match form:
        case Form.json:
            sys.stdout.write(outputs.as_json(verdict))
        case Form.markdown:
            sys.stdout.write(outputs.as_markdown(verdict))
        case Form.junit:
            sys.stdout.write(outputs.as_junit(verdict))
        case Form.sarif:
            sys.stdout.write(outputs.as_sarif(verdict, manifest))
        case Form.table:
            _table(verdict, everything)


def _table(verdict: Verdict, everything: bool) -> None:
    """What failed and what is not known first, each with its remedy; then how many passed."""
    console = Console(highlight=False, emoji=False)
    shown = [r for r in verdict.results if everything or r.outcome is not Outcome.PASSED]
    for result in shown:
        console.print(f"[{_COLOUR[result.outcome]}]{outputs.SIGNS[result.outcome]} {result.outcome:<10}[/]"
                      f" {escape(result.check)}")  # fmt: skip
        for line in (result.sentence, result.reason, result.remedy):
            if line:
                console.print(f"    {escape(line)}")
    passed = _by_group(verdict.of(Outcome.PASSED))
    if passed and not everything:
        console.print(
            f"[green]{outputs.SIGNS[Outcome.PASSED]} passed    [/] {escape(passed)} (--all shows them)"
        )
    for warning in verdict.warnings:
        console.print(f"[yellow]note[/] {escape(warning)}")
    console.print(f"\n[bold]{escape(verdict.headline)}[/]")
    console.print(f"Policy {escape(verdict.policy)}, judged {verdict.at:%Y-%m-%d %H:%M:%S}Z.")


def _by_group(results: Sequence[Result]) -> str:
    groups: dict[str, int] = {}
    for result in results:
        groups[result.group] = groups.get(result.group, 0) + 1
    return ", ".join(f"{count} of {group}" for group, count in sorted(groups.items()))
