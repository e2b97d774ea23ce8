"""Dashboards as data: boards of sections of panels, and the checks of a release. No dashboard tool is named here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator

from slo import promql
from slo.errors import DefinitionError
from slo.sli import EventsLike, Model, PromQL

Kind: TypeAlias = Literal[
    "stat", "lines", "timeseries", "events", "table", "bars", "timeline", "heatmap", "text"
]
# What a colour says. The first five mean something; the others only tell series apart.
Colour: TypeAlias = Literal["good", "warning", "bad", "unknown", "plain", "blue", "purple", "yellow", "grey"]

RANKS = ("Max", "Last *")  # what the legend of a graph can be ordered by, in Grafana's words
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NUMBER = re.compile(r"-?\d+(\.\d+)?|-inf")
GRID = 24  # columns


def _sequence(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _number(value: object) -> object:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise DefinitionError(f"{value!r} is a number written as text, such as '0.25'")
    return value


Number = Annotated[str, BeforeValidator(_number)]


class Step(Model):
    """From this value on, the colour says this. "-inf" is for all values below the next step."""

    at: Number
    colour: Colour


class Value(Model):
    """One value in words: Value(of="1", text="verified", colour="good"). "absent" is where there is none."""

    of: Annotated[str, BeforeValidator(lambda v: v if v == "absent" else _number(v))]
    text: str = Field(min_length=1)
    colour: Colour = "plain"


# A verdict in words and signs, so that its colour is not all there is to it.
VERDICT = (
    Value(of="1", text="✔ pass", colour="good"),
    Value(of="0", text="✘ fail", colour="bad"),
    Value(of="-1", text="? unknown", colour="unknown"),
    Value(of="absent", text="? unknown", colour="unknown"),
)


class Link(Model):
    """Where to read on: a URL, or the name of a board ("slo-detail", perhaps with "?var-slo=...")."""

    title: str = Field(min_length=1)
    to: str = Field(min_length=1)


class Query(Model):
    """One query of a panel. `$window` in it is the window of a rate over raw series; recorded series need none.

    `name` is the legend of its series ("{{component}}" is a label), or in a table the title of its column.
    `unit`, `decimals`, `steps`, `values` and `empty` replace the panel's for this query.
    """

    expr: PromQL
    name: str = ""
    unit: str = ""
    decimals: int | None = None
    colour: Colour | None = None
    dashed: bool = False
    width: int = 0
    steps: Annotated[tuple[Step, ...], BeforeValidator(_sequence)] = ()
    values: Annotated[tuple[Value, ...], BeforeValidator(_sequence)] = ()
    empty: str = ""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            expr: EventsLike,
            name: str = "",
            unit: str = "",
            decimals: int | None = None,
            colour: Colour | None = None,
            dashed: bool = False,
            width: int = 0,
            steps: Sequence[Step] = (),
            values: Sequence[Value] = (),
            empty: str = "",
        ) -> None: ...

    @field_validator("expr")
    @classmethod
    def _parses(cls, value: str) -> str:
        parse(value)
        return value

    @property
    def raw(self) -> bool:
        """Whether it takes a rate over raw series."""
        return promql.WINDOW in self.expr


_MATCHERS = re.compile(r"\$\{\w+:raw\}")


def parse(expr: str) -> object:
    """Parse a panel's PromQL; a variable that stands for matchers ("${group:raw}") is read as one."""
    return promql.parse(_MATCHERS.sub('group!=""', expr))


class Column(Model):
    """A label that a table shows, in the order written; `hidden` ones serve links only.

    In pixels: `width` is what the column has; without it, it has a share of what the others leave, `least` at least.
    A phone shows 338 of a table before it is moved sideways.
    """

    label: str
    title: str = ""
    width: int = 0
    least: int = 0
    link: Link | None = None
    hidden: bool = False


