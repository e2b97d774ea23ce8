"""SLO detail: is this objective kept, how fast does its budget burn, and what would alert? One dashboard for all."""

from __future__ import annotations

from typing import Any

from dashboards import firing
from dashboards.objectives import BUDGET, FASTER
from dashboards.queries import ALERT, begins, worst_alert
from slo import names
from slo.board import Board, Colour, Column, Link, Mark, Panel, Query, Section, Step, Value, Variable
from slo.burn import TIERS
from slo.links import runbook_url
from slo.model import Stack
from slo.names import sel

SLO = {"stack": "$stack", "slo": "$slo"}
GROUP = "${group:raw}"  # matchers of one group, such as region="eu"; all groups: slo!=""
INFO = f"topk by (stack, slo) (1, {sel(names.BUDGET, **SLO)})"
OVERVIEW = Link(title="All objectives", to=names.OVERVIEW)
SERVICE = Link(title="Golden signals of the service", to=names.golden_board("${service}"))
COLOURS: dict[str, Colour] = {"1h": "blue", "6h": "purple", "1d": "blue", "3d": "purple"}
# The gravest alert that fires for the objective; over time, none is good.
WORST = f"{worst_alert(**SLO)} or 0 * max by (stack, slo) ({INFO})"
FIRED = (*ALERT[:3], Value(of="0", text="none", colour="good"))
ALERTS = firing.table(
    "objective", SLO, [Column(label="slo", hidden=True)], (OVERVIEW,), "No alert fires for this objective."
)


def of(record: str) -> str:
    """A record of the chosen SLO and group."""
    return sel(record, **SLO).replace("}", f",{GROUP}}}")


def burn(window: str) -> str:
    """The burn rate of the group that burns fastest."""
    return f"max({of(names.error_ratio(window))} / on (stack, slo) group_left () {INFO})"


def board(stack: Stack) -> Board:
    group = f"group without (window, stack, slo) ({sel(names.REMAINING, **SLO)})"
    return Board(
        name=names.DETAIL,
        title="SLO detail",
        question="Is this objective kept, how fast does its budget burn, and what would alert?",
        variables=[
            Variable(name="stack", title="Stack", of=names.BUDGET, label="stack"),
            Variable(name="slo", title="Objective", of=sel(names.BUDGET, stack="$stack"), label="slo"),
            Variable(name="group", title="Group", of=group, pattern=r"\{(.+)\}", all=True, everything='slo!=""'),
            Variable(name="service", title="Service", of=sel(names.BUDGET, **SLO), label="service"),
        ],
        marks=[  # where two begin at once, the last is on top
            Mark(title="No data", expr=begins(names.NO_DATA, **SLO), text="{{slo}}", colour="unknown"),
            Mark(title="Ticket", expr=begins(names.TICKET, **SLO), text="{{slo}}", colour="warning"),
            Mark(title="Page", expr=begins(names.PAGE, **SLO), text="{{slo}}", colour="bad"),
        ],
        sections=[
            Section(panels=_headline(stack)),
            Section(title="Budget", panels=[_burn_down(), _facts()]),
            Section(title="Burn rate", panels=[_burning("page", stack), _burning("ticket", stack), _fired(stack), _tiers(stack)]),
            Section(title="Events", panels=[_events(), _indicator(), ALERTS]),
        ],
    )  # fmt: skip


def _runbooks(stack: Stack, *alerts: str) -> list[Link]:
    """Pages that can be opened: a relative path leads nowhere from a dashboard."""
    titles = {names.PAGE: "What to do on a page", names.TICKET: "What to do on a ticket",
              names.NO_DATA: "What to do without data"}  # fmt: skip
    pages = [Link(title=titles[a], to=runbook_url(stack, a)) for a in alerts]
    return [page for page in pages if "://" in page.to]


