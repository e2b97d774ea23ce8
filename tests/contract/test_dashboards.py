"""What every dashboard promises: it loads, lints, links, fits, and reads only what somebody writes."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashboard_lint as linter
import pytest
import yaml
from kinds import stack as kinds
from pydantic import BaseModel

import dashboards
from alerts.rules import rule_files
from dashboards import Dashboard
from exporters import metrics as exported
from slo import Stack, names, promql
from slo.catalog import Metrics, stack
from slo.compile import Config, compile_stack
from slo.model import NotMeasured
from slo.sli import parts_of

ROOT = Path(__file__).resolve().parents[2]
STELLA = stack()
TIMING = Config().timing
BOARDS = {
    f"{name}/{d.uid}": d
    for name, s in (("stella", STELLA), ("kinds", kinds))
    for d in dashboards.build(s, TIMING)
}
OTHERS = tuple(
    stack(Metrics.model_validate(chosen))
    for chosen in ({"profile": "otel"}, {"storage": {"mode": "s3"}, "database": {"mode": "postgresql"}})
)
MENTIONED = re.compile(r"\bslo:[a-z_]+:[a-z0-9_]+")
# What Prometheus and Alertmanager say of themselves, and every scrape of its target.
EXTERNAL = re.compile(r"prometheus_(rule|notifications)_\w+|alertmanager_notifications_\w+|up|ALERTS")

every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))


def queries(d: Dashboard) -> list[str]:
    return [t["expr"] for p in linter.panels(d.json) for t in p.get("targets", ())]


def paths(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf with its path."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from paths(inner, f"{at}.{key}")
    elif isinstance(value, list) and value:
        for i, inner in enumerate(value):
            yield from paths(inner, f"{at}[{i}]")
    else:
        yield at, repr(value)


def read_and_written(board: Dashboard) -> Any:
    """Through the types that Grafana's foundation SDK has for v1 dashboards. It would rather see v2, which Grafana
    refuses from files."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard as Grafana

        register_default_plugins()
        return json.loads(json.dumps(Grafana.from_json(json.loads(board.compact())), cls=JSONEncoder))


@every_board
def test_grafanas_own_types_lose_nothing(board: Dashboard) -> None:
    """Read and written again by Grafana's foundation SDK, no key and no value is missing: nothing is legacy."""
    lost = set(paths(board.json)) - set(paths(read_and_written(board)))
    assert lost == set()


def lint_file() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "dashboards" / ".lint").read_text())["exclusions"]
    return found


def excused(finding: linter.Finding) -> bool:
    """As the linter reads it: without entries a rule is excluded everywhere."""
    rule = lint_file().get(finding.rule)
    entries = (rule or {}).get("entries", ())
    return rule is not None and (
        not entries or {"dashboard": finding.dashboard, "panel": finding.panel} in entries
    )


@every_board
def test_grafanas_linter_has_nothing_to_say(board: Dashboard) -> None:
    """But for what `.lint` excuses."""
    assert [f for f in linter.lint(board.json) if not excused(f)] == []


def test_every_excuse_is_needed_and_says_why() -> None:
    """An exclusion nobody needs hides the next mistake."""
    found = [f for d in BOARDS.values() for f in linter.lint(d.json)]
    for rule, said in lint_file().items():
        assert rule in linter.RULES
        assert len(said["reason"]) > 20
        hits = {(f.dashboard, f.panel) for f in found if f.rule == rule}
        assert hits, rule
        assert {(e["dashboard"], e["panel"]) for e in said.get("entries", ())} <= hits


@every_board
def test_only_what_an_alert_compares_has_a_range_of_its_own(board: Dashboard) -> None:
    """Every other rate takes $__rate_interval, so that no sample falls between two points."""
    watched = {m.name for s in (STELLA, kinds) for m in s.all_monitors}
    found = [f for f in linter.lint(board.json) if f.rule == "target-rate-interval-rule"]
    assert {f.panel for f in found} <= watched


@every_board
def test_recorded_series_are_read_as_they_are(board: Dashboard) -> None:
    """A rate of a rate is nothing; `$__rate_interval` is for counters."""
    for query in queries(board):
        assert not any(m.startswith("slo:") for m in promql.counters(linter.filled(query)))


