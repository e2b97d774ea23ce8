"""What is wrong with a page that was drawn: errors of queries, of the page, and panels that show nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DONE = "Done"
SHOWN = 100  # letters of a query in a remark; the report has all of it
# React's advice to developers, which says nothing about a dashboard.
ADVICE = ("Warning: ", "Download the React DevTools")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, or one remark, with its place."""

    dashboard: str
    panel: str
    text: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.text}"


def faults(dashboard: str, result: Mapping[str, Any]) -> Iterator[Finding]:
    """What must not be in a picture. `result` is a page's of shoot.mjs."""
    if not result["settled"]:
        yield Finding(dashboard, "page", "it was still loading when its time was over")
    for problem in result["problems"]:
        yield Finding(dashboard, problem["where"], problem["text"])
    for text in result["console"]:
        if not text.startswith(ADVICE):
            yield Finding(dashboard, "console", text)
    if not result["panels"]:
        yield Finding(dashboard, "page", "it shows no panel")
    for panel in result["panels"]:
        name = panel["title"] or f"untitled {panel['type']}"
        if panel["type"] != "text" and panel["state"] != DONE:
            yield Finding(dashboard, name, f"its data is not there: {panel['state']}")
        elif not panel["drawn"]:
            yield Finding(dashboard, name, "nothing is drawn in it")


def remarks(dashboard: str, result: Mapping[str, Any]) -> Iterator[Finding]:
    """What a reader of the pictures should know: panels and queries without an answer."""
    for panel in result["panels"]:
        if panel["noData"] or (panel["answers"] == 0 and panel["type"] != "text"):
            yield Finding(dashboard, panel["title"], "no data")
    for query in result["queries"]:
        if query["answers"] == 0:
            yield Finding(dashboard, query["where"], f"no answer to {_short(query['expr'])}")


def _short(expr: str) -> str:
    text = " ".join(expr.split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