def _headline(stack: Stack) -> list[Panel]:
    left, period = (
        f"({of(names.REMAINING)} > 0)",
        f"on (stack, window) group_left () {sel(names.PERIOD, stack='$stack')}",
    )
    hour = f"({of(names.error_ratio('1h'))} / on (stack, slo) group_left (window) {INFO} > 0)"
    gone = f"min({left} / {hour} * {period} < {period})"
    small: dict[str, Any] = {"kind": "stat", "width": 4, "height": 4}
    return [
        Panel(
            title="Budget left", queries=[Query(expr=f"min({of(names.REMAINING)})")], unit="percentunit", decimals=1,
            steps=BUDGET, links=[OVERVIEW, SERVICE],
            description="Of this period's error budget; of the group with the least. Below 0 the promise is broken.",
            **small,
        ),
        Panel(
            title="Gone in", queries=[Query(expr=gone)], unit="dtdurations", missing="lasts", links=[OVERVIEW],
            empty="The budget lasts for the period.",
            description="When the budget is spent if the last hour goes on; “lasts” where it holds for a whole period.",
            **small,
        ),
        Panel(
            title="SLI this period", queries=[Query(expr=f"1 - max({of(names.PERIOD_RATIO)})")], unit="percentunit",
            decimals=3, links=[OVERVIEW],
            description="The share of good events, or of good time, in the period so far; of the worst group.",
            **small,
        ),
        Panel(
            title="Objective", queries=[Query(expr=f"max({sel(names.OBJECTIVE, **SLO)})")], unit="percentunit",
            decimals=3, description="The share of good events, or of good time, that is promised.", links=[OVERVIEW],
            **small,
        ),
        Panel(
            title="Period gone", unit="percentunit", decimals=0, missing="rolling", links=[OVERVIEW],
            queries=[Query(expr=f"max({sel(names.ELAPSED, stack='$stack')} and on (stack, window) {INFO})")],
            empty="The period rolls on and never ends.",
            description="How much of the calendar period is over (UTC). A rolling period has no end.",
            **small,
        ),
        Panel(
            title="Alert", unit="none", values=ALERT,
            queries=[Query(expr=WORST)],
            links=_runbooks(stack, names.PAGE, names.TICKET, names.NO_DATA) or [OVERVIEW],
            description="The gravest alert that fires for this objective, in any of its groups. The links say what to do.",
            **small,
        ),
    ]  # fmt: skip


def _burn_down() -> Panel:
    calendar = f"{sel(names.ELAPSED, stack='$stack')} and on (stack, window) {INFO}"
    even = f"max(1 - ({calendar})) or 0 * max({of(names.REMAINING)})"
    return Panel(
        title="Budget burn-down",
        description="What is left of the budget, this period and the last. The dashed line is an even burn: above it a calendar budget lasts to the "
        "end of its period, which starts anew at midnight UTC; of a rolling one the line is 0, where it is spent.",
        unit="percentunit",
        width=16,
        height=10,
        high="1",
        steps=(Step(at="0", colour="bad"),),
        range="62d",
        queries=[
            Query(expr=of(names.REMAINING), name="Budget left"),
            Query(expr=even, name="Even burn", colour="grey", dashed=True),
        ],
        links=[OVERVIEW],
    )


def _facts() -> Panel:
    """What a period holds, and how the last one ended."""
    ended = f"({of(names.REMAINING)} and on (stack, window) {sel(names.ELAPSED, stack='$stack')} > 0.995)"
    windows = (("1h", "last hour"), ("6h", "last 6 hours"), ("1d", "last day"), ("3d", "last 3 days"))
    bad = [
        Query(expr=f"max({of(names.bad_events(w))})", name=f"Bad in the {said}", decimals=0)
        for w, said in windows
    ]
    return Panel(
        title="In numbers",
        kind="lines",
        description="Events of the worst group; seconds where the objective is about time. Allowed: bad events that this "
        "period's budget holds at the traffic of the last week. The last period's budget is the one recorded at its end.",
        width=8,
        height=10,
        queries=[
            *bad,
            Query(expr=f"max({of(names.BUDGET_EVENTS)})", name="Allowed in a period", decimals=0),
            Query(
                expr=f"min(last_over_time({ended}[93d:15m]))",
                name="Left at the last period's end",
                unit="percentunit",
                decimals=1,
                empty="No calendar period has ended since it was first measured.",
            ),
        ],
        links=[OVERVIEW],
    )


