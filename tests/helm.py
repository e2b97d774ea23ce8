"""Run real Helm 3 and 4 on a stack's chart, and read what they render."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo import Stack, tree
from slo.catalog import load_metrics, modes
from slo.compile import Config, compile_stack

ROOT = Path(__file__).resolve().parent.parent


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # either is a class
    """YAML as Kubernetes reads it: a lone `=` is text."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)

HELMS = ("helm3", "helm4")
RELEASE, NAMESPACE = "demo", "watch"
Object = dict[str, Any]


def program(helm: str) -> str:
    """The project's own. Its absence fails the test: never a skip."""
    installed = ROOT / ".tools" / helm / "helm"
    if shutil.which(installed) is None:
        pytest.fail(f"{helm} is not installed: `make test` installs it (tools/peers helm)", pytrace=False)
    return str(installed)


def run(helm: str, *arguments: str | Path, cwd: Path | None = None) -> tuple[bool, str, str]:
    """Whether Helm is content, what it printed, and what it complained of."""
    done = subprocess.run(
        [program(helm), *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd
    )
    return done.returncode == 0, done.stdout, done.stderr


def written(folder: Path, stack: Stack, config: Config | None = None) -> Path:
    """The stack compiled into a folder; returns its chart."""
    tree.write(folder, compile_stack(stack, config))
    (chart,) = (folder / "chart").iterdir()
    return chart


def stella(folder: Path) -> Path:
    """Stella Ops' own chart, compiled now."""
    metrics = load_metrics(None)
    stacks = modes(metrics)
    return written(folder, next(iter(stacks.values())), Config(metrics.scrape_interval, stacks))


def manifest(helm: str, chart: Path, *values: Path, settings: Mapping[str, str] | None = None) -> str:
    """What `helm template` prints for these values; anything but success fails the test."""
    options = [o for file in values for o in ("--values", str(file))]
    options += [o for name, value in (settings or {}).items() for o in ("--set", f"{name}={value}")]
    good, out, error = run(helm, "template", RELEASE, chart, "--namespace", NAMESPACE, *options)
    assert good, error
    return out


@functools.lru_cache(maxsize=64)
def _read(text: str) -> tuple[Object, ...]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(d for d in yaml.load_all(text, Loader=loader) if d is not None)  # both are safe


def objects(helm: str, chart: Path, *values: Path, settings: Mapping[str, str] | None = None) -> list[Object]:
    return list(_read(manifest(helm, chart, *values, settings=settings)))


def of_kind(found: list[Object], kind: str) -> dict[str, Object]:
    """The objects of one kind, by name."""
    return {o["metadata"]["name"]: o for o in found if o["kind"] == kind}


def values(folder: Path, content: Mapping[str, Any]) -> Path:
    """A values file."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
    return file
