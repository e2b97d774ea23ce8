"""The Prometheus operator takes every object of the chart: its CRDs' own schemas, unknown fields refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm
import jsonschema
import pytest
import yaml
from helm import HELMS, Object

pytestmark = pytest.mark.live

CRDS = helm.ROOT / ".tools" / "crds"
KINDS = {"AlertmanagerConfig", "PodMonitor", "Probe", "PrometheusRule", "ServiceMonitor"}
PLURALS = {f"{kind.lower()}s" for kind in KINDS}
Schema = dict[str, Any]


def closed(schema: Any) -> Any:
    """The schema with every object that names its fields closed, as an API server prunes what it does not know."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if "properties" in made and isinstance(made["properties"], dict) and "additionalProperties" not in made:
        made["additionalProperties"] = made.get("x-kubernetes-preserve-unknown-fields", False)
    if isinstance(made.get("pattern"), str):  # Go allows a flag in mid-pattern; Python wants it in front
        made["pattern"] = made["pattern"].replace("^(?i)", "(?i)^")
    return made


@pytest.fixture(scope="module")
def schemas() -> dict[tuple[str, str], Schema]:
    """By API version and kind. `tools/peers crds` makes them; their absence fails."""
    files = [f for f in sorted(CRDS.glob("*.yaml")) if f.stem.partition("_")[2] in PLURALS]
    assert files, "the CRDs are not there: tools/peers crds (make test-live installs them)"
    found = {}
    for file in files:
        crd = yaml.load(file.read_text(encoding="utf-8"), Loader=helm.Loader)  # noqa: S506 # a safe one
        for version in crd["spec"]["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]] = schema
    return found


def routes(route: Schema) -> Iterator[Schema]:
    """An AlertmanagerConfig's CRD does not describe nested routes: each is one more of the same."""
    for child in route.get("routes", []):
        yield child
        yield from routes(child)


def problems(one: Object, schemas: dict[tuple[str, str], Schema]) -> list[str]:
    schema = schemas[one["apiVersion"], one["kind"]]
    found = list(jsonschema.Draft202012Validator(schema).iter_errors(one))
    if one["kind"] == "AlertmanagerConfig":
        route = jsonschema.Draft202012Validator(schema["properties"]["spec"]["properties"]["route"])
        found += [e for child in routes(one["spec"]["route"]) for e in route.iter_errors(child)]
    return [f"{one['kind']} {one['metadata']['name']} {e.json_path}: {e.message[:200]}" for e in found]


@pytest.mark.parametrize("name", HELMS)
def test_the_operator_takes_every_object(
    name: str, tmp_path: Path, schemas: dict[tuple[str, str], Schema]
) -> None:
    """Of every values file, by its CRDs."""
    chart = helm.stella(tmp_path)
    custom = [
        o
        for file in sorted((chart / "ci").iterdir())
        for o in helm.objects(name, chart, file)
        if o["apiVersion"].startswith("monitoring.coreos.com")
    ]
    assert {o["kind"] for o in custom} == KINDS
    assert [p for o in custom for p in problems(o, schemas)] == []


def test_what_is_not_in_a_crd_is_found(schemas: dict[tuple[str, str], Schema]) -> None:
    """An unknown field, a bad duration and a wrong matcher: the check can fail."""
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "a"},
            "spec": {"groups": [{"name": "g", "interval": "1 m", "rules": [{"alert": "A", "expr": "a", "four": "1m"}]}]}}  # fmt: skip
    assert len(problems(rule, schemas)) == 2
    routing = {"apiVersion": "monitoring.coreos.com/v1alpha1", "kind": "AlertmanagerConfig", "metadata": {"name": "a"},
               "spec": {"route": {"receiver": "a", "routes": [{"matchers": [{"name": "b", "matchType": "=="}]}]}}}  # fmt: skip
    assert len(problems(routing, schemas)) == 1
