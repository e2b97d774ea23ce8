"""The Compose file, as far as it can be judged without a container engine: by the Compose Specification, by the
programs that read what it mounts, and by what must be there.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import helm
import promtool
import pytest
import yaml
from compose_spec import PyCompose
from given import stack

from exporters.config import Common, load

BIN = helm.ROOT / ".tools" / "bin"
DIGEST = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """generated/compose of Stella Ops, compiled now."""
    return helm.stella(tmp_path_factory.mktemp("stella")).parent.parent / "compose"


def interpolated(folder: Path, environment: dict[str, str]) -> str:
    """As Compose reads it: ${NAME:-default} filled in."""
    text = (folder / "docker-compose.yml").read_text(encoding="utf-8")
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda m: environment.get(m[1]) or m[2], text)


@pytest.fixture(scope="module")
def project(folder: Path) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(interpolated(folder, {}))
    return made


def filled_in(folder: Path) -> dict[str, str]:
    """env.template with a digest in every place for one."""
    lines = (folder / "env.template").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: f"{value}{DIGEST}" for name, _, value in pairs}


def mounts(folder: Path, project: dict[str, Any]) -> Iterator[tuple[str, Path, str]]:
    """Service, path on the host and path in the container of every bind mount."""
    for name, service in project["services"].items():
        for volume in service["volumes"]:
            source, target, *_ = volume.split(":")
            if source.startswith("."):
                yield name, (folder / source).resolve(), target


def on_host(folder: Path, project: dict[str, Any], service: str, path: str) -> Path:
    """Where a path in a service's container is on this machine."""
    for name, source, target in mounts(folder, project):
        if name == service and (path == target or path.startswith(f"{target}/")):
            return source / path[len(target) :].lstrip("/")
    raise AssertionError(f"{service} mounts nothing at {path}")


def argument(project: dict[str, Any], service: str, option: str) -> str:
    return next(c for c in project["services"][service]["command"] if c.startswith(option)).partition("=")[2]


def test_the_compose_specification_takes_it(folder: Path) -> None:
    """With tags, with digests from .env, and only with known keys."""
    for environment in ({}, filled_in(folder)):
        text = interpolated(folder, environment)
        made = PyCompose.from_yaml(text)
        made.validate()
        assert "prometheus" in made.service_names()
        with pytest.raises(ValueError, match="imagee"):
            PyCompose.from_yaml(text.replace("    image:", "    imagee:", 1))


def test_every_image_has_a_place_for_its_digest(folder: Path) -> None:
    """The template names each, and what is put there reaches the service."""
    services = yaml.safe_load(interpolated(folder, filled_in(folder)))["services"]
    assert [s["image"] for s in services.values() if not s["image"].endswith(f"@sha256:{DIGEST}")] == []


def test_every_mounted_path_is_generated(folder: Path, project: dict[str, Any]) -> None:
    """A path that is missing would be made by the engine, empty and owned by root."""
    found = list(mounts(folder, project))
    assert len(found) >= 10
    assert [str(source) for _, source, _ in found if not source.is_dir() or not any(source.iterdir())] == []


def test_every_named_volume_is_declared_and_used(project: dict[str, Any]) -> None:
    """None is left over."""
    used = {
        v.split(":")[0] for s in project["services"].values() for v in s["volumes"] if not v.startswith(".")
    }
    assert used == project["volumes"].keys()


