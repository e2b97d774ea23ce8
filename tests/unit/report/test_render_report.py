"""The page and the Markdown: whole without network or script, hostile texts shown and never run, the same bytes twice."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from slo import Service, names
from slo.report.charts import burn_down
from slo.report.collect import Report
from slo.report.period import between, month
from slo.report.render import as_data, as_html, as_markdown, sentence
from tests.unit.report.ledger import Ledger, at, report, slo

EVIL = "<script>alert(1)</script>|`$x$ $y$`[click](http://evil.example)\n# \"&'--"
NOVEMBER = month("2026-11")


def hostile() -> Report:
    """A description, a group and a warning by somebody who means no good; a service that is called like a heading."""
    ledger = Ledger(warnings=[EVIL]).write("api-reads", "2026-11-01", 14, 0.002, region=EVIL)
    ledger.write("api-reads", "2026-11-15", 0.2, 1, region=EVIL)
    ledger.write("gaps-writes", "2026-11-01", 30, 0.02)
    ledger.bad = [at("2026-11-15"), at("2026-11-15 04:00")]
    ledger.alerts = {names.PAGE: [at("2026-11-15 00:02")], EVIL: [at("2026-11-15 00:05")]}
    writes = slo("writes").model_copy(update={"service": Service(name="gaps", owner="web")})
    return report(
        ledger, NOVEMBER, slo("reads", by=["region"], description=f"Answers {EVIL}."), writes, slo("rest")
    )


def page(found: Report) -> str:
    return as_html(found, lambda service, lines: burn_down(found, service, lines))


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return page(hostile())


class _Page(HTMLParser):
    """Elements, ids and references of a page; raises on an element that is closed and was not open."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, attribute: str) -> list[str]:
        return [a[attribute] for _, a in self.tags if attribute in a]


def test_hostile_texts_are_shown_and_never_run(hostile_page: str) -> None:
    """No element and no attribute comes from a label, a description or a warning."""
    parsed = _Page(hostile_page)
    assert parsed.open == []
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert not [a for _, attributes in parsed.tags for a in attributes if a.startswith("on")]
    assert parsed.text.count("<script>alert(1)</script>") > 3


def test_nothing_is_loaded_from_anywhere(hostile_page: str) -> None:
    """Links lead within the page, colours are the page's own."""
    text = hostile_page
    parsed = _Page(text)
    where = [*parsed.all("src"), *parsed.all("href"), *parsed.all("xlink:href")]
    assert where
    assert all(w.startswith("#") for w in where)
    assert not re.search(r"@import|url\((?!#)|data:", text)
    assert "#010203" not in text
    assert "#040506" not in text


def test_ids_are_unique_and_every_reference_has_its_target(hostile_page: str) -> None:
    """Of all charts and sections together."""
    parsed = _Page(hostile_page)
    ids = parsed.all("id")
    assert len(ids) == len(set(ids))
    named = {w.removeprefix("#") for w in parsed.all("href") + parsed.all("xlink:href")}
    named |= set(parsed.all("aria-labelledby")) | set(
        re.findall(r"url\(#([^)]+)\)", " ".join(parsed.all("clip-path")))
    )
    assert named <= set(ids)


def test_charts_say_in_words_what_they_show(hostile_page: str) -> None:
    """For whoever cannot see them."""
    charts = [a for tag, a in _Page(hostile_page).tags if tag == "svg"]
    assert len(charts) == 2
    assert all(a["role"] == "img" and a["aria-label"].startswith("Error budget left of ") for a in charts)


def test_two_renders_are_the_same_bytes(hostile_page: str) -> None:
    """No clock, no random id."""
    assert page(hostile()) == hostile_page
    assert as_markdown(hostile()) == as_markdown(hostile())


def test_markdown_keeps_its_tables_whole() -> None:
    """Each row has its cells, whatever a label holds; nothing is HTML or a link."""
    text = as_markdown(hostile())
    for line in [x for x in text.splitlines() if x.startswith("|")]:
        assert len(re.split(r"(?<!\\)\|", line)) in (7, 8)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\[click", text)
    assert '\n# "' not in text


def test_machines_get_null_for_what_nobody_knows() -> None:
    """Not 0, not 1; and what is not known is not complete."""
    lines: dict[str, Any] = {x["slo"]: x for x in json.loads(json.dumps(as_data(hostile())))["slos"]}
    rest = lines["api-rest"]
    assert (rest["budget_left"], rest["sli"], rest["complete"]) == (None, None, False)
    assert rest["state"] == "not measured"
    assert lines["api-reads"]["complete"] is False
    assert lines["gaps-writes"]["complete"] is True


def test_a_period_with_gaps_says_how_long_they_were() -> None:
    """Under its own heading, and in the result."""
    text = as_markdown(report(Ledger().write("api-reads", "2026-11-01", 15, 0.001), NOVEMBER, slo("reads")))
    assert "| ✔ kept, incomplete | api-reads |" in text
    assert "- api-reads: 50% of the period (15d): its budget is judged by the rest" in text


def test_a_whole_month_has_no_gaps() -> None:
    """And says so."""
    found = report(Ledger().write("api-reads", "2026-11-01", 30, 0.001), NOVEMBER, slo("reads"))
    assert as_markdown(found).endswith("## What could not be measured\n\nNothing.\n")
    assert "every objective has data for the whole period" in page(found)


def test_a_plain_range_leaves_the_period_before_out() -> None:
    """There is none."""
    found = report(
        Ledger().write("api-reads", "2026-11-01", 30, 0.001),
        between(at("2026-11-02"), at("2026-11-09")),
        slo("reads"),
    )
    assert "| 90% |  |" in as_markdown(found)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (0.004, "60% of the budget left (4h 19m)"),
        (0.02, "overspent by 100% (7h 12m)"),
        (0, "100% of the budget left (7h 12m)"),
    ],
)
def test_a_line_in_words(errors: float, said: str) -> None:
    """What is left of 7 h 12 min, the budget of a month at 99 %."""
    found = report(Ledger().write("api-reads", "2026-11-01", 30, errors), NOVEMBER, slo("reads"))
    assert said in sentence(found, found.lines[0])


def test_a_service_that_spent_nothing_has_no_chart() -> None:
    """A flat line at 100 % says nothing."""
    found = report(Ledger().write("api-reads", "2026-11-01", 30, 0), NOVEMBER, slo("reads"))
    assert burn_down(found, "api", found.lines) == ""


def test_an_overspent_chart_is_bounded() -> None:
    """A budget spent a hundred times over still leaves a readable chart."""
    found = report(Ledger().write("api-reads", "2026-11-01", 30, 1), NOVEMBER, slo("reads"))
    assert "−200%" in burn_down(found, "api", found.lines)
