"""The catalogue of Stella Ops, its metric map, and the blueprint's rows."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporters import metrics as exported
from slo import Monitor, NotMeasured, Stack, promql
from slo.catalog import Metrics, load_metrics, stack
from slo.catalog.coverage import ROWS, has_home
from slo.catalog.http import FAMILIES
from slo.catalog.promotion import release_checks
from slo.document import SIZE_LIMIT
from slo.errors import LoadError
from slo.sli import Latency, parts_of

DEPLOYMENTS = tuple(itertools.product(("blueprint", "otel"), ("rustfs", "s3"), ("mongo", "postgresql")))


def deployment(profile: str, storage: str, database: str, **more: Any) -> Metrics:
    return Metrics.model_validate(
        {"profile": profile, "storage": {"mode": storage}, "database": {"mode": database}} | more
    )


@pytest.fixture(params=DEPLOYMENTS, ids=lambda d: "-".join(d))
def deployed(request: pytest.FixtureRequest) -> tuple[str, Stack]:
    profile, storage, database = request.param
    return database, stack(deployment(profile, storage, database))


def queries(s: Stack) -> Iterator[str]:
    for slo in s.slos:
        for part in parts_of(slo.sli).values():
            for field in ("total", "bad", "good", "gauge", "condition", "timestamp"):
                if text := getattr(part, field, None):
                    yield text
            if isinstance(part, Latency):
                yield part.histogram
    for monitor in s.all_monitors:
        yield monitor.expr
    for service in s.services:
        for _, signals in service.signals.items() if service.signals else ():
            if not isinstance(signals, NotMeasured):
                yield from (signal.expr for signal in signals)


def selectors(s: Stack) -> set[promql.Selector]:
    return {selector for query in queries(s) for selector in promql.selectors(query)}


def test_every_row_of_the_blueprint_lives_where_it_says(deployed: tuple[str, Stack]) -> None:
    """Each row's homes exist in the stack, whatever the profile, the object store and the database."""
    database, s = deployed
    lost = [
        (row.text, home)
        for row in ROWS
        if row.applies(database)
        for home in row.homes
        if not has_home(s, home)
    ]
    assert lost == []


def test_every_slo_and_alert_stands_for_a_row(deployed: tuple[str, Stack]) -> None:
    """Nothing is promised or watched that no row asks for."""
    _, s = deployed
    homes = {home for row in ROWS for home in row.homes}
    made = {f"slo:{slo.id}" for slo in s.slos} | {f"alert:{m.name}" for m in s.all_monitors}
    assert made - homes == set()


def test_a_row_without_a_home_says_why() -> None:
    """A row lives somewhere or gives a reason that is a reason; one bound to a mode gives it for the other mode."""
    for row in ROWS:
        if not row.homes or row.database:
            assert NotMeasured(row.not_measured).reason


def test_an_unknown_home_is_not_found() -> None:
    """The walk over the rows would notice a home that does not exist."""
    s = stack()
    for home in (
        "slo:nobody",
        "alert:Nothing",
        "signal:authority.latency/Nothing",
        "signal:nobody.latency/x",
    ):
        assert not has_home(s, home)


def test_every_query_parses_and_reads_a_named_metric(deployed: tuple[str, Stack]) -> None:
    """No query of the catalogue is broken, or selects series by labels alone."""
    _, s = deployed
    for query in queries(s):
        promql.parse(query)
        assert promql.selectors(query)
    assert all(selector.metric for selector in selectors(s))


def test_matchers_agree(deployed: tuple[str, Stack]) -> None:
    """No selector matches twice on one label."""
    _, s = deployed
    for selector in selectors(s):
        names = [m.name for m in selector.matchers]
        assert len(names) == len(set(names)), selector


def test_exporters_publish_what_the_catalogue_reads(deployed: tuple[str, Stack]) -> None:
    """Each metric of ours exists in exporters.metrics, with the labels the catalogue matches on."""
    _, s = deployed
    known = {m.name: m for m in exported.ALL}
    ours = [x for x in selectors(s) if x.metric.startswith(("cosign_", "rekor_", "release_"))]
    assert len({x.metric for x in ours}) > 20
    for selector in ours:
        metric = known.get(selector.metric) or known[re.sub(r"_(bucket|count|sum)$", "", selector.metric)]
        assert (metric.type == "histogram") == (
            selector.metric not in known
        ) or metric.name == selector.metric
        assert {m.name for m in selector.matchers} <= {*metric.labels, "le"}, selector