@every_board
def test_panels_do_not_overlap(board: Dashboard) -> None:
    """Each cell of the grid belongs to one panel; nothing sticks out of its 24 columns."""
    taken: Counter[tuple[int, int]] = Counter()
    for panel in board.json["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] <= at["x"] + at["w"] <= 24
        taken.update(
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        )
    assert max(taken.values()) == 1


@every_board
def test_panels_are_told_apart(board: Dashboard) -> None:
    """Ids are unique and start at 1; so are titles, by which people name panels to each other."""
    every = [*board.json["panels"], *(q for p in board.json["panels"] for q in p.get("panels", ()))]
    assert sorted(p["id"] for p in every) == list(range(1, len(every) + 1))
    titles = [p["title"] for p in linter.panels(board.json)]
    assert len(set(titles)) == len(titles)


@every_board
def test_every_panel_says_what_it_is_and_leads_on(board: Dashboard) -> None:
    """Description, unit and link, of every panel; and what was asked for is what was drawn."""
    drawn = list(linter.panels(board.json))
    assert [p["title"] for p in drawn] == [p.title for p in board.panels]
    for panel in drawn:
        assert panel["description"].strip()
        assert panel["links"], panel["title"]
        if panel["type"] != "text":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@every_board
def test_titles_are_not_cut(board: Dashboard) -> None:
    """At 1440 pixels a column has 58, a letter takes about 7.6, and frame and icons 100; a phone has room for 43 letters."""
    for panel in linter.panels(board.json):
        assert len(panel["title"]) <= min(43, (58 * panel["gridPos"]["w"] - 100) / 7.6), panel["title"]


def widths(table: dict[str, Any]) -> list[int]:
    """What each shown column of a table takes at least, from left to right; 150 pixels where it says nothing."""
    options = table["transformations"][-1]["options"]
    order = sorted(options["indexByName"], key=options["indexByName"].__getitem__)
    titles = [options["renameByName"].get(f, f) for f in order if not options["excludeByName"].get(f)]
    sized = {
        o["matcher"]["options"]: {p["id"]: p["value"] for p in o["properties"]}
        for o in table["fieldConfig"]["overrides"]
    }
    found = [sized.get(t, {}) for t in titles]
    return [f.get("custom.width") or f.get("custom.minWidth") or 150 for f in found]


@every_board
def test_a_phone_shows_what_a_line_is_about_and_how_it_is(board: Dashboard) -> None:
    """The first two columns of every table, without moving it, and the budget: at 390 pixels a table has 338."""
    for table in (p for p in linter.panels(board.json) if p["type"] == "table"):
        wanted = 3 if table["title"] == "Each objective" else 2
        assert sum(widths(table)[:wanted]) <= 338, table["title"]


@every_board
def test_a_laptop_shows_every_column_that_is_known(board: Dashboard) -> None:
    """At 1440 pixels a column of the grid has 58, and a frame takes 26."""
    for table in (p for p in linter.panels(board.json) if p["type"] == "table"):
        assert sum(widths(table)) <= 58 * table["gridPos"]["w"] - 26, table["title"]


@every_board
def test_no_graph_of_zeros_reaches_to_a_hundred(board: Dashboard) -> None:
    """Every axis has an end of its own."""
    for graph in (p for p in linter.panels(board.json) if p["type"] == "timeseries"):
        assert graph["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] > 0, graph["title"]


@every_board
def test_a_series_for_each_pair_of_labels_is_listed_in_a_table(board: Dashboard) -> None:
    """In a line their names would be cut: there are too many."""
    for graph in (p for p in linter.panels(board.json) if p["type"] == "timeseries"):
        pairs = any(t.get("legendFormat", "").count("{{") > 1 for t in graph["targets"])
        assert not pairs or graph["options"]["legend"]["displayMode"] == "table", graph["title"]


def test_uids_are_unique_and_fit() -> None:
    """At most 40 letters that a URL holds, and one dashboard each."""
    for s in (STELLA, kinds):
        uids = [d.uid for d in dashboards.build(s, TIMING)]
        assert len(set(uids)) == len(uids)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid) for uid in uids)


def test_the_uids_are_these() -> None:
    """Bookmarks and alerts point at them: one that goes is a broken link somewhere."""
    assert [d.uid for d in dashboards.build(STELLA, TIMING)] == [
        "slo-overview", "slo-detail", "release-readiness", "release-trust",
        "golden-authority", "golden-signer", "golden-attestor", "golden-scanner", "golden-policy", "golden-concelier",
        "golden-excititor", "golden-web-ui", "golden-zastava", "golden-object-store", "golden-database",
        "golden-registry", "golden-licensing", "golden-cosign", "golden-rekor", "golden-releases", "golden-platform",
        "slo-meta",
    ]  # fmt: skip


def links_of(d: Dashboard) -> set[str]:
    """Every URL that a reader can follow: of panels, of cells, of fields."""
    return {v.strip("'") for path, v in paths(d.json["panels"]) if path.endswith(".url")}


@pytest.mark.parametrize("s", [STELLA, kinds], ids=lambda s: s.name)
def test_links_lead_to_dashboards_that_exist(s: Stack) -> None:
    """Relative ones to a uid of the same stack, keeping time range and data source; others are https."""
    built = dashboards.build(s, TIMING)
    uids = {d.uid for d in built}
    services = {b.service.name for b in s.slos}
    for d in built:
        for url in links_of(d):
            found = re.match(r"/d/([^?]+)\?(.*)", url)
            if found is None:
                assert url.startswith("https://"), url
                continue
            assert found[2].endswith("${__url_time_range}&${datasource:queryparam}")
            offered = {found[1].replace("${service}", name) for name in services}
            assert offered <= uids, url


