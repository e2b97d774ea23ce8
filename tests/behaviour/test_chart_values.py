"""What a person may put into values: a mistake fails the installation with its place, on Helm 3 and 4."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm
import jsonschema
import pytest
import yaml
from helm import HELMS, of_kind

ALERT = "StellaBackupStale"


@pytest.fixture(scope="module")
def stella(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helm.stella(tmp_path_factory.mktemp("stella"))


def refused(name: str, chart: Path, tmp_path: Path, content: Mapping[str, Any]) -> str:
    """What Helm says of values it must not take."""
    good, _, error = helm.run(name, "template", "demo", chart, "--values", helm.values(tmp_path, content))
    assert not good, "these values were taken"
    return error


@pytest.mark.parametrize("name", HELMS)
@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("prometheusRules", {"prometheusRules": {"enabled": False}}),
        ("prometheusRule.label", {"prometheusRule": {"label": {"release": "a"}}}),
        ("alerts.overrides.StellaBackupStal", {"alerts": {"overrides": {"StellaBackupStal": {"for": "1h"}}}}),
        (f"alerts.overrides.{ALERT}.severty", {"alerts": {"overrides": {ALERT: {"severty": "critical"}}}}),
        (f"alerts.overrides.{ALERT}.severity", {"alerts": {"overrides": {ALERT: {"severity": "page"}}}}),
        (f"alerts.overrides.{ALERT}.for", {"alerts": {"overrides": {ALERT: {"for": "1 hour"}}}}),
        (f"alerts.overrides.{ALERT}.labels.team", {"alerts": {"overrides": {ALERT: {"labels": {"team": 1}}}}}),
        ("slos.overrides.signer-uptme", {"slos": {"overrides": {"signer-uptme": {}}}}),
        ("slos.overrides.signer-uptime.Fast", {"slos": {"overrides": {"signer-uptime": {"Fast": {}}}}}),
        ("channel", {"channel": "nightly"}),
        ("storage.mode", {"storage": {"mode": "minio"}}),
        ("alertmanager.receivers.page-nobody", {"alertmanager": {"receivers": {"page-nobody": {}}}}),
        ("exporters.image.digest", {"exporters": {"image": {"digest": "sha256:abc"}}}),
        ("exporters.probes", {"exporters": {"probes": "tcpSocket"}}),
        ("exporters.rekor.enable", {"exporters": {"rekor": {"enable": True}}}),
        ("exporters.cosign.env.TOKEN.value", {"exporters": {"cosign": {"env": {"TOKEN": {"secret": "a", "key": "b", "value": "c"}}}}}),
        ("monitors.interval", {"monitors": {"interval": "often"}}),
        ("ruleFiles.maxBytes", {"ruleFiles": {"maxBytes": 5}}),
        ("dashboards.exclude.0", {"dashboards": {"exclude": ["slo-overwiew"]}}),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_place(
    name: str, place: str, content: dict[str, Any], stella: Path, tmp_path: Path
) -> None:
    """The two Helms write a path differently; each names every part of it."""
    said = refused(name, stella, tmp_path, content)
    assert "values don't meet the specifications of the schema" in said
    assert [part for part in place.split(".") if part not in said] == []


@pytest.mark.parametrize("name", HELMS)
@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("exporters.rekor.config is empty", {"exporters": {"image": {"tag": "a"}, "rekor": {"enabled": True}}}),
        ("exporters.scheme is https, and exporters.rekor.config has no web_config: mount a web configuration",
         {"exporters": {"image": {"tag": "a"}, "scheme": "https", "rekor": {"enabled": True, "config": {"logs": []}}}}),
        ("blackbox.prober.url is empty", {"blackbox": {"targets": {"authority": "https://a.example.org"}}}),
        ("alertmanager.receivers.page-identity.pagerduty_configs[0].routing_key is a secret",
         {"alertmanager": {"receivers": {"page-identity": {"pagerduty_configs": [{"routing_key": "abc"}]}}}}),
        ("alertmanager.global.smtp_auth_password is a secret",
         {"alertmanager": {"global": {"smtp_auth_password": "abc"}}}),
    ],
)  # fmt: skip
def test_what_no_schema_can_say_is_said_by_the_template(
    name: str, said: str, content: dict[str, Any], stella: Path, tmp_path: Path
) -> None:
    """One sentence, with the value's place and the remedy."""
    assert said in refused(name, stella, tmp_path, content)


@pytest.mark.parametrize("name", HELMS)
def test_an_umbrella_chart_may_hold_two_of_ours(name: str, stella: Path, tmp_path: Path) -> None:
    """Values shared by `global` pass the schema, and neither chart's templates shadow the other's."""
    from given import stack

    other = helm.written(tmp_path / "other", stack(name="other"))
    umbrella = tmp_path / "umbrella"
    (umbrella / "charts").mkdir(parents=True)
    (umbrella / "Chart.yaml").write_text("apiVersion: v2\nname: umbrella\nversion: 0.1.0\n")
    (umbrella / "values.yaml").write_text("global:\n  anything: {at: all}\n")
    for chart in (stella, other):
        (umbrella / "charts" / chart.name).symlink_to(chart)
    found = of_kind(helm.objects(name, umbrella), "PrometheusRule")
    assert {n.removeprefix("demo-").partition("-slo-")[0] for n in found} == {"stella", "other"}
    parts = {o["metadata"]["labels"]["app.kubernetes.io/part-of"] for o in found.values()}
    assert parts == {"stella-ops", "other"}