class Panel(Model):
    """One picture that answers one question.

    `empty` says why the panel may be empty when all is well; without it an empty panel is a fault. `missing` stands
    where a value is missing: by default the reason of `empty`, or "no data". `unit` is a
    Grafana unit id ("percentunit", "s", "reqps", "short"). `sort` names the column that orders a table, "-" before it
    turns the order round; a graph of more series than a line can name has such a table as its legend, by "Max" or
    "Last *". "events" are bars on top of each other, of what happens now and then, with a legend by "-Max". `range` is
    a time range of its own ("62d", "now-1M/M"). `text` is that of a text panel.
    """

    title: str = Field(min_length=1)
    kind: Kind = "timeseries"
    queries: Annotated[tuple[Query, ...], BeforeValidator(_sequence)] = ()
    description: str = Field(min_length=10)
    unit: str = "short"
    decimals: int | None = None
    width: int = Field(default=12, ge=2, le=GRID)
    height: int = Field(default=8, ge=2, le=40)
    steps: Annotated[tuple[Step, ...], BeforeValidator(_sequence)] = ()
    values: Annotated[tuple[Value, ...], BeforeValidator(_sequence)] = ()
    columns: Annotated[tuple[Column, ...], BeforeValidator(_sequence)] = ()
    sort: str = ""
    stacked: bool = False
    low: Number | None = None
    high: Number | None = None
    range: str = ""
    links: Annotated[tuple[Link, ...], BeforeValidator(_sequence)] = ()
    empty: str = ""
    missing: str = ""
    text: str = ""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            title: str,
            kind: Kind = "timeseries",
            queries: Sequence[Query] = (),
            description: str,
            unit: str = "short",
            decimals: int | None = None,
            width: int = 12,
            height: int = 8,
            steps: Sequence[Step] = (),
            values: Sequence[Value] = (),
            columns: Sequence[Column] = (),
            sort: str = "",
            stacked: bool = False,
            low: str | None = None,
            high: str | None = None,
            range: str = "",
            links: Sequence[Link] = (),
            empty: str = "",
            missing: str = "",
            text: str = "",
        ) -> None: ...

    @model_validator(mode="after")
    def _drawable(self) -> Panel:
        if self.kind == "text":
            if not self.text or self.queries:
                raise DefinitionError(f"panel {self.title!r} is a text: give it text= and no queries")
        elif not self.queries:
            raise DefinitionError(f"panel {self.title!r} shows nothing: give it queries=[Query(expr=...)]")
        if self.kind == "heatmap" and len(self.queries) != 1:
            raise DefinitionError(f"panel {self.title!r} is a heatmap: it takes one query, by (le)")
        if self.kind == "timeseries" and self.sort and self.sort.removeprefix("-") not in RANKS:
            raise DefinitionError(
                f"panel {self.title!r} lists its series by {self.sort!r}: write 'Max' or 'Last *', or '-' before it"
            )
        if len(self.queries) > 26:
            raise DefinitionError(f"panel {self.title!r} has {len(self.queries)} queries: 26 are the most")
        return self


class Section(Model):
    """Panels under one heading, from left to right, wrapped where the row is full."""

    title: str = ""
    panels: Annotated[tuple[Panel, ...], BeforeValidator(_sequence)]
    collapsed: bool = False

    if TYPE_CHECKING:

        def __init__(self, *, title: str = "", panels: Sequence[Panel], collapsed: bool = False) -> None: ...


class Variable(Model):
    """A choice at the top of a board. `$name` in a query is what was chosen.

    `of` is a series selector whose values of `label` are offered. Where `label` is empty, `of` is a query and
    `pattern` takes the choice out of each of its results. `everything` is what the choice "All" stands for.
    """

    name: str
    title: str
    of: str
    label: str = ""
    pattern: str = ""
    several: bool = False
    all: bool = False
    everything: str = ""


class Mark(Model):
    """Moments that every graph of a board marks, such as firing alerts. `text` may name labels: "{{alertname}}".

    `$window` in its query is the time from one evaluation to the next. A mark that stands as long as something lasts
    is two lines, and at the edge of a graph they hide it: mark where it begins.
    """

    title: str
    expr: PromQL
    text: str = ""
    colour: Colour = "warning"


class Board(Model):
    """A dashboard: the question it answers at first glance, and what answers it.

    `name` is its stable identity. `span` is how far it looks back when it is opened.
    """

    name: str
    title: str = Field(min_length=1)
    question: str = Field(min_length=10)
    sections: Annotated[tuple[Section, ...], BeforeValidator(_sequence)]
    variables: Annotated[tuple[Variable, ...], BeforeValidator(_sequence)] = ()
    marks: Annotated[tuple[Mark, ...], BeforeValidator(_sequence)] = ()
    span: str = "24h"

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            title: str,
            question: str,
            sections: Sequence[Section],
            variables: Sequence[Variable] = (),
            marks: Sequence[Mark] = (),
            span: str = "24h",
        ) -> None: ...

    @field_validator("name")
    @classmethod
    def _identity(cls, value: str) -> str:
        if not _NAME.fullmatch(value) or len(value) > 40:
            raise DefinitionError(
                f"board name {value!r} must be lower-case letters, digits and dashes, at most 40 characters"
            )
        return value

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for section in self.sections for panel in section.panels)


class Check(Model):
    """One condition of a release, judged in the same way by a dashboard and by a gate.

    `query` yields one value: 1 passes, 0 fails; without a value the answer is unknown, which is neither.
    `evidence` yields the number behind it, in `unit`, under the name `measures`: a noun phrase as it stands inside a
    sentence ("age of the last backup"). `title` is a whole statement without its full stop. `remedy` says what to do
    when it fails.
    """

    name: str
    title: str = Field(min_length=1)
    query: PromQL
    description: str = Field(min_length=10)
    remedy: str = Field(min_length=10)
    evidence: PromQL
    measures: str = Field(min_length=1)
    unit: str = "short"
    decimals: int | None = None

    @field_validator("name")
    @classmethod
    def _identity(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise DefinitionError(f"check name {value!r} must be lower-case letters, digits and dashes")
        return value

    @field_validator("query", "evidence")
    @classmethod
    def _one_value(cls, value: str) -> str:
        parse(value)
        if promql.result_labels(value) != set():
            raise DefinitionError(
                f"check query {value!r} yields a value for each label set: aggregate it to one, as with min(...)"
            )
        return value
