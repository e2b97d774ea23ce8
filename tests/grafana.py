"""What Grafana does with a dashboard's queries before it asks Prometheus, and with the answers before it draws them.

Follows Grafana's Prometheus data source: `interpolateQueryExpr` for variables, `calculateRateInterval` for
$__rate_interval, `roundInterval` for the step, and its data frames for the names of fields.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from slo import Duration
from tests.prom_world import DAY, HOUR, Asked

DEFAULT_SCRAPE = 15  # seconds: the data source's own setting, which few change
WIDTH = 1400  # pixels of a screen, of which one panel has its share of 24 columns
_REFERENCE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\[\[(\w+)\]\]|\$([A-Za-z_]\w*)")
# A step is rounded up to one of these when it is at most the limit before it (seconds).
_ROUND = ((1.5, 1), (3, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300),
          (750, 600), (1050, 900), (1500, 1200), (2700, 1800), (5400, HOUR), (9000, 2 * HOUR), (16200, 3 * HOUR),
          (32400, 6 * HOUR), (86400, 12 * HOUR), (7 * DAY, DAY))  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What is chosen of a variable: one value, several, or all."""

    variable: Mapping[str, Any]
    options: tuple[str, ...]
    chosen: tuple[str, ...] = ()  # none: all of them, or the first where "All" is not offered

    def text(self, form: str) -> str:
        several, everything = self.variable.get("multi"), self.variable.get("includeAll")
        chosen = self.chosen
        if not chosen and everything:
            if self.variable.get("allValue"):
                return str(self.variable["allValue"])  # as it is written
            chosen = self.options
        chosen = chosen or self.options[:1]
        assert chosen, f"${self.variable['name']} offers nothing"
        if form == "raw":
            return ",".join(chosen)
        assert form in ("", "regex"), f"the format :{form} is not known to this test"
        if not several and not everything:
            return chosen[0].replace("\\", "\\\\").replace("'", "\\\\'")
        escaped = [_escaped(v) for v in chosen]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _escaped(value: str) -> str:
    """For a regular expression in a quoted text."""
    return re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


