"""Golden signals: how is this service? One dashboard for each, as each has series of its own."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from dashboards import bounds, firing, objectives
from dashboards.bounds import Bound, as_text
from dashboards.queries import Scope
from slo import names, promql
from slo.board import Board, Colour, Column, Kind, Link, Panel, Query, Section, Step
from slo.links import runbook_url
from slo.model import SLO, Monitor, NotMeasured, Service, Signal, Stack, signal_monitors
from slo.names import sel
from slo.promql import WINDOW

OVERVIEW = Link(title="All objectives", to=names.OVERVIEW)
PERCENTILES: tuple[tuple[str, str, Colour], ...] = (
    ("0.5", "p50", "grey"),
    ("0.95", "p95", "blue"),
    ("0.99", "p99", "purple"),
)
MEANS = {
    "latency": "How long it takes to answer",
    "traffic": "How much is asked of it",
    "errors": "What goes wrong",
    "saturation": "How full it is",
}


def boards(stack: Stack) -> Iterator[Board]:
    """One for each service that has signals, or monitors that link to it."""
    watched = {m.service.name for m in stack.monitors}
    for service in stack.all_services:
        if service.signals is not None or service.name in watched:
            yield _board(stack, service)


def _board(stack: Stack, service: Service) -> Board:
    slos = tuple(s for s in stack.slos if s.service.name == service.name)
    about = f" {service.description}" if service.description else ""
    return Board(
        name=names.golden_board(service.name),
        title=f"{service.name}: golden signals",
        question=f"How is {service.name}: latency, traffic, errors, saturation?{about}",
        sections=[
            Section(panels=[*_objectives(stack, service, slos), _alerts(stack, service, slos)]),
            *_signals(stack, service, slos),
            *_watched(stack, service),
        ],
    )


def _objectives(stack: Stack, service: Service, slos: tuple[SLO, ...]) -> list[Panel]:
    if not slos:
        return []
    scope = Scope({"stack": stack.name}, {"stack": stack.name, "service": service.name})
    return [objectives.table(scope, min(4 + len(slos), 12), (OVERVIEW,), whose=False)]


def _alerts(stack: Stack, service: Service, slos: tuple[SLO, ...]) -> Panel:
    detail = Link(
        title="Details of this objective",
        to=f"{names.DETAIL}?var-stack={stack.name}&var-slo=${{__data.fields.slo}}",
    )
    objective = [Column(label="slo", title="Objective", least=180, link=detail)] if slos else []
    labels = [
        Column(label=name, title=_title(name), least=110) for name in _labels_of_alerts(stack, service, slos)
    ]
    chosen = {"stack": stack.name, "service": service.name}
    return firing.table("service", chosen, [*objective, *labels], (OVERVIEW,), "No alert of this service fires.")  # fmt: skip


def _labels_of_alerts(stack: Stack, service: Service, slos: tuple[SLO, ...]) -> list[str]:
    """What tells a service's alerts apart beside their names."""
    found = {label for slo in slos for label in (*slo.by, *slo.labels)}
    for monitor in stack.all_monitors:
        if monitor.service.name == service.name:
            found |= {*monitor.labels, *(promql.result_labels(monitor.expr) or ())}
    return sorted(found - {*firing.HIDDEN, "slo", *(column.label for column in firing.SHOWN)})


def _title(label: str) -> str:
    return label.replace("_", " ").capitalize()


def _signals(stack: Stack, service: Service, slos: tuple[SLO, ...]) -> Iterator[Section]:
    if service.signals is None:
        yield Section(panels=[_undeclared(service)])
        return
    for kind, signals in service.signals.items():
        if isinstance(signals, NotMeasured):
            panels = [_unmeasured(kind, signals)]
        else:
            panels = [p for s in signals for p in _drawn(stack, service, kind, s, slos)]
        yield Section(title=kind.capitalize(), panels=_spread(panels))


def _spread(panels: list[Panel]) -> list[Panel]:
    """One fills the row, two share it, more go by three."""
    width = 24 // min(len(panels), 3)
    return [p.model_copy(update={"width": width}) for p in panels]


def _undeclared(service: Service) -> Panel:
    return Panel(
        title="No golden signals", kind="text", width=24, height=3, links=[OVERVIEW],
        text=f"None are declared for {service.name}. Below is what its alerts watch.",
        description="Signals are declared with signals= in the service's definition.",
    )  # fmt: skip


def _unmeasured(kind: str, reason: NotMeasured) -> Panel:
    return Panel(
        title=f"{kind.capitalize()} is not measured", kind="text", text=reason.reason, height=3,
        description=f"Why nobody can see it: {reason.reason}", links=[OVERVIEW],
    )  # fmt: skip