def test_grouping_labels_of_our_metrics_exist() -> None:
    """A monitor on an exporter's metric groups by labels that the metric has."""
    known = {m.name: set(m.labels) for m in exported.ALL}
    seen = 0
    for monitor in stack().all_monitors:
        for labels, metric in re.findall(r"by \(([^)]*)\) \((?:increase\()?([a-z_]+)", monitor.condition):
            if metric in known:
                seen += 1
                assert set(labels.split(", ")) <= known[metric], monitor.name
    assert seen > 10


def test_counters_are_rated_and_gauges_are_not() -> None:
    """Our counters are read under rate or increase, our gauges never."""
    kinds = {m.name: m.type for m in exported.ALL}
    for query in queries(stack()):
        rated = set(promql.counters(query))
        for selector in promql.selectors(query):
            if kinds.get(selector.metric) == "gauge":
                assert selector.metric not in rated, query
    for monitor in stack().all_monitors:
        for selector in promql.selectors(monitor.expr):
            if kinds.get(selector.metric) == "counter":
                assert selector.metric in promql.counters(monitor.expr), monitor.name


def test_descriptions_use_labels_that_the_condition_keeps(deployed: tuple[str, Stack]) -> None:
    """A template's label is one the condition groups by; other labels are gone by then."""
    _, s = deployed
    for monitor in s.all_monitors:
        kept = {name for by in re.findall(r"by \(([^)]*)\)", monitor.condition) for name in by.split(", ")}
        assert set(re.findall(r"\$labels\.(\w+)", monitor.description)) <= kept, monitor.name


def test_alerts_are_named_and_explained(deployed: tuple[str, Stack]) -> None:
    """Alert names are ours, and each has a summary and a description."""
    _, s = deployed
    for monitor in s.all_monitors:
        assert monitor.name.startswith("Stella")
        assert monitor.summary.endswith(".")
        assert monitor.description.endswith("."), monitor.name


def test_every_alert_brings_series_for_its_test(deployed: tuple[str, Stack]) -> None:
    """Each monitor has series it fires on and series it is silent on; they last equally long and longer than `for`."""
    _, s = deployed
    for monitor in s.all_monitors:
        for series in (monitor.fires, monitor.silent):
            lengths = {minutes(values) for values in series.values()}
            assert len(lengths) == 1, monitor.name
            assert lengths.pop() * 60 > (monitor.lasting.seconds if monitor.lasting else 0), monitor.name


def minutes(values: str) -> int:
    return sum(int(part.rsplit("x", 1)[1]) + 1 for part in values.split())


def test_examples_are_of_metrics_the_condition_reads(deployed: tuple[str, Stack]) -> None:
    """Example series belong to the metrics of the condition."""
    _, s = deployed
    for monitor in s.all_monitors:
        read = {selector.metric for selector in promql.selectors(monitor.expr)}
        for series in (*monitor.fires, *monitor.silent):
            found = promql.as_selector(series)
            assert found is not None
            assert found.metric in read, monitor.name


def test_a_failed_verdict_pages_at_once_and_an_unknown_one_is_a_ticket() -> None:
    """Verified, failed, unknown: failed wakes somebody, unknown waits for its age."""
    by_name: dict[str, Monitor] = {m.name: m for m in stack().all_monitors}
    for name in ("ImageVerificationFailed", "ManifestInvalid", "RekorInconsistent", "RekorCheckpointInvalid"):
        assert by_name[f"Stella{name}"].severity == "page"
        assert by_name[f"Stella{name}"].lasting is None
    for name in ("ImageVerdictOld", "ManifestVerdictOld", "RekorVerdictOld"):
        assert by_name[f"Stella{name}"].severity == "ticket"


def test_targets_are_the_blueprints(deployed: tuple[str, Stack]) -> None:
    """Uptime objectives are those of the blueprint, per calendar month."""
    _, s = deployed
    uptime = {slo.service.name: str(slo.objective) for slo in s.slos if slo.name == "uptime"}
    assert uptime == {
        "signer": "99.9%",
        "authority": "99.9%",
        "attestor": "99.9%",
        "scanner": "99.5%",
        "excititor": "99%",
        "concelier": "99%",
    }
    assert {str(slo.window) for slo in s.slos} == {"month"}


