"""The command `slo-exporter`. The only module of the exporters that prints."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exporters import logs, probe
from exporters.config import ConfigError, load
from exporters.outcome import CouldNotCheck, Verdict
from exporters.page import worst_first
from exporters.subject import Finding

FAILED, USAGE, UNKNOWN = 1, 2, 3
EXIT = {Verdict.VERIFIED: 0, Verdict.FAILED: FAILED, Verdict.UNKNOWN: UNKNOWN}
COLOURS = {Verdict.VERIFIED: "green", Verdict.FAILED: "bold red", Verdict.UNKNOWN: "yellow"}

app = typer.Typer(
    name="slo-exporter",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Verify releases all the time and publish what was found as metrics.\n\n"
    "Each check has three outcomes: verified, failed, or unknown, which means that it could not be made.\n\n"
    "Serve metrics:      slo-exporter cosign --config cosign.yaml\n\n"
    "Verify in a job:    slo-exporter cosign --config cosign.yaml --once\n\n"
    "Know the keys:      slo-exporter schema cosign\n\n"
    "Exit codes of --once: 0 all verified, 1 some failed, 3 none failed but some unknown. "
    "2 is a usage error or a configuration that cannot be used, in every command.",
)


class Word(StrEnum):
    cosign = "cosign"
    rekor = "rekor"
    bundle = "bundle"


class Output(StrEnum):
    table = "table"
    json = "json"


class LogFormat(StrEnum):
    text = "text"
    json = "json"


Config = Annotated[
    Path, typer.Option("--config", help="The configuration: YAML; `slo-exporter schema` prints its JSON Schema. Read again on SIGHUP and when it changes.")
]  # fmt: skip
Listen = Annotated[
    str | None,
    typer.Option("--listen", help="Where metrics are served: HOST:PORT, [IPV6]:PORT, or :PORT for all interfaces, as exporters do. Default: :9464, or what the configuration says.",
                 show_default=False),
]  # fmt: skip
Web = Annotated[
    Path | None,
    typer.Option("--web-config", help="TLS and basic authentication, in the web-config format of Prometheus' exporter-toolkit.",
                 show_default=False),
]  # fmt: skip
Format = Annotated[
    LogFormat | None,
    typer.Option("--log-format", help="Logs on stderr as text, or one JSON object a line. Default: json, with --once text.",
                 show_default=False),
]  # fmt: skip
Once = Annotated[
    bool, typer.Option("--once", help="Check everything once, print what was found, exit 0, 1 or 3. Serves nothing.")
]  # fmt: skip
Clear = Annotated[
    str | None,
    typer.Option("--clear-latch", metavar="LOG", help="Set aside what is remembered of this log, its latched verdict too, and end. The file stays as evidence; the log's next checkpoint is trusted.",
                 show_default=False),
]  # fmt: skip
Printed = Annotated[Output, typer.Option("--output", help="With --once: a table, or JSON.")]


@app.callback(invoke_without_command=True)
def _top(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        print(version("stella-slo"))
        raise typer.Exit


@app.command(short_help="Signatures, SBOMs and provenance of images.")
def cosign(
    config: Config,
    listen: Listen = None,
    web_config: Web = None,
    log_format: Format = None,
    once: Once = False,
    output: Printed = Output.table,
) -> None:
    """Signatures, SBOMs and provenance of images: are they there, by whom, of this very image, and logged?"""
    _run(Word.cosign, config, listen, web_config, log_format, once, output)  # fmt: skip


@app.command(short_help="Transparency logs.")
def rekor(
    config: Config,
    listen: Listen = None,
    web_config: Web = None,
    log_format: Format = None,
    once: Once = False,
    output: Printed = Output.table,
    clear_latch: Clear = None,
) -> None:
    """Transparency logs: do they answer, include what they should, and only ever grow?"""
    if clear_latch is not None:
        _clear_latch(config, clear_latch)
        return
    _run(Word.rekor, config, listen, web_config, log_format, once, output)  # fmt: skip


@app.command(short_help="Release manifests and offline kits.")
def bundle(
    config: Config,
    listen: Listen = None,
    web_config: Web = None,
    log_format: Format = None,
    once: Once = False,
    output: Printed = Output.table,
) -> None:
    """Release bundles: manifest, digests, versions, age, and offline kits."""
    _run(Word.bundle, config, listen, web_config, log_format, once, output)  # fmt: skip


@app.command(short_help="Print a configuration's JSON Schema.")
def schema(kind: Annotated[Word, typer.Argument(help="Of which exporter.")]) -> None:
    """Print the JSON Schema of an exporter's configuration."""
    model = _kind(kind).config()
    described = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    described["title"] = f"Configuration of slo-exporter {kind}"
    print(json.dumps(described, indent=2, ensure_ascii=False))


