"""The table of alerts that fire, or wait to: of one objective, of one service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slo.board import Column, Link, Panel, Query
from slo.names import sel

HIDDEN = ("__name__", "Value", "stack", "service", "owner", "tier", "policy", "window")
SHOWN = (
    Column(label="alertname", title="Alert", least=180),
    Column(label="alertstate", title="State", width=72),
    Column(label="severity", title="Severity", width=86),
)


def table(
    of: str, chosen: Mapping[str, str], more: Iterable[Column], links: tuple[Link, ...], empty: str
) -> Panel:
    """One line for each alert, with whatever labels tell it apart; `more` are those of them that are known."""
    return Panel(
        title=f"Alerts of this {of}",
        kind="table",
        description="What fires, or waits to, with all its labels.",
        unit="none",
        width=24,
        height=5,
        columns=[
            *SHOWN,
            *more,
            *(Column(label=name, hidden=True) for name in HIDDEN),
        ],
        queries=[Query(expr=sel("ALERTS", **chosen))],
        links=links,
        empty=empty,
    )  # fmt: skip
