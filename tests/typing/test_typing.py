"""The public API, type-checked as a user would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def reported(name: str) -> list[str]:
    """Errors that mypy --strict finds in a file."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", str(HERE / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


@pytest.mark.slow
def test_ordinary_use_type_checks() -> None:
    """Text where text is read, lists where sequences are; no cast and no ignore."""
    assert reported("user.py") == []


@pytest.mark.slow
def test_mistakes_are_found_without_running_anything() -> None:
    """Exactly the marked lines."""
    marked = {
        n
        for n, line in enumerate((HERE / "mistakes.py").read_text().splitlines(), 1)
        if line.endswith("# error")
    }
    found = {int(m[1]) for line in reported("mistakes.py") if (m := re.search(r"mistakes\.py:(\d+): ", line))}
    assert found == marked
