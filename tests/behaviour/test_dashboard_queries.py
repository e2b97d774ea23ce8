"""Every query of every panel answers, asked of a real Prometheus that holds what the catalogue reads.

A panel has an answer on a healthy platform unless it says why it may be empty. Then it is empty somewhere, and
answers once what it waits for has happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

import dashboards
from alerts.rules import rule_files
from dashboards import Dashboard
from dashboards.queries import firing
from slo import names, promql
from slo.board import Panel
from slo.catalog.boards.words import READINESS
from tests import grafana
from tests.grafana import View
from tests.prom_world import BLIND, EARLY, HEALTHY, OUTAGE, STACK, STACKS, TAMPERED, TIMING, Asked

BUILT = dashboards.build(STACK, TIMING)
BY_UID = {d.uid: d for d in BUILT}
TROUBLE = (TAMPERED, EARLY, OUTAGE)
# The generated tests of the rules prove that each of these yields something when it should.
CONDITIONS = {monitor.expr for monitor in STACK.all_monitors}


# Labels that alerts can have. Not each of them fires in this world, so that a table of alerts may lack some.
ALERTED = {
    label
    for file in rule_files(STACK, TIMING)
    for group in file.groups
    for rule in group.rules
    if rule.alert
    for label in (*rule.labels, *(promql.result_labels(rule.expr) or ()))
}


def _alike() -> set[str]:
    """Objectives that differ from one before them in nothing that a query sees; those are looked at for them."""
    seen: set[str] = set()
    alike = set()
    for slo in (slo for stack in STACKS for slo in stack.slos):
        kind = repr((type(slo.sli), slo.window, slo.alerts, slo.by, slo.id == BLIND))
        alike |= {slo.id} if kind in seen else set()
        seen.add(kind)
    return alike


ALIKE = _alike()


def _cases() -> Iterator[Any]:
    for dashboard in BUILT:
        drawn = list(grafana.drawn(dashboard.json))
        assert len(drawn) == len(dashboard.panels), dashboard.uid
        for json, panel in zip(drawn, dashboard.panels, strict=True):
            if json.get("targets"):
                yield pytest.param(dashboard, json, panel, id=f"{dashboard.uid}-{panel.title}")


CASES = list(_cases())


Answers = dict[str, list[dict[str, Any]]]


def _answers(view: View, json: dict[str, Any]) -> Answers:
    """What each query of a panel yields, by its ref."""
    return {t["refId"]: view.run(json, t) for t in json["targets"]}


@cache
def _views(asked: Asked, uid: str, moment: int, narrow: bool = False) -> list[View]:
    """A dashboard for each choice that a reader has to make, such as an objective of each kind."""
    return View.every(asked, BY_UID[uid].json, moment, narrow, skip=ALIKE)


def _said(json: dict[str, Any], ref: str) -> str:
    target = next(t for t in json["targets"] if t["refId"] == ref)
    return f"query {ref} of panel {json['title']!r}: {target['expr']}"


@pytest.mark.parametrize(("dashboard", "json", "panel"), CASES)
def test_a_panel_answers_on_a_healthy_platform(
    asked: Asked, dashboard: Dashboard, json: dict[str, Any], panel: Panel
) -> None:
    """Each of its queries yields a value, whatever is chosen, unless it says why it may be empty."""
    for view in _views(asked, dashboard.uid, HEALTHY):
        for query, (ref, series) in zip(panel.queries, _answers(view, json).items(), strict=True):
            assert series or panel.empty or query.empty, (
                f"{_said(json, ref)} is empty for {dict(view.chosen)}"
            )


@pytest.mark.parametrize(
    ("dashboard", "json", "panel"), [c for c in CASES if c.values[2].empty or any(q.empty for q in c.values[2].queries)]
)  # fmt: skip
def test_a_panel_that_may_be_empty_is_so_in_health_and_speaks_in_time(
    asked: Asked, dashboard: Dashboard, json: dict[str, Any], panel: Panel
) -> None:
    """No reason to be empty is given in vain, and none hides a query that never answers.

    A rate may be empty because its counter is not born yet; the simulated ones are.
    """
    healthy = [_answers(view, json) for view in _views(asked, dashboard.uid, HEALTHY, narrow=True)]
    troubled = [_answers(view, json) for moment in TROUBLE for view in _views(asked, dashboard.uid, moment)]
    for query, ref in zip(panel.queries, healthy[0], strict=True):
        if (panel.empty or query.empty) and query.expr not in CONDITIONS:
            answered = any(answers[ref] for answers in (*healthy, *troubled))
            assert answered, f"{_said(json, ref)} is never answered"
        if query.empty and not query.raw:
            assert not all(answers[ref] for answers in healthy), f"{_said(json, ref)} is never empty"
    if panel.empty and not any(query.raw for query in panel.queries):
        assert any(not any(answers.values()) for answers in healthy), f"{panel.title!r} is never empty"


@pytest.mark.parametrize(("dashboard", "json", "panel"), CASES)
def test_every_name_that_a_panel_uses_is_in_its_answers(
    asked: Asked, dashboard: Dashboard, json: dict[str, Any], panel: Panel
) -> None:
    """Labels of legends, columns, order, overrides and links: a renamed label is found before a reader misses it."""
    moments = (HEALTHY, *TROUBLE) if panel.empty or any(q.empty for q in panel.queries) else (HEALTHY,)
    found = [_answers(view, json) for moment in moments for view in _views(asked, dashboard.uid, moment)]
    merged = {ref: [series for answers in found for series in answers[ref]] for ref in found[0]}
    for target in json["targets"]:
        ref, labels = target["refId"], grafana.legend_labels(target)
        for series in merged[ref]:
            assert labels <= series["metric"].keys(), (
                f"{_said(json, ref)} yields {series['metric']}, no {labels}"
            )
            assert json["type"] != "heatmap" or "le" in series["metric"], _said(json, ref)
    assert grafana.refs_named(json) <= merged.keys()
    if json["type"] == "table":
        known = grafana.table_fields(merged) | (
            ALERTED if panel.queries[0].expr.startswith("ALERTS{") else set()
        )
        fields, unknown = grafana.organised(json, known)
        assert not unknown, f"{json['title']!r} arranges fields that do not exist: {unknown}"
        lost = grafana.named_fields(json) - fields
        assert not lost, (
            f"{json['title']!r} names fields that do not exist: {lost}; there are {sorted(fields)}"
        )


@pytest.mark.parametrize(("dashboard", "json", "panel"), CASES)
def test_every_series_that_a_query_names_exists(
    asked: Asked, dashboard: Dashboard, json: dict[str, Any], panel: Panel
) -> None:
    """Behind an `or` too: a fallback does not hide a metric that nobody publishes."""
    for target in json["targets"]:
        lost: set[int] | None = None
        for moment in (HEALTHY, *TROUBLE):
            for view in _views(asked, dashboard.uid, moment) if lost is None or lost else ():
                named = promql.selectors(view.request(json, target)[1]["query"])
                wanted = range(len(named)) if lost is None else lost
                lost = {
                    i for i in wanted if not asked.get("query", query=str(named[i]), time=moment)["result"]
                }
        assert not lost, (
            f"{_said(json, target['refId'])}: {[str(named[i]) for i in lost or ()]} finds nothing"
        )


VARIABLES = [
    pytest.param(d, v["name"], id=f"{d.uid}-{v['name']}") for d in BUILT for v in d.json["templating"]["list"]
]


@pytest.mark.parametrize(("dashboard", "name"), VARIABLES)
def test_a_variable_offers_values_and_each_of_them_leads_to_data(
    asked: Asked, dashboard: Dashboard, name: str
) -> None:
    """No choice at the top of a dashboard ends in an error or in nothing."""
    views = _views(asked, dashboard.uid, HEALTHY)
    view = next((v for v in views if v.choices[name].options), None)
    assert view is not None, f"${name} offers nothing"
    panels = [json for json in grafana.drawn(dashboard.json) if json.get("targets")]
    order = list(view.choices)
    before = {n: value for n, value in view.chosen.items() if order.index(n) < order.index(name)}
    for option in view.choices[name].options:
        chosen = View(asked, dashboard.json, HEALTHY, {**before, name: option})
        assert any(any(_answers(chosen, json).values()) for json in panels), (
            f"{name}={option} leads to nothing"
        )


@pytest.mark.parametrize("dashboard", BUILT, ids=lambda d: d.uid)
def test_marks_of_a_dashboard_are_set_in_an_outage(asked: Asked, dashboard: Dashboard) -> None:
    """Annotations of alerts find those that fire, and can say which."""
    views = _views(asked, dashboard.uid, OUTAGE)
    for mark in dashboard.json["annotations"]["list"]:
        if mark.get("builtIn"):
            continue
        exprs = {view.fill(mark.get("target", mark)["expr"]) for view in views}
        found = [
            asked.get("query_range", query=e, start=TAMPERED, end=OUTAGE, step=60)["result"] for e in exprs
        ]
        series = [s for result in found for s in result]
        assert series, f"{mark['name']}: {exprs.pop()}"
        labels = grafana.legend_labels(
            {"legendFormat": mark.get("textFormat", "") + mark.get("titleFormat", "")}
        )
        assert all(labels <= s["metric"].keys() for s in series), f"{mark['name']}: {labels}"


@pytest.mark.parametrize("step", [30, 120, 900], ids=lambda s: f"{s}s")
def test_a_mark_stands_where_an_alert_begins(asked: Asked, step: int) -> None:
    """Once, however far apart Grafana's points are: one at each of them would cover the graph."""
    dashboard = BY_UID[names.DETAIL]
    (page,) = (m for m in dashboard.json["annotations"]["list"] if m["name"] == "Page")
    start, end = TAMPERED // step * step, OUTAGE // step * step
    chosen = {"stack": STACK.name, "slo": "scanner-uptime"}
    view = View(asked, dashboard.json, OUTAGE, chosen)
    marks = asked.get(
        "query_range", query=view.fill(page["target"]["expr"], step), start=start, end=end, step=step
    )
    fires = asked.get(
        "query_range", query=f"max({firing(names.PAGE, **chosen)})", start=start, end=end, step=30
    )
    (mark,), (fire,) = (found["result"] for found in (marks, fires))
    ((at, _),) = mark["values"]
    begun = fire["values"][0][0]
    assert begun <= at < begun + step
    assert len(fire["values"]) > 2


