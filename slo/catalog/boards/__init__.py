"""Stella Ops' own dashboards, written in the language as any team writes its own."""

from __future__ import annotations

from collections.abc import Sequence

from slo import Board, Check
from slo.catalog.boards.readiness import readiness
from slo.catalog.boards.trust import trust
from slo.catalog.metrics import Metrics

__all__ = ["boards"]


def boards(m: Metrics, checks: Sequence[Check]) -> tuple[Board, ...]:
    return (readiness(m, checks), trust(m))
