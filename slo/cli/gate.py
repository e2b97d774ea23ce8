"""`slo gate`: may this release be promoted, now?"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
from slo.errors import DefinitionError
from slo.gate import outputs
from slo.gate.evaluate import judge
from slo.gate.look import Look, Rollout
from slo.gate.policy import default_text, load_policy
from slo.gate.verdict import Outcome, Result, Verdict
from slo.gate.watch import SHORTEST, duration
from slo.gate.watch import watch as watch_rollout
from slo.model import Stack
from slo.prometheus import Prometheus
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
        Path | None,
        typer.Option(
            "--release",
            help="The release manifest: release.yaml, or the platform's JSON.",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--from", help="The channel it is on: edge, stable, hotfix.", show_default=False)
    ] = "",
    target: Annotated[
        str, typer.Option("--to", help="The channel it should go to: stable, lts.", show_default=False)
    ] = "",
    watch: Annotated[
        str | None,
        typer.Option(
            "--watch",
            help="Watch a rollout for so long (30m) instead: abort as soon as it is worse than before.",
            show_default=False,
        ),
    ] = None,
    component: Annotated[
        str,
        typer.Option("--component", help="With --watch: the service that is rolled out.", show_default=False),
    ] = "",
    every: Annotated[str, typer.Option("--every", help="With --watch: how often to look.")] = "30s",
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
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            help="Verify every image of the release now, by this configuration of `slo-exporter cosign`, instead of reading its metrics.",
            show_default=False,
        ),
    ] = None,
    verify_manifest: Annotated[
        Path | None,
        typer.Option(
            "--verify-manifest",
            help="Verify the manifest and all it refers to now, by this configuration of `slo-exporter bundle`.",
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

    With --watch it samples a rollout, compares it with the time before, and ends as soon as it must be aborted.

    Exit codes: 0 promote (go on), 1 do not (abort), 3 cannot tell: something could not be checked; 2 usage error.
    """
    stack, _, client = asking(definitions, metrics, prometheus, http_config, tenant)
    subjects: tuple[tuple[str, str], ...] = ()
    with client:
        if watch is not None:
            if any((release, source, target, rules, as_of, verify, verify_manifest)):
                raise DefinitionError(
                    "--watch judges a rollout: leave out what is about a promotion, such as --release"
                )
            rollout = Rollout(component, duration(watch, SHORTEST), duration(every, 5))
            verdict = watched_verdict(client, stack, rollout)
        else:
            if release is None or not source or not target:
                raise DefinitionError(
                    "a promotion needs --release, --from and --to; a rollout --watch and --component"
                )
            asked = Promotion(release, source, target, rules, verify, verify_manifest, definitions, metrics)
            verdict, subjects = _promotion(client, stack, asked, parse_time(as_of) or time.time())
    if statement is not None:
        write_text(statement, outputs.as_statement(verdict, subjects))
    _print(verdict, output, str(release or component), all_results)
    raise typer.Exit(verdict.decision.exit_code)


def watched_verdict(client: Prometheus, stack: Stack, rollout: Rollout) -> Verdict:
    """The watch, with a line on stderr for every look."""

    def told(look: Look) -> None:
        said = look.error or f"{len(look.now)} series measured"
        print(f"{datetime.fromtimestamp(look.at, UTC):%H:%M:%S}Z {said}", file=sys.stderr, flush=True)

    return watch_rollout(client, stack, rollout, told=told)


@dataclass(frozen=True, slots=True)
class Promotion:
    """What was asked on the command line."""

    release: Path
    source: str
    target: str
    policy: Path | None
    verify: Path | None
    verify_manifest: Path | None
    definitions: Path | None
    metrics: Path | None


def _promotion(
    client: Prometheus, stack: Stack, asked: Promotion, at: float
) -> tuple[Verdict, tuple[tuple[str, str], ...]]:
    """The verdict, and what a statement of it is about."""
    from slo.gate import direct
    from slo.gate.release import read_release  # the exporters' parser, which other commands do without

    chosen, name = load_policy(asked.policy)
    chosen.transition(asked.source, asked.target, name)  # a wrong channel is wrong whatever Prometheus says
    candidate, manifest = read_release(asked.release, asked.source, asked.target)
    checks = {c.name: c for c in _checks(stack, asked, manifest)}
    extra: list[Result] = []
    if asked.verify is not None:
        checks.pop("images-verified", None)
        extra += direct.images(asked.verify, asked.release)
    if asked.verify_manifest is not None:
        checks.pop("manifest-valid", None)
        extra += direct.manifest(asked.verify_manifest, asked.release, asked.source)
    verdict = judge(client, stack, tuple(checks.values()), candidate, chosen, name, at, extra)
    return verdict, candidate.subjects


@app.command()
def policy() -> None:
    """Print the gate's default policy, with comments: copy it, change it, give it to `slo gate --policy`."""
    sys.stdout.write(default_text())


def _checks(stack: Stack, asked: Promotion, release: Release) -> tuple[Check, ...]:
    """The stack's own checks; for the Stella Ops catalogue those of this release take the place of their namesakes."""
    checks = {c.name: c for c in stack.checks if c.name not in _JUDGED_APART}
    if asked.definitions is not None:
        return tuple(checks.values())
    from slo.catalog.metrics import load_metrics
    from slo.catalog.promotion import release_checks

    digests = [c.image.digest for c in release.components]
    own = release_checks(load_metrics(asked.metrics), stack, release.seen_as, digests, asked.source)
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
    """What failed and what is not known first, with the remedy once where it is the same; then how many passed."""
    console = Console(highlight=False, emoji=False)
    shown = [r for r in verdict.results if everything or r.outcome is not Outcome.PASSED]
    for n, result in enumerate(shown):
        console.print(f"[{_COLOUR[result.outcome]}]{outputs.SIGNS[result.outcome]} {result.outcome:<10}[/]"
                      f" {escape(result.check)}")  # fmt: skip
        after = shown[n + 1].remedy if n + 1 < len(shown) else ""
        for line in (result.sentence, result.reason, "" if result.remedy == after else result.remedy):
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
