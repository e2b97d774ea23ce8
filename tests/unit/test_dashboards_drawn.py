"""From boards to Grafana's JSON: the grid, colours and words, tables, links, and what was left behind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from given import slo, stack
from hypothesis import given
from hypothesis import strategies as st

import dashboards
from dashboards import bounds
from dashboards.fields import PALETTE, thresholds
from dashboards.grafana import Pace, render, url
from dashboards.layout import rows
from dashboards.normalise import normalise
from slo import (
    Above,
    Board,
    Column,
    GoldenSignals,
    Latency,
    Link,
    Monitor,
    NotMeasured,
    Panel,
    Query,
    Ratio,
    Section,
    Service,
    Signal,
    Step,
    TimeSlice,
    Value,
    names,
)
from slo.compile import Config

PACE = Pace(raw=30, recorded=30)
QUERY = Query(expr="slo:objective:ratio")


def panel(**changes: Any) -> Panel:
    fields: dict[str, Any] = {"title": "Panel", "queries": [QUERY], "description": "What it shows."}
    return Panel(**fields | changes)


def drawn(*panels: Panel, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "b",
        "title": "B",
        "question": "Is all well?",
        "sections": [Section(panels=list(panels))],
    }
    return render(Board(**fields | changes), PACE, ("team",))


def one(**changes: Any) -> dict[str, Any]:
    """The JSON of a single panel."""
    (found,) = drawn(panel(**changes))["panels"]
    return dict(found)


# The grid


sizes = st.lists(st.tuples(st.integers(2, 24), st.integers(2, 20)), min_size=1, max_size=12)


@given(st.lists(st.tuples(sizes, st.booleans(), st.booleans()), min_size=1, max_size=4))
def test_panels_flow_without_overlap(drawn_sections: list[tuple[list[tuple[int, int]], bool, bool]]) -> None:
    """Whatever their sizes: within 24 columns, in reading order, each cell at most once."""
    sections = [
        Section(
            title="T" if titled else "",
            collapsed=titled and collapsed,
            panels=[panel(title=f"{i}", width=w, height=h) for i, (w, h) in enumerate(found)],
        )
        for found, titled, collapsed in drawn_sections
    ]
    taken: set[tuple[int, int]] = set()
    for row in rows(sections):
        places = [] if row.heading is None else [row.heading]
        places += [] if row.collapsed else [p for _, p in row.panels]
        for at in places:
            assert at.x + at.w <= 24
            cells = {(x, y) for x in range(at.x, at.x + at.w) for y in range(at.y, at.y + at.h)}
            assert not taken & cells
            taken |= cells
        order = [(p.y, p.x) for _, p in row.panels]
        assert order == sorted(order)


def test_a_line_is_as_high_as_its_highest() -> None:
    """No hole beside a high panel."""
    (row,) = rows(
        [Section(panels=[panel(title="a", width=12, height=4), panel(title="b", width=12, height=9)])]
    )
    assert [p.h for _, p in row.panels] == [9, 9]


# Values


def test_the_lowest_threshold_is_null() -> None:
    """Grafana takes the text "null" for a value of its own."""
    steps = thresholds((Step(at="-inf", colour="bad"), Step(at="0.25", colour="good")))["steps"]
    assert steps == [{"color": PALETTE["bad"], "value": None}, {"color": PALETTE["good"], "value": 0.25}]


def test_a_word_for_the_absence_of_a_value() -> None:
    """A number that is not there is no number of Grafana's choosing."""
    values = [Value(of="1", text="yes", colour="good"), Value(of="absent", text="unknown", colour="unknown")]
    mapped = one(kind="stat", values=values)["fieldConfig"]["defaults"]["mappings"]
    assert mapped[0]["options"]["1"]["text"] == "yes"
    assert mapped[1]["options"] == {
        "match": "null+nan",
        "result": {"text": "unknown", "color": PALETTE["unknown"], "index": 1},
    }


def test_colours_are_paul_tols() -> None:
    """Told apart by readers who confuse red and green; what means something is never a series' colour."""
    assert len(set(PALETTE.values())) == len(PALETTE) - 1  # unknown and grey are the same grey
    assert (PALETTE["good"], PALETTE["bad"]) == ("#009988", "#CC3311")


