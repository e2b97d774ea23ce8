"""Who stands before the gate: a release as its manifest names it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slo.errors import LoadError
from slo.gate.release import read_release

EXTRA = ("sigstore", "zstandard", "bcrypt", "opentelemetry", "matplotlib")
WITHOUT = "import sys; sys.modules.update(dict.fromkeys(sys.argv[1:])); import slo.gate.release, slo.cli"


def test_the_gate_needs_none_of_the_extras() -> None:
    """A plain installation reads manifests and judges; verifying and drawing are extras."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *EXTRA], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_manifest_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With what to give."""
    with pytest.raises(LoadError, match=r"cannot be read .*: give the release manifest"):
        read_release(tmp_path / "release.yaml", "edge", "stable")


def test_what_is_no_manifest_is_told(tmp_path: Path) -> None:
    """With its place."""
    file = tmp_path / "release.yaml"
    file.write_text("release: {}\n")
    with pytest.raises(LoadError, match=r"release\.yaml: "):
        read_release(file, "edge", "stable")