@app.command("check-config", short_help="Say whether a configuration can be used.")
def check_config(
    kind: Annotated[Word, typer.Argument(help="Of which exporter.")],
    file: Annotated[Path, typer.Argument(help="The configuration.")],
) -> None:
    """Say whether a configuration can be used, and if not, where and why. Asks no server, reads no secret."""
    found = load(_kind(kind).config(), file)
    if found.web_config is not None:
        from exporters.webconfig import Guard

        Guard(found.web_config)
    print(f"{file}: a configuration of the {kind} exporter")


def _kind(word: Word) -> Any:
    """The exporter's own part; a missing package of the extra is one sentence."""
    try:
        from exporters.service import KINDS

        kind = KINDS[word]
        kind.module()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "exporters":
            raise
        raise ConfigError(f"{word} needs {error.name}: pip install 'stella-slo[exporters]'") from None
    return kind


def _run(
    word: Word,
    config: Path,
    listen: str | None,
    web_config: Path | None,
    log_format: LogFormat | None,
    once: bool,
    output: Output,
) -> None:
    if output is Output.json and not once:
        raise ConfigError("--output is for --once: add it, or drop --output")
    if once and log_format is None:
        log_format = LogFormat.text
    overrides: dict[str, object] = {
        key: value
        for key, value in (
            ("listen", listen),
            ("web_config", None if web_config is None else str(web_config.absolute())),
            ("log_format", None if log_format is None else str(log_format)),
            ("log_level", "error" if once else None),  # what was found is printed
        )
        if value is not None
    }
    kind = _kind(word)
    from exporters.service import Service

    service = Service(kind, config, overrides)
    if not once:
        service.run()
        return
    findings = service.once()
    verdict = probe.worst(findings)
    if output is Output.json:
        print(
            json.dumps(
                {"verdict": verdict, "findings": [_as_json(f) for f in worst_first(findings)]}, indent=2
            )
        )
    else:
        _table(findings, verdict)
    raise typer.Exit(EXIT[verdict])


def _clear_latch(config: Path, log: str) -> None:
    kind = _kind(Word.rekor)
    aside = kind.module().clear_latch(load(kind.config(), config), log)
    if aside is None:
        print(f"nothing is remembered of {log}")
    else:
        print(f"what was remembered of {log} is now in {aside}; its next checkpoint will be trusted")


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "target": finding.target,
        "check": finding.check,
        "verdict": finding.outcome.verdict,
        "reason": finding.outcome.reason,
        "detail": logs.one_line(finding.outcome.detail),
        "seconds": round(finding.seconds, 3),
        "at": round(finding.at, 3),
    }


def _table(findings: list[Finding], verdict: Verdict) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("TARGET", "CHECK", "OUTCOME", "REASON"):
        table.add_column(name, overflow="fold", no_wrap=name in ("CHECK", "OUTCOME"))
    for finding in worst_first(findings):
        outcome = finding.outcome
        said = ": ".join(part for part in (outcome.reason, outcome.detail) if part)
        table.add_row(
            Text(logs.one_line(finding.target)),
            Text(logs.one_line(finding.check)),
            Text(outcome.verdict, style=COLOURS[outcome.verdict]),
            Text(logs.one_line(said)),
        )
    console = Console(highlight=False, emoji=False)
    console.print(table)
    counts = {v: sum(f.outcome.verdict is v for f in findings) for v in Verdict}
    total = ", ".join(f"{counts[v]} {v}" for v in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.VERIFIED))
    console.print(f"\n{verdict}: {total}" if findings else "unknown: nothing was checked", soft_wrap=True)


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line (None: the process' own). What is wrong is one sentence on stderr."""
    try:
        app(args=arguments, prog_name="slo-exporter")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except ConfigError as error:
        print(f"slo-exporter: {error}", file=sys.stderr)
        return USAGE
    except CouldNotCheck as error:
        print(f"slo-exporter: could not check: {logs.one_line(error.detail)}", file=sys.stderr)
        return UNKNOWN
    return 0


def main() -> None:
    """Entry point. Ends for good: no check that hangs keeps the process."""
    code = run()
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)
