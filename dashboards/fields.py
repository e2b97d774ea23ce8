"""How values look: colours, words, units, columns. Plain data in Grafana's shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from slo.board import Colour, Column, Panel, Query, Step, Value

JSON: TypeAlias = dict[str, Any]

# Paul Tol's vibrant scheme (SRON/EPS/TN/09-002): told apart by readers who confuse red and green. Purple and yellow
# are Okabe and Ito's.
PALETTE: dict[Colour, str] = {
    "good": "#009988",
    "warning": "#EE7733",
    "bad": "#CC3311",
    "unknown": "#8E8E8E",
    "blue": "#33BBEE",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
    "grey": "#8E8E8E",
}
# How far an axis reaches at least, by unit; of all others to one. Over nothing but zeros Grafana would draw 0 to 100.
# Little enough that one event in minutes, or one in a thousand, is seen to be more than none.
LEAST = {"percentunit": "0.001", "s": "0.001", "reqps": "0.01", "cps": "0.01", "ops": "0.01", "iops": "0.01",
         "cpm": "0.5", "opm": "0.5"}  # fmt: skip
TEXT, CLEAR = "text", "transparent"  # what is plain: as text, and as the ground behind it
DASH = {"fill": "dash", "dash": [8, 8]}


def thresholds(steps: Sequence[Step], plain: str = TEXT) -> JSON:
    """Colours from a value on. The first one's value is JSON's null, as Grafana's schema wants it."""
    found: list[JSON] = [{"color": plain, "value": None}]
    for step in steps:
        if step.at == "-inf":
            found[0] = {"color": colour(step.colour, plain), "value": None}
        else:
            found.append({"color": colour(step.colour, plain), "value": number(step.at)})
    return {"mode": "absolute", "steps": found}


def colour(meaning: Colour, plain: str = TEXT) -> str:
    return plain if meaning == "plain" else PALETTE[meaning]


def number(text: str) -> int | float:
    """JSON's own number: 14.4, and 3 rather than 3.0."""
    return float(text) if "." in text else int(text)


def mappings(values: Sequence[Value], plain: str = TEXT) -> list[JSON]:
    """Words for values, and for the absence of one."""
    worded: JSON = {}
    special: list[JSON] = []
    for index, value in enumerate(values):
        result = {"text": value.text, "color": colour(value.colour, plain), "index": index}
        if value.of == "absent":
            special.append({"type": "special", "options": {"match": "null+nan", "result": result}})
        else:
            worded[value.of] = result
    return [*([{"type": "value", "options": worded}] if worded else []), *special]


def axis(panel: Panel) -> JSON:
    """What the axis shows at least: every bound, and more than nothing."""
    bounds = sorted(number(s.at) for s in panel.steps if s.at != "-inf")
    least = number(LEAST.get(panel.unit, "1"))
    if not bounds:
        return {"axisSoftMax": least}
    return {"axisSoftMin": bounds[0], "axisSoftMax": bounds[-1] if bounds[-1] > 0 else least}


def bars() -> JSON:
    """Options of a bar gauge: a line for each value, its name on the left."""
    return {
        "displayMode": "basic",
        "valueMode": "color",
        "namePlacement": "left",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 40,
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "legend": {"showLegend": False, "displayMode": "hidden", "placement": "bottom", "calcs": []},
    }


def heatmap(unit: str) -> JSON:
    """Options of a heatmap over classic buckets, whose bounds have the unit."""
    return {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "reqps"},
        "color": {"mode": "scheme", "scheme": "Oranges", "fill": PALETTE["warning"], "scale": "exponential",
                  "exponent": 0.5, "steps": 64, "reverse": False},
        "exemplars": {"color": PALETTE["blue"]},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }  # fmt: skip


def ref(index: int) -> str:
    """The queries of a panel are A, B, C, ..."""
    return chr(ord("A") + index)


