"""Boards to Grafana JSON. The only importer of grafanalib, which is untyped and quiet since January 2025.

Emits classic (v1) JSON, which Grafana 10 to 13 provision from files; v2 is refused there. What grafanalib lacks, or
writes in the layout of Grafana 6, is put right with its `extraJson` and in `normalise`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grafanalib.core as G

from dashboards import fields
from dashboards.annotations import annotation, built_in
from dashboards.fields import JSON
from dashboards.layout import Place, Row, rows
from dashboards.normalise import normalise, plain
from slo import promql
from slo.board import RANKS, Board, Link, Panel, Query, Variable

SCHEMA_VERSION = 41  # what kube-prometheus-stack ships; 42 is the last of the v1 API
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
INSTANT = ("stat", "lines", "table", "bars")
BARS = 60  # of a graph of events: wide enough to be told apart, each of all that happened in its time
WIDE = 12  # columns of a graph that has room for a table at its side
CALCULATED = dict(zip(RANKS, ("max", "lastNotNull"), strict=True))
KEPT = "${__url_time_range}&${datasource:queryparam}"  # what a link carries along


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between samples: of raw series, and of recorded ones."""

    raw: int
    recorded: int


class _Target(G.Target):  # type: ignore[misc] # grafanalib has no types
    """A query of Prometheus: over the range, or at its end."""

    def to_json_data(self) -> JSON:
        data: JSON = super().to_json_data()
        return data | {"range": not self.instant, "editorMode": "code"}


class _Panel(G.Panel):  # type: ignore[misc] # grafanalib has no types
    """A panel whose kind grafanalib lacks, or writes as Grafana 6 did: `extraJson` names the kind."""

    def to_json_data(self) -> JSON:
        data: JSON = self.panel_json({})
        return data


def render(board: Board, pace: Pace, tags: tuple[str, ...]) -> JSON:
    """The board as a Grafana dashboard: plain data, the same for the same board."""
    dashboard = G.Dashboard(
        title=board.title,
        uid=board.name,
        description=board.question,
        editable=False,
        graphTooltip=G.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        schemaVersion=SCHEMA_VERSION,
        tags=["slo", *tags],
        timezone="browser",
        refresh="1m",
        time=G.Time(f"now-{board.span}", "now"),
        timePicker=G.TimePicker(["30s", "1m", "5m", "15m", "1h"], []),
        annotations=G.Annotations([built_in(), *(annotation(m, SOURCE, pace.recorded) for m in board.marks)]),
        templating=G.Templating([_source(), *(_variable(v) for v in board.variables)]),
        links=[_siblings()],
        panels=[p for row in rows(board.sections) for p in _row(row, pace)],
    ).auto_panel_ids()
    return normalise(plain(dashboard))


def _siblings() -> Any:
    return G.DashboardLink(
        title="SLO dashboards",
        type="dashboards",
        tags=["slo"],
        asDropdown=True,
        keepTime=True,
        includeVars=True,
    )


def _row(row: Row, pace: Pace) -> list[Any]:
    panels = [_panel(panel, place, pace) for panel, place in row.panels]
    if row.heading is None:
        return panels
    heading = G.RowPanel(
        title=row.title,
        collapsed=row.collapsed,
        panels=panels if row.collapsed else [],
        gridPos=_grid(row.heading),
    )
    return [heading] if row.collapsed else [heading, *panels]


def _grid(place: Place) -> Any:
    return G.GridPos(h=place.h, w=place.w, x=place.x, y=place.y)


# Variables


def _source() -> Any:
    return G.Template(
        name="datasource", label="Data source", type="datasource", query="prometheus", refresh=1
    )


def _variable(variable: Variable) -> Any:
    query = (
        f"label_values({variable.of}, {variable.label})" if variable.label else f"query_result({variable.of})"
    )
    template = G.Template(
        name=variable.name,
        label=variable.title,
        query=query,
        dataSource=SOURCE,
        multi=variable.several,
        includeAll=variable.all,
        allValue=variable.everything or None,
        regex=f"/{variable.pattern}/" if variable.pattern else None,
        refresh=G.REFRESH_ON_TIME_RANGE_CHANGE,
    )
    template._current = {}
    if variable.all:
        text, value = ("All", "$__all")
        template._current = (
            {"selected": True, "text": [text], "value": [value]}
            if variable.several
            else {"selected": True, "text": text, "value": value}
        )
    return template


# Panels


def _panel(panel: Panel, place: Place, pace: Pace) -> Any:
    drawn = {
        "stat": _stat,
        "lines": _stat,
        "timeseries": _timeseries,
        "events": _timeseries,
        "table": _table,
        "bars": _bars,
        "timeline": _timeline,
        "heatmap": _heatmap,
        "text": _text,
    }[panel.kind]
    return drawn(panel, _common(panel, place, pace))


def _common(panel: Panel, place: Place, pace: Pace) -> dict[str, Any]:
    common: dict[str, Any] = {
        "title": panel.title,
        "description": panel.description,
        "gridPos": _grid(place),
        "links": [_link(link) for link in panel.links],
        "maxDataPoints": BARS if panel.kind == "events" else None,
    }
    if panel.kind == "text":
        return common
    return common | {
        "dataSource": SOURCE,
        "targets": [_target(panel, q, i, pace) for i, q in enumerate(panel.queries)],
        "timeFrom": panel.range or None,
    }


def _link(link: Link) -> JSON:
    return {"title": link.title, "url": url(link.to)} | ({"targetBlank": True} if "://" in link.to else {})


def url(to: str) -> str:
    """A URL as it is; a board's name as a path that keeps time range and data source."""
    if "://" in to:
        return to
    return f"/d/{to}{'&' if '?' in to else '?'}{KEPT}"


