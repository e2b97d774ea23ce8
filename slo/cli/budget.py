"""`slo budget`: where every error budget stands, now or at any moment of the past."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from slo import markdown, names, raw, status
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
from slo.errors import DefinitionError, QueryError
from slo.model import Stack
from slo.prometheus import Prometheus
from slo.quantity import Duration, shortest
from slo.status import Status, percent

_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
REFRESH = 15  # seconds between two looks of --watch
_SAID = {names.PAGE: "page", names.TICKET: "ticket", names.NO_DATA: "no data"}
COLUMNS = (
    "slo", "group", "service", "owner", "window", "objective", "sli", "budget_left", "budget_left_minutes",
    "budget_left_events", "burn_5m", "burn_1h", "burn_6h", "burn_1d", "burn_3d", "exhausted_in_seconds", "measured",
    "firing", "notes",
)  # fmt: skip


class Shape(StrEnum):
    text = "text"
    json = "json"
    markdown = "markdown"
    csv = "csv"


@app.command()
def budget(
    selector: Annotated[
        str,
        typer.Argument(
            metavar="SELECTOR",
            help="SLOs by name (signer-*), or by label (service=signer, owner=..., tier=...). Default: all.",
            show_default=False,
        ),
    ] = "",
    definitions: DefinitionsOption = None,
    prometheus: PrometheusURL = LOCAL,
    http_config: HTTPConfigFile = None,
    tenant: Tenant = "",
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="A moment of the past: 2026-10-31T12:00Z, 2026-10-31, or a Unix time. Default: now.",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every 15 s, until Ctrl-C.")] = False,
    output: Annotated[Shape, typer.Option("--output", help="text, json, markdown or csv.")] = Shape.text,
    metrics: Metrics = None,
) -> None:
    """Show the SLI, budget left, burn rate, time to exhaustion and firing alerts of every SLO, worst first.

    Reads what the rules recorded. Where a record is missing the period is computed from raw series, with a note; where
    there is no data the answer is "unknown", never 100 %.
    """
    stack, _, client = asking(definitions, metrics, prometheus, http_config, tenant)
    at = parse_time(as_of)
    with client:
        if not watch:
            _print(output, _read(client, stack, selector, at or time.time()), at or time.time(), client)
            return
        if as_of is not None or output is not Shape.text:
            raise DefinitionError("--watch looks at the present, as text: leave --as-of and --output out")
        _watch(client, stack, selector)


def parse_time(text: str | None) -> float | None:
    """Unix time of what a person types; a time without a zone is UTC."""
    if text is None:
        return None
    try:
        if _NUMBER.fullmatch(text):
            return datetime.fromtimestamp(float(text), UTC).timestamp()
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise DefinitionError(
            f"time {text!r} is not understood: write 2026-10-31T12:00Z, 2026-10-31, or a Unix time"
        ) from None


def _read(client: Prometheus, stack: Stack, selector: str, at: float) -> list[Status]:
    rows = [r for r in status.read(client, stack, at) if matches(r, selector)]
    if not rows:
        raise DefinitionError(
            f"no SLO is selected by {selector!r}: `slo list` names them; labels are service=, owner=, tier="
        )
    filled = [
        r for row in rows for r in ([row] if row.remaining is not None else _from_raw(client, stack, row, at))
    ]
    return sorted(filled, key=lambda r: r.order)


def matches(row: Status, selector: str) -> bool:
    """Whether every part of "service=signer,tier=1" or a glob of names holds."""
    labels = status.labels_of(row)
    return all(
        fnmatchcase(labels.get(key.strip(), ""), value.strip()) if eq else fnmatchcase(row.slo, part.strip())
        for part in selector.split(",")
        if part.strip()
        for key, eq, value in [part.partition("=")]
    )


def _from_raw(client: Prometheus, stack: Stack, row: Status, at: float) -> list[Status]:
    """The period from raw series; the row as it is when there are none."""
    slo = next(s for s in stack.slos if s.id == row.slo)
    moment = datetime.fromtimestamp(at, UTC)
    try:
        found = raw.error_ratio(client, slo, moment)
    except QueryError as error:
        return [replace(row, notes=(*row.notes, f"and raw series could not be read: {error}"))]
    length, start = status.period_seconds(row.window, moment), status.period_start(row.window, moment)
    elapsed = Decimal((moment - start).total_seconds()) / length
    return [
        replace(row, group=group, ratio=ratio, remaining=1 - ratio / row.budget * elapsed, age=Decimal(0), notes=(
            "computed from raw series, as nothing is recorded: gaps count as measured",
        ))
        for group, ratio in found.items()
    ] or [row]  # fmt: skip


def _watch(client: Prometheus, stack: Stack, selector: str) -> None:
    console = Console(highlight=False, emoji=False)
    try:
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                now = time.time()
                try:
                    live.update(_table(_read(client, stack, selector, now), now, console.width), refresh=True)
                except QueryError as error:
                    live.update(
                        f"{datetime.fromtimestamp(now, UTC):%H:%M:%S}Z  {escape(str(error))}", refresh=True
                    )
                time.sleep(REFRESH)
    except KeyboardInterrupt:
        return


def _print(shape: Shape, rows: Sequence[Status], at: float, client: Prometheus) -> None:
    if shape is Shape.text:
        console = Console(highlight=False, emoji=False)
        console.print(_table(rows, at, console.width))
        for note, about in _by_note(rows).items():
            console.print(f"{escape(about)}: {escape(note)}", soft_wrap=True)
    elif shape is Shape.json:
        print(json.dumps([_record(r, at) for r in rows], indent=2, ensure_ascii=False))
    elif shape is Shape.csv:
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: "; ".join(v) if isinstance(v, list) else v for k, v in _record(row, at).items()}
            )
        sys.stdout.write(out.getvalue())
    else:
        print(_markdown(rows, at))
    for warning in client.warnings:
        print(f"slo: {client.url} warns: {warning}", file=sys.stderr)


def _by_note(rows: Sequence[Status]) -> dict[str, str]:
    """Each note once, with the SLOs it is about."""
    about: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            about.setdefault(note, []).append(row.name)
    return {
        note: "every SLO"
        if 3 < len(n) == len(rows)
        else ", ".join(n[:3]) + (f" and {len(n) - 3} more" if n[3:] else "")
        for note, n in about.items()
    }


def _record(row: Status, at: float) -> dict[str, Any]:
    """One row for machines: decimals as text, and null for what is not known."""
    moment = datetime.fromtimestamp(at, UTC)
    seconds, exhausted = row.seconds_left(moment), row.exhaustion(moment)
    return {
        "slo": row.slo,
        "group": ",".join(f"{k}={v}" for k, v in row.group),
        "service": row.service,
        "owner": row.owner,
        "window": str(row.window),
        "objective": shortest(row.objective),
        "sli": _text(row.indicator),
        "budget_left": _text(row.remaining),
        "budget_left_minutes": _text(None if seconds is None else seconds / 60, 1),
        "budget_left_events": _text(row.events_left(), 0),
        **{f"burn_{w}": _text(row.burn[w], 3) for w in status.BURN_WINDOWS},
        "exhausted_in_seconds": _text(exhausted, 0),
        "measured": _text(row.measured),
        "firing": list(row.firing),
        "notes": list(row.notes),
    }


def _text(value: Decimal | None, digits: int = 6) -> str | None:
    return None if value is None else shortest(value.quantize(Decimal(1).scaleb(-digits)))


def _table(rows: Sequence[Status], at: float, width: int) -> Table:
    """Fits 80 columns; the objective comes with a wider terminal."""
    wide = width >= 100
    table = Table(box=None, pad_edge=False, caption_justify="left")
    table.add_column("SLO", no_wrap=True, overflow="ignore")
    for heading in (*(("objective",) if wide else ()), "SLI", "left", "time left", "burn", "spent in"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("firing", overflow="fold")
    for row in rows:
        told = cells(row, at)
        table.add_row(
            escape(row.name), *((percent(row.objective),) if wide else ()), *told, style=_style(row)
        )
    return table


def cells(row: Status, at: float) -> tuple[str, str, str, str, str, str]:
    """SLI, budget left, the same as time, burn in the last hour, time to exhaustion, what fires."""
    moment = datetime.fromtimestamp(at, UTC)
    burn, seconds = row.burn["1h"], row.seconds_left(moment)
    firing = " ".join(_SAID.get(a, a) for a in row.firing)
    if row.remaining is None or row.indicator is None or seconds is None:
        return "unknown", "unknown", "", "", "", firing
    exhausted = row.exhaustion(moment)
    when = "never" if exhausted is None else "spent" if exhausted == 0 else Duration.of(exhausted).human
    spare = "-" * (seconds < 0) + Duration.of(abs(seconds).quantize(Decimal(1))).human
    stale = "" if row.known else "?"
    return (
        percent(row.indicator) + stale,
        percent(row.remaining, 1) + stale,
        spare,
        "" if burn is None else f"{shortest(burn.quantize(Decimal('0.1')))}x",
        "" if burn is None else when,
        firing,
    )


def _style(row: Status) -> str:
    if names.PAGE in row.firing or (row.remaining is not None and row.remaining <= 0):
        return "bold red"
    return "" if row.known and not row.firing else "yellow"


def _markdown(rows: Sequence[Status], at: float) -> str:
    head = ("SLO", "objective", "SLI", "budget left", "time left", "burn (1h)", "spent in", "firing")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        texts = (row.name, percent(row.objective), *cells(row, at))
        lines.append(f"| {' | '.join(map(markdown.escaped, texts))} |")
    notes = [
        f"- {markdown.escaped(row.name)}: {markdown.escaped(note)}" for row in rows for note in row.notes
    ]
    return "\n".join([*lines, *(["", *notes] if notes else [])])