def test_what_one_query_has_for_itself_is_found_by_its_letter() -> None:
    """A legend may be said twice; a letter is not."""
    found = one(queries=[Query(expr="a", name="x", colour="blue"), Query(expr="b", name="x", dashed=True)])
    matchers = [(o["matcher"], [p["id"] for p in o["properties"]]) for o in found["fieldConfig"]["overrides"]]
    assert matchers == [
        ({"id": "byFrameRefID", "options": "A"}, ["color"]),
        ({"id": "byFrameRefID", "options": "B"}, ["custom.lineStyle", "custom.fillOpacity"]),
    ]


# Graphs


def custom(**changes: Any) -> dict[str, Any]:
    return dict(one(**changes)["fieldConfig"]["defaults"]["custom"])


def legend(**changes: Any) -> dict[str, Any]:
    return dict(one(**changes)["options"]["legend"])


@pytest.mark.parametrize(
    ("unit", "top"), [("reqps", 0.01), ("cpm", 0.5), ("percentunit", 0.001), ("short", 1)]
)
def test_a_graph_of_zeros_has_an_axis_of_little_more(unit: str, top: float) -> None:
    """In its own unit: left alone, Grafana draws one up to 100, as if there could be so much."""
    assert custom(unit=unit)["axisSoftMax"] == top


def test_an_axis_reaches_to_every_bound() -> None:
    """A dashed line is in the picture; one at zero is no reason for an axis up to 100 either."""
    steps = [Step(at="-inf", colour="plain"), Step(at="5", colour="warning"), Step(at="9", colour="bad")]
    assert (custom(steps=steps)["axisSoftMin"], custom(steps=steps)["axisSoftMax"]) == (5, 9)
    assert custom(steps=[Step(at="0", colour="bad")])["axisSoftMax"] == 1


def test_names_stand_in_a_line_unless_they_are_too_many() -> None:
    """Then they are a table, ordered by what counts: at the side of a wide graph, below a narrow one."""
    assert legend()["displayMode"] == "list"
    wide, narrow = (legend(sort="-Last *", width=width) for width in (12, 8))
    assert wide == {"showLegend": True, "displayMode": "table", "placement": "right", "calcs": ["lastNotNull"],
                    "sortBy": "Last *", "sortDesc": True}  # fmt: skip
    assert narrow == wide | {"placement": "bottom"}


def test_events_are_bars_on_top_of_each_other_and_the_most_frequent_is_named_first() -> None:
    """A line would run from one event to the next, as if it went on in between."""
    drawn_ = custom(kind="events")
    assert (drawn_["drawStyle"], drawn_["stacking"]["mode"]) == ("bars", "normal")
    assert (legend(kind="events")["sortBy"], legend(kind="events")["sortDesc"]) == ("Max", True)


# Queries


def test_only_raw_series_take_the_rate_interval() -> None:
    """With the scrape interval as its least step, whatever the data source believes."""
    raw, recorded = drawn(
        panel(title="raw", queries=[Query(expr="sum(rate(x_total[$window]))")]), panel(title="recorded"),
    )["panels"]  # fmt: skip
    assert raw["targets"][0]["expr"] == "sum(rate(x_total[$__rate_interval]))"
    assert recorded["targets"][0]["expr"] == "slo:objective:ratio"
    paced = render(
        Board(name="b", title="B", question="Is all well?", sections=[Section(panels=[panel(queries=[Query(expr="rate(x[$window])"), QUERY])])]),
        Pace(raw=15, recorded=60),
        (),
    )["panels"][0]["targets"]  # fmt: skip
    assert [t["interval"] for t in paced] == ["15s", "60s"]


@pytest.mark.parametrize("kind", ["stat", "lines", "table", "bars"])
def test_what_shows_the_present_asks_for_the_present(kind: str) -> None:
    """One instant, not a range of which the last value is taken."""
    (target,) = one(kind=kind)["targets"]
    assert (target["instant"], target["range"]) == (True, False)


@pytest.mark.parametrize("kind", ["timeseries", "events", "timeline", "heatmap"])
def test_what_shows_time_asks_for_a_range(kind: str) -> None:
    """At the panel's own resolution; but bars are few enough to be told apart."""
    found = one(kind=kind)
    (target,) = found["targets"]
    assert (target["instant"], target["range"]) == (False, True)
    assert found.get("maxDataPoints") == (60 if kind == "events" else None)
    assert "intervalFactor" not in target


