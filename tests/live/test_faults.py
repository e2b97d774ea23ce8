"""The exporters between a real registry and a real log, while both break in every way."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tools.faults.run import Run

pytestmark = pytest.mark.live


def test_forty_seconds_of_faults_break_no_promise(tmp_path: Path) -> None:
    """No crash, no false verdict, no verdict from nothing, no torn state; recovered in the first whole cycle."""
    run = Run(tmp_path, 4)
    try:
        run.start()
        run.until(time.monotonic() + 40)
    finally:
        run.end()
    assert run.broken == []
    assert sum(run.faults.values()) >= 2
    assert min(run.figures.cycles[word] for word in ("cosign", "rekor", "bundle")) >= 3
    assert run.figures.recoveries != []
