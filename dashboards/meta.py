"""SLO meta: can the numbers of the other dashboards be believed? Rules, indicators, targets, delivery of alerts."""

from __future__ import annotations

from dashboards.objectives import DETAIL
from dashboards.overview import BLIND, COUNT, NOTE, STACK
from dashboards.queries import Scope
from slo import names
from slo.board import Board, Column, Link, Panel, Query, Section, Step, Variable
from slo.promql import WINDOW

GROUPS = '{rule_group=~".*;$stack-.*"}'  # Prometheus names a group "file;group"
SHOWN = 10  # lines
# A group that takes longer than its interval misses evaluations: 1 by definition.
LATE = (Step(at="-inf", colour="plain"), Step(at="0.5", colour="warning"), Step(at="1", colour="bad"))
SOME = (Step(at="-inf", colour="plain"), Step(at="1", colour="bad"))
OVERVIEW = Link(title="All objectives", to=names.OVERVIEW)
SCOPE = Scope(STACK, STACK)
LAST, INTERVAL, MISSED, FAILED, EVALUATED = (
    f"prometheus_rule_{name}{GROUPS}"
    for name in ("group_last_duration_seconds", "group_interval_seconds", "group_iterations_missed_total",
                 "evaluation_failures_total", "group_last_evaluation_timestamp_seconds")
)  # fmt: skip
UNDELIVERED = (
    "sum(increase(prometheus_notifications_dropped_total[1h]))"
    " + sum(increase(alertmanager_notifications_failed_total[1h]))"
)


def board() -> Board:
    return Board(
        name=names.META,
        title="SLO monitoring itself",
        question="Can the other dashboards be believed: do rules run, have indicators data, do alerts arrive?",
        variables=[
            Variable(name="stack", title="Stack", of=names.BUDGET, label="stack", several=True, all=True, everything=".+")
        ],
        sections=[
            Section(panels=_headline()),
            Section(title="Rules", panels=[_groups(), _durations(), _missed()]),
            Section(title="Indicators", panels=[_blind(), _measured()]),
            Section(title="Targets", panels=[_targets()]),
            Section(title="Delivery of alerts", panels=_delivery()),
        ],
    )  # fmt: skip


def group_name(expr: str) -> str:
    """The group's own name, without the path of its file."""
    return f'label_replace({expr}, "group", "$1", "rule_group", ".*;(.*)")'


def _headline() -> list[Panel]:
    found = (
        ("SLIs without data", SCOPE.counted(SCOPE.no_data), BLIND,
         "Objectives whose indicator is not recorded now: nothing is known about them."),
        ("Rules failing", f"sum(ceil(increase({FAILED}[1h])))", COUNT, "Evaluations that failed within an hour."),
        ("Runs missed", f"sum(ceil(increase({MISSED}[1h])))", NOTE,
         "Evaluations skipped within an hour, as the one before took too long."),
        ("Slowest group", f"max({LAST} / {INTERVAL})", LATE,
         "The time of the slowest group as a share of its interval. From 100 % on evaluations are missed."),
        ("Targets down", "count(up == 0) or 0 * count(up)", NOTE,
         "Whatever Prometheus scrapes and does not reach, exporters among them."),
        ("Alerts lost", f"ceil({UNDELIVERED})", COUNT,
         "Within an hour: dropped by Prometheus, or failed on the way to a receiver."),
    )  # fmt: skip
    return [
        Panel(
            title=title, kind="stat", queries=[Query(expr=expr)], steps=steps, description=text, width=4, height=4,
            unit="percentunit" if title == "Slowest group" else "none", decimals=0, links=[OVERVIEW],
        )
        for title, expr, steps, text in found
    ]  # fmt: skip


def _groups() -> Panel:
    def by_group(expr: str) -> str:
        return f"max by (group) ({group_name(expr)})"

    return Panel(
        title="Rule groups, slowest first",
        kind="table",
        description="Each group of the generated rules: how long its last evaluation took, of its interval, and what it "
        "missed or failed within an hour.",
        width=24,
        height=9,
        sort="-Of interval",
        columns=[Column(label="group", title="Group", least=233)],
        queries=[
            Query(expr=by_group(f"{LAST} / {INTERVAL}"), name="Of interval", unit="percentunit", decimals=1, width=105,
                  steps=LATE),
            Query(expr=by_group(LAST), name="Duration", unit="s", width=110),
            Query(expr=by_group(INTERVAL), name="Interval", unit="s", width=100),
            Query(expr=by_group(f"ceil(increase({MISSED}[1h]))"), name="Missed 1h", unit="none", width=110, steps=SOME),
            Query(expr=by_group(f"ceil(increase({FAILED}[1h]))"), name="Failed 1h", unit="none", width=110, steps=SOME),
            Query(expr=by_group(f"time() - {EVALUATED}"), name="Evaluated", unit="dtdurations", width=130),
        ],
        links=[OVERVIEW],
    )  # fmt: skip