def override(matcher: str, of: str, properties: Iterable[tuple[str, Any]]) -> JSON | None:
    """Properties of the fields that one matcher finds; None without any."""
    found = [{"id": name, "value": value} for name, value in properties]
    return {"matcher": {"id": matcher, "options": of}, "properties": found} if found else None


def of_series(panel: Panel, plain: str = TEXT) -> list[JSON]:
    """What single queries of a graph or a number have for themselves."""
    found = (
        override("byFrameRefID", ref(i), _series(panel, query, plain))
        for i, query in enumerate(panel.queries)
    )
    return [o for o in found if o is not None]


def _series(panel: Panel, query: Query, plain: str) -> Iterable[tuple[str, Any]]:
    if query.unit and query.unit != panel.unit:
        yield "unit", query.unit
    if query.decimals is not None:
        yield "decimals", query.decimals
    if query.colour is not None:
        yield "color", {"mode": "fixed", "fixedColor": colour(query.colour)}
    if query.dashed:
        yield "custom.lineStyle", DASH
        yield "custom.fillOpacity", 0
    if query.steps:
        yield "thresholds", thresholds(query.steps, plain)
    if query.values:
        yield "mappings", mappings(query.values, plain)


def of_columns(panel: Panel, links: dict[str, list[JSON]]) -> list[JSON]:
    """What the columns of a table have for themselves; `links` are those of a label's cells."""
    hidden = {c.label for c in panel.columns if c.hidden}
    found = [
        *(override("byName", c.title or c.label, _label(c, links)) for c in panel.columns if not c.hidden),
        *(
            override("byName", q.name or value_field(panel, i), _value(panel, q))
            for i, q in enumerate(panel.queries)
            if value_field(panel, i) not in hidden
        ),
    ]
    return [o for o in found if o is not None]


def _label(column: Column, links: dict[str, list[JSON]]) -> Iterable[tuple[str, Any]]:
    yield "custom.filterable", True
    if column.width:
        yield "custom.width", column.width
    if column.least:
        yield "custom.minWidth", column.least
    if links.get(column.label):
        yield "links", links[column.label]


def _value(panel: Panel, query: Query) -> Iterable[tuple[str, Any]]:
    yield "unit", query.unit or panel.unit
    if query.decimals is not None:
        yield "decimals", query.decimals
    if query.width:
        yield "custom.width", query.width
    if query.steps:
        yield "thresholds", thresholds(query.steps, CLEAR)
    if query.values:
        yield "mappings", mappings(query.values, CLEAR)
    if query.steps or query.values:  # coloured ground: a dark red text on a dark ground is hard to read
        yield "custom.cellOptions", {"type": "color-background", "mode": "basic"}
    yield "custom.align", "right" if not query.values else "left"


def value_field(panel: Panel, index: int) -> str:
    """The field that Grafana's Prometheus source makes of a query's values in a table."""
    return "Value" if len(panel.queries) == 1 else f"Value #{ref(index)}"


def one_table(panel: Panel) -> list[JSON]:
    """The queries side by side, one line for each label set, columns named and in order.

    Labels that a panel does not name keep their name and come last: the groups of an SLO.
    """
    shown = [c for c in panel.columns if not c.hidden]
    first = shown[0].label if shown else ""
    values = [value_field(panel, i) for i in range(len(panel.queries))]
    order = [first, *values, *(c.label for c in shown[1:])] if first else values
    names = {value_field(panel, i): q.name for i, q in enumerate(panel.queries) if q.name}
    names |= {c.label: c.title for c in shown if c.title}
    hidden = {"Time": True, **{c.label: True for c in panel.columns if c.hidden}}
    organize = {
        "excludeByName": hidden,
        "indexByName": {name: i for i, name in enumerate(order)},
        "renameByName": names,
    }
    merge = [{"id": "merge", "options": {}}] if len(panel.queries) > 1 else []
    return [*merge, {"id": "organize", "options": organize}]