@pytest.mark.parametrize("s", [STELLA, kinds, *OTHERS], ids=["stella", "kinds", "otel", "s3"])
def test_every_alert_links_to_a_dashboard_that_exists(s: Stack) -> None:
    """And sets only variables that the dashboard has."""
    built = {d.uid: d for d in dashboards.build(s, TIMING)}
    alerts = [r for f in rule_files(s, TIMING) for g in f.groups for r in g.rules if r.alert]
    assert alerts
    for alert in alerts:
        found = re.fullmatch(r"/d/([a-z0-9-]+)(?:\?(.*))?", alert.annotations["dashboard_url"])
        assert found is not None, alert.annotations["dashboard_url"]
        board = built[found[1]]
        set_ = {pair.split("=")[0].removeprefix("var-") for pair in (found[2] or "").split("&") if pair}
        assert set_ <= {v["name"] for v in board.json["templating"]["list"]}


# Where the numbers come from


def selectors_in(model: BaseModel) -> Iterator[str]:
    """Metric names of a metric map, wherever they are."""
    for value in model.__dict__.values():
        if isinstance(value, BaseModel):
            yield from selectors_in(value)
        elif isinstance(value, str) and re.fullmatch(r"[a-z_:][a-zA-Z0-9_:]*(\{.*\})?", value):
            yield value.split("{")[0]


def written_by(s: Stack, metrics: Metrics | None) -> set[str]:
    """Records of the rules, metrics of the exporters, and what the definitions name themselves."""
    names_ = {r.record for f in rule_files(s, TIMING) for g in f.groups for r in g.rules if r.record}
    names_ |= {m.name for m in exported.ALL}
    raw = {x.metric for slo in s.slos for x in slo.metrics()}
    raw |= {x.metric for m in s.all_monitors for x in promql.selectors(m.expr)}
    raw |= set(selectors_in(metrics)) if metrics is not None else set()
    for service in s.all_services:
        for _, signals in service.signals.items() if service.signals is not None else ():
            if not isinstance(signals, NotMeasured):
                raw |= {x.metric for signal in signals for x in promql.selectors(signal.query)}
    assert all(parts_of(x.sli) for x in s.slos)
    return names_ | {f"{n}{suffix}" for n in (*names_, *raw) for suffix in ("", "_bucket", "_count", "_sum")}


@pytest.mark.parametrize(("name", "s", "metrics"), [("stella", STELLA, Metrics()), ("kinds", kinds, None)])
def test_every_metric_a_panel_reads_is_written_by_somebody(
    name: str, s: Stack, metrics: Metrics | None
) -> None:
    """Recorded, exported, in the metric map, or Prometheus' own: a misspelt name would be an empty panel."""
    known = written_by(s, metrics)
    for d in dashboards.build(s, TIMING):
        for query in queries(d):
            read = {x.metric for x in promql.selectors(linter.filled(query))}
            assert {m for m in read if m not in known and not EXTERNAL.fullmatch(m)} == set(), (d.uid, query)


@every_board
def test_no_objective_and_no_threshold_is_written_where_it_is_recorded(board: Dashboard) -> None:
    """Objectives, budgets and burn rates are read: a literal would go on saying what was true when it was written."""
    if board.uid in names.GENERIC_BOARDS:
        text = re.sub(
            r'"axisSoftMax":[0-9.]+', "", board.compact()
        )  # what an axis reaches at least is no bound
        literals = {str(slo.objective.ratio) for s in (STELLA, kinds) for slo in s.slos}
        literals |= {str(slo.objective.budget) for s in (STELLA, kinds) for slo in s.slos} | {"14.4"}
        assert {x for x in literals if re.search(rf"[^0-9.]{re.escape(x)}[^0-9]", text)} <= {"0.995"}


# Size and identity


@every_board
def test_a_dashboard_fits_into_a_config_map(board: Dashboard) -> None:
    """`kubectl apply` keeps a copy in an annotation of 256 KiB."""
    assert len(board.compact().encode()) < 250_000


def test_dashboards_do_not_grow_with_the_number_of_objectives() -> None:
    """The generic ones are the same bytes for every stack, so that two stacks share them in one Grafana."""
    one, other = (
        {d.uid: d.compact() for d in dashboards.build(s, TIMING) if d.uid in names.GENERIC_BOARDS}
        for s in (STELLA.model_copy(update={"runbooks": ""}), kinds)
    )
    assert one == other
    assert set(one) == set(names.GENERIC_BOARDS)


def test_the_files_are_the_dashboards() -> None:
    """Readable JSON under grafana/, one file each, named by its uid."""
    written = {o.path: o.text for o in compile_stack(kinds) if o.path.startswith("grafana/")}
    built = {f"grafana/{d.uid}.json": d for d in dashboards.build(kinds, TIMING)}
    assert written == {path: d.pretty() for path, d in built.items()}
    for path, text in written.items():
        assert json.loads(text) == json.loads(built[path].compact())
        assert "\n" not in built[path].compact()


def test_one_module_imports_grafanalib() -> None:
    """It has no types and a quiet upstream: the fence is one file long."""
    importing = [
        str(file.relative_to(ROOT))
        for package in ("slo", "alerts", "dashboards", "exporters", "tools")
        for file in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*(from|import) grafanalib", file.read_text(), re.MULTILINE)
    ]
    assert importing == ["dashboards/grafana.py"]
