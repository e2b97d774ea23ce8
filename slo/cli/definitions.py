"""Commands on definitions: generate, validate, list, explain, test, init, schema."""

from __future__ import annotations

import difflib
import json
import os
import shlex
import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax

from slo import chart, check, explain, scaffold, testing, tree
from slo.budget import budget_time
from slo.cli.options import (
    FINDINGS,
    Definitions,
    Format,
    HTTPConfigFile,
    Metrics,
    Plain,
    Scrape,
    Tenant,
    app,
    console_,
    plain_table,
    stack_of,
)
from slo.compile import compile_stack
from slo.errors import DefinitionError, Problem
from slo.http_config import load_access
from slo.model import SLO, Stack
from slo.prometheus import Prometheus


@app.command()
def generate(
    definitions: Definitions = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="The folder to write; only files generated here before are replaced or removed."
        ),
    ] = Path("generated"),
    check_only: Annotated[
        bool,
        typer.Option(
            "--check", help="Write nothing: compare, print a diff, exit 1 when the folder is not up to date."
        ),
    ] = False,
    metrics: Metrics = None,
    scrape_interval: Scrape = None,
) -> None:
    """Compile definitions to Prometheus rules, PrometheusRule objects, Alertmanager configuration and tests."""  # fmt: skip
    stack, config = stack_of(definitions, metrics, scrape_interval)
    outputs = compile_stack(stack, config)
    if check_only:
        drift = tree.compare(out, outputs)
        if not drift:
            print(f"{out} is up to date: {len(outputs)} files")
            return
        sys.stdout.write(drift.diff)
        for what, paths in (("missing", drift.missing), ("changed", drift.changed), ("stale", drift.stale)):
            for path in paths:
                print(f"{what}: {path}")
        given = (("--metrics", metrics), ("--scrape-interval", scrape_interval), ("--out", out))
        options = [str(part) for pair in given if pair[1] is not None for part in pair]
        again = shlex.join(["slo", "generate", *([str(definitions)] if definitions else []), *options])
        print(f"{out} is not up to date: run `{again}`", file=sys.stderr)
        raise typer.Exit(FINDINGS)
    if said := chart.warning(outputs):
        print(f"slo: warning: {said}", file=sys.stderr)
    done = tree.write(out, outputs)
    print(
        f"{out}: {len(stack.slos)} SLOs and {len(stack.all_monitors)} monitors of {stack.name} in {len(outputs)} files "
        f"({len(done.missing)} new, {len(done.changed)} changed, {len(done.stale)} removed)"
    )


@app.command()
def validate(
    definitions: Definitions = None,
    live: Annotated[
        str | None,
        typer.Option(
            "--live",
            help="URL of a Prometheus that scrapes the services: metrics, types, buckets and retention are checked there.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--output", help="text, json, or github (annotations of a workflow).")
    ] = Format.text,
    http_config: HTTPConfigFile = None,
    tenant: Tenant = "",
    metrics: Metrics = None,
    scrape_interval: Scrape = None,
) -> None:
    """Find what will not work, or not as meant. Exit 1 on errors; warnings and what could not be checked are shown."""  # fmt: skip
    stack, config = stack_of(definitions, metrics, scrape_interval)
    problems = check.static(stack, config.timing)
    if live is not None:
        server = Prometheus(live, access=load_access(http_config, tenant))
        problems += check.live(stack, config.timing, live, server)
    problems = sorted(problems)
    if output is Format.json:
        print(json.dumps([_as_json(p) for p in problems], indent=2, ensure_ascii=False))
    elif output is Format.github:
        level = {"error": "error", "warning": "warning", "unknown": "notice"}
        for p in problems:
            said = f"{p.place}: {p.reason} {p.remedy}".replace("%", "%25").replace("\n", "%0A")
            print(f"::{level[p.severity]} title={p.check}::{said}")
    else:
        _print_problems(problems, stack)
    if any(p.severity == "error" for p in problems):
        raise typer.Exit(FINDINGS)


def _as_json(p: Problem) -> dict[str, str]:
    return {
        "place": p.place,
        "check": p.check,
        "severity": p.severity,
        "text": p.text,
        "reason": p.reason,
        "remedy": p.remedy,
    }


def _print_problems(problems: list[Problem], stack: Stack) -> None:
    console = console_()
    colour = {"error": "bold red", "warning": "yellow", "unknown": "cyan"}
    for p in problems:
        console.print(f"[{colour[p.severity]}]{p.severity}[/] {escape(p.place)} [dim]({p.check})[/]")
        if p.text:
            console.print(f"    {escape(p.text)}")
        console.print(f"    {escape(p.reason)}\n    {escape(p.remedy)}\n")
    count = {s: sum(p.severity == s for p in problems) for s in ("error", "warning", "unknown")}
    console.print(
        f"{stack.name}: {len(stack.slos)} SLOs, {len(stack.all_monitors)} monitors: {count['error']} errors, "
        f"{count['warning']} warnings, {count['unknown']} could not be checked"
    )


