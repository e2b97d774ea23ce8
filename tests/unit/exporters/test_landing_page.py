"""The page a person opens: worst first, escaped, with ages."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import page
from exporters.outcome import Outcome, Verdict
from exporters.subject import Finding

STATE = page.State("Stella Ops cosign exporter", "1.2.3", 1000.0, 1900.0, True, 60)
NOW = 2000.0


def finding(
    target: str, verdict: Verdict, check: str = "signature", detail: str = "", at: float = NOW
) -> Finding:
    reason = "" if verdict is Verdict.VERIFIED else "timeout"
    return Finding(target, check, Outcome(verdict, reason, detail), 0.25, at)


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data


def shown(*findings: Finding, state: page.State = STATE) -> str:
    return page.render(state, findings, NOW).decode()


def test_rows_are_worst_first() -> None:
    """Failed, unknown, verified; by target and check within."""
    text = shown(
        finding("z", Verdict.VERIFIED),
        finding("b", Verdict.UNKNOWN),
        finding("a", Verdict.VERIFIED),
        finding("c", Verdict.FAILED, "sbom"),
        finding("c", Verdict.FAILED, "provenance"),
    )
    rows = [row[:3] for row in Seen(text).rows[1:]]
    assert rows == [
        ["c", "provenance", "✕ failed"],
        ["c", "sbom", "✕ failed"],
        ["b", "signature", "? unknown"],
        ["a", "signature", "✓ verified"],
        ["z", "signature", "✓ verified"],
    ]


def test_a_row_says_why_and_how_old_it_is() -> None:
    """Reason, sentence, age, and how long it took."""
    text = shown(finding("a", Verdict.UNKNOWN, detail="no answer within 10 s", at=NOW - 3 * 3600 - 240))
    assert Seen(text).rows[1][3:] == ["timeout: no answer within 10 s", "3 h 4 min", "0.25 s"]


def test_the_title_and_the_totals_tell_the_state() -> None:
    """What a browser's tab shows."""
    text = shown(finding("a", Verdict.FAILED), finding("b", Verdict.UNKNOWN), finding("c", Verdict.VERIFIED))
    assert "<title>Stella Ops cosign exporter: 1 failed, 1 unknown</title>" in text
    assert re.findall(r"<li class=\"\w+\">(.*?)</li>", text) == ["1 failed", "1 unknown", "1 verified"]
    assert "ended 1 min 40 s ago" in text
    assert "version 1.2.3" in text


def test_a_refused_configuration_is_on_the_page() -> None:
    """And that no cycle has ended."""
    state = page.State("x", "1", 1000.0, None, False, 60)
    text = shown(state=state)
    assert "No cycle has ended yet." in text
    assert "The configuration on disk was refused" in text
    assert "refused" not in shown()


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_of_a_target_is_markup(target: str, detail: str) -> None:
    """Whatever a manifest or a server says."""
    plain = Seen(shown(finding("x", Verdict.FAILED, detail="y")))
    odd = Seen(shown(finding(f"<b>{target}", Verdict.FAILED, detail=f"{detail}\"'><script onload=x>")))
    assert odd.tags == plain.tags
    assert odd.handlers == []


def test_the_page_asks_nobody_for_anything() -> None:
    """No script, image, font or address of another host."""
    text = shown(finding("a", Verdict.FAILED))
    assert not {"script", "img", "link", "iframe", "object"} & set(Seen(text).tags)
    assert "//" not in re.sub(r"<!doctype html>", "", text)
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


def test_a_very_long_list_is_cut_and_says_so() -> None:
    """At its harmless end."""
    many = [finding(f"t{n:05}", Verdict.VERIFIED) for n in range(page.ROWS + 5)]
    text = shown(*many, finding("bad", Verdict.FAILED))
    rows = Seen(text).rows[1:]
    assert len(rows) == page.ROWS
    assert rows[0][0] == "bad"
    assert f"The first {page.ROWS} of {page.ROWS + 6} checks" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0.9, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (3700, "1 h 1 min"),
     (86400 * 3 + 7200, "3 d 2 h")],
)  # fmt: skip
def test_an_age_has_two_units(seconds: float, said: str) -> None:
    """A clock that ran backwards makes no negative ones."""
    assert page.age(seconds) == said
