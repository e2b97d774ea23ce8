"""All dashboards of a stack: those every stack has, one for each service, and the stack's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dashboards.detail import board as detail
from dashboards.fields import JSON
from dashboards.golden import boards as golden
from dashboards.meta import board as meta
from dashboards.normalise import compact, pretty
from dashboards.overview import board as overview
from slo import names
from slo.board import Board, Panel
from slo.model import Stack

FOLDER = "SLO"  # two stacks in one Grafana share the generic dashboards, so all live in one folder


class Timing(Protocol):
    """What dashboards need to know of the rules: base window and evaluation interval, in seconds."""

    @property
    def base(self) -> int: ...

    @property
    def interval(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One Grafana dashboard. `file` is the stem of its file; `panels` are what `json` was drawn from, in its order."""

    uid: str
    title: str
    file: str
    folder: str
    json: JSON
    panels: tuple[Panel, ...]

    def pretty(self) -> str:
        """Readable JSON, with a line feed at its end."""
        return pretty(self.json)

    def compact(self) -> str:
        """JSON on one line, without a line feed."""
        return compact(self.json)


def boards(stack: Stack) -> tuple[Board, ...]:
    """What is drawn, in the order of a reader's questions. A stack without SLOs has only what its monitors need."""
    generic = (overview(), detail(stack)) if stack.slos else ()
    return (*generic, *stack.boards, *golden(stack), meta())


def build(stack: Stack, timing: Timing) -> tuple[Dashboard, ...]:
    """Every dashboard of the stack. Pure: same stack and timing, same bytes."""
    from dashboards.grafana import Pace, render  # 0.2 s, which only a compilation needs to spend

    pace = Pace(raw=timing.base // 4, recorded=timing.interval)
    found = []
    for board in boards(stack):
        tags = () if board.name in names.GENERIC_BOARDS else (stack.name,)
        drawn = render(board, pace, tags)
        found.append(Dashboard(board.name, board.title, board.name, FOLDER, drawn, board.panels))
    return tuple(found)
