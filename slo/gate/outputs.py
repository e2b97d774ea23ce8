"""A verdict in the formats machines and reviews read: JSON, Markdown, JUnit, SARIF, and an in-toto statement."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from slo.errors import DefinitionError
from slo.gate.verdict import Outcome, Result, Verdict
from slo.markdown import code, escaped

SIGNS = {
    Outcome.PASSED: "✔", Outcome.FAILED: "✘", Outcome.UNKNOWN: "?", Outcome.WAIVED: "–", Outcome.OVERRIDDEN: "!",
}  # fmt: skip
# Our own predicate; docs/gate.md describes its fields.
PREDICATE = "https://stella-ops.org/attestations/promotion-verdict/v1"
STATEMENT = "https://in-toto.io/Statement/v1"


def as_data(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain data: the shape of `--output json` and of the predicate."""
    return {
        "decision": str(verdict.decision),
        "summary": verdict.headline,
        "release": verdict.release,
        "from": verdict.source,
        "to": verdict.target,
        "at": verdict.at.isoformat(),
        "policy": verdict.policy,
        "manifest_sha256": verdict.digest,
        "warnings": list(verdict.warnings),
        "queries": verdict.queries,
        "results": [_result(r) for r in verdict.results],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "check": result.check,
        "group": result.group,
        "outcome": str(result.outcome),
        "sentence": result.sentence,
        "remedy": result.remedy,
        "reason": result.reason,
        "evidence": [
            {"query": e.query, "value": e.value, "bound": e.bound, "time": e.time} for e in result.evidence
        ],
    }


def as_json(verdict: Verdict) -> str:
    return json.dumps(as_data(verdict), indent=2, ensure_ascii=False) + "\n"


def as_markdown(verdict: Verdict) -> str:
    """For a pull request or a release page: what matters first, all results below a fold."""
    lines = [f"## {SIGNS_OF_DECISION[verdict.decision]} {escaped(verdict.headline)}", ""]
    lines += [f"Policy {escaped(verdict.policy)}, judged {verdict.at.isoformat()}."]
    for title, outcome in (
        ("Failed", Outcome.FAILED), ("Could not be checked", Outcome.UNKNOWN),
        ("Overridden", Outcome.OVERRIDDEN), ("Waived", Outcome.WAIVED),
    ):  # fmt: skip
        found = verdict.of(outcome)
        if found:
            lines += ["", f"### {title}", *(_item(r) for r in found)]
    lines += [
        "",
        "<details><summary>All results</summary>",
        "",
        "| | check | what was found |",
        "|---|---|---|",
    ]
    lines += [f"| {SIGNS[r.outcome]} | {code(r.check)} | {escaped(r.sentence)} |" for r in verdict.results]
    lines += ["", "</details>", *(f"\n> {escaped(w)}" for w in verdict.warnings)]
    return "\n".join(lines) + "\n"


SIGNS_OF_DECISION = {"promote": "✔", "block": "✘", "unknown": "?"}


def _item(result: Result) -> str:
    rest = f" {escaped(result.remedy)}" if result.remedy else ""
    reason = f" _{escaped(result.reason)}_" if result.reason else ""
    return f"- {code(result.check)}: {escaped(result.sentence)}{rest}{reason}"


def as_junit(verdict: Verdict) -> str:
    """One test case a check: failed is a failure, unknown an error, waived and overridden are skipped with the reason."""
    suite = ElementTree.Element(
        "testsuite", name=f"slo gate {verdict.source} to {verdict.target}", tests=str(len(verdict.results)),
        failures=str(len(verdict.of(Outcome.FAILED))), errors=str(len(verdict.of(Outcome.UNKNOWN))),
        skipped=str(len(verdict.of(Outcome.WAIVED, Outcome.OVERRIDDEN))),
        timestamp=verdict.at.strftime("%Y-%m-%dT%H:%M:%S"),
    )  # fmt: skip
    kinds = {
        Outcome.FAILED: "failure", Outcome.UNKNOWN: "error", Outcome.WAIVED: "skipped", Outcome.OVERRIDDEN: "skipped",
    }  # fmt: skip
    for result in verdict.results:
        case = ElementTree.SubElement(suite, "testcase", classname=result.group, name=result.check)
        if result.outcome in kinds:
            said = result.sentence if not result.reason else f"{result.sentence} {result.reason}"
            child = ElementTree.SubElement(case, kinds[result.outcome], message=_xml(said))
            child.text = _xml(
                "\n".join([result.remedy, *(f"{e.query} = {e.value}" for e in result.evidence)])
            )
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """Without the control characters that XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\n\t" or ord(c) >= 32)


def as_sarif(verdict: Verdict, manifest: str) -> str:
    """SARIF 2.1.0: one rule a check; failed is an error, unknown a warning, at the release manifest."""
    levels = {Outcome.FAILED: "error", Outcome.UNKNOWN: "warning"}
    found = verdict.of(*levels)
    place = {"physicalLocation": {"artifactLocation": {"uri": manifest}}}
    results = [
        {
            "ruleId": r.check,
            "level": levels[r.outcome],
            "message": {"text": f"{r.sentence} {r.remedy}".strip()},
            "locations": [place],
        }
        for r in found
    ]
    rules = [{"id": r.check, "shortDescription": {"text": r.sentence}} for r in found]
    return _pretty(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {"tool": {"driver": {"name": "slo gate", "rules": rules}}, "results": results},
            ],
        }
    )


def as_statement(verdict: Verdict, subjects: Iterable[tuple[str, str]]) -> str:
    """An in-toto statement about the release, ready for `cosign attest-blob`.

    `subjects` are names and sha256 digests: the manifest, and the images it lists. Raises DefinitionError
    without any: a statement about nothing.
    """
    named = [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects]
    if not named:
        raise DefinitionError("a statement needs what it is about: give the release with --release")
    return _pretty(
        {"_type": STATEMENT, "subject": named, "predicateType": PREDICATE, "predicate": as_data(verdict)}
    )


def _pretty(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