def test_services_are_confined(project: dict[str, Any]) -> None:
    """A read-only root, no capabilities, no new privileges, and ports on this machine only."""
    for service in project["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [p for p in service.get("ports", []) if not p.startswith("127.0.0.1:")] == []
    assert "privileged" not in json.dumps(project)


def test_prometheus_reads_its_configuration_and_every_rule(
    folder: Path, project: dict[str, Any], tmp_path: Path
) -> None:
    """promtool, with the container's paths as this machine's."""
    config = on_host(folder, project, "prometheus", argument(project, "prometheus", "--config.file"))
    text = config.read_text(encoding="utf-8")
    for path in re.findall(r"/etc/prometheus[\w/*.-]*", text):
        text = text.replace(path, str(on_host(folder, project, "prometheus", path)))
    file = tmp_path / "prometheus.yml"
    file.write_text(text, encoding="utf-8")
    good, said = promtool.run("check", "config", file)
    assert good, said
    rules = len(list((folder.parent / "prometheus").iterdir()))
    assert f"{rules} rule files found" in said


def test_every_scraped_name_is_a_service(project: dict[str, Any], folder: Path) -> None:
    """Of this project, at the port it listens on; jobs are those that rules read."""
    config = yaml.safe_load((folder / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    named = [n for j in config["scrape_configs"] for s in j.get("dns_sd_configs", []) for n in s["names"]]
    static = [
        t.partition(":")[0]
        for j in config["scrape_configs"]
        for s in j.get("static_configs", [])
        for t in s["targets"]
    ]
    assert len(named) == 3
    assert {*named, *static} - {"127.0.0.1"} <= project["services"].keys()
    rules = "".join(f.read_text() for f in (folder.parent / "prometheus").iterdir())
    jobs = [j["job_name"] for j in config["scrape_configs"] if "dns_sd_configs" in j]
    assert [j for j in jobs if f'up{{job="{j}"}}' not in rules] == []


def test_the_targets_name_what_rules_expect_to_be_probed(folder: Path) -> None:
    """As lines to copy: each label is one that rules select by, and once copied they are targets."""
    file = folder / "prometheus" / "targets" / "blackbox.yml"
    text = file.read_text(encoding="utf-8")
    assert yaml.safe_load(text) == []
    copied = yaml.safe_load(
        "\n".join(line[2:] for line in text.splitlines() if line.startswith(("# -", "#   ")))
    )
    rules = "".join(f.read_text() for f in (folder.parent / "prometheus").iterdir())
    assert len(copied) > 5
    assert [t for t in copied if f'target="{t["labels"]["target"]}"' not in rules] == []


def test_alertmanager_reads_its_configuration(folder: Path, project: dict[str, Any]) -> None:
    """amtool."""
    config = on_host(folder, project, "alertmanager", argument(project, "alertmanager", "--config.file"))
    done = subprocess.run(
        [BIN / "amtool", "check-config", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_blackbox_exporter_reads_its_configuration(folder: Path, project: dict[str, Any]) -> None:
    """And it has the module that Prometheus asks for."""
    config = on_host(folder, project, "blackbox", argument(project, "blackbox", "--config.file"))
    done = subprocess.run(
        [BIN / "blackbox_exporter", f"--config.file={config}", "--config.check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    asked = yaml.safe_load((folder / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    modules = {m for j in asked["scrape_configs"] for m in j.get("params", {}).get("module", [])}
    assert modules == yaml.safe_load(config.read_text(encoding="utf-8"))["modules"].keys()


def test_grafana_provisions_every_dashboard(folder: Path, project: dict[str, Any]) -> None:
    """From the folder that is mounted, with a data source that is Prometheus and the default."""
    provisioning = "/etc/grafana/provisioning"
    (provider,) = yaml.safe_load((on_host(folder, project, "grafana", f"{provisioning}/dashboards") / "slo.yaml").read_text())["providers"]  # fmt: skip
    mounted = on_host(folder, project, "grafana", provider["options"]["path"])
    assert mounted == folder.parent / "grafana"
    assert len(list(mounted.glob("*.json"))) > 5
    (source,) = yaml.safe_load((on_host(folder, project, "grafana", f"{provisioning}/datasources") / "prometheus.yaml").read_text())["datasources"]  # fmt: skip
    assert source["isDefault"] is True
    assert source["url"].removeprefix("http://").partition(":")[0] in project["services"]


@pytest.mark.parametrize("name", ["cosign", "rekor", "bundle"])
def test_an_exporter_takes_its_example(name: str, folder: Path, project: dict[str, Any]) -> None:
    """Of the Compose file and of the chart: each is a whole configuration."""
    kind: type[Common] = import_module(f"exporters.{name}").Config
    service = f"{name}-exporter"
    program, _, path = project["services"][service]["command"]
    config = load(kind, on_host(folder, project, service, path))
    assert (program, config.listen) == (name, ":9464")
    kept = getattr(config, "state", None)
    if kept is not None:
        assert any(v.endswith(":/var/lib/slo-exporter") for v in project["services"][service]["volumes"])
    values = yaml.safe_load(
        (folder.parent / "chart" / "stella-slo" / "ci" / "exporters-values.yaml").read_text()
    )
    in_chart = folder / f"{name}-of-the-chart.yaml"
    in_chart.write_text(
        yaml.safe_dump(values["exporters"][name]["config"] | ({"state": str(kept)} if kept else {}))
    )
    assert load(kind, in_chart).interval == config.interval


def test_a_stack_without_exporters_mounts_none(tmp_path: Path) -> None:
    """Prometheus, Alertmanager, Grafana and blackbox are enough for any team's stack."""
    folder = helm.written(tmp_path, stack()).parent.parent / "compose"
    made = yaml.safe_load(interpolated(folder, {}))
    assert made["services"].keys() == {"prometheus", "alertmanager", "grafana", "blackbox"}
    assert not (folder / "exporters").exists()
