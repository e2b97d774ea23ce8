"""One tree of values, three views of it: the file, the schema, the table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from given import slo, stack
from hypothesis import given
from hypothesis import strategies as st

from slo import Chart, DefinitionError, Service
from slo.catalog import Metrics
from slo.catalog import stack as catalogue
from slo.chart import values
from slo.chart.values import Node, Section
from slo.compile import compile_stack

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool)
LEAF = st.one_of(
    st.builds(values.text, TEXT, TEXT),
    st.builds(values.flag, TEXT, st.booleans()),
    st.builds(values.whole, TEXT, st.integers(0, 10**6), st.just(0)),
    st.builds(values.strings, TEXT, st.dictionaries(TEXT, TEXT, max_size=3)),
    st.builds(values.items, TEXT, st.just({"type": "string"}), st.lists(TEXT, max_size=3)),
)
KEY = st.from_regex(r"key[A-Za-z]{0,6}", fullmatch=True)
TREE = st.dictionaries(
    KEY, st.recursive(LEAF, lambda n: st.builds(Section, TEXT, st.dictionaries(KEY, n, max_size=3)), max_leaves=8), max_size=4
)  # fmt: skip


def read(text: str) -> dict[str, Any]:
    return yaml.safe_load(text) or {}


def plain(tree: Mapping[str, Node]) -> dict[str, Any]:
    """The defaults, as YAML would give them back; an empty section is nothing."""
    found = json.loads(json.dumps(values.defaults(tree)))
    assert isinstance(found, dict)
    return found


@given(TREE)
def test_the_file_reads_back_as_the_defaults(tree: dict[str, Node]) -> None:
    """Whatever the texts are, comments stay comments and values stay values."""
    text = values.document(tree)
    assert blank(read(text)) == blank(plain(tree))


def blank(value: Any) -> Any:
    """An empty section is a key without a value in YAML."""
    return {k: blank(v) for k, v in value.items()} if value and isinstance(value, dict) else value or None


@given(TREE)
def test_the_schema_takes_the_defaults_and_no_other_key(tree: dict[str, Node]) -> None:
    """On every level."""
    schema = json.loads(values.schema(tree, "t", {}))
    jsonschema.validate(plain(tree), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"noSuchKey": 1}, schema)


@given(TREE)
def test_the_table_has_a_row_for_every_value(tree: dict[str, Node]) -> None:
    """And no text breaks out of its cell."""
    rows = values.table(tree).splitlines()[2:]
    assert len(rows) == count(tree)
    assert [r for r in rows if r.replace("\\|", "").count("|") != 5] == []


def count(tree: Mapping[str, Node]) -> int:
    return sum(count(n.keys) if isinstance(n, Section) else 1 for n in tree.values())


def paths(**chart: Any) -> dict[str, str]:
    return {o.path: o.text for o in compile_stack(stack(chart=Chart(**chart))) if o.path.startswith("chart/")}


def test_a_chart_is_named_after_its_stack() -> None:
    """Unless it has a name of its own."""
    assert {p.split("/")[1] for p in paths()} == {"demo-slo"}
    assert {p.split("/")[1] for p in paths(name="watch")} == {"watch"}


def test_a_chart_has_the_version_of_its_definition() -> None:
    """A team releases its own chart."""
    assert yaml.safe_load(paths(version="1.4.0")["chart/demo-slo/Chart.yaml"])["version"] == "1.4.0"


def test_a_stack_that_reads_no_exporter_gets_none() -> None:
    """Neither values nor templates of what it does not need."""
    plain = paths()
    assert "exporters" not in yaml.safe_load(plain["chart/demo-slo/values.yaml"])
    assert [p for p in plain if "/exporters/" in p or "/probes/" in p] == []


def test_a_stack_may_ask_for_one_exporter() -> None:
    """Under the job that its rules know."""
    chosen = yaml.safe_load(paths(exporters={"rekor": "log-watch"})["chart/demo-slo/values.yaml"])[
        "exporters"
    ]
    assert chosen["rekor"]["job"] == "log-watch"
    assert {"cosign", "bundle"} & chosen.keys() == set()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "Watch", "lower-case letters"),
        ("name", "w" * 54, "at most 53"),
        ("version", "1.4", "is no semantic version: write one such as '1.4.0'"),
        ("version", "v1.4.0", "is no semantic version"),
    ],
)
def test_a_wrong_chart_is_refused_at_its_definition(field: str, value: str, said: str) -> None:
    """With the remedy in the sentence."""
    with pytest.raises(ValueError, match=said) as caught:
        Chart(**{field: value})
    assert isinstance(caught.value, ValueError)
    assert "DefinitionError" not in str(caught.value) or issubclass(DefinitionError, ValueError)


def test_odd_owners_are_routed_in_an_alertmanager_config(tmp_path: Path) -> None:
    """A matcher's value comes through quoting and back."""
    odd = 'say "team\\one"'
    made = stack(slo(service=Service(name="api", owner=odd)))
    text = next(o.text for o in compile_stack(made) if o.path.endswith("/files/alertmanagerconfig.json"))
    (route,) = json.loads(text)["route"]["routes"]
    assert route["matchers"] == [{"name": "owner", "value": odd, "matchType": "="}]


def adapted(metrics: dict[str, Any]) -> dict[str, Any]:
    """The values of Stella Ops' chart for a deployment that names things otherwise."""
    outputs = compile_stack(catalogue(Metrics.model_validate(metrics)))
    text = next(o.text for o in outputs if o.path == "chart/stella-slo/values.schema.json")
    schema: dict[str, Any] = json.loads(text)["properties"]
    values = yaml.safe_load(next(o.text for o in outputs if o.path == "chart/stella-slo/values.yaml"))
    return {"channels": schema["channel"]["enum"], **values}


def test_channels_are_called_as_the_deployment_calls_them() -> None:
    """The value is compared with what alerts read."""
    assert adapted({"releases": {"edge": "canary"}})["channels"] == ["", "stable", "lts", "canary"]


def test_probes_are_found_as_the_deployment_probes_them() -> None:
    """Job and label of the metric map, so that the chart's probes feed the rules."""
    http = {"probe": 'probe_success{job="outside"}', "probe_label": "endpoint", "probes": {"signer": "sign"}}
    blackbox = adapted({"http": http})["blackbox"]
    assert (blackbox["job"], blackbox["label"]) == ("outside", "endpoint")
    assert "sign" in blackbox["targets"]


def test_exporters_are_scraped_as_the_deployment_names_them() -> None:
    """The job that the rules look up."""
    found = adapted({"rekor": {"exporter_up": 'up{job="log-watch"}'}})["exporters"]
    assert found["rekor"]["job"] == "log-watch"
