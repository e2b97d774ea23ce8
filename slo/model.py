"""What a team writes: services with golden signals, SLOs, monitors, and the stack that holds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from slo import names, promql
from slo.board import Board, Check
from slo.errors import DefinitionError
from slo.packing import Chart
from slo.quantity import Duration, Objective, Window
from slo.sli import SLI, AnySLI, Composite, EventsLike, Model, PromQL, counts_time, parts_of

Severity: TypeAlias = Literal["page", "ticket", "info"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_ALERT = re.compile(r"[A-Z][A-Za-z0-9]*")
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
SEVERITIES: Mapping[Severity, str] = {"page": "critical", "ticket": "warning", "info": "info"}  # mixtool's
ALERT_NAME_LIMIT = 40  # the limit of mixtool's lint
RESERVED = frozenset({"stack", "slo", "service", "owner", "tier", "window", "base", "policy", "unit", "severity",
                      "component", "part", "month", "quarter", "alertname", "alertstate", "monitor", "le",
                      "quantile"})  # fmt: skip


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or len(value) > 50:
        raise DefinitionError(
            f"name {value!r} must be lower-case letters, digits and dashes, at most 50 characters"
        )
    return value


def _labels(value: Mapping[str, str]) -> Mapping[str, str]:
    for name in value:
        if not promql.is_label(name) or name.startswith("__"):
            raise DefinitionError(
                f"label {name!r} is no Prometheus label name: use letters, digits and underscores"
            )
        if name in RESERVED:
            raise DefinitionError(f"label {name!r} is set by the generated rules: choose another name")
    return value


def _number(value: str) -> str:
    if not _DECIMAL.fullmatch(value):
        raise DefinitionError(f"bound {value!r} is a number written as text, such as '0.3'")
    return value


def _wait(value: Duration) -> Duration:
    if value.seconds % 1 or value.seconds > 400 * 86400:
        raise DefinitionError(
            f"duration {str(value)!r} is a wait of rules: write whole seconds, at most '400d'"
        )
    return value


def _sequence(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Name = Annotated[str, BeforeValidator(lambda v: _name(v) if isinstance(v, str) else v)]
Number = Annotated[str, BeforeValidator(lambda v: _number(v) if isinstance(v, str) else v)]
Wait = Annotated[Duration, AfterValidator(_wait)]
Examples: TypeAlias = Mapping[str, str]


class _OneWord(Model):
    """A definition of one field, which may be written without its name: Above("5")."""

    if not TYPE_CHECKING:

        def __init__(self, word: object = None, **data: object) -> None:
            named = {} if word is None else dict.fromkeys(type(self).model_fields, word)
            super().__init__(**named, **data)


class NotMeasured(_OneWord):
    """A golden signal nobody can see, and why. The dashboard says so instead of showing nothing."""

    reason: str = Field(min_length=10)

    if TYPE_CHECKING:

        def __init__(self, reason: str) -> None: ...


class Above(_OneWord):
    """The signal is above a bound."""

    bound: Number

    if TYPE_CHECKING:

        def __init__(self, bound: str) -> None: ...

    def condition(self, query: str) -> str:
        return f"{promql.grouped(query)} > {self.bound}"


class Below(_OneWord):
    """The signal is below a bound."""

    bound: Number

    if TYPE_CHECKING:

        def __init__(self, bound: str) -> None: ...

    def condition(self, query: str) -> str:
        return f"{promql.grouped(query)} < {self.bound}"


class NearZero(Above):
    """The signal should be near zero: it alerts above the given small bound."""

    bound: Number = "0.01"

    if TYPE_CHECKING:

        def __init__(self, bound: str = "0.01") -> None: ...


class NotExploding(Model):
    """The signal grew beyond `factor` times its own average over `past`, and beyond `floor`."""

    factor: Number = "3"
    past: Wait = Duration.of(86400)
    floor: Number = "0"

    if TYPE_CHECKING:

        def __init__(self, *, factor: str = "3", past: str | Duration = "1d", floor: str = "0") -> None: ...

    def condition(self, query: str) -> str:
        now = promql.grouped(query)
        return f"{now} > {self.factor} * avg_over_time(({query})[{self.past}:5m] offset 10m) and {now} > {self.floor}"


class WhileDemand(Model):
    """The signal is zero or absent while there is demand for it: signer successes while scans occur."""

    demand: PromQL

    if TYPE_CHECKING:

        def __init__(self, *, demand: EventsLike) -> None: ...

    def condition(self, query: str) -> str:
        demand = rate_of(self.demand)
        return f"(sum({demand}) > 0) unless on() (sum({query}) > 0)"


Condition: TypeAlias = Above | Below | NearZero | NotExploding | WhileDemand


def rate_of(query: str) -> str:
    """A counter selector as events per second; any other query as it is."""
    selector = promql.as_selector(query)
    if selector is not None and selector.metric.endswith(("_total", "_count")):
        return f"sum(rate({query}[{promql.WINDOW}]))"
    return query


class Signal(Model):
    """One golden signal: a query, its unit, and optionally the condition that alerts on it.

    A counter selector is read as events per second, a *_bucket selector as the 95th percentile.
    `unit` is a Grafana unit id ("s", "reqps", "percentunit", "bytes", "short").
    """

    query: str
    title: str = ""
    unit: str = "short"
    alert: str = ""
    when: Condition | None = None
    severity: Severity = "ticket"
    lasting: Wait = Duration.of(600)
    summary: str = ""
    description: str = ""
    runbook: str = ""
    no_data: Wait | None = None
    fires: Examples = {}
    silent: Examples = {}

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            query: str,
            title: str = "",
            unit: str = "short",
            alert: str = "",
            when: Condition | None = None,
            severity: Severity = "ticket",
            lasting: str | Duration = "10m",
            summary: str = "",
            description: str = "",
            runbook: str = "",
            no_data: str | Duration | None = None,
            fires: Examples = {},
            silent: Examples = {},
        ) -> None: ...

    @field_validator("query")
    @classmethod
    def _parses(cls, value: str) -> str:
        promql.parse(value)
        return value

    @model_validator(mode="after")
    def _named(self) -> Signal:
        if (self.when is None) != (self.alert == ""):
            raise DefinitionError(
                "a signal that alerts needs both alert= (its name) and when= (its condition)"
            )
        return self

    @property
    def expr(self) -> str:
        """The value to draw and to compare."""
        selector = promql.as_selector(self.query)
        if selector is not None and selector.metric.endswith("_bucket"):
            return f"histogram_quantile(0.95, sum by (le) (rate({self.query}[{promql.WINDOW}])))"
        return rate_of(self.query)


def _signals(value: object) -> object:
    """One signal, text for one, or several."""
    if isinstance(value, str):
        return (Signal(query=value),)
    if isinstance(value, Signal):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(Signal(query=v) if isinstance(v, str) else v for v in value)
    return value


SignalsLike: TypeAlias = str | Signal | NotMeasured | Sequence[str | Signal]
Signals = Annotated[tuple[Signal, ...] | NotMeasured, BeforeValidator(_signals)]


class GoldenSignals(Model):
    """Latency, traffic, errors, saturation: each one or several signals, or NotMeasured with its reason."""

    latency: Signals
    traffic: Signals
    errors: Signals
    saturation: Signals

    if TYPE_CHECKING:

        def __init__(
            self, *, latency: SignalsLike, traffic: SignalsLike, errors: SignalsLike, saturation: SignalsLike
        ) -> None: ...

    def items(self) -> tuple[tuple[str, tuple[Signal, ...] | NotMeasured], ...]:
        return (("latency", self.latency), ("traffic", self.traffic), ("errors", self.errors),
                ("saturation", self.saturation))  # fmt: skip


class Service(Model):
    """A service: who owns it, how much it matters, how its series are selected, what is watched.

    `selector` labels are added to every series selector of its SLOs and signals that does not already match
    on them. `runbooks` is the base URL of its runbook pages; the stack's is used where it is empty.
    """

    name: Name
    owner: str = Field(min_length=1)
    tier: int = Field(default=2, ge=0, le=4)
    selector: Mapping[str, str] = {}
    runbooks: str = ""
    signals: GoldenSignals | None = None
    description: str = ""

    @field_validator("selector")
    @classmethod
    def _label_names(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name in value:
            if not promql.is_label(name) or name.startswith("__"):
                raise DefinitionError(
                    f"label {name!r} is no Prometheus label name: use letters, digits and underscores"
                )
        return value


class AlertPolicy(Model):
    """Which alert tiers an SLO has, and what keeps them quiet at low traffic.

    `off` names tiers to leave out ("page", "ticket", or one long window such as "page-1h").
    `min_events`: fewer bad events than this in the long window never alert; a time-based indicator counts
    slices. `no_data` is how long an indicator may be without data before its health alert.
    """

    off: Annotated[tuple[str, ...], BeforeValidator(_sequence)] = ()
    min_events: int = Field(default=5, ge=1)
    no_data: Wait = Duration.of(900)

    if TYPE_CHECKING:

        def __init__(
            self, *, off: Sequence[str] = (), min_events: int = 5, no_data: str | Duration = "15m"
        ) -> None: ...

    @field_validator("off")
    @classmethod
    def _tiers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = ("page", "ticket", "page-1h", "page-6h", "ticket-1d", "ticket-3d")
        for tier in value:
            if tier not in known:
                raise DefinitionError(f"alert tier {tier!r} is unknown: use one of {', '.join(known)}")
        return value


class SLO(Model):
    """An objective for one indicator of one service over one window.

    `by` keeps labels of the series apart: each value has a budget and alerts of its own.
    """

    service: Service
    name: Name
    objective: Objective
    window: Window = Window(30, "month")
    sli: AnySLI
    description: str = Field(min_length=1)
    alerts: AlertPolicy = AlertPolicy()
    labels: Annotated[
        Mapping[str, str], BeforeValidator(lambda v: _labels(v) if isinstance(v, Mapping) else v)
    ] = {}
    by: Annotated[tuple[str, ...], BeforeValidator(_sequence)] = ()
    runbook: str = ""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            service: Service,
            name: str,
            objective: str | Objective,
            window: str | Window = "month",
            sli: SLI,
            description: str,
            alerts: AlertPolicy = ...,
            labels: Mapping[str, str] = {},
            by: Sequence[str] = (),
            runbook: str = "",
        ) -> None: ...

    @field_validator("by")
    @classmethod
    def _grouping(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _labels(dict.fromkeys(value, ""))
        return value

    @model_validator(mode="after")
    def _id_fits(self) -> SLO:
        overlap = set(self.by) & set(self.labels)
        if overlap:
            raise DefinitionError(f"label {min(overlap)!r} is both in labels and in by: keep one")
        return self

    @property
    def id(self) -> str:
        """Unique within the stack: service and name."""
        return f"{self.service.name}-{self.name}"

    @property
    def unit(self) -> Literal["events", "seconds"]:
        """What the indicator counts; a composite is stated in time."""
        whole_time = isinstance(self.sli, Composite) or counts_time(self.sli)
        return "seconds" if whole_time else "events"

    def selects(self, expr: str) -> str:
        """The expression with the service's selector labels added."""
        return promql.inject(expr, self.service.selector)

    def metrics(self) -> tuple[promql.Selector, ...]:
        """Every raw selector the indicator reads, with the service's labels."""
        found: list[promql.Selector] = []
        for part in parts_of(self.sli).values():
            for field in ("total", "bad", "good", "histogram", "gauge", "condition", "timestamp"):
                text = getattr(part, field, None)
                if text:
                    found += promql.selectors(self.selects(text))
        return tuple(dict.fromkeys(found))


