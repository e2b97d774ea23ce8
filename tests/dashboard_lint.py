"""The rules of Grafana's dashboard-linter, told in Python: it cannot be installed by its module's path.

Names are the linter's own, so that `.lint` files serve both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as pp

from slo.promql import children, walk

JSON = dict[str, Any]
QUERIED = ("table", "stat", "state-timeline", "timeseries")  # what the linter reads queries of
DRAWN = ("stat", "table", "timeseries", "gauge")
UNITS = frozenset({
    "none", "string", "short", "percent", "percentunit", "bytes", "decbytes", "Bps", "binBps", "s", "ms", "µs", "ns", "m",
    "h", "d", "dtdurations", "dtdurationms", "dateTimeAsIso", "dateTimeFromNow", "cps", "ops", "reqps", "rps", "wps",
    "iops", "cpm", "opm", "rpm", "wpm", "bool", "bool_yes_no",
})  # fmt: skip
_VARIABLE = re.compile(r"\$\{(\w+)(:raw)?\}|\$(\w+)")
RATE_INTERVAL = "7777777s"  # a range nobody writes, to know $__rate_interval again


@dataclass(frozen=True)
class Finding:
    """One complaint: rule, titles of dashboard and panel, and what is wrong."""

    rule: str
    dashboard: str
    panel: str = ""
    text: str = ""


def panels(d: JSON) -> Iterator[JSON]:
    """Every panel, those of collapsed rows too, without the rows."""
    for panel in d["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def filled(expr: str) -> str:
    """A query without variables: matchers for `:raw`, a range for the rate interval, else a word."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if found[2]:
            return 'group!=""'
        return RATE_INTERVAL if name == "__rate_interval" else name

    return _VARIABLE.sub(value, expr)


def parsed(expr: str) -> Any:
    return pp.parse(filled(expr))


def lint(d: JSON) -> Iterator[Finding]:
    """Everything that the linter would say."""
    for name, rule in DASHBOARD_RULES.items():
        for text in rule(d):
            yield Finding(name, d["title"], "", text)
    for panel in panels(d):
        for name, check in PANEL_RULES.items():
            for text in check(panel):
                yield Finding(name, d["title"], panel["title"], text)
        for target in panel.get("targets", ()) if panel["type"] in QUERIED else ():
            for name, judge in TARGET_RULES.items():
                for text in judge(target):
                    yield Finding(name, d["title"], panel["title"], text)


def _variables(d: JSON, kind: str) -> list[JSON]:
    return [v for v in d["templating"]["list"] if v["type"] == kind]


def _template_datasource(d: JSON) -> Iterator[str]:
    found = [(v["name"], v["label"], v["query"]) for v in _variables(d, "datasource")]
    if found != [("datasource", "Data source", "prometheus")]:
        yield f"data source variables are {found}"


def _template_is_there(name: str) -> Callable[[JSON], Iterator[str]]:
    def rule(d: JSON) -> Iterator[str]:
        if not any(v["name"] == name and v.get("multi") for v in _variables(d, "query")):
            yield f"no variable {name} of several values"

    return rule


def _template_promql(d: JSON) -> Iterator[str]:
    for v in _variables(d, "query"):
        found = re.fullmatch(r"(label_values|query_result)\((.+?)(?:, \w+)?\)", v["query"])
        if found is None:
            yield v["query"]
        else:
            parsed(found[2])


def _template_reload(d: JSON) -> Iterator[str]:
    yield from (v["name"] for v in _variables(d, "query") if v["refresh"] != 2)


def _uneditable(d: JSON) -> Iterator[str]:
    if d["editable"]:
        yield "it is editable"


def _panel_datasource(p: JSON) -> Iterator[str]:
    if p["type"] != "text" and p["datasource"]["uid"] != "${datasource}":
        yield str(p["datasource"])


def _panel_description(p: JSON) -> Iterator[str]:
    if not p.get("title") or not p.get("description"):
        yield "no title or no description"


def _panel_units(p: JSON) -> Iterator[str]:
    if p["type"] in DRAWN and p["fieldConfig"]["defaults"].get("unit") not in UNITS:
        yield str(p["fieldConfig"]["defaults"].get("unit"))


def _panel_targets(p: JSON) -> Iterator[str]:
    if p["type"] in DRAWN and not p.get("targets"):
        yield "no targets"


def _logql(t: JSON) -> Iterator[str]:
    if t["datasource"]["type"] == "loki":
        yield t["expr"]


def _promql(t: JSON) -> Iterator[str]:
    try:
        parsed(t["expr"])
    except ValueError as error:
        yield f"{t['expr']}: {error}"


def _rate_interval(t: JSON) -> Iterator[str]:
    """Rates take $__rate_interval, and so does nothing else."""
    magic = pp.parse(f"x[{RATE_INTERVAL}]").range
    for node, call in under(parsed(t["expr"])):
        if isinstance(node, pp.MatrixSelector) and (node.range == magic) != (call in ("rate", "irate")):
            yield t["expr"]


def _counters(t: JSON) -> Iterator[str]:
    for node, call in under(parsed(t["expr"])):
        counter = isinstance(node, pp.VectorSelector) and (node.name or "").endswith("_total")
        if counter and call not in ("rate", "irate", "increase"):
            yield node.name


def under(node: Any, call: str = "") -> Iterator[tuple[Any, str]]:
    """Every node with the function whose argument it is; a selector in a range has that of the range."""
    yield node, call
    inside = (
        node.func.name if isinstance(node, pp.Call) else call if isinstance(node, pp.MatrixSelector) else ""
    )
    for child in children(node):
        yield from under(child, inside)


def _matcher(label: str) -> Callable[[JSON], Iterator[str]]:
    def rule(t: JSON) -> Iterator[str]:
        for node in walk(parsed(t["expr"])):
            if isinstance(node, pp.VectorSelector) and not any(
                m.name == label for m in node.matchers.matchers
            ):
                yield node.name or ""

    return rule


DASHBOARD_RULES: dict[str, Callable[[JSON], Iterator[str]]] = {
    "template-datasource-rule": _template_datasource,
    "template-job-rule": _template_is_there("job"),
    "template-instance-rule": _template_is_there("instance"),
    "template-label-promql-rule": _template_promql,
    "template-on-time-change-reload": _template_reload,
    "uneditable-dashboard-rule": _uneditable,
}
PANEL_RULES: dict[str, Callable[[JSON], Iterator[str]]] = {
    "panel-datasource-rule": _panel_datasource,
    "panel-title-description-rule": _panel_description,
    "panel-units-rule": _panel_units,
    "panel-no-targets-rule": _panel_targets,
}
TARGET_RULES: dict[str, Callable[[JSON], Iterator[str]]] = {
    "target-logql-rule": _logql,
    "target-logql-auto-rule": _logql,
    "target-promql-rule": _promql,
    "target-rate-interval-rule": _rate_interval,
    "target-job-rule": _matcher("job"),
    "target-instance-rule": _matcher("instance"),
    "target-counter-agg-rule": _counters,
}
RULES = {*DASHBOARD_RULES, *PANEL_RULES, *TARGET_RULES}
