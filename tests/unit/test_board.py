"""Boards as data: what the language accepts of a dashboard and of a check, and with which sentence it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from given import slo, stack
from pydantic import ValidationError

from slo import Board, Check, Panel, Query, Section, Step, Value
from slo.board import VERDICT

QUERY = Query(expr="sum(rate(requests_total[$window]))")


def panel(**changes: Any) -> Panel:
    fields: dict[str, Any] = {"title": "Requests", "queries": [QUERY], "description": "Requests a second."}
    return Panel(**fields | changes)


def board(name: str = "releases", **changes: Any) -> Board:
    fields: dict[str, Any] = {
        "name": name,
        "title": "Releases",
        "question": "May it be released?",
        "sections": [Section(panels=[panel()])],
    }
    return Board(**fields | changes)


def check(**changes: Any) -> Check:
    fields: dict[str, Any] = {
        "name": "backup-fresh",
        "title": "A backup exists",
        "query": "min(time() - max(backup_seconds) < bool 86400)",
        "description": "The last one is younger than a day.",
        "remedy": "Take one before the upgrade.",
        "evidence": "min(time() - max(backup_seconds))",
        "measures": "age of the last backup",
    }
    return Check(**fields | changes)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: panel(queries=[]), "panel 'Requests' shows nothing: give it queries=[Query(expr=...)]"),
        (lambda: panel(kind="text"), "panel 'Requests' is a text: give it text= and no queries"),
        (lambda: panel(kind="heatmap", queries=[QUERY, QUERY]), "it takes one query, by (le)"),
        (lambda: panel(queries=[QUERY] * 27), "has 27 queries: 26 are the most"),
        (lambda: panel(sort="-Mean"), "lists its series by '-Mean': write 'Max' or 'Last *', or '-' before it"),
        (lambda: panel(description=""), "description"),
        (lambda: panel(width=25), "width"),
        (lambda: panel(query="x"), "query"),
        (lambda: Query(expr="sum(rate(x[5m])"), "does not parse"),
        (lambda: Step(at="high", colour="bad"), "'high' is a number written as text, such as '0.25'"),
        (lambda: Value(of="up", text="up"), "'up' is a number written as text"),
        (lambda: board("Releases"), "board name 'Releases' must be lower-case letters, digits and dashes"),
        (lambda: board("x" * 41), "at most 40 characters"),
        (lambda: check(name="Backup"), "check name 'Backup' must be lower-case letters, digits and dashes"),
        (lambda: check(query="backup_seconds > bool 0"), "aggregate it to one, as with min(...)"),
        (lambda: check(evidence="max by (db) (backup_seconds)"), "yields a value for each label set"),
        (lambda: check(remedy=""), "remedy"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_with_its_remedy(make: Any, said: str) -> None:
    """At the definition, in one sentence."""
    with pytest.raises(ValidationError) as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"boards": [board(), board()]}, "board 'releases' is defined twice"),
        ({"boards": [board("slo-overview")]}, "board 'slo-overview' is defined twice"),
        ({"boards": [board("golden-api")]}, "board 'golden-api' has the name of a service's golden signals"),
        ({"checks": [check(), check()]}, "check 'backup-fresh' is defined twice"),
    ],
)
def test_names_are_unique_in_a_stack(changes: dict[str, Any], said: str) -> None:
    """Those of generated dashboards are taken."""
    with pytest.raises(ValidationError) as caught:
        stack(slo(), **changes)
    assert said in str(caught.value)


def test_lists_and_tuples_are_the_same() -> None:
    """As everywhere in the language."""
    assert panel(queries=[QUERY]) == panel(queries=(QUERY,))
    assert board(sections=[Section(panels=[panel()])]) == board(sections=(Section(panels=(panel(),)),))


def test_a_query_says_whether_it_reads_raw_series() -> None:
    """By the placeholder of a rate's window."""
    assert QUERY.raw
    assert not Query(expr="slo:objective:ratio").raw


def test_matchers_may_stand_as_a_variable() -> None:
    """The groups of an SLO are chosen as matchers, which no one can name beforehand."""
    assert Query(expr='slo:error_ratio:1h{slo="$slo",${group:raw}}').expr


def test_unknown_looks_like_neither_good_nor_bad() -> None:
    """In its word and in its colour; and so does the absence of an answer."""
    said = {v.of: (v.text, v.colour) for v in VERDICT}
    assert said["-1"] == said["absent"]
    assert len({said["1"], said["0"], said["-1"]}) == 3
    assert len({colour for _, colour in said.values()}) == 3