def test_every_value_is_documented_on_the_line_above(stella: Path) -> None:
    """In the form that helm-docs reads, and in the README's table."""
    lines = (stella / "values.yaml").read_text().splitlines()
    readme = (stella / "README.md").read_text()
    keys = [n for n, line in enumerate(lines) if re.match(r" *[A-Za-z]+:", line)]
    nested = [n for n in keys if not lines[n - 1].lstrip().startswith("# ")]
    parents = {n for n in nested if inside_a_default(lines, n)}
    assert [lines[n] for n in nested if n not in parents] == []
    assert len(keys) - len(nested) > 60
    for path in leaves(json.loads((stella / "values.schema.json").read_text())):
        assert f"| `{path}` |" in readme


def inside_a_default(lines: list[str], n: int) -> bool:
    """Whether a line belongs to a map that is one value's default: its documentation is above the whole."""
    depth = len(lines[n]) - len(lines[n].lstrip())
    for m in range(n - 1, -1, -1):
        line = lines[m]
        if line.strip() and not line.lstrip().startswith("#") and len(line) - len(line.lstrip()) < depth:
            documented = lines[m - 1].lstrip().startswith("# ")
            return documented or inside_a_default(lines, m)
    return False


def leaves(schema: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Values that are no section."""
    for key, node in schema["properties"].items():
        if node.get("properties") and key not in ("overrides", "receivers"):
            yield from leaves(node, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_every_documented_object_is_closed(stella: Path) -> None:
    """Where keys are known, others are refused; maps that are handed on are open."""
    schema = json.loads((stella / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)

    def open_objects(node: Any, place: str) -> Iterator[str]:
        if isinstance(node, dict):
            if (
                "properties" in node
                and node.get("type") == "object"
                and node.get("additionalProperties") is not False
            ):
                yield place
            for key, child in node.items():
                yield from open_objects(child, f"{place}.{key}")

    assert list(open_objects(schema, "$")) == []


def with_examples(text: str) -> str:
    """values.yaml with every example in the place of the empty default above it."""
    lines: list[str] = []
    for line in text.splitlines():
        example = re.match(r"( *)#  (.*)", line)
        if example is None:
            lines.append(line)
            continue
        lines[-1] = re.sub(r": (\{\}|\[\])$", ":", lines[-1])
        lines.append(f"{example[1]}  {example[2]}")
    return "\n".join(lines)


def test_the_defaults_and_every_example_meet_the_schema(stella: Path) -> None:
    """Also the examples in comments, once their `#` is gone."""
    schema = json.loads((stella / "values.schema.json").read_text())
    text = (stella / "values.yaml").read_text()
    jsonschema.validate(yaml.safe_load(text), schema)
    values = yaml.safe_load(with_examples(text))
    jsonschema.validate(values, schema)
    assert values["prometheusRule"]["labels"] == {"release": "kube-prometheus-stack"}
    assert values["exporters"]["rekor"]["config"]["logs"]


@pytest.mark.parametrize("name", HELMS)
def test_the_notes_name_the_three_traps(name: str, stella: Path, tmp_path: Path) -> None:
    """Selector labels, the sidecar's folder settings, and the namespace matcher, each with its remedy.

    Helm 3 renders notes for a real cluster only, so a copy of the chart says them in an object.
    """
    chart = tmp_path / "chart"
    shutil.copytree(stella, chart)
    (chart / "files" / "NOTES").write_text((chart / "templates" / "NOTES.txt").read_text())
    (chart / "templates" / "told.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: told}\n"
        'data: {notes: {{ tpl (.Files.Get "files/NOTES") . | quote }}}\n'
    )

    def notes(*options: str | Path) -> str:
        good, out, error = helm.run(
            name, "template", "demo", chart, "--show-only", "templates/told.yaml", *options
        )
        assert good, error
        (told,) = yaml.safe_load_all(out)
        return str(told["data"]["notes"])

    plain = notes()
    assert "--set prometheusRule.labels.release=" in plain
    assert "sidecar.dashboards.folderAnnotation=grafana_folder" in plain
    assert "sidecar.dashboards.provider.foldersFromFilesStructure=true" in plain
    assert "adds a namespace matcher to every AlertmanagerConfig" in plain
    assert "Exporters that are off: cosign, rekor, bundle." in plain
    operator = notes("--values", stella / "ci" / "operator-values.yaml")
    assert "alertmanagerConfigMatcherStrategy: {type: None}" in operator
    tls = ("--values", stella / "ci" / "tls-values.yaml")
    assert "--set exporters.probes=tcp" not in notes(*tls)
    assert "--set exporters.probes=tcp" in notes(*tls, "--set", "exporters.probes=http")
    tagged = notes("--values", stella / "ci" / "exporters-values.yaml", "--set", "exporters.image.digest=",
                   "--set", "exporters.image.tag=edge")  # fmt: skip
    assert "WARNING: the exporters' image is pulled by the tag edge" in tagged