def test_the_attestors_bound_follows_the_profile() -> None:
    """The blueprint's p95 is a summary series; OpenTelemetry has no bucket at 0.3 s, so 0.25 s is promised there."""
    by_profile = {
        p: next(s.sli for s in stack(Metrics(profile=p)).slos if s.id == "attestor-submit-latency")
        for p in ("blueprint", "otel")
    }
    assert (
        getattr(by_profile["blueprint"], "condition", "")
        == 'attestor_submit_latency_seconds{quantile="0.95"} < 0.3'
    )
    assert isinstance(by_profile["otel"], Latency)
    assert str(by_profile["otel"].bound) == "0.250"


@pytest.mark.parametrize("reading", ["summary", "buckets", "native", "quantile", "http"])
def test_every_latency_can_be_read_in_every_form(reading: str) -> None:
    """A summary, a classic or native histogram and an HTTP route give a whole stack of queries that parse."""
    form = {"reading": reading, "metric": "took_seconds", "route": "/r"}
    timings = {
        "authority": ("token",), "signer": ("sign",), "attestor": ("submit",), "scanner": ("scan", "compose", "diff"),
        "concelier": ("export",), "web_ui": ("render",), "zastava": ("latency",),
    }  # fmt: skip
    m = Metrics.model_validate({section: dict.fromkeys(names, form) for section, names in timings.items()})
    for query in queries(stack(m)):
        promql.parse(query)
        if reading == "native":
            assert "took_seconds_" not in query


def test_milliseconds_stay_milliseconds() -> None:
    """A bound on a histogram of milliseconds is in milliseconds."""
    scan = next(s.sli for s in stack(Metrics(profile="otel")).slos if s.id == "scanner-scan-latency-small")
    assert isinstance(scan, Latency)
    assert scan.bound == 5000


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("profile", ["blueprint", "otel"])
def test_every_http_family_gives_a_whole_stack(family: str, profile: str) -> None:
    """Whichever family a deployment has, errors and requests come from it, and no other name remains."""
    m = Metrics.model_validate({"profile": profile, "http": {"family": family}})
    availability = next(s for s in stack(m).slos if s.id == "authority-availability")
    assert {x.metric for x in availability.metrics()} == {m.http.requests}


def test_an_override_changes_the_query(tmp_path: Path) -> None:
    """A name in the map replaces the default wherever it is read, and nothing beside it."""
    file = tmp_path / "map.yaml"
    file.write_text(
        "profile: otel\nstorage:\n  mode: s3\n  s3:\n    errors: 'ceph_errors_total{zone=\"a\"}'\n"
    )
    m = load_metrics(file)
    texts = [q for q in queries(stack(m)) if "ceph_errors_total" in q]
    assert len(texts) >= 3
    assert m.storage.s3.requests == "minio_s3_requests_total"
    assert not any("minio_s3_requests_errors_total" in q for q in queries(stack(m)))


def test_service_names_and_labels_can_be_replaced() -> None:
    """The label that tells services apart, and its values, are the deployment's."""
    m = Metrics.model_validate({"http": {"service_label": "app", "services": {"signer": "sig"}}})
    text = next(s for s in stack(m).slos if s.id == "signer-availability").sli
    assert 'app="sig"' in str(getattr(text, "total", ""))
    assert m.http.services.authority == "authority"


def test_scrape_interval_follows_the_profile() -> None:
    """OpenTelemetry exports once a minute, a direct scrape is twice as often."""
    assert str(Metrics().scrape_interval) == "30s"
    assert str(Metrics(profile="otel").scrape_interval) == "1m"


def test_numbers_of_the_map_may_be_yaml_numbers(tmp_path: Path) -> None:
    """A bound is written as YAML writes numbers and stays exact."""
    file = tmp_path / "map.yaml"
    file.write_text("zastava: {deny_share: 0.1}\nscanner: {pending_limit: 50}\n")
    assert load_metrics(file).zastava.deny_share == "0.1"
    assert load_metrics(file).scanner.pending_limit == "50"


def test_no_map_means_the_defaults(tmp_path: Path) -> None:
    """Without a file, or with an empty one, the blueprint's names are read."""
    file = tmp_path / "map.yaml"
    file.write_text("")
    assert load_metrics(None) == load_metrics(file) == Metrics()