def _burning(severity: str, stack: Stack) -> Panel:
    tiers = [t for t in TIERS if t.severity == severity]
    lines = [Query(expr=burn(t.long), name=f"Last {t.long}", colour=COLOURS[t.long]) for t in tiers]
    bounds = [
        Query(
            expr=f"max({sel(names.THRESHOLD, stack='$stack', tier=t.name)} and on (stack, policy) {INFO})",
            name=f"Alerts above ({t.long})", colour=COLOURS[t.long], dashed=True,
            empty="This objective has no such alert.",
        )
        for t in tiers
    ]  # fmt: skip
    alert = names.PAGE if severity == "page" else names.TICKET
    return Panel(
        title=f"Burn rate: what {severity}s",
        description="How many times as fast as it may the budget burns, in the group that burns fastest. Dashed: the burn "
        f"rate above which a {severity} is due, once its short window and a least number of bad events agree.",
        unit="none",
        decimals=1,
        low="0",
        queries=[*lines, *bounds],
        links=_runbooks(stack, alert) or [OVERVIEW],
    )


def _fired(stack: Stack) -> Panel:
    return Panel(
        title="Alerts over time",
        kind="timeline",
        description="The gravest alert that fired for this objective, in any of its groups. The graphs mark where one begins.",
        unit="none",
        width=24,
        height=4,
        values=FIRED,
        queries=[Query(expr=WORST, name="Alert")],
        links=_runbooks(stack, names.PAGE, names.TICKET, names.NO_DATA) or [OVERVIEW],
    )  # fmt: skip


def _tiers(stack: Stack) -> Panel:
    chosen = f"{sel(names.THRESHOLD, stack='$stack')} and on (stack, policy) {INFO}"
    bound = f"max by (tier, long, short) ({chosen})"

    def now(label: str, windows: list[str]) -> str:
        rates = " or ".join(
            f'label_replace({burn(w)}, "{label}", "{w}", "", "")' for w in dict.fromkeys(windows)
        )
        return f"0 * {bound} + on ({label}) group_left () ({rates})"

    return Panel(
        title="What pages and what tickets",
        kind="table",
        description="Each alert tier of the objective: it fires when the burn rate over both its windows is above the bound, "
        "and enough events were bad. Its bound, and the burn rates now.",
        unit="none",
        decimals=1,
        width=24,
        height=7,
        sort="Tier",
        columns=[
            Column(label="tier", title="Tier", least=80),
            Column(label="long", title="Long window", least=110),
            Column(label="short", title="Short window", least=110),
        ],
        queries=[
            Query(expr=bound, name="Fires above", width=92),
            Query(expr=now("long", [t.long for t in TIERS]), name="Burn, long", width=80, steps=FASTER),
            Query(expr=now("short", [t.short for t in TIERS]), name="Burn, short", width=86, steps=FASTER),
        ],
        links=_runbooks(stack, names.PAGE, names.TICKET) or [OVERVIEW],
        empty="Every alert of this objective is switched off.",
    )


def _events() -> Panel:
    total, bad = of(names.TOTAL), of(names.ERRORS)
    return Panel(
        title="Good and bad, per second",
        description="Events per second over the base window; of an objective about time, the share of time that was "
        "measured good and bad. Parts of a composite are added up.",
        unit="cps",
        stacked=True,
        low="0",
        queries=[
            Query(expr=f"sum({bad})", name="Bad", colour="bad"),
            Query(expr=f"clamp_min(sum({total}) - sum({bad}), 0)", name="Good", colour="good"),
        ],
        links=[SERVICE],
    )


def _indicator() -> Panel:
    return Panel(
        title="Indicator and objective",
        description="The share of good events, or of good time, over short windows, beside what is promised for the period.",
        unit="percentunit",
        decimals=3,
        high="1",
        queries=[
            Query(expr=f"1 - max({of(names.error_ratio('5m'))})", name="Last 5m", colour="grey"),
            Query(expr=f"1 - max({of(names.error_ratio('1h'))})", name="Last 1h", colour="blue"),
            Query(expr=f"max({sel(names.OBJECTIVE, **SLO)})", name="Objective", colour="warning", dashed=True),
        ],
        links=[SERVICE],
    )  # fmt: skip