def _target(panel: Panel, query: Query, index: int, pace: Pace) -> Any:
    instant = panel.kind in INSTANT
    form = {"table": "table", "heatmap": "heatmap"}.get(panel.kind, "time_series")
    return _Target(
        expr=promql.in_window(query.expr, "$__rate_interval"),
        refId=fields.ref(index),
        legendFormat="" if panel.kind == "table" else query.name or "__auto",
        format=form,
        instant=instant,
        interval=f"{pace.raw if query.raw else pace.recorded}s",
        datasource=SOURCE,
    )


def _defaults(panel: Panel, plain: str = fields.TEXT) -> JSON:
    """The field configuration that every kind has."""
    defaults: JSON = {
        "unit": panel.unit,
        "noValue": _missing(panel),
        "color": {"mode": "thresholds"},
        "thresholds": fields.thresholds(panel.steps, plain),
        "mappings": fields.mappings(panel.values, plain),
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    for key, bound in (("min", panel.low), ("max", panel.high)):
        if bound is not None:
            defaults[key] = fields.number(bound)
    return defaults


def _missing(panel: Panel) -> str:
    """Why nothing is shown, where that is no fault."""
    reasons = [q.empty for q in panel.queries]
    return panel.missing or panel.empty or (reasons[0] if all(reasons) else "no data")


def _config(panel: Panel, overrides: list[JSON], plain: str = fields.TEXT, **custom: Any) -> JSON:
    return {"fieldConfig": {"defaults": _defaults(panel, plain) | {"custom": custom}, "overrides": overrides}}


def _stat(panel: Panel, common: dict[str, Any]) -> Any:
    """One number large; as `lines` each value on a line of its own, with its name."""
    lines = panel.kind == "lines"
    said = bool(panel.steps or panel.values or any(q.steps or q.values for q in panel.queries))
    colour = "background_solid" if said else "none"
    named = lines or len(panel.queries) > 1
    options = {"wideLayout": True, "showPercentChange": False, "percentChangeColorMode": "standard"}
    return G.Stat(
        **common,
        colorMode=colour,
        graphMode="none",
        textMode="value_and_name" if named else "value",
        orientation="horizontal" if lines else "auto",
        reduceCalc="lastNotNull",
        alignment="auto",
        extraJson=_config(panel, fields.of_series(panel, fields.CLEAR), fields.CLEAR) | {"options": options},
    )


def _timeseries(panel: Panel, common: dict[str, Any]) -> Any:
    events = panel.kind == "events"
    stacked = panel.stacked or events
    drawn = G.TimeSeries(
        **common,
        drawStyle="bars" if events else "line",
        lineWidth=0 if events else 2,
        fillOpacity=100 if events else 30 if stacked else 0,
        showPoints="never",
        tooltipMode="multi",
        tooltipSort="desc",
        thresholdsStyleMode="dashed" if panel.steps else "off",
        stacking={"mode": "normal" if stacked else "none", "group": "A"},
        overrides=fields.of_series(panel),
    )
    defaults = _defaults(panel) | {"color": {"mode": "palette-classic"}, "custom": fields.axis(panel)}
    drawn.extraJson = {"fieldConfig": {"defaults": defaults}, "options": {"legend": _legend(panel)}}
    return drawn


def _legend(panel: Panel) -> JSON:
    """The names of the series in a line; ranked in a table, which a narrow window has below the graph in any case."""
    order = panel.sort or ("-Max" if panel.kind == "events" else "")
    if not order:
        return {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
    by = order.removeprefix("-")
    return {
        "showLegend": True,
        "displayMode": "table",
        "placement": "right" if panel.width >= WIDE else "bottom",
        "calcs": [CALCULATED[by]],
        "sortBy": by,
        "sortDesc": order.startswith("-"),
    }


def _table(panel: Panel, common: dict[str, Any]) -> Any:
    links = {c.label: [_link(c.link)] for c in panel.columns if c.link is not None}
    order = panel.sort.removeprefix("-")
    sort = [{"displayName": order, "desc": panel.sort.startswith("-")}] if order else []
    overrides = fields.of_columns(panel, links)
    return _Panel(
        **common,
        transformations=fields.one_table(panel),
        extraJson=_config(
            panel,
            overrides,
            fields.CLEAR,
            align="auto",
            cellOptions={"type": "auto"},
            filterable=False,
            inspect=False,
        )
        | {"type": "table", "options": {"cellHeight": "sm", "showHeader": True, "sortBy": sort}},
    )


def _bars(panel: Panel, common: dict[str, Any]) -> Any:
    return _Panel(
        **common,
        extraJson=_config(panel, fields.of_series(panel)) | {"type": "bargauge", "options": fields.bars()},
    )


def _timeline(panel: Panel, common: dict[str, Any]) -> Any:
    drawn = G.StateTimeline(
        **common,
        fillOpacity=80,
        lineWidth=0,
        rowHeight=0.8,
        showValue="never",
        legendDisplayMode="list",
        overrides=fields.of_series(panel),
    )
    drawn.extraJson = {
        "fieldConfig": {"defaults": _defaults(panel)},
        "options": {"legend": {"showLegend": True}},
    }
    return drawn


def _heatmap(panel: Panel, common: dict[str, Any]) -> Any:
    drawn = {"type": "heatmap", "options": fields.heatmap(panel.unit)}
    return _Panel(**common, extraJson=_config(panel, []) | drawn)


def _text(panel: Panel, common: dict[str, Any]) -> Any:
    return G.Text(**common, content=panel.text, mode="markdown")