class Monitor(Model):
    """A named alert that is no SLO: key age, roots drift, backups. The condition is PromQL that compares.

    `lasting` is how long it must hold; `no_data` adds an alert when the condition's series are absent that
    long. `summary` is one sentence with a full stop. `fires` and `silent` are promtool series for its
    generated test, needed only where the condition is too involved to derive them.
    """

    name: str
    service: Service
    condition: str
    severity: Severity = "ticket"
    lasting: Wait | None = None
    keep_firing: Wait | None = None
    summary: str
    description: str = ""
    runbook: str = ""
    labels: Annotated[
        Mapping[str, str], BeforeValidator(lambda v: _labels(v) if isinstance(v, Mapping) else v)
    ] = {}
    no_data: Wait | None = None
    fires: Examples = {}
    silent: Examples = {}

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            service: Service,
            condition: str,
            severity: Severity = "ticket",
            lasting: str | Duration | None = None,
            keep_firing: str | Duration | None = None,
            summary: str,
            description: str = "",
            runbook: str = "",
            labels: Mapping[str, str] = {},
            no_data: str | Duration | None = None,
            fires: Examples = {},
            silent: Examples = {},
        ) -> None: ...

    @field_validator("name")
    @classmethod
    def _camel_case(cls, value: str) -> str:
        if value in names.GENERIC_ALERTS:
            raise DefinitionError(f"alert name {value!r} is that of a generated alert: choose another name")
        if not _ALERT.fullmatch(value) or len(value) > ALERT_NAME_LIMIT:
            raise DefinitionError(
                f"alert name {value!r} must be CamelCase, at most {ALERT_NAME_LIMIT} characters"
            )
        return value

    @field_validator("summary")
    @classmethod
    def _sentence(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Z].+\.", value, re.DOTALL) or "{{" in value:
            raise DefinitionError(
                f"summary {value!r} must be one static sentence: capital first, full stop last, no template"
            )
        return value

    @field_validator("condition")
    @classmethod
    def _compares(cls, value: str) -> str:
        promql.parse(value)
        if not promql.decides(value):
            raise DefinitionError(
                f"condition {value!r} compares nothing, so it would always fire: add a bound, such as '> 0'"
            )
        return value

    @property
    def expr(self) -> str:
        return promql.inject(self.condition, self.service.selector)


def signal_monitors(service: Service) -> tuple[Monitor, ...]:
    """The monitors that a service's golden signals ask for."""
    if service.signals is None:
        return ()
    watched = [s for _, signals in service.signals.items() if isinstance(signals, tuple) for s in signals]
    return tuple(_signal_monitor(service, s, s.when) for s in watched if s.when is not None)


def _signal_monitor(service: Service, s: Signal, when: Condition) -> Monitor:
    return Monitor(
        name=s.alert,
        service=service,
        condition=when.condition(s.expr),
        severity=s.severity,
        lasting=s.lasting,
        summary=s.summary or f"A golden signal of {service.name} is out of bounds.",
        description=s.description,
        runbook=s.runbook,
        no_data=s.no_data,
        fires=s.fires,
        silent=s.silent,
    )


class Stack(Model):
    """Everything that is compiled together. `name` becomes a label: two stacks share one Prometheus in peace.

    `severities` maps page, ticket and info to the values of the severity label. `dashboards` is the base URL
    of Grafana, `runbooks` of the runbook pages ("{alert}" in it stands for the page); alerts link to both.
    `chart` is the Helm chart that is made of it.
    """

    name: Name
    services: Annotated[tuple[Service, ...], BeforeValidator(_sequence)] = ()
    slos: Annotated[tuple[SLO, ...], BeforeValidator(_sequence)] = ()
    monitors: Annotated[tuple[Monitor, ...], BeforeValidator(_sequence)] = ()
    boards: Annotated[tuple[Board, ...], BeforeValidator(_sequence)] = ()
    checks: Annotated[tuple[Check, ...], BeforeValidator(_sequence)] = ()
    severities: Mapping[Severity, str] = SEVERITIES
    dashboards: str = ""
    runbooks: str = ""
    description: str = ""
    chart: Chart = Chart()

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            services: Sequence[Service] = (),
            slos: Sequence[SLO] = (),
            monitors: Sequence[Monitor] = (),
            boards: Sequence[Board] = (),
            checks: Sequence[Check] = (),
            severities: Mapping[Severity, str] = ...,
            dashboards: str = "",
            runbooks: str = "",
            description: str = "",
            chart: Chart = ...,
        ) -> None: ...

    @model_validator(mode="after")
    def _consistent(self) -> Stack:
        if not self.slos and not self.monitors:
            raise DefinitionError(f"stack {self.name!r} is empty: give it slos=[...] or monitors=[...]")
        for what, ids in (
            ("SLO", [s.id for s in self.slos]),
            ("monitor", [m.name for m in self.all_monitors]),
            ("check", [c.name for c in self.checks]),
            ("board", [*names.GENERIC_BOARDS, *(b.name for b in self.boards)]),
        ):
            twice = sorted(n for n, count in Counter(ids).items() if count > 1)
            if twice:
                raise DefinitionError(f"{what} {twice[0]!r} is defined twice: rename one of them")
        golden = {names.golden_board(s.name) for s in self.all_services} & {b.name for b in self.boards}
        if golden:
            raise DefinitionError(
                f"board {min(golden)!r} has the name of a service's golden signals: rename it"
            )
        apart = {label for s in self.slos for label in s.by}
        for slo in self.slos:
            both = sorted(apart & set(slo.labels))
            if both:
                raise DefinitionError(
                    f"label {both[0]!r} of SLO {slo.id!r} is another SLO's by label, and they share their alerts: rename it"
                )
        known: dict[str, Service] = {}
        for service in self.all_services:
            if known.setdefault(service.name, service) != service:
                raise DefinitionError(
                    f"two different services are named {service.name!r}: rename one of them"
                )
        missing = {"page", "ticket", "info"} - set(self.severities)
        if missing:
            raise DefinitionError(f"severities has no value for {', '.join(sorted(missing))}")
        return self

    @property
    def all_services(self) -> tuple[Service, ...]:
        """Services named directly and through SLOs and monitors, in order of first mention."""
        every: Iterable[Any] = (
            *self.services,
            *(s.service for s in self.slos),
            *(m.service for m in self.monitors),
        )
        unique: dict[int, Service] = {id(s): s for s in every}
        return tuple({(s.name, id(s)): s for s in unique.values()}.values())

    @property
    def all_monitors(self) -> tuple[Monitor, ...]:
        """Monitors written directly, then those of golden signals."""
        seen: dict[str, Service] = {s.name: s for s in self.all_services}
        return (*self.monitors, *(m for s in seen.values() for m in signal_monitors(s)))

    @property
    def label_names(self) -> tuple[str, ...]:
        """Every extra label name any SLO of the stack carries."""
        return tuple(sorted({name for s in self.slos for name in s.labels}))
