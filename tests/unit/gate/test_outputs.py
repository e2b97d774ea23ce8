"""A verdict in the formats that machines and reviews read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from slo.errors import DefinitionError
from slo.gate import outputs
from slo.gate.verdict import Decision, Evidence, Outcome, Result, Verdict, decide

NASTY = 'a <b> | "c" & \x00 d\n%'
RESULTS = (
    Result(
        "backup-age", "release", Outcome.FAILED, NASTY, (Evidence("max(age)", "90000", "86400"),), "Back up."
    ),
    Result("fcv", "release", Outcome.WAIVED, "FCV: cannot tell.", reason="Waived by the policy: PostgreSQL."),
    Result("kit", "release", Outcome.UNKNOWN, "The kit is valid: cannot tell.", remedy="Ask."),
    Result("roots", "release", Outcome.OVERRIDDEN, "Roots: no.", reason="Overridden by jo."),
    Result("skew", "release", Outcome.PASSED, "No skew: yes."),
)
VERDICT = Verdict(
    "2.4.1", "edge", "stable", datetime(2026, 11, 16, tzinfo=UTC), Decision.BLOCK, RESULTS, "default"
)


def test_json_holds_everything() -> None:
    """Decision, sentence, evidence, remedy and reasons."""
    data = json.loads(outputs.as_json(VERDICT))
    assert (data["decision"], data["from"], data["to"]) == ("block", "edge", "stable")
    assert data["results"][0]["evidence"] == [
        {"query": "max(age)", "value": "90000", "bound": "86400", "time": ""}
    ]
    assert [r["outcome"] for r in data["results"]] == ["failed", "waived", "unknown", "overridden", "passed"]


def test_junit_counts_failures_errors_and_skips() -> None:
    """And is XML whatever the sentences hold."""
    suite = ElementTree.fromstring(outputs.as_junit(VERDICT).encode())  # noqa: S314 - our own output
    counts = {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "1", "skipped": "2"}
    assert [child.tag for case in suite for child in case] == ["failure", "skipped", "error", "skipped"]


def test_sarif_reports_what_failed_and_what_is_unknown() -> None:
    """At the release manifest."""
    run = json.loads(outputs.as_sarif(VERDICT, "release.yaml"))["runs"][0]
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("backup-age", "error"),
        ("kit", "warning"),
    ]
    assert {r["id"] for r in run["tool"]["driver"]["rules"]} == {"backup-age", "kit"}


def test_markdown_stays_a_table_whatever_a_sentence_holds() -> None:
    """No raw HTML, no broken cell, no second line."""
    text = outputs.as_markdown(VERDICT)
    (row,) = [line for line in text.splitlines() if line.startswith("| ✘ |")]
    assert row.replace("\\|", "").count("|") == 4
    assert "<b>" not in text
    assert "Do not promote 2.4.1 from edge to stable: 1 check failed." in text


def test_a_statement_is_about_the_release() -> None:
    """in-toto v1: subjects by digest, the verdict as predicate."""
    data = json.loads(outputs.as_statement(VERDICT, [("release.yaml", "ab" * 32)]))
    assert data["_type"] == "https://in-toto.io/Statement/v1"
    assert data["subject"] == [{"name": "release.yaml", "digest": {"sha256": "ab" * 32}}]
    assert data["predicate"]["decision"] == "block"


def test_a_statement_about_nothing_is_refused() -> None:
    """With the remedy."""
    with pytest.raises(DefinitionError, match="--release"):
        outputs.as_statement(VERDICT, [])


def result(outcome: Outcome) -> Result:
    return Result("x", "g", outcome, "s")


@pytest.mark.parametrize(
    ("outcomes", "blocks", "decision"),
    [
        ([Outcome.PASSED], True, Decision.PROMOTE),
        ([Outcome.PASSED, Outcome.WAIVED, Outcome.OVERRIDDEN], True, Decision.PROMOTE),
        ([Outcome.PASSED, Outcome.FAILED, Outcome.UNKNOWN], True, Decision.BLOCK),
        ([Outcome.PASSED, Outcome.UNKNOWN], True, Decision.UNKNOWN),
        ([Outcome.PASSED, Outcome.UNKNOWN], False, Decision.PROMOTE),
        ([Outcome.FAILED], False, Decision.BLOCK),
        ([], False, Decision.UNKNOWN),
    ],
)
def test_the_decision(outcomes: list[Outcome], blocks: bool, decision: Decision) -> None:
    """Nothing checked is nothing known."""
    assert decide([result(o) for o in outcomes], blocks) is decision
