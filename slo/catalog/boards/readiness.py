"""Release readiness: may this release be promoted, and what holds it back?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slo import Board, Check, Column, Panel, Query, Section, names
from slo.board import VERDICT
from slo.catalog.boards.words import (
    LEFT,
    OVERVIEW,
    READINESS,
    READY,
    RELEASES,
    SOME_BAD,
    SOME_UNKNOWN,
    TO_TRUST,
)
from slo.catalog.metrics import Metrics
from slo.catalog.readiness import GATING, RULES
from slo.names import sel

LOWEST = 16  # bars that fit beside a table of alerts


def readiness(m: Metrics, checks: Sequence[Check]) -> Board:
    groups = {
        "Release": ("edge-soak", "manifest-valid", "references-match", "kit-valid", "images-verified"),
        "Trust": ("roots-unchanged", "log-consistent"),
        "Platform": (),
    }
    named = {name for chosen in groups.values() for name in chosen}
    sections = []
    for title, chosen in groups.items():
        shown = [c for c in checks if c.name in chosen or (not chosen and c.name not in named)]
        sections.append(Section(title=title, panels=[_lines(title, shown), _evidence(title, shown)]))
    return Board(
        name=READINESS,
        title="Release readiness",
        question="May this release be promoted: does every check pass, and what holds it back?",
        span="7d",
        sections=[
            Section(panels=_answer(checks)),
            *sections,
            Section(title="Behind it", panels=[_budgets(), _open_alerts(), _versions(m)]),
            Section(title="Over time", panels=[_history(checks)]),
        ],
    )


def all_of(checks: Sequence[Check]) -> str:
    """Every check that has an answer, named."""
    return " or ".join(f'label_replace({c.query}, "check", "{c.name}", "", "")' for c in checks)


def _answer(checks: Sequence[Check]) -> list[Panel]:
    every, count = all_of(checks), len(checks)
    verdict = f"0 * count(({every}) == 0) or (count(({every}) == 1) == bool {count}) * 2 - 1"
    passed, failed = (f"count(({every}) == {n}) or vector(0)" for n in (1, 0))
    common: dict[str, Any] = {
        "kind": "stat",
        "height": 5,
        "links": [TO_TRUST, OVERVIEW],
        "unit": "none",
        "decimals": 0,
    }
    return [
        Panel(
            title="Ready for promotion?", width=9, queries=[Query(expr=verdict)], values=READY,
            description="Not ready when a check fails; unknown when none fails and one has no answer; ready when all pass.",
            **common,
        ),
        Panel(
            title="Checks that pass", width=5, queries=[Query(expr=passed)], description=f"Of {count} checks.", **common
        ),
        Panel(
            title="Checks that fail", width=5, queries=[Query(expr=failed)], steps=SOME_BAD,
            description="Each says what to do below, in the description of its group.", **common,
        ),
        Panel(
            title="Without an answer", width=5, queries=[Query(expr=f"{count} - (count({every}) or vector(0))")],
            steps=SOME_UNKNOWN, description="Checks whose records are absent or too old. Unknown is not good.", **common,
        ),
    ]  # fmt: skip


def _height(checks: Sequence[Check]) -> int:
    return 2 + 2 * max(len(checks), 1)


def _lines(title: str, checks: Sequence[Check]) -> Panel:
    """One line for each check. The verdict of one without an answer is drawn as -1, which is unknown."""
    text = " ".join(f"{c.title}: {c.description} If not: {c.remedy}" for c in checks)
    return Panel(
        title=f"{title}: checks", kind="lines", width=12, height=_height(checks), values=VERDICT, unit="none",
        description=text, queries=[Query(expr=f"{c.query} or vector(-1)", name=c.title) for c in checks],
        links=[TO_TRUST, OVERVIEW],
    )  # fmt: skip


def _evidence(title: str, checks: Sequence[Check]) -> Panel:
    return Panel(
        title=f"{title}: evidence", kind="lines", width=12, height=_height(checks), missing="unknown",
        description="The number behind the check on the same line.",
        queries=[
            Query(expr=c.evidence, name=_titled(c.measures), unit=c.unit, decimals=c.decimals) for c in checks
        ],
        links=[TO_TRUST, OVERVIEW],
    )  # fmt: skip


def _titled(words: str) -> str:
    """What stands inside a gate's sentence, as the beginning of a line."""
    return words[:1].upper() + words[1:]


def _budgets() -> Panel:
    gating = sel(names.BUDGET, **RULES, tier=f"~{GATING}")
    return Panel(
        title=f"Budgets that gate, lowest {LOWEST}",
        kind="bars",
        description=f"Budget left of the {LOWEST} objectives of tier 0 and 1 that have least. Below 0 the promise is broken.",
        unit="percentunit",
        decimals=1,
        low="0",
        high="1",
        height=14,
        width=10,
        steps=LEFT,
        queries=[
            Query(
                expr=f"sort(bottomk({LOWEST}, {sel(names.REMAINING, **RULES)} and on (slo) {gating}))",
                name="{{slo}}",
            )
        ],
        links=[OVERVIEW],
    )


def _open_alerts() -> Panel:
    shown = ("alertname", "severity", "service")
    return Panel(
        title="Open alerts",
        kind="table",
        description="Every alert of the stack that fires now. A page holds a release back; a ticket is for you to judge.",
        unit="none",
        height=14,
        width=8,
        columns=[
            Column(label="alertname", title="Alert", least=180),
            Column(label="severity", title="Severity", width=86),
            Column(label="service", title="Service", width=105),
            Column(label="Value", hidden=True),
        ],
        queries=[Query(expr=f"count by ({', '.join(shown)}) ({sel('ALERTS', **RULES, alertstate='firing')})")],
        links=[OVERVIEW],
        empty="No alert fires.",
    )  # fmt: skip


def _versions(m: Metrics) -> Panel:
    r = m.releases
    return Panel(
        title="Versions by channel",
        kind="table",
        description="The version of the newest valid manifest of each channel, and how long it has been there.",
        unit="none",
        height=14,
        width=6,
        columns=[
            Column(label="channel", title="Channel", width=95),
            Column(label="version", title="Version", least=110),
        ],
        queries=[
            Query(
                expr=f"time() - min by (channel, version) ({r.first_seen} and on (channel, version) {r.info})",
                name="There for",
                unit="dtdurations",
                width=110,
            )
        ],
        links=[RELEASES],
    )


def _history(checks: Sequence[Check]) -> Panel:
    return Panel(
        title="Checks over time",
        kind="timeline",
        description="Since when each check passes, fails, or has no answer.",
        unit="none",
        width=24,
        height=3 + len(checks),
        values=VERDICT,
        queries=[Query(expr=f"{c.query} or vector(-1)", name=c.title) for c in checks],
        links=[TO_TRUST],
    )
