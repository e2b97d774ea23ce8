"""SLO overview: which objectives need attention, worst first. One dashboard for any number of stacks and SLOs."""

from __future__ import annotations

from dashboards import objectives
from dashboards.queries import Scope, firing
from slo import names
from slo.board import Board, Link, Panel, Query, Section, Step, Variable
from slo.names import sel

SHOWN = 10  # lines that a graph can show and a reader can follow: the palette has no more hues
SOON = "3 * 86400"  # seconds; a weekend
COUNT = (Step(at="-inf", colour="good"), Step(at="1", colour="bad"))
NOTE = (Step(at="-inf", colour="good"), Step(at="1", colour="warning"))
BLIND = (Step(at="-inf", colour="good"), Step(at="1", colour="unknown"))
META = Link(title="Is the monitoring well?", to=names.META)

STACK = {"stack": "~$stack"}
SCOPE = Scope(STACK, {**STACK, "owner": "~$owner", "service": "~$service", "tier": "~$tier"})


def variables() -> tuple[Variable, ...]:
    """Choices, each within the ones before it."""
    above: dict[str, str] = {}
    found = []
    for label in ("stack", "owner", "service", "tier"):
        of = sel(names.BUDGET, **above) if above else names.BUDGET
        found.append(
            Variable(name=label, title=label.capitalize(), of=of, label=label, several=True, all=True, everything=".+")
        )  # fmt: skip
        above[label] = f"~${label}"
    return tuple(found)


def board() -> Board:
    return Board(
        name=names.OVERVIEW,
        title="SLO overview",
        question="Which objectives need attention now, worst first?",
        variables=variables(),
        span="7d",
        sections=[
            Section(panels=_headline()),
            Section(title="All objectives, worst first", panels=[objectives.table(SCOPE, 16, (META,))]),
            Section(title="Error budgets", panels=[_budgets()]),
        ],
    )


def _headline() -> list[Panel]:
    gone = f"{SCOPE.record(names.REMAINING)} <= 0 and on (stack, slo) {SCOPE.budget}"
    pages, tickets = (
        f"({firing(alert, **STACK)}) and on (stack, slo) {SCOPE.budget}"
        for alert in (names.PAGE, names.TICKET)
    )
    found = (
        ("Pages firing", pages, COUNT, "Alerts that wake somebody: a budget burns so fast that it will soon be gone."),
        ("Out of budget", gone, COUNT, "Objectives whose error budget of this period is spent: promises not kept."),
        ("At risk", f"{SCOPE.gone_in('6h')} < {SOON}", NOTE,
         "Some budget is left, and it is gone within three days if the last six hours go on."),
        ("Tickets firing", tickets, NOTE, "Budgets that burn faster than they may, without hurry."),
        ("Without data", SCOPE.no_data, BLIND,
         "Objectives whose indicator is not recorded now: nothing is known about them, good or bad."),
    )  # fmt: skip
    panels = [_number(title, SCOPE.counted(rows), text, steps) for title, rows, steps, text in found]
    total = _number("Objectives", f"count({SCOPE.info})", "Objectives that the choices above select.", ())
    return [*panels, total]


def _number(title: str, expr: str, description: str, steps: tuple[Step, ...]) -> Panel:
    return Panel(
        title=title, kind="stat", queries=[Query(expr=expr)], description=description, unit="none", decimals=0,
        width=4, height=4, steps=steps, links=[META],
    )  # fmt: skip


def _budgets() -> Panel:
    now = f"{SCOPE.record(names.REMAINING)} @ end() and on (stack, slo) {SCOPE.budget} @ end()"
    return Panel(
        title=f"Budget left, the {SHOWN} lowest",
        description=f"The {SHOWN} objectives with the least budget at the end of the time range. Below 0 a promise is "
        "broken. A calendar budget starts anew at the first midnight (UTC) of its period.",
        unit="percentunit",
        width=24,
        height=12,
        high="1",
        range="31d",
        steps=(Step(at="0", colour="bad"),),
        queries=[Query(expr=f"{SCOPE.record(names.REMAINING)} and bottomk({SHOWN}, {now})", name="{{slo}}")],
        links=[META],
    )