REFUSED = {
    "attestor: {submitt: {}}": ("'attestor.submitt' is unknown", "did you mean 'submit'"),
    "attestor: {submit: {xyz: 1}}": ("'attestor.submit.xyz' is unknown", "use one of metric"),
    "colour: red": ("'colour' is unknown", "use one of profile"),
    "profile: cloud": ("'profile' is 'cloud'", "'blueprint' or 'otel'"),
    "http: {family: f9}": ("'http.family' is 'f9'", "'f1'"),
    "http: 3": ("'http' takes keys of its own", "family"),
    "signer: {success: 3}": ("'signer.success' is a number", "quotes"),
    "signer: {revoked: 'a + b'}": ("'signer.revoked'", "not a series selector"),
    "signer: {revoked: ''}": ("'signer.revoked'", "does not parse"),
    "signer: {revoked: 'a{'}": ("'signer.revoked'", "does not parse"),
    "http: {route_label: 'a-b'}": ("'http.route_label'", "label name"),
    "http: {server_error: '5..('}": ("'http.server_error'", "such as '5..'"),
    "scanner: {pending_limit: many}": ("'scanner.pending_limit'", "not a number"),
    "scanner: {small: 5}": ("'scanner.small'", "such as '5m'"),
    "scanner: {scan: {metric: ''}}": ("'scanner.scan'", "needs metric="),
    "authority: {token: {route: ''}}": ("'authority.token'", "needs route="),
    "- a": ("a metric map is a YAML mapping", "not a list"),
    "a: [": ("is not YAML", "mend"),
    "!!python/object/apply:os.system ['true']": ("is not YAML", "mend"),
    "a: " + "[" * 5000: ("", ""),
    "1: 2": ("'1' is no text", "use one of"),
    "http: {on: 2}": ("'http.True' is no text", "quotes"),
    "http: &a {requests: x}\nsigner: *a": ("alias", "write it out"),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda t: t[:40])
def test_a_wrong_map_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    """The error names the file, the key's path and the remedy, on one line."""
    file = tmp_path / "map.yaml"
    file.write_text(text)
    with pytest.raises(LoadError) as caught:
        load_metrics(file)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert "\n" not in message
    assert all(part in message for part in REFUSED[text]), message


def test_a_map_that_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """A missing, a huge and a binary file each say what is wrong."""
    huge, binary = tmp_path / "huge.yaml", tmp_path / "binary.yaml"
    huge.write_text("#" * (SIZE_LIMIT + 1))
    binary.write_bytes(b"\xff\xfe\x00")
    for file, reason in (
        (tmp_path / "none.yaml", "cannot be read"),
        (huge, "larger than"),
        (binary, "UTF-8"),
    ):
        with pytest.raises(LoadError, match=reason) as caught:
            load_metrics(file)
        assert "\n" not in str(caught.value)


def test_every_field_of_the_map_is_described() -> None:
    """The published schema explains each key."""
    schema = Metrics.model_json_schema()
    json.dumps(schema)
    bare = [
        f"{model['title']}.{name}"
        for model in (schema, *schema["$defs"].values())
        for name, field in model.get("properties", {}).items()
        if not field.get("description") and "$ref" not in field  # a section explains itself
    ]
    assert bare == []


def test_exporter_metrics_follow_the_conventions() -> None:
    """Counters and only counters end in _total, units are in the name, names are unique, only infos hold digests."""
    names = [m.name for m in exported.ALL]
    assert len(names) == len(set(names))
    for metric in exported.ALL:
        assert re.fullmatch(r"(cosign|rekor|release)_[a-z_]+", metric.name)
        assert (metric.type == "counter") == metric.name.endswith("_total")
        assert metric.help.endswith(".")
        assert all(promql.is_label(label) for label in metric.labels)
        assert "digest" not in metric.labels or metric.name.endswith("_info")
        if "seconds" in metric.name:
            assert metric.unit == "seconds"
        if metric.type == "histogram":
            assert list(metric.buckets) == sorted(metric.buckets) != []


def test_latency_bounds_on_our_histograms_are_buckets() -> None:
    """An SLO on a histogram of ours has its bound among the buckets."""
    known = {m.name: m for m in exported.ALL}
    seen = 0
    for slo in stack().slos:
        if isinstance(slo.sli, Latency) and slo.sli.histogram in known:
            seen += 1
            assert float(slo.sli.bound) in known[slo.sli.histogram].buckets
    assert seen


def test_checks_speak_with_one_voice() -> None:
    """A title is a statement that begins a sentence; what is measured is words inside one: "Title: no (words: 3)."."""
    own = stack(deployment("blueprint", "s3", "mongo"))
    checks = (*own.checks, *release_checks(Metrics(), own, "2.5.0", ["sha256:1"], "edge"))
    assert {"edge-soak", "soak-quiet", "mongo-fcv"} <= {c.name for c in checks}
    for check in checks:
        assert re.fullmatch(r"[A-Z0-9].*[^.]", check.title), check.title
        assert re.fullmatch(r"[a-z][^:.()]*", check.measures), check.measures