def _drawn(
    stack: Stack, service: Service, kind: str, signal: Signal, slos: tuple[SLO, ...]
) -> Iterator[Panel]:
    expr = promql.inject(signal.expr, service.selector)
    title = signal.title or kind.capitalize()
    found = sorted({*bounds.of_slos(expr, slos), *bounds.of_alert(signal)})
    common: dict[str, Any] = {
        "unit": signal.unit,
        "height": 8,
        "steps": _steps(found),
        "links": _links(stack, service, signal),
    }
    histogram = bounds.histogram_of(expr)
    if histogram is None:
        queries = [_drawn_query(kind, expr, title), *_budgets(stack, expr, slos)]
        drawn: Kind = "timeseries"
        if _counted(kind, expr) and not found:
            drawn, common["height"] = "events", 10  # room for the table of its sorts
        yield Panel(
            title=title, kind=drawn, queries=queries, low="0", description=_said(kind, service, found), **common
        )  # fmt: skip
        return
    classic = histogram.metric.endswith("_bucket")
    rate = f"rate({histogram}[{WINDOW}])"
    summed = f"sum by (le) ({rate})" if classic else f"sum({rate})"
    name = title.removesuffix(", p95")
    yield Panel(
        title=f"{name}, percentiles", low="0", description=_said(kind, service, found),
        queries=[
            Query(expr=f"histogram_quantile({share}, {summed})", name=legend, colour=colour)
            for share, legend, colour in PERCENTILES
        ],
        **common,
    )  # fmt: skip
    yield Panel(
        title=f"{name}, distribution", kind="heatmap", unit=signal.unit, height=8,
        description=f"How many answers took how long; the scale below tells the colours. {service.name}, all of its instances.",
        queries=[Query(expr=summed, name="{{le}}")], links=common["links"],
    )  # fmt: skip


def _drawn_query(kind: str, expr: str, title: str) -> Query:
    """An error series is born with its first error. Until then a share of errors is 0, and a count of them unknown."""
    legend = _legend(expr, title)
    if kind != "errors":
        return Query(expr=expr, name=legend)
    whole = promql.denominator(expr)
    if whole is not None:
        return Query(expr=f"{expr} or 0 * {whole}", name=legend)
    return Query(
        expr=expr, name=legend, empty="No such event was counted yet: its series is born with the first."
    )


def _counted(kind: str, expr: str) -> bool:
    """Whether it counts errors of several sorts, which add up."""
    return (
        kind == "errors"
        and WINDOW in expr
        and promql.denominator(expr) is None
        and bool(promql.result_labels(expr))
    )


def _said(kind: str, service: Service, found: list[Bound]) -> str:
    lines = "".join(f" Dashed line: {b.of}." for b in found)
    return f"{MEANS[kind]}. {service.name}, all of its instances together.{lines}"


def _legend(expr: str, title: str) -> str:
    """The labels that tell the series apart; without any, the title."""
    labels = promql.result_labels(expr)
    return " ".join(f"{{{{{name}}}}}" for name in sorted(labels)) if labels else title


def _steps(found: list[Bound]) -> list[Step]:
    return [Step(at=as_text(value), colour="bad") for value in dict.fromkeys(b.value for b in found)]


def _budgets(stack: Stack, expr: str, slos: tuple[SLO, ...]) -> list[Query]:
    """The share of errors that spends exactly the budget, as recorded."""
    if promql.denominator(expr) is None:
        return []
    return [
        Query(
            expr=f"max({sel(names.BUDGET, stack=stack.name, slo=slo.id)})",
            name=f"Budget of {slo.name}",
            colour="bad",
            dashed=True,
        )
        for slo in bounds.budgets_of(expr, slos)
    ]


def _links(stack: Stack, service: Service, signal: Signal) -> list[Link]:
    if signal.when is None:
        return [OVERVIEW]
    page = runbook_url(stack, signal.alert, service.runbooks, signal.runbook)
    return [Link(title=f"Runbook of {signal.alert}", to=page)] if "://" in page else [OVERVIEW]


# What the alerts compare


def _watched(stack: Stack, service: Service) -> Iterator[Section]:
    """The values that monitors compare, with their bounds; on top where there is nothing else to see."""
    drawn = {m.name for m in signal_monitors(service)}
    chosen = [m for m in stack.all_monitors if m.service.name == service.name and m.name not in drawn]
    if not chosen:
        return
    panels = [_monitor(stack, m) for m in chosen]
    yield Section(
        title="What the alerts watch", collapsed=service.signals is not None, panels=panels
    )  # fmt: skip


def _monitor(stack: Stack, monitor: Monitor) -> Panel:
    page = runbook_url(stack, monitor.name, monitor.service.runbooks, monitor.runbook)
    link = Link(title="Runbook", to=page) if "://" in page else OVERVIEW
    split = promql.as_comparison(monitor.expr)
    bound = _number(split.bound) if split is not None else None
    common: dict[str, Any] = {"title": monitor.name, "links": [link], "width": 8, "height": 6}
    if split is None or bound is None:
        return Panel(
            queries=[Query(expr=monitor.expr, name=monitor.name)],
            description=f"{monitor.summary} The value is drawn while the alert's condition holds.",
            unit=_unit(monitor.expr), empty="The alert's condition does not hold.", **common,
        )  # fmt: skip
    labels = sorted(promql.result_labels(split.query) or ())
    if len(labels) > 1:  # too many series for a line: those that alert come first
        common |= {"sort": "-Last *" if split.op.startswith(">") else "Last *", "height": 8}
    return Panel(
        queries=[Query(expr=split.query, name=" ".join(f"{{{{{n}}}}}" for n in labels) or "Now")],
        description=f"{monitor.summary} It alerts when the value is {split.op} {split.bound}, the dashed line.",
        unit=_unit(split.query), steps=[Step(at=bound, colour="bad")], **common,
    )  # fmt: skip


def _number(text: str) -> str | None:
    try:
        return as_text(Decimal(text))
    except InvalidOperation:
        return None


def _unit(expr: str) -> str:
    """Seconds where the value is an age or a length of time."""
    if "time()" in expr or any(
        "_seconds" in s.metric and not s.metric.endswith(("_count", "_bucket"))
        for s in promql.selectors(expr)
    ):
        return "s"
    return "percentunit" if "/" in expr else "short"