# Tables


def test_a_table_is_one_line_for_each_label_set() -> None:
    """First the column it is about, then the values in order, then the other labels; times are nobody's business."""
    found = one(
        kind="table",
        sort="-Left",
        columns=[
            Column(label="slo", title="Objective"),
            Column(label="owner"),
            Column(label="stack", hidden=True),
        ],
        queries=[Query(expr="a", name="Left"), Query(expr="b", name="Burn")],
    )
    merge, organize = found["transformations"]
    assert merge["id"] == "merge"
    assert organize["options"] == {
        "excludeByName": {"Time": True, "stack": True},
        "indexByName": {"slo": 0, "Value #A": 1, "Value #B": 2, "owner": 3},
        "renameByName": {"Value #A": "Left", "Value #B": "Burn", "slo": "Objective"},
    }
    assert found["options"]["sortBy"] == [{"displayName": "Left", "desc": True}]


def test_the_values_of_a_single_query_have_no_letter() -> None:
    """Grafana calls them Value then."""
    (organize,) = one(kind="table", queries=[Query(expr="a", name="Left")])["transformations"]
    assert organize["options"]["renameByName"] == {"Value": "Left"}


def test_a_column_has_its_width_or_a_share_of_what_is_left() -> None:
    """A share is no less than the column needs to be read."""
    found = one(kind="table", columns=[Column(label="slo", least=180), Column(label="owner", width=90)])
    sizes = {
        o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]}
        for o in found["fieldConfig"]["overrides"]
    }
    assert sizes["slo"]["custom.minWidth"] == 180
    assert "custom.width" not in sizes["slo"]
    assert sizes["owner"]["custom.width"] == 90


def test_a_cell_links_to_what_its_line_is_about() -> None:
    """The link belongs to the column, under the name that is shown."""
    link = Link(title="More", to="slo-detail?var-slo=${__data.fields.slo}")
    found = one(kind="table", columns=[Column(label="slo", title="Objective", link=link)])
    (column,) = [o for o in found["fieldConfig"]["overrides"] if o["matcher"]["options"] == "Objective"]
    (links,) = [p["value"] for p in column["properties"] if p["id"] == "links"]
    assert links == [
        {"title": "More",
         "url": "/d/slo-detail?var-slo=${__data.fields.slo}&${__url_time_range}&${datasource:queryparam}"}
    ]  # fmt: skip


def test_links_keep_time_and_source_within_grafana() -> None:
    """A page elsewhere is left as it is written."""
    assert url("slo-meta") == "/d/slo-meta?${__url_time_range}&${datasource:queryparam}"
    assert url("https://example.org/a?b=c") == "https://example.org/a?b=c"


# What is left behind


def test_a_dashboard_is_what_grafana_provisions() -> None:
    """Not editable, of a schema whose keys are all known, tagged, with Grafana's own annotations in it."""
    found = drawn(panel())
    assert (found["uid"], found["editable"], found["schemaVersion"]) == ("b", False, 41)
    assert found["tags"] == ["slo", "team"]
    assert found["annotations"]["list"][0]["builtIn"] == 1
    assert not {"rows", "style", "id", "gnetId", "__inputs", "hideControls", "sharedCrosshair"} & set(found)


def test_no_null_is_left_but_in_thresholds() -> None:
    """A null says nothing, and Grafana's types refuse it."""

    def nulls(value: Any, at: str = "") -> list[str]:
        if isinstance(value, dict):
            return [p for k, v in value.items() for p in nulls(v, f"{at}.{k}")]
        if isinstance(value, list):
            return [p for v in value for p in nulls(v, at)]
        return [at] if value is None else []

    kinds = ("stat", "lines", "timeseries", "events", "table", "bars", "timeline", "heatmap")
    found = drawn(
        *(panel(title=k, kind=k) for k in kinds), panel(title="t", kind="text", queries=[], text="x")
    )
    assert set(nulls(found)) == {".panels.fieldConfig.defaults.thresholds.steps.value"}


