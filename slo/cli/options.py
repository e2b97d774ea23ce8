"""What the commands share: the application, its options, and how definitions and tables are made of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from slo.compile import Config
from slo.errors import DefinitionError, LoadError
from slo.http_config import load_access
from slo.load import load
from slo.model import Stack
from slo.prometheus import Prometheus
from slo.quantity import Duration

FINDINGS, USAGE = 1, 2

app = typer.Typer(
    name="slo",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Service level objectives as code: compile Python definitions to Prometheus rules, alerts and their tests.\n\n"
    "Exit codes: 0 fine, 1 findings or drift, 2 usage error or broken definition.",
)


class Format(StrEnum):
    text = "text"
    json = "json"
    github = "github"


class Plain(StrEnum):
    text = "text"
    json = "json"


Definitions = Annotated[
    Path | None,
    typer.Argument(help="A Python file that binds `stack`, or a folder with slos.py. Default: the Stella Ops catalogue.",
                   show_default=False),
]  # fmt: skip
Metrics = Annotated[
    Path | None,
    typer.Option("--metrics", help="YAML with the deployment's metric names, for the Stella Ops catalogue (`slo schema` prints its JSON Schema).",
                 show_default=False),
]  # fmt: skip
DefinitionsOption = Annotated[
    Path | None,
    typer.Option("--definitions", help="A Python file that binds `stack`, or a folder with slos.py. Default: the Stella Ops catalogue.",
                 show_default=False),
]  # fmt: skip
Scrape = Annotated[
    str | None,
    typer.Option("--scrape-interval", help="How often Prometheus scrapes the services. Default: 30s, or what --metrics says.",
                 show_default=False),
]  # fmt: skip


def console_(stderr: bool = False) -> Console:
    return Console(stderr=stderr, soft_wrap=True, highlight=False, emoji=False)


def stack_of(definitions: Path | None, metrics: Path | None, scrape: str | None) -> tuple[Stack, Config]:
    if definitions is not None and metrics is not None:
        raise LoadError(
            "--metrics renames the metrics of the Stella Ops catalogue; a definition file names its own: drop one"
        )
    if definitions is not None:
        stack, default, modes = load(definitions), Duration.of(30), {}
    else:
        from slo.catalog import modes as catalogue
        from slo.catalog.metrics import load_metrics

        chosen = load_metrics(metrics)
        modes, default = catalogue(chosen), chosen.scrape_interval
        stack = next(iter(modes.values()))
    try:
        config = Config(Duration.parse(scrape) if scrape else default, modes)
        _ = config.timing
    except ValueError as error:
        raise DefinitionError(f"--scrape-interval: {error}") from None
    return stack, config


def plain_table(first: str, *others: str) -> Table:
    """Columns side by side; a name in the first is never cut or folded."""
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True, overflow="ignore")
    for other in others:
        table.add_column(other, overflow="fold")
    return table


PrometheusURL = Annotated[
    str,
    typer.Option("--prometheus", envvar="SLO_PROMETHEUS_URL", help="Where the rules run: Prometheus, or whatever serves its API (Mimir, Thanos, VictoriaMetrics). A path before the API's is kept."),
]  # fmt: skip
HTTPConfigFile = Annotated[
    Path | None,
    typer.Option("--http-config", envvar="SLO_HTTP_CONFIG", help="Prometheus' HTTP client configuration (basic_auth, authorization, tls_config, http_headers), as promtool's --http.config.file.",
                 show_default=False),
]  # fmt: skip
Tenant = Annotated[
    str,
    typer.Option("--tenant", envvar="SLO_TENANT", help="The X-Scope-OrgID header, for Mimir and Cortex.", show_default=False),
]  # fmt: skip
LOCAL = "http://localhost:9090"


def asking(
    definitions: Path | None, metrics: Path | None, url: str, http_config: Path | None, tenant: str
) -> tuple[Stack, Config, Prometheus]:
    """The stack that is asked about, how its rules run, and the server that knows."""
    stack, config = stack_of(definitions, metrics, None)
    return stack, config, Prometheus(url, access=load_access(http_config, tenant))