@app.command("list")
def list_(
    definitions: Definitions = None,
    output: Annotated[Plain, typer.Option("--output", help="text or json.")] = Plain.text,
    metrics: Metrics = None,
) -> None:
    """List every SLO with its objective and error budget, and every monitor."""
    stack, config = stack_of(definitions, metrics, None)
    if output is Plain.json:
        manifest = next(o.text for o in compile_stack(stack, config) if o.path == "slos.json")
        data = json.loads(manifest)
        print(json.dumps({"slos": data["slos"], "monitors": data["monitors"]}, indent=2, ensure_ascii=False))
        return
    table = plain_table("SLO", "objective", "budget", "indicator", "owner")
    for slo in stack.slos:
        objective, budget = f"{slo.objective} {slo.window}", budget_time(slo).human
        table.add_row(slo.id, objective, budget, slo.sli.kind, slo.service.owner)
    monitors = plain_table("monitor", "severity", "service", "what it says")
    for m in stack.all_monitors:
        monitors.add_row(m.name, stack.severities[m.severity], m.service.name, m.summary)
    console = Console(highlight=False, emoji=False)  # a metric may be named job:key:count
    console.print(table)
    if stack.all_monitors:
        console.print()
        console.print(monitors)


@app.command("explain")
def explain_(
    name: Annotated[str, typer.Argument(help="An SLO as `slo list` names it.")],
    definitions: Definitions = None,
    output: Annotated[Plain, typer.Option("--output", help="text or json.")] = Plain.text,
    metrics: Metrics = None,
    scrape_interval: Scrape = None,
) -> None:
    """Explain one SLO: its budget, its query, and when each alert fires for a total, a 10 % and a 1 % outage."""
    stack, config = stack_of(definitions, metrics, scrape_interval)
    slo = _find(stack, name)
    told = explain.explain(slo, config.timing)
    if output is Plain.json:
        print(json.dumps(told.as_json(), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, emoji=False)  # a metric may be named job:key:count
    console.print(f"[bold]{escape(slo.id)}[/]  {escape(slo.description)}")
    for label, value in told.facts:
        console.print(f"  {label:<15}{escape(value)}")
    for title, query in told.queries:
        console.print(f"\n  {title}")
        for line in query.splitlines():
            console.print(
                "    ",
                Syntax(line, "promql", theme="ansi_light", background_color="default")
                if console.is_terminal
                else escape(line),
                sep="",
                soft_wrap=True,
            )
    table = plain_table("alert tier", "fires above", *(f"{o} outage" for o in explain.OUTAGES))
    for row in told.tiers:
        table.add_row(row.name, row.above, *row.detection)
    console.print(
        "\n  Time from the start of an outage to the alert, and the share of the budget it has cost by then:"
    )
    console.print(table)
    for note in told.notes:
        console.print(f"  - {escape(note)}")


def _find(stack: Stack, name: str) -> SLO:
    for slo in stack.slos:
        if slo.id == name:
            return slo
    close = difflib.get_close_matches(name, [s.id for s in stack.slos], 1)
    hint = f"did you mean {close[0]}?" if close else "`slo list` names them all"
    raise DefinitionError(f"no SLO is named {name!r}: {hint}")


@app.command("test")
def test_(
    definitions: Definitions = None,
    name: Annotated[
        str, typer.Option("--only", help="Test only SLOs and monitors whose name contains this text.")
    ] = "",
    promtool: Annotated[
        str, typer.Option("--promtool", help="The promtool to run.", envvar="PROMTOOL")
    ] = "promtool",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many to run at once.")] = os.cpu_count()
    or 2,
    metrics: Metrics = None,
    scrape_interval: Scrape = None,
) -> None:
    """Run the generated tests of every SLO and monitor with promtool: outages page, health is silent, and more."""
    stack, config = stack_of(definitions, metrics, scrape_interval)
    results = []
    with console_(stderr=True).status("testing") if sys.stderr.isatty() else nullcontext():
        for result in testing.run(compile_stack(stack, config), promtool, jobs, name):
            results.append(result)
            if not result.passed:
                print(f"FAILED {result.name}\n{result.output}")
    failed = sum(not r.passed for r in results)
    if not results:
        raise DefinitionError(f"no generated test is named like {name!r}: `slo list` names SLOs and monitors")
    print(f"{len(results) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(FINDINGS)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    name: Annotated[str, typer.Option("--name", help="The stack's name. Default: the folder's.")] = "",
) -> None:
    """Write a first definition of your own, with comments. It compiles at once."""
    file = scaffold.write(folder, name or folder.resolve().name)
    print(
        f"{file} is yours to change. Next:\n  slo validate {folder}\n  slo generate {folder} --out {folder / 'generated'}"
    )


class Kind(StrEnum):
    metrics = "metrics"
    policy = "policy"


@app.command()
def schema(
    kind: Annotated[
        Kind, typer.Argument(help="metrics: the map that --metrics reads; policy: the gate's policy.")
    ] = Kind.metrics,
) -> None:
    """Print the JSON Schema of a file that people write: the metric map, or the gate's policy."""
    from slo.catalog.metrics import Metrics as Map
    from slo.gate.policy import Policy

    model: type[BaseModel] = Map if kind is Kind.metrics else Policy
    print(json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False))