def test_legacy_keys_are_dropped_wherever_they_are() -> None:
    """Also in panels of a collapsed row."""
    legacy = {
        "type": "stat",
        "title": "T",
        "span": 6,
        "editable": True,
        "targets": [{"expr": "x", "intervalFactor": 2}],
    }
    found = normalise(
        {"links": [], "tags": [], "style": "dark", "templating": {"list": []},
         "panels": [legacy, {"type": "row", "panels": [dict(legacy)]}]}
    )  # fmt: skip
    clean = {"type": "stat", "title": "T", "targets": [{"expr": "x"}]}
    assert found["panels"] == [clean, {"type": "row", "panels": [clean]}]


# Which dashboards there are


def built(*slos: Any, **changes: Any) -> dict[str, dashboards.Dashboard]:
    return {d.uid: d for d in dashboards.build(stack(*slos, **changes), Config().timing)}


def test_a_service_without_signals_and_alerts_has_no_dashboard() -> None:
    """There would be nothing to see; its objectives are in the overview."""
    assert set(built()) == {"slo-overview", "slo-detail", "slo-meta"}


def test_a_monitor_gives_its_service_a_dashboard() -> None:
    """Its alert links there, and there the value is that it compares, with the bound."""
    api = Service(name="api", owner="team")
    watch = Monitor(name="QueueDeep", service=api, condition="max(queue) > 100", summary="Deep.")
    board = built(monitors=[watch], slos=[])["golden-api"]
    (drawn_,) = [p for p in board.panels if p.title == "QueueDeep"]
    assert [q.expr for q in drawn_.queries] == ["max(queue)"]
    assert [s.at for s in drawn_.steps] == ["100"]


def test_a_stack_of_monitors_has_no_overview_of_nothing() -> None:
    """Every panel of it would be empty."""
    watch = Monitor(
        name="QueueDeep", service=Service(name="api", owner="t"), condition="q > 1", summary="Deep."
    )
    assert set(built(monitors=[watch], slos=[])) == {"golden-api", "slo-meta"}


def test_a_long_service_name_still_fits_a_uid() -> None:
    """Shortened, and told apart by a digest that stays the same."""
    one_, other = (names.golden_board(f"{'x' * 45}{end}") for end in ("aa", "ab"))
    assert len(one_) == len(other) == 40
    assert one_ != other
    assert names.golden_board("api") == "golden-api"


# Golden signals and their bounds


SIGNALS = GoldenSignals(
    latency=[
        Signal(query='h_seconds_bucket{job="api"}', title="Requests, p95", unit="s"),
        Signal(query='max(l_seconds{quantile="0.95"})', title="Scans", unit="s"),
    ],
    traffic="requests_total",
    errors=Signal(query="sum(rate(bad_total[$window])) / sum(rate(requests_total[$window]))", title="Errors"),
    saturation=NotMeasured("it queues nothing at all"),
)
API = Service(name="api", owner="team", signals=SIGNALS, selector={"zone": "eu"})


def golden(*slos: Any) -> dict[str, Panel]:
    return {p.title: p for p in built(*(slos or [slo(service=API)]))["golden-api"].panels}


def test_a_histogram_is_drawn_as_percentiles_and_as_a_heatmap() -> None:
    """Of the same series, with the labels of the service."""
    found = golden()
    assert [q.name for q in found["Requests, percentiles"].queries] == ["p50", "p95", "p99"]
    heatmap = found["Requests, distribution"]
    assert heatmap.kind == "heatmap"
    assert heatmap.queries[0].expr == 'sum by (le) (rate(h_seconds_bucket{job="api",zone="eu"}[$window]))'


def test_the_bound_of_an_objective_is_drawn_over_its_signal() -> None:
    """A latency's bound in the unit of its buckets, a condition's as it is written; not over other signals."""
    fast = slo("fast", service=API, sli=Latency(histogram='h_seconds{job="api"}', below="300ms"))
    scan = slo("scan", service=API, sli=TimeSlice(condition='l_seconds{quantile="0.95",size="small"} < 5'))
    found = golden(fast, scan)
    assert [s.at for s in found["Requests, percentiles"].steps] == ["0.3"]
    assert "fast: at most 300ms" in found["Requests, percentiles"].description
    assert [s.at for s in found["Scans"].steps] == ["5"]
    assert not found["Traffic"].steps


