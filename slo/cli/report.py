"""`slo report`: the error budgets of a month, or of any range, on one page."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

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
from slo.errors import DefinitionError, SLOError
from slo.report import render
from slo.report.collect import Line, Report, collect
from slo.report.period import Period, between, month, quarter
from slo.tree import write_text


@app.command()
def report(
    month_: Annotated[
        str, typer.Option("--month", help="A calendar month: 2026-10.", show_default=False)
    ] = "",
    quarter_: Annotated[str, typer.Option("--quarter", help="A quarter: 2026-Q3.", show_default=False)] = "",
    start: Annotated[
        str,
        typer.Option("--from", help="Any range: its start (2026-10-01, or with a time).", show_default=False),
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Any range: its end.", show_default=False)] = "",
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write one page that needs nothing else.", show_default=False),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Write Markdown.", show_default=False)
    ] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write JSON.", show_default=False)] = None,
    prometheus: PrometheusURL = LOCAL,
    http_config: HTTPConfigFile = None,
    tenant: Tenant = "",
    definitions: DefinitionsOption = None,
    metrics: Metrics = None,
) -> None:
    """Report a period's error budgets: what was kept, which incidents cost most, what could not be measured.

    Reads what the rules recorded. Without --html, --markdown or --json it prints Markdown.
    """
    period = _period(month_, quarter_, start, end)
    draw = _charts() if html is not None else None  # before any query: a missing package is told at once
    stack, _, client = asking(definitions, metrics, prometheus, http_config, tenant)
    with client:
        found = collect(client, stack, period, time.time())
    if html is not None and draw is not None:
        chart = draw

        def of_service(service: str, lines: tuple[Line, ...]) -> str:
            return chart(found, service, lines)

        write_text(html, render.as_html(found, of_service))
    if markdown is not None:
        write_text(markdown, render.as_markdown(found))
    if json_ is not None:
        write_text(json_, json.dumps(render.as_data(found), indent=2, ensure_ascii=False) + "\n")
    written = [str(f) for f in (html, markdown, json_) if f is not None]
    if written:
        print(f"{found.headline} Written: {', '.join(written)}")
    else:
        sys.stdout.write(render.as_markdown(found))


def _period(month_: str, quarter_: str, start: str, end: str) -> Period:
    given = [bool(month_), bool(quarter_), bool(start or end)]
    if sum(given) != 1 or bool(start) != bool(end):
        raise DefinitionError("say which period: --month 2026-10, or --quarter 2026-Q3, or --from and --to")
    if month_:
        return month(month_)
    if quarter_:
        return quarter(quarter_)
    return between(parse_time(start) or 0, parse_time(end) or 0)


def _charts() -> Callable[[Report, str, tuple[Line, ...]], str]:
    try:
        from slo.report.charts import burn_down
    except ImportError:
        raise SLOError("charts need matplotlib: pip install 'stella-slo[report]'") from None
    return burn_down