@pytest.mark.parametrize(("dashboard", "json", "panel"), [c for c in CASES if c.values[1]["type"] == "table"])
def test_no_column_has_the_raw_name_of_a_label(
    asked: Asked, dashboard: Dashboard, json: dict[str, Any], panel: Panel
) -> None:
    """Each has a title, but for what tells the groups of an objective apart: the generic dashboards do not know it."""
    found = [
        _answers(view, json)
        for moment in (HEALTHY, *TROUBLE)
        for view in _views(asked, dashboard.uid, moment)
    ]
    fields = grafana.table_fields({ref: [s for a in found for s in a[ref]] for ref in found[0]})
    options = json["transformations"][-1]["options"]
    raw = {f for f in fields if not options["excludeByName"].get(f)} - options["renameByName"].keys()
    groups = {label for stack in STACKS for slo in stack.slos for label in slo.by}
    assert raw <= (groups if dashboard.uid in names.GENERIC_BOARDS else set())


@pytest.mark.parametrize("moment", [HEALTHY, TAMPERED, OUTAGE], ids=["healthy", "tampered", "outage"])
def test_the_overview_has_one_line_for_each_objective(asked: Asked, moment: int) -> None:
    """Whatever happens, every query of its table yields the same lines, so that they merge."""
    dashboard = BY_UID[names.OVERVIEW]
    table = next(json for json in grafana.drawn(dashboard.json) if json["type"] == "table")
    found = grafana.rows(_answers(View(asked, dashboard.json, moment), table).values())
    assert sorted(dict(row)["slo"] for row in found) == sorted(s.id for stack in STACKS for s in stack.slos)


@pytest.mark.parametrize(("moment", "verdict"), [(HEALTHY, "1"), (TAMPERED, "0"), (OUTAGE, "0")])
def test_the_first_panel_of_readiness_says_whether_a_release_may_go(
    asked: Asked, moment: int, verdict: str
) -> None:
    """Ready on a healthy platform; not once something was tampered with, nor while budgets burn."""
    json = BY_UID[READINESS].json
    answers = _answers(View(asked, json, moment), next(grafana.drawn(json)))
    assert [series["value"][1] for series in answers["A"]] == [verdict]