def test_a_share_of_errors_is_drawn_beside_its_budget() -> None:
    """As recorded, not as a number; and it is 0 before the first error, when its series is not born."""
    answered = slo("answered", service=API, sli=Ratio(bad="bad_total", total="requests_total"))
    errors, budget = golden(answered)["Errors"].queries
    assert errors.expr.endswith('or 0 * sum(rate(requests_total{zone="eu"}[$window]))')
    assert budget.expr == 'max(slo:error_budget:ratio{stack="demo",slo="api-answered"})'


def test_another_objective_lends_no_bound() -> None:
    """One over other series of the same metric says nothing about these."""
    other = slo("other", service=API, sli=Latency(histogram='h_seconds{job="web"}', below="300ms"))
    assert not golden(other)["Requests, percentiles"].steps


def test_the_bound_of_an_alert_is_drawn() -> None:
    """Above what it fires."""
    signal = Signal(query="queue", alert="QueueDeep", when=Above("100"))
    assert [(b.value, b.of) for b in bounds.of_alert(signal)] == [(100, "alerts above 100")]


def test_errors_of_several_sorts_are_events() -> None:
    """They add up; a share of them does not, nor do errors of one sort come as a list."""
    sorts = Signal(query="sum by (reason) (rate(bad_total[$window]))", title="By reason")
    share = Signal(query=f"{sorts.query} / on () group_left () sum(rate(all_total[$window]))", title="Share")
    plain = Signal(query="bad_total", title="Bad")
    service = Service(
        name="api", owner="team", signals=SIGNALS.model_copy(update={"errors": (sorts, share, plain)})
    )
    found = golden(slo(service=service))
    assert [found[t].kind for t in ("By reason", "Share", "Bad")] == ["events", "timeseries", "timeseries"]


@pytest.mark.parametrize(("condition", "order"), [("> 3", "-Last *"), ("< 3", "Last *"), ("== 0", "Last *")])
def test_what_alerts_is_listed_first(condition: str, order: str) -> None:
    """Of a watched value with many series: the highest where too much alerts, else the lowest."""
    watch = Monitor(
        name="Wrong", service=API, condition=f"min by (image, check) (verdict) {condition}", summary="Wrong."
    )
    (found,) = [p for p in built(monitors=[watch], slos=[])["golden-api"].panels if p.title == "Wrong"]
    assert found.sort == order


def test_the_labels_of_alerts_have_titles() -> None:
    """Those of the service's monitors and of its objectives' groups; an objective leads to its details."""
    watch = Monitor(
        name="Wrong",
        service=API,
        condition="min by (image_name) (verdict) == 0",
        summary="Wrong.",
        labels={"feeds": "x"},
    )
    board = built(slo(service=API, by=["region"]), monitors=[watch])["golden-api"]
    (table,) = [p for p in board.panels if p.title == "Alerts of this service"]
    shown = {c.label: c.title for c in table.columns if not c.hidden}
    assert shown == {"alertname": "Alert", "alertstate": "State", "severity": "Severity", "slo": "Objective",
                     "feeds": "Feeds", "image_name": "Image name", "region": "Region"}  # fmt: skip
    (detail,) = [c.link.to for c in table.columns if c.label == "slo" and c.link is not None]
    assert detail == "slo-detail?var-stack=demo&var-slo=${__data.fields.slo}"


def test_not_measured_says_why() -> None:
    """Instead of a graph without data."""
    found = golden()["Saturation is not measured"]
    assert (found.kind, found.text) == ("text", "it queues nothing at all")


def test_a_board_of_a_team_is_drawn_like_the_others() -> None:
    """Under its own name, in the same folder."""
    own = Board(name="ours", title="Ours", question="Is all well here?", sections=[Section(panels=[panel()])])
    found = built(boards=[own])["ours"]
    assert (found.title, found.file, found.folder) == ("Ours", "ours", "SLO")
    assert json.loads(found.compact())["panels"][0]["title"] == "Panel"


def test_the_example_of_the_documents_is_drawn() -> None:
    """As it is written there, beside an objective of the reader's own."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "dashboards.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    found: dict[str, Any] = {"orders": slo()}
    exec(example, found)  # noqa: S102 - our own document
    board = {d.uid: d for d in dashboards.build(found["stack"], Config().timing)}["releases"]
    assert [p.title for p in board.panels] == ["Failed deployments"]
