"""All dashboards of a stack: those every stack has, one for each service, and the stack's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dashboards.overview import board as overview
from dashboards.fields import JSON
from dashboards.normalise import compact, pretty
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
    """One Grafana dashboard. `file` is the stem of its file; `panels` are what `json` was drawn from."""

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
    """What is drawn, in the order of a reader's questions."""
    return (overview(),)


def build(stack: Stack, timing: Timing) -> tuple[Dashboard, ...]:
    """Every dashboard of the stack. Pure: same stack and timing, same bytes."""
    from dashboards.grafana import Pace, render  # 0.2 s, which only a compilation needs to spend

    pace = Pace(raw=timing.base // 4, recorded=timing.interval)
    found = []
    for board in boards(stack):
        drawn = render(board, pace, ())
        found.append(Dashboard(board.name, board.title, board.name, FOLDER, drawn, board.panels))
    return tuple(found)
