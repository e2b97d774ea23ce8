"""The images, as far as they can be judged without a container engine: what the Containerfile says, and what it copies."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tools" / "containers"
TARGETS = {"exporters": ("exporters", "otlp"), "cli": ()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
Instruction = tuple[str, str]


def stages() -> dict[str, list[Instruction]]:
    """The Containerfile's instructions by stage; what stands before the first is stage ""."""
    text = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: dict[str, list[Instruction]] = {"": []}
    current = ""
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            current = rest.rpartition(" AS ")[2]
            found[current] = []
        found[current].append((word, rest.strip()))
    return found


def whole(target: str) -> list[Instruction]:
    """A stage with those it starts from."""
    made = stages()
    first = made[target][0][1].partition(" ")[0]
    return [*(whole(first) if first in made else []), *made[target]]


def pinned(name: str) -> dict[str, Version]:
    lines = re.findall(r"^([a-z0-9.-]+)==(\S+)", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE)
    return {package: Version(version) for package, version in lines}


def test_every_base_is_pinned_by_a_digest_that_must_be_given() -> None:
    """One argument without a default: who builds has looked it up."""
    made = stages()
    assert made[""] == [("ARG", "PYTHON_DIGEST")]
    bases = {rest.partition(" ")[0] for steps in made.values() for word, rest in steps if word == "FROM"}
    outside = bases - made.keys()
    assert len(outside) == 1
    assert all(base.endswith("@${PYTHON_DIGEST}") for base in outside)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_in_particular(target: str) -> None:
    """By number, as Kubernetes' runAsNonRoot can check it, and no later step changes that."""
    users = [rest for word, rest in whole(target) if word == "USER"]
    assert users == ["65532:65532"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_starts_a_command_of_the_wheel(target: str) -> None:
    """As a list, so that signals reach it."""
    (entry,) = [json.loads(rest) for word, rest in whole(target) if word == "ENTRYPOINT"]
    assert entry[0] in PROJECT["scripts"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_what_was_installed_and_no_tool_that_installed_it(target: str) -> None:
    """Files come from a build stage only."""
    copies = [rest for word, rest in whole(target) if word in ("COPY", "ADD")]
    assert copies
    assert [c for c in copies if not c.startswith(f"--from=build-{target} ")] == []
    assert [rest for word, rest in whole(target) if word == "RUN"] == []


def test_what_is_copied_is_there_and_is_sent() -> None:
    """Every source of the build stage exists, and the ignore file lets it pass, and nothing else of the repository."""
    ignore = (FOLDER / "Containerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    passed = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    sources = [s for word, rest in stages()["build"] if word == "COPY" for s in rest.split()[:-1]]
    assert sorted(sources) == ["dist/", "tools/containers/*.txt", "tools/containers/install"]
    assert passed == {"dist/*.whl", "tools/containers/*.txt", "tools/containers/install"}
    assert {p.stem for p in FOLDER.glob("*.txt")} == TARGETS.keys()
    assert (FOLDER / "install").stat().st_mode & 0o111


@pytest.mark.parametrize("target", TARGETS)
def test_the_pins_satisfy_the_project(target: str) -> None:
    """Every dependency of the project, and of the extras that the image has: tools/containers/lock mends it."""
    extras = [r for e in TARGETS[target] for r in PROJECT["optional-dependencies"][e]]
    versions = pinned(target)
    wrong = [
        str(wanted)
        for wanted in map(Requirement, (*PROJECT["dependencies"], *extras))
        if (wanted.marker is None or wanted.marker.evaluate())
        and not wanted.specifier.contains(versions.get(wanted.name.lower().replace("_", "-"), Version("0")))
    ]
    assert wrong == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_pin_has_its_hashes(target: str) -> None:
    """And none comes from elsewhere than the index."""
    text = (FOLDER / f"{target}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) > 10
    assert [
        x for x in lines if not re.fullmatch(r"[a-z0-9.-]+==\S+(\s+--hash=sha256:[0-9a-f]{64})+", x)
    ] == []


def test_compose_and_image_agree() -> None:
    """On the user, the port, and the folder of the state."""
    project = yaml.safe_load(
        (ROOT / "generated" / "compose" / "docker-compose.yml").read_text(encoding="utf-8")
    )
    exporters = {n: s for n, s in project["services"].items() if n.endswith("-exporter")}
    image = dict(whole("exporters"))
    state = next(rest.split()[-1] for word, rest in whole("exporters") if rest.endswith("/slo-exporter"))
    assert len(exporters) == 3
    for service in exporters.values():
        assert service["user"] == image["USER"]
        assert image["EXPOSE"] in service["healthcheck"]["test"][-1]
        assert {v.split(":")[1] for v in service["volumes"] if "state" in v} <= {state}
