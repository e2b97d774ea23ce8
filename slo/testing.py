"""Run generated tests with a real promtool."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from slo.artifact import Output
from slo.errors import SLOError


@dataclass(frozen=True, slots=True)
class Result:
    """One test file's verdict and, when it failed, what promtool said."""

    name: str
    passed: bool
    output: str


def run(outputs: tuple[Output, ...], promtool: str, jobs: int, only: str = "") -> Iterator[Result]:
    """Run every generated test whose name contains `only`, several at once. Raises SLOError without promtool."""
    tool = shutil.which(promtool)
    if tool is None:
        raise SLOError(
            f"{promtool} is not installed: get it with the prometheus package, or name it with --promtool"
        )
    tool = str(Path(tool).resolve())  # it runs in another folder
    with tempfile.TemporaryDirectory(prefix="slo-test-") as folder:
        root = Path(folder)
        tests = []
        for output in outputs:
            if output.path.startswith(("prometheus/", "tests/")):
                file = root / output.path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(output.text, encoding="utf-8")
                if output.path.startswith("tests/") and only.lower() in file.stem.lower():
                    tests.append(file)
        tests.sort(
            key=lambda file: not file.stem.endswith(".slow")
        )  # the long ones first, so that none is last
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(lambda file: _one(tool, file), tests)


def _one(tool: str, file: Path) -> Result:
    done = subprocess.run(
        [tool, "test", "rules", file.name], cwd=file.parent, capture_output=True, text=True, check=False
    )
    return Result(file.stem, done.returncode == 0, (done.stdout + done.stderr).strip())
