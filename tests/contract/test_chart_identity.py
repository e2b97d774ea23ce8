"""`helm upgrade` finds what it installed: names, selectors and uids stay, from one version of the chart to the next.

`chart_identity.json` holds what was ever released, up to its `version`. `--regenerate-goldens` adds what is new, and
a new version of the chart wants that. What goes away is moved to "retired" by hand, with its reason, and is named in
the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm
import pytest
import yaml
from given import slo, stack
from helm import HELMS, Object, of_kind

from slo import Chart

FILE = Path(__file__).parent / "chart_identity.json"
CASES = ("default", "plain", "operator", "exporters", "pods")
VERSIONED = {"helm.sh/chart", "app.kubernetes.io/version"}


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helm.stella(tmp_path_factory.mktemp("stella"))


def identity(one: Object) -> dict[str, Any]:
    """What must not change: what selects it or is selected by it, and what others refer to it by."""
    kept: dict[str, Any] = {
        "labels": {k: v for k, v in one["metadata"]["labels"].items() if k.startswith("app.kubernetes.io/")
                   and k not in VERSIONED},
    }  # fmt: skip
    if "selector" in one.get("spec", {}):
        kept["selector"] = one["spec"]["selector"]
    if one["kind"] in ("ConfigMap", "Secret"):
        kept["keys"] = sorted(one.get("data", one.get("stringData", {})))
    if "-dashboard-" in one["metadata"]["name"] and one["kind"] == "ConfigMap":
        kept["uids"] = [json.loads(text)["uid"] for text in one["data"].values()]
    return kept


def identities(chart: Path) -> dict[str, dict[str, Any]]:
    """By kind and name."""
    found = [o for case in CASES for o in helm.objects("helm4", chart, chart / "ci" / f"{case}-values.yaml")]
    return {f"{o['kind']} {o['metadata']['name']}": identity(o) for o in found}


def test_what_was_installed_is_found_again(chart: Path, request: pytest.FixtureRequest) -> None:
    """Every object that a version ever had, under its name, with its selectors, keys and uids."""
    now, record = identities(chart), json.loads(FILE.read_text(encoding="utf-8"))
    version = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))["version"]
    if request.config.getoption("--regenerate-goldens"):
        record["version"], record["objects"] = version, dict(sorted((now | record["objects"]).items()))
        FILE.write_text(as_text(record), encoding="utf-8")
    lost = [name for name in record["objects"] if name not in now]
    assert lost == [], "an upgrade would delete these: keep their names, or retire them with a reason"
    changed = [name for name, was in record["objects"].items() if now[name] != was]
    assert changed == [], "an upgrade would break these: keep labels, selectors, keys and uids"
    assert record["version"] == version, (
        "record what this version adds: pytest --regenerate-goldens tests/contract/test_chart_identity.py"
    )
    assert [n for n, why in record["retired"].items() if not why or n in record["objects"]] == []


def as_text(record: dict[str, Any]) -> str:
    """An object on a line, so that a difference can be read."""
    lines = ",\n".join(f"  {json.dumps(n)}: {json.dumps(i)}" for n, i in record["objects"].items())
    head = {"version": record["version"], "retired": record["retired"]}
    return json.dumps(head)[:-1] + f',\n "objects": {{\n{lines}\n }}\n}}\n'


@pytest.mark.parametrize("name", HELMS)
def test_the_next_version_upgrades_in_place(name: str, tmp_path: Path) -> None:
    """With one more SLO: nothing vanishes, no immutable field differs, and no exporter restarts."""
    exporters = {"rekor": "rekor-exporter", "bundle": "bundle-exporter"}
    one = stack(slo(), name="team", chart=Chart(version="1.0.0", exporters=exporters))
    two = stack(slo(), slo("latency"), name="team", chart=Chart(version="1.1.0", exporters=exporters))
    before, after = (
        helm.objects(name, made, made / "ci" / "exporters-values.yaml")
        for made in (helm.written(tmp_path / "1", one), helm.written(tmp_path / "2", two))
    )
    for kind in {o["kind"] for o in before}:
        old, new = of_kind(before, kind), of_kind(after, kind)
        assert old.keys() <= new.keys()
        for n, was in old.items():
            assert identity(was) == identity(new[n])
            if kind in ("PersistentVolumeClaim", "Deployment"):
                assert was["spec"] == new[n]["spec"]
