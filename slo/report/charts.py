"""The charts of a report, as SVG that follows the page's colours and has a text for whoever cannot see it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

import matplotlib as mpl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from slo.report.collect import Line, Report, cumulative, said

# M. Okabe and K. Ito, Color Universal Design, 2008: told apart by colour-blind readers, on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))
INK, FAINT = "#010203", "#040506"  # stand for the page's own colours, and are replaced by them
DRAWN = Decimal("0.01")  # a service that spent less of each budget has nothing to draw
WIDEST = 6  # lines that one chart can hold and still be read
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "slo",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,  # a label with two dollars is no formula
}


def burn_down(report: Report, service: str, lines: Sequence[Line]) -> str:
    """Budget left over the period, the worst lines first, against the even burn; "" where nothing was spent."""
    shown = [line for line in lines if line.left is not None][:WIDEST]
    if all(line.spent is None or line.spent < DRAWN for line in shown):
        return ""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.6, 2.6), layout="constrained")
        axes = figure.subplots()
        start, end = report.period.start.timestamp(), report.period.end.timestamp()
        axes.plot([_day(start), _day(end)], [1, 0], color=FAINT, linewidth=1, linestyle=(0, (1, 2)))
        for n, line in enumerate(shown):
            assert line.left is not None  # it is shown
            points = [*cumulative(line, start), (report.until.timestamp(), line.left)]
            axes.plot(
                [_day(t) for t, _ in points], [float(v) for _, v in points], label=line.name,
                color=COLOURS[n % len(COLOURS)], linestyle=DASHES[n % len(DASHES)], linewidth=1.8,
            )  # fmt: skip
        lowest = min(float(line.left) for line in shown if line.left is not None)
        axes.set_ylim(max(min(lowest - 0.05, -0.02), -2), 1.05)
        axes.set_xlim(_day(start), _day(end))
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        locator = AutoDateLocator(tz=UTC, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(
            ConciseDateFormatter(locator, tz=UTC, show_offset=False)  # type: ignore[no-untyped-call]
        )
        axes.tick_params(colors=INK, length=3)
        axes.grid(axis="y", color=FAINT, linewidth=0.4)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(FAINT)
        figure.legend(loc="outside right upper", frameon=False, labelcolor=INK, fontsize=9)
        told = f"Error budget left of {service}: " + "; ".join(f"{x.name} {said(x)}" for x in shown)
        return _inline(figure, told)


def _day(at: float) -> float:
    """A moment as matplotlib counts them: days since 1970."""
    return at / 86400


def _inline(figure: Figure, told: str) -> str:
    """SVG without a prologue, in the page's colours, its ids its own, with its message as text."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)")
    prefix = re.sub(r"\W", "-", told.partition(":")[0]).lower()
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(xlink:href="|url\()#', rf"\1#{prefix}-", svg)
    width = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert width is not None  # matplotlib always writes one
    svg = re.sub(r'^<svg [^>]*>', f'<svg class="chart" viewBox="{width[0][9:-1]}" role="img" aria-label="{_escaped(told)}" '
                 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">', svg, count=1)  # fmt: skip
    return svg.replace(
        '<defs>\n  <style type="text/css">*{stroke-linejoin: round; stroke-linecap: butt}</style>\n </defs>',
        "",
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
