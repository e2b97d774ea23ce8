"""SLO overview: which objectives need attention, worst first. One dashboard for any number of stacks and SLOs."""

from __future__ import annotations

from dashboards import queries as q
from slo import names
from slo.board import Board, Column, Link, Panel, Query, Section, Step
from slo.names import sel

SHOWN = 20  # lines that a graph can show and a reader can follow
SOON = "3 * 86400"  # seconds; a weekend
DETAIL = f"{names.DETAIL}?var-stack=${{__data.fields.stack}}&var-slo=${{__data.fields.slo}}"
COUNT = (Step(at="-inf", colour="good"), Step(at="1", colour="bad"))
NOTE = (Step(at="-inf", colour="good"), Step(at="1", colour="warning"))
BLIND = (Step(at="-inf", colour="good"), Step(at="1", colour="unknown"))
BUDGET = (Step(at="-inf", colour="bad"), Step(at="0", colour="warning"), Step(at="0.25", colour="good"))
FASTER = (
    Step(at="-inf", colour="plain"),
    Step(at="1", colour="warning"),
)  # than the budget lasts: by definition 1
META = Link(title="Is the monitoring well?", to=names.META)


def board() -> Board:
    return Board(
        name=names.OVERVIEW,
        title="SLO overview",
        question="Which objectives need attention now, worst first?",
        variables=q.VARIABLES,
        span="7d",
        sections=[
            Section(panels=_headline()),
            Section(title="All objectives, worst first", panels=[_table()]),
            Section(title="Error budgets", panels=[_budgets()]),
        ],
    )


def _headline() -> list[Panel]:
    gone = f"{sel(names.REMAINING, **q.STACK)} <= 0 and on (stack, slo) {sel(names.BUDGET, **q.CHOSEN)}"
    pages, tickets = (
        f"({q.firing(alert, **q.STACK)}) and on (stack, slo) {sel(names.BUDGET, **q.CHOSEN)}"
        for alert in (names.PAGE, names.TICKET)
    )
    found = (
        ("Pages firing", pages, COUNT, "Alerts that wake somebody: a budget burns so fast that it will soon be gone."),
        ("Out of budget", gone, COUNT, "Objectives whose error budget of this period is spent: promises not kept."),
        ("At risk", f"{q.gone_in('6h')} < {SOON}", NOTE,
         "Some budget is left, and it is gone within three days if the last six hours go on."),
        ("Tickets firing", tickets, NOTE, "Budgets that burn faster than they may, without hurry."),
        ("Without data", q.NO_DATA, BLIND,
         "Objectives whose indicator is not recorded now: nothing is known about them, good or bad."),
    )  # fmt: skip
    panels = [_number(title, q.counted(rows), text, steps) for title, rows, steps, text in found]
    return [
        *panels,
        _number("Objectives", f"count({q.INFO})", "Objectives that the choices above select.", ()),
    ]


def _number(title: str, expr: str, description: str, steps: tuple[Step, ...]) -> Panel:
    return Panel(
        title=title, kind="stat", queries=[Query(expr=expr)], description=description, unit="none", decimals=0,
        width=4, height=4, steps=steps, links=[META],
    )  # fmt: skip


def _table() -> Panel:
    alert = f"0 * ({q.ROWS})\n+ on (stack, slo) group_left ()\n{q.worst_alert(**q.STACK)}\nor\n0 * ({q.ROWS})"
    return Panel(
        title="Objectives",
        kind="table",
        description="One line for each objective, and for each group of one that has groups. Burn rate 1 spends exactly "
        "the budget of a period. Gone in: when the last hour goes on; empty where the budget lasts for the period. "
        "Alert: the gravest that fires for the objective.",
        height=16,
        width=24,
        sort="Budget left",
        missing="–",
        columns=[
            Column(label="slo", title="Objective", width=210, link=Link(title="Details of ${__data.fields.slo}", to=DETAIL)),
            Column(label="window", title="Period", width=75),
            Column(label="service", title="Service", width=115),
            Column(label="owner", title="Owner", width=130),
            Column(label="tier", title="Tier", width=60),
            Column(label="stack", title="Stack", width=110),
        ],
        queries=[
            Query(expr=alert, name="Alert", unit="none", width=80, values=q.ALERT),
            Query(expr=q.LEFT, name="Budget left", unit="percentunit", decimals=1, width=105, steps=BUDGET),
            Query(expr=q.gone_in("1h"), name="Gone in", unit="dtdurations", width=110,
                  empty="No budget runs out within its period."),
            *(
                Query(expr=q.burn(w), name=f"Burn {w}", unit="none", decimals=1, width=80, steps=FASTER)
                for w in ("5m", "1h", "6h", "3d")
            ),
            Query(expr=q.indicator("1h"), name="SLI 1h", unit="percentunit", decimals=3, width=95),
            Query(expr=q.ROWS, name="Target", unit="percentunit", decimals=3, width=95),
        ],
        links=[META],
    )  # fmt: skip


def _budgets() -> Panel:
    now = (
        f'{names.REMAINING}{{stack=~"$stack"}} @ end()'
        f" and on (stack, slo) {sel(names.BUDGET, **q.CHOSEN)} @ end()"
    )
    return Panel(
        title=f"Budget left, the {SHOWN} lowest",
        description=f"The {SHOWN} objectives with the least budget at the end of the time range. Below 0 a promise is "
        "broken. A calendar budget starts anew at the first midnight (UTC) of its period.",
        unit="percentunit",
        width=24,
        height=12,
        high="1",
        steps=(Step(at="0", colour="bad"),),
        queries=[
            Query(expr=f"{sel(names.REMAINING, **q.STACK)} and bottomk({SHOWN}, {now})", name="{{slo}}")
        ],
        links=[META],
    )
