"""What Stella Ops' own stack promises: committed output, runbooks, records, dashboards that exist."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import promtool
import pytest
import yaml
from kinds import stack as kinds

from alerts.rules import rule_files
from slo import Stack, names, promql, tree
from slo.artifact import Output, Rule
from slo.catalog import Metrics, load_metrics, modes, stack
from slo.compile import Config, compile_stack
from slo.links import runbook_url
from slo.quantity import Duration

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "alerts" / "runbooks"
DEPLOYMENTS = tuple(itertools.product(("blueprint", "otel"), ("rustfs", "s3"), ("mongo", "postgresql")))


def deployed(profile: str, storage: str, database: str) -> Stack:
    chosen = {"profile": profile, "storage": {"mode": storage}, "database": {"mode": database}}
    return stack(Metrics.model_validate(chosen))


@pytest.fixture(scope="session")
def stella() -> tuple[Stack, Config]:
    metrics = load_metrics(None)
    return stack(metrics), Config(metrics.scrape_interval, modes(metrics))


@pytest.fixture(scope="session")
def outputs(stella: tuple[Stack, Config]) -> tuple[Output, ...]:
    return compile_stack(*stella)


def rules(s: Stack) -> list[Rule]:
    return [r for f in rule_files(s, Config().timing) for g in f.groups for r in g.rules]


def test_generated_is_up_to_date(outputs: tuple[Output, ...]) -> None:
    """Missing, changed and stale are all drift; `slo generate` mends it."""
    drift = tree.compare(ROOT / "generated", outputs)
    assert not drift, f"run `make generate`: {drift.missing} {drift.changed} {drift.stale}"


def test_generated_holds_nothing_else(outputs: tuple[Output, ...]) -> None:
    """Every file there is one the manifest names."""
    found = {str(p.relative_to(ROOT / "generated")) for p in (ROOT / "generated").rglob("*") if p.is_file()}
    assert found == {o.path for o in outputs}


def test_generated_names_no_machine_and_no_time(outputs: tuple[Output, ...]) -> None:
    """Identity is stable: no clock, no host, no path."""
    text = "".join(o.text for o in outputs)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|/(root|home|work)/", text)


@pytest.mark.parametrize("made", ["kinds", "stella"])
def test_two_compilations_give_the_same_bytes(made: str, stella: tuple[Stack, Config]) -> None:
    """Within one process."""
    s, config = (kinds, Config()) if made == "kinds" else stella
    assert compile_stack(s, config) == compile_stack(s, config)


DIGEST = """
import hashlib, sys
sys.path.append(sys.argv[1])
from kinds import stack as kinds
from slo.catalog import load_metrics, stack
from slo.compile import compile_stack
outputs = (*compile_stack(kinds), *compile_stack(stack(load_metrics(None))))
print(hashlib.sha256("\\0".join(o.path + "\\0" + o.text for o in outputs).encode()).hexdigest())
"""


def test_the_order_of_sets_does_not_reach_the_output() -> None:
    """Processes that hash differently write the same bytes."""
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST, str(ROOT / "tests")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(digests) == 1


# Alerts and runbooks


def pages_of(s: Stack) -> set[str]:
    """Runbook pages the alerts of a stack link to."""
    urls = {r.annotations["runbook_url"] for r in rules(s) if r.alert}
    example = runbook_url(s, "Example")
    prefix, _, suffix = example.partition("Example")
    assert all(u.startswith(prefix) and u.endswith(suffix) for u in urls)
    return {u.removeprefix(prefix).removesuffix(suffix) for u in urls}


@pytest.fixture(scope="session")
def linked() -> set[str]:
    """Pages that any deployment of the catalogue links to."""
    return set().union(*(pages_of(deployed(*d)) for d in DEPLOYMENTS))


@pytest.fixture(scope="session")
def written() -> set[str]:
    return {p.stem for p in RUNBOOKS.glob("*.md")}


def test_every_alert_has_a_runbook(linked: set[str], written: set[str]) -> None:
    """Of every deployment: profiles, object stores, databases."""
    assert len(linked) > 30
    assert linked - written == set()


def test_every_runbook_has_an_alert(linked: set[str], written: set[str]) -> None:
    """A page nobody can reach rots."""
    assert len(written) > 30
    assert written - linked == set()


def test_the_generic_alerts_have_runbooks(written: set[str]) -> None:
    """The five that every stack has."""
    assert set(names.GENERIC_ALERTS) <= written


def test_a_runbook_is_headed_by_its_alert(written: set[str]) -> None:
    """So that a search for the alert finds the page."""
    wrong = [p.name for p in RUNBOOKS.glob("*.md") if p.read_text().splitlines()[0] != f"# {p.stem}"]
    assert wrong == []


def test_no_monitor_takes_the_name_of_a_generic_alert() -> None:
    """Their runbooks and inhibitions are told apart by name."""
    for d in DEPLOYMENTS:
        assert {m.name for m in deployed(*d).all_monitors} & set(names.GENERIC_ALERTS) == set()


def _quoted(text: str) -> list[str]:
    """PromQL that runbooks show in fences."""
    return [b.strip() for b in re.findall(r"^[ ]*```promql\n(.*?)^[ ]*```", text, re.DOTALL | re.MULTILINE)]


def test_promql_in_runbooks_parses() -> None:
    """Nobody wants to debug a query at three in the morning."""
    shown = {f"{p.name}: {q}": q for p in RUNBOOKS.glob("*.md") for q in _quoted(p.read_text())}
    assert len(shown) > 30
    for place, query in shown.items():
        assert promql.parse(re.sub(r"^\s+", "", query, flags=re.MULTILINE)) is not None, place


# Records


def recorded(s: Stack) -> set[str]:
    return {r.record for r in rules(s) if r.record}


def unrecorded(s: Stack, queries: Iterable[str]) -> set[str]:
    read = {x.metric for q in queries for x in promql.selectors(q) if x.metric.startswith("slo:")}
    return read - recorded(s)


@pytest.mark.parametrize("made", ["kinds", "stella"])
def test_every_record_a_rule_reads_is_written_by_some_rule(made: str, stella: tuple[Stack, Config]) -> None:
    """A typing mistake in a name would be silence."""
    s = kinds if made == "kinds" else stella[0]
    assert unrecorded(s, (r.expr for r in rules(s))) == set()


@pytest.mark.parametrize("made", ["kinds", "stella"])
def test_every_record_a_description_asks_for_is_written(made: str, stella: tuple[Stack, Config]) -> None:
    """Or it would read `unknown` when it matters."""
    s = kinds if made == "kinds" else stella[0]
    asked = {
        n
        for r in rules(s)
        for t in r.annotations.values()
        for n in re.findall(r"\bslo:[a-z_]+:[a-z0-9_]+", t)
    }
    assert asked
    assert asked - recorded(s) == set()


def test_records_in_runbooks_exist(stella: tuple[Stack, Config]) -> None:
    """Queries of runbooks read records that are written."""
    queries = [q for p in RUNBOOKS.glob("*.md") for q in _quoted(p.read_text())]
    known = recorded(stella[0]) | recorded(kinds)
    read = {x.metric for q in queries for x in promql.selectors(q) if x.metric.startswith("slo:")}
    assert read - known == set()


# Every alert, by the monitoring-mixins' conventions


@pytest.mark.parametrize("made", ["kinds", "stella"])
def test_every_alert_carries_what_it_must(made: str, stella: tuple[Stack, Config]) -> None:
    """Name, severity, static summary, description, links."""
    s = kinds if made == "kinds" else stella[0]
    for alert in (r for r in rules(s) if r.alert):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]{0,39}", alert.alert)
        assert alert.labels["severity"] in s.severities.values()
        assert set(alert.annotations) == {"summary", "description", "runbook_url", "dashboard_url"}
        assert re.fullmatch(r"[A-Z][^{}]*\.", alert.annotations["summary"])
        assert alert.annotations["description"].strip().endswith((".", "}}"))


def test_a_monitors_alert_names_stack_service_and_owner(stella: tuple[Stack, Config]) -> None:
    """Routes and inhibitions need them."""
    monitors = {m.name for m in stella[0].all_monitors}
    for alert in (r for r in rules(stella[0]) if r.alert in monitors):
        assert {"stack", "service", "owner", "severity"} <= set(alert.labels)


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids="-".join)
def test_every_deployment_passes_promtool(tmp_path: Path, deployment: tuple[str, str, str]) -> None:
    """Rules of each profile, object store and database."""
    for o in compile_stack(deployed(*deployment), Config(Duration.of(60))):
        if o.path.startswith("prometheus/"):
            (tmp_path / o.path.removeprefix("prometheus/")).write_text(o.text, encoding="utf-8")
    content, said = promtool.run("check", "rules", *sorted(tmp_path.glob("*.yaml")))
    assert content, said


def test_operator_objects_load(outputs: tuple[Output, ...]) -> None:
    """Each is one PrometheusRule with a name Kubernetes accepts."""
    objects = [yaml.safe_load(o.text) for o in outputs if o.path.startswith("prometheus-operator/")]
    assert objects
    for found in objects:
        assert found["kind"] == "PrometheusRule"
        assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", found["metadata"]["name"])
