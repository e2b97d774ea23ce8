"""Whichever form Alertmanager's configuration takes in the chart, the same people are told: judged by amtool."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import helm
import pytest
import yaml
from helm import HELMS, of_kind

AMTOOL = helm.ROOT / ".tools" / "bin" / "amtool"
WORDS = {"groupBy": "group_by", "groupWait": "group_wait", "groupInterval": "group_interval",
         "repeatInterval": "repeat_interval"}  # fmt: skip


@pytest.fixture(scope="module")
def stella(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helm.stella(tmp_path_factory.mktemp("stella"))


def amtool(*arguments: str | Path) -> str:
    assert AMTOOL.exists(), "amtool is not installed: `make test` installs it"
    done = subprocess.run([AMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def secret(found: list[helm.Object]) -> str:
    (one,) = of_kind(found, "Secret").values()
    text: str = one["stringData"]["alertmanager.yaml"]
    return text


def as_alertmanager_reads_it(spec: dict[str, Any]) -> dict[str, Any]:
    """What the operator makes of an AlertmanagerConfig, with the matcher strategy None: a route below its own."""

    def matchers(listed: list[dict[str, str]]) -> list[str]:
        return [f"{m['name']}{m['matchType']}{json.dumps(m['value'])}" for m in listed]

    def route(one: dict[str, Any]) -> dict[str, Any]:
        made = {WORDS.get(k, k): v for k, v in one.items() if k not in ("matchers", "routes")}
        if "matchers" in one:
            made["matchers"] = matchers(one["matchers"])
        return made | {"routes": [route(r) for r in one.get("routes", [])]}

    return {
        "route": {"receiver": "operators-own", "routes": [route(spec["route"]) | {"continue": True}]},
        "inhibit_rules": [
            {"source_matchers": matchers(r["sourceMatch"]), "target_matchers": matchers(r["targetMatch"]), "equal": r["equal"]}
            for r in spec["inhibitRules"]
        ],
        "receivers": [{"name": "operators-own"}, *({"name": r["name"]} for r in spec["receivers"])],
    }  # fmt: skip


@pytest.mark.parametrize("name", HELMS)
def test_the_secret_is_the_generated_configuration(name: str, stella: Path, tmp_path: Path) -> None:
    """Byte for byte, and amtool takes it."""
    text = secret(helm.objects(name, stella))
    assert text == (stella.parent.parent / "alertmanager" / "alertmanager.yaml").read_text()
    file = tmp_path / "alertmanager.yaml"
    file.write_text(text)
    amtool("check-config", file)


@pytest.mark.parametrize("name", HELMS)
def test_receivers_get_their_settings(name: str, stella: Path, tmp_path: Path) -> None:
    """By name; the others, the routes and the inhibition stay as they are."""
    pager = {"pagerduty_configs": [{"routing_key_file": "/etc/alertmanager/secrets/pager/key"}]}
    values = helm.values(tmp_path, {"alertmanager": {"receivers": {"page-identity": pager}, "global": {"resolve_timeout": "10m"}}})  # fmt: skip
    before = yaml.safe_load(secret(helm.objects(name, stella)))
    text = secret(helm.objects(name, stella, values))
    after = yaml.safe_load(text)
    assert after == before | {
        "global": {"resolve_timeout": "10m"},
        "receivers": [r | pager if r["name"] == "page-identity" else r for r in before["receivers"]],
    }
    file = tmp_path / "alertmanager.yaml"
    file.write_text(text)
    amtool("check-config", file)


@pytest.mark.parametrize("name", HELMS)
def test_both_forms_tell_the_same_people(name: str, stella: Path, tmp_path: Path) -> None:
    """Every owner and severity, by amtool; alerts of other stacks are none of the object's business."""
    plain, object_ = tmp_path / "plain.yaml", tmp_path / "object.yaml"
    found = helm.objects(name, stella, settings={"alertmanager.kind": "alertmanagerConfig"})
    (one,) = of_kind(found, "AlertmanagerConfig").values()
    plain.write_text(secret(helm.objects(name, stella)))
    object_.write_text(yaml.safe_dump(as_alertmanager_reads_it(one["spec"])))
    amtool("check-config", object_)

    def told(file: Path, *labels: str) -> str:
        return amtool("config", "routes", "test", f"--config.file={file}", *labels)

    owners = sorted({r["matchers"][0]["value"] for r in one["spec"]["route"]["routes"]})
    assert len(owners) > 5
    for owner in owners[:: 1 if name == "helm4" else 4]:
        for severity in ("critical", "warning", "info"):
            labels = ("stack=stella-ops", f"owner={owner}", f"severity={severity}")
            assert told(object_, *labels) == told(plain, *labels), labels
    assert told(object_, "stack=other", f"owner={owners[0]}", "severity=critical") == "operators-own"
    assert (
        as_alertmanager_reads_it(one["spec"])["inhibit_rules"]
        == yaml.safe_load(plain.read_text())["inhibit_rules"]
    )
