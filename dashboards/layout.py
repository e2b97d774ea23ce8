"""Where panels go on Grafana's grid of 24 columns: from left to right, never over each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slo.board import GRID, Panel, Section


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle of the grid: `x` and `w` in columns, `y` and `h` in units of 30 pixels."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Row:
    """A section in its place: the heading's line (None without a title), and its panels."""

    title: str
    collapsed: bool
    heading: Place | None
    panels: tuple[tuple[Panel, Place], ...]


def rows(sections: Sequence[Section]) -> tuple[Row, ...]:
    """Each section below the one before it. A collapsed section takes only its heading's line."""
    y, placed = 0, []
    for section in sections:
        heading = Place(0, y, GRID, 1) if section.title else None
        top = y + (1 if heading is not None else 0)
        panels = tuple(_flow(section.panels, top))
        placed.append(Row(section.title, section.collapsed, heading, panels))
        y = top if section.collapsed else max((p.y + p.h for _, p in panels), default=top)
    return tuple(placed)


def _flow(panels: Sequence[Panel], top: int) -> Iterator[tuple[Panel, Place]]:
    """Lines of panels. All of a line are as high as its highest, so that no hole is left."""
    line: list[Panel] = []
    for panel in panels:
        if line and sum(p.width for p in line) + panel.width > GRID:
            yield from _line(line, top)
            top += max(p.height for p in line)
            line = []
        line.append(panel)
    yield from _line(line, top)


def _line(panels: list[Panel], top: int) -> Iterator[tuple[Panel, Place]]:
    x, height = 0, max((p.height for p in panels), default=0)
    for panel in panels:
        yield panel, Place(x, top, panel.width, height)
        x += panel.width