def _durations() -> Panel:
    slowest = f"topk({SHOWN}, {LAST} @ end())"
    return Panel(
        title=f"Evaluation time, the {SHOWN} slowest groups",
        description="How long the last evaluation of a group took. A group is slow when its rules read much or when "
        "Prometheus is short of CPU.",
        unit="s",
        low="0",
        sort="-Max",
        height=10,
        queries=[Query(expr=group_name(f"{LAST} and {slowest}"), name="{{group}}")],
        links=[OVERVIEW],
    )


def _missed() -> Panel:
    return Panel(
        title="Missed and failed evaluations",
        description="Per minute, over all groups. Missed: the evaluation before took longer than the interval. Failed: a "
        "rule's query is wrong, or its series do not match.",
        unit="cpm",
        low="0",
        height=10,
        queries=[
            Query(expr=f"60 * sum(rate({MISSED}[{WINDOW}]))", name="Missed", colour="warning"),
            Query(expr=f"60 * sum(rate({FAILED}[{WINDOW}]))", name="Failed", colour="bad"),
        ],
        links=[OVERVIEW],
    )


def _blind() -> Panel:
    return Panel(
        title="Which SLIs have no data",
        kind="table",
        description="Objectives whose indicator is not recorded now. Their metric is absent, NaN, or lacks the bucket of "
        "their bound. Their alerts cannot fire.",
        unit="none",
        columns=[
            Column(label="slo", title="Objective", least=184, link=Link(title="Details of this objective", to=DETAIL)),
            Column(label="service", title="Service", width=120),
            Column(label="owner", title="Owner", width=130),
            Column(label="stack", title="Stack", width=110),
            *(Column(label=name, hidden=True) for name in ("__name__", "Value", "tier", "window", "unit", "base", "policy")),
        ],
        queries=[Query(expr=SCOPE.no_data)],
        height=9,
        links=[OVERVIEW],
        empty="Every indicator has data.",
    )  # fmt: skip


def _measured() -> Panel:
    share = f"{SCOPE.record(names.MEASURED)} / on (stack, window) group_left () {SCOPE.record(names.ELAPSED)}"
    return Panel(
        title=f"Share of the period measured, lowest {SHOWN}",
        kind="bars",
        height=9,
        description="Of the calendar period so far. Time that nobody measured (before the objective existed, or while "
        "Prometheus was down) burns nothing and earns nothing. Rolling periods are not shown.",
        unit="percentunit",
        decimals=0,
        low="0",
        high="1",
        steps=(Step(at="-inf", colour="blue"),),
        queries=[Query(expr=f"sort(bottomk({SHOWN}, clamp_max({share}, 1)))", name="{{slo}}")],
        links=[OVERVIEW],
        empty="No objective has a calendar period.",
    )


def _targets() -> Panel:
    return Panel(
        title="Which targets are down",
        kind="table",
        description="What Prometheus scrapes and does not reach now: services, probers, exporters.",
        unit="none",
        width=24,
        height=6,
        columns=[
            Column(label="job", title="Job", least=150),
            Column(label="instance", title="Instance", least=170),
            Column(label="__name__", hidden=True),
            Column(label="Value", hidden=True),
        ],
        queries=[Query(expr="up == 0")],
        links=[OVERVIEW],
        empty="Every target is reached.",
    )


def _delivery() -> list[Panel]:
    sent, dropped, errors = (
        f"sum(rate(prometheus_notifications_{n}_total[{WINDOW}]))" for n in ("sent", "dropped", "errors")
    )
    done, failed = (
        f"sum by (integration) (rate(alertmanager_notifications_{n}[{WINDOW}]))"
        for n in ("total", "failed_total")
    )
    return [
        Panel(
            title="Prometheus to Alertmanager", unit="cps", width=8, low="0", links=[OVERVIEW],
            description="Alerts sent a second, and those lost: dropped as the queue was full, or refused.",
            queries=[
                Query(expr=sent, name="Sent", colour="blue"),
                Query(expr=dropped, name="Dropped", colour="bad"),
                Query(expr=errors, name="Errors", colour="warning"),
            ],
        ),
        Panel(
            title="Queue and Alertmanagers", kind="lines", unit="percentunit", decimals=0, width=8, links=[OVERVIEW],
            description="How full the queue of notifications is, and how many Alertmanagers Prometheus has found: without "
            "one, no alert arrives.",
            queries=[
                Query(
                    expr="max(prometheus_notifications_queue_length / prometheus_notifications_queue_capacity)",
                    name="Queue full",
                    steps=LATE,
                ),
                Query(
                    expr="min(prometheus_notifications_alertmanagers_discovered)",
                    name="Alertmanagers",
                    unit="none",
                    steps=(Step(at="-inf", colour="bad"), Step(at="1", colour="good")),
                ),
            ],
        ),
        Panel(
            title="Alertmanager to receivers", unit="cps", width=8, low="0", links=[OVERVIEW],
            description="Notifications a second by kind of receiver, and those that failed.",
            queries=[
                Query(expr=f"{done} > 0", name="{{integration}}", empty="Nothing had to be told to anybody."),
                Query(expr=f"{failed} > 0", name="{{integration}} failed", colour="bad",
                      empty="No notification failed."),
            ],
        ),
    ]  # fmt: skip
