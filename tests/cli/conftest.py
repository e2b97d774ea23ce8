"""The terminal that every command sees."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import promtool
import pytest


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plain terminal of eighty columns; what a definition imports is forgotten afterwards."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PROMTOOL", promtool.path())
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("_slo_definitions", None)