@dataclass
class View:
    """A dashboard opened at a moment, with its variables filled from the server's own answers."""

    asked: Asked
    json: Mapping[str, Any]
    now: int
    chosen: Mapping[str, str] = field(default_factory=dict)  # by name; what is not named stays at its default
    choices: dict[str, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for variable in self.json["templating"]["list"]:
            wanted = self.chosen.get(variable["name"])
            options = tuple(self._options(variable))
            assert wanted is None or wanted in options, f"{wanted} is none of {options}"
            self.choices[variable["name"]] = Choice(variable, options, (wanted,) if wanted else ())

    @classmethod
    def every(
        cls, asked: Asked, json: Mapping[str, Any], now: int, narrow: bool = False, skip: Container[str] = ()
    ) -> list[View]:
        """A view for each combination of choices where one has to be made, but for values to skip.

        Where "All" is offered it is taken; `narrow` adds a view for each value of the first of those variables.
        """
        views = [cls(asked, json, now)]
        for variable in (v for v in json["templating"]["list"] if v["type"] == "query"):
            name, everything = variable["name"], variable.get("includeAll")
            chosen = [(v, value) for v in views for value in v.choices[name].options if value not in skip]
            if not everything:
                views = []
            if not everything or narrow:
                views += [cls(asked, json, now, {**view.chosen, name: value}) for view, value in chosen]
            narrow = narrow and not everything
        return views

    @property
    def span(self) -> int:
        return self._seconds(self.json["time"]["from"].removeprefix("now-"))

    def _options(self, variable: Mapping[str, Any]) -> list[str]:
        kind = variable["type"]
        if kind == "datasource":
            return ["prometheus"]
        if kind in ("custom", "interval", "constant", "textbox"):
            return [v.strip() for v in str(variable["query"]).split(",")]
        assert kind == "query", variable
        query = variable["query"]
        text = query["query"] if isinstance(query, dict) else query
        found = self._values(self.fill(text))
        pattern = variable.get("regex", "").strip("/")
        if pattern:
            matched = [re.search(pattern, value) for value in found]
            found = [m[1] if m.re.groups else m[0] for m in matched if m is not None]
        return list(dict.fromkeys(found))

    def _values(self, query: str) -> list[str]:
        start, end = self.now - self.span, self.now
        if labels := re.fullmatch(r"label_values\((?:(.*),)?\s*(\w+)\)", query, re.DOTALL):
            return self.asked.values(labels[2], (labels[1] or "").strip(), start, end)
        if instant := re.fullmatch(r"query_result\((.*)\)", query, re.DOTALL):
            result = self.asked.get("query", query=instant[1], time=self.now)["result"]
            return [_line(s["metric"], s["value"]) for s in result]
        raise AssertionError(f"the variable query {query!r} is not known to this test")

    def fill(self, text: str, step: int = 60, interval: int = DEFAULT_SCRAPE, span: int = 0) -> str:
        """The text with every variable in it replaced; one that nothing defines fails."""
        span = span or self.span
        built_in = {
            "__interval": f"{step}s", "__interval_ms": str(step * 1000), "__range": f"{span}s",
            "__range_s": str(span), "__range_ms": str(span * 1000),
            "__rate_interval": f"{max(step + interval, 4 * interval)}s",
        }  # fmt: skip

        def one(found: re.Match[str]) -> str:
            name = found[1] or found[3] or found[4]
            if name in built_in:
                return built_in[name]
            assert name in self.choices, f"${name} is no variable of the dashboard: {text}"
            return self.choices[name].text(found[2] or "")

        return _REFERENCE.sub(one, text)

    def request(self, panel: Mapping[str, Any], target: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """What Prometheus is asked for a target: the path, and its parameters."""
        span = self._span_of(panel)
        points = panel.get("maxDataPoints") or max(1, WIDTH * panel["gridPos"]["w"] // 24)
        minimum = self._seconds(target["interval"]) if target.get("interval") else DEFAULT_SCRAPE
        step = max(_rounded(span / points), minimum, -(-span // 11000))
        expr = self.fill(target["expr"], step, minimum, span)
        assert bool(target.get("instant")) != bool(target.get("range")), f"instant or range? {target}"
        if target.get("instant"):
            return "query", {"query": expr, "time": self.now}
        start, end = (self.now - span) // step * step, self.now // step * step
        return "query_range", {"query": expr, "start": start, "end": end, "step": step}

    def run(self, panel: Mapping[str, Any], target: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The series of a target's answer. One that is never a number is none."""
        path, params = self.request(panel, target)
        result: list[dict[str, Any]] = self.asked.get(path, **params)["result"]
        return [s for s in result if any(v != "NaN" for _, v in s.get("values", [s.get("value")]))]

    def _span_of(self, panel: Mapping[str, Any]) -> int:
        text = panel.get("timeFrom")
        return self._seconds(text.removeprefix("now-")) if text else self.span

    def _seconds(self, text: str) -> int:
        """A relative time; "1M/M" begins where a month, perhaps the one before, begins: two months at most."""
        if "/" in text or "M" in text:
            return 62 * DAY
        return int(Duration.parse(text).seconds)


def _rounded(seconds: float) -> int:
    return next((step for limit, step in _ROUND if seconds <= limit), 7 * DAY)


def _line(metric: Mapping[str, str], value: tuple[float, str]) -> str:
    """A result of query_result() as a variable's regular expression sees it."""
    labels = ",".join(f'{k}="{v}"' for k, v in metric.items() if k != "__name__")
    inside = f"{{{labels}}}" if labels else ""
    return f"{metric.get('__name__', '')}{inside} {value[1]} {int(float(value[0]) * 1000)}"


# Names of what is drawn


def drawn(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Panels in reading order, those in collapsed rows too."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def legend_labels(target: Mapping[str, Any]) -> set[str]:
    return set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")))


def table_fields(answers: Mapping[str, list[dict[str, Any]]]) -> set[str]:
    """The fields of a table of these answers by ref: Time, labels, and one of values for each query."""
    found = {"Time"}
    for ref, series in answers.items():
        found.add("Value" if len(answers) == 1 else f"Value #{ref}")
        found.update(*(s["metric"] for s in series))
    return found


def rows(answers: Iterable[list[dict[str, Any]]]) -> set[tuple[tuple[str, str], ...]]:
    """The lines of a merged table: answers meet where all their labels are the same."""
    return {tuple(sorted(s["metric"].items())) for series in answers for s in series}


def organised(panel: Mapping[str, Any], fields: set[str]) -> tuple[set[str], list[str]]:
    """The fields that a table's transformations leave, under their new names; and names they use that do not exist."""
    unknown: list[str] = []
    for step in panel.get("transformations", []):
        options = step.get("options", {})
        if step["id"] == "merge":
            continue
        assert step["id"] == "organize", f"the transformation {step['id']} is not known to this test"
        for used in (options.get("indexByName", {}), options.get("renameByName", {})):
            unknown += [name for name in used if name not in fields]
        left = {name for name in fields if not options.get("excludeByName", {}).get(name)}
        fields = {options.get("renameByName", {}).get(name) or name for name in left} | left
    return fields, unknown


def named_fields(panel: Mapping[str, Any]) -> set[str]:
    """The fields that a panel's overrides, order and links name."""
    overrides = panel.get("fieldConfig", {}).get("overrides", [])
    found = {o["matcher"]["options"] for o in overrides if o["matcher"]["id"] == "byName"}
    found |= {s["displayName"] for s in panel.get("options", {}).get("sortBy", [])}
    return found | set(re.findall(r"__data\.fields\.(\w+)", repr(overrides)))


def refs_named(panel: Mapping[str, Any]) -> set[str]:
    overrides = panel.get("fieldConfig", {}).get("overrides", [])
    return {o["matcher"]["options"] for o in overrides if o["matcher"]["id"] == "byFrameRefID"}
