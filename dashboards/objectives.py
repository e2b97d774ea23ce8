"""The table of objectives, worst first: of every stack in the overview, of one service beside its signals."""

from __future__ import annotations

from dashboards.queries import ALERT, Scope
from slo import names
from slo.board import Column, Link, Panel, Query, Step, Value

DETAIL = f"{names.DETAIL}?var-stack=${{__data.fields.stack}}&var-slo=${{__data.fields.slo}}"
BUDGET = (Step(at="-inf", colour="bad"), Step(at="0", colour="warning"), Step(at="0.25", colour="good"))
LOW = (*BUDGET[:2], Step(at="0.25", colour="plain"))  # in a table only what needs attention has a colour
FASTER = (
    Step(at="-inf", colour="plain"),
    Step(at="1", colour="warning"),
)  # than the budget lasts: 1 by definition


LASTS = (Value(of="-1", text="lasts"), Value(of="absent", text="–"))


def table(scope: Scope, height: int, links: tuple[Link, ...], whose: bool = True) -> Panel:
    """One line for each objective. `whose` adds service, owner and stack, which the context may have named already."""
    known = (
        Column(label="service", title="Service", width=105),
        Column(label="owner", title="Owner", width=120),
        Column(label="tier", title="Tier", width=60),
        Column(label="stack", title="Stack", width=105),
    )
    # A hidden column is no field that a link could read.
    detail = DETAIL if whose else DETAIL.replace("${__data.fields.stack}", scope.stack["stack"])
    return Panel(
        title="Each objective",
        kind="table",
        description="One line for each objective, and for each group of one that has groups. Budget: what is "
        "left of it. Burn rate 1 spends exactly "
        "the budget of a period. Gone in: when the last hour goes on; lasts: for the whole period at that rate. "
        "Alert: the gravest that fires for the objective.",
        height=height,
        width=24,
        sort="Budget",
        missing="–",
        columns=[
            Column(label="slo", title="Objective", least=184, link=Link(title="Details of this objective", to=detail)),
            Column(label="window", title="Period", width=75),
            *(known if whose else (c.model_copy(update={"hidden": True}) for c in known)),
        ],
        queries=[
            Query(expr=scope.alert, name="Alert", unit="none", width=68, values=ALERT),
            Query(expr=scope.left, name="Budget", unit="percentunit", decimals=1, width=84, steps=LOW),
            Query(expr=scope.gone_or_lasts("1h"), name="Gone in", unit="dtdurations", width=95,
                  values=LASTS),
            *(
                Query(expr=scope.burn(w), name=f"Burn {w}", unit="none", decimals=1, width=70, steps=FASTER)
                for w in ("5m", "1h", "6h", "3d")
            ),
            Query(expr=scope.indicator("1h"), name="SLI 1h", unit="percentunit", decimals=3, width=85),
            Query(expr=scope.rows, name="Target", unit="percentunit", decimals=3, width=85),
        ],
        links=links,
    )  # fmt: skip
