"""Moments that graphs mark. grafanalib leaves them to whoever uses it."""

from __future__ import annotations

from dashboards.fields import JSON, PALETTE
from slo import promql
from slo.board import Mark


def built_in() -> JSON:
    """Grafana's own entry, without which it adds one and finds the dashboard changed."""
    return {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }


def annotation(mark: Mark, source: JSON, seconds: int) -> JSON:
    """Where the expression has a value, asked every so many seconds, or as seldom as the time range demands."""
    return {
        "datasource": source,
        "enable": True,
        "iconColor": PALETTE[mark.colour],
        "name": mark.title,
        "target": {
            "expr": promql.in_window(mark.expr, "$__interval"),
            "interval": f"{seconds}s",
            "refId": "mark",
        },
        "textFormat": mark.text,
        "titleFormat": mark.title,
    }
