"""The gate's judgement: what fails blocks, what is not known is never good, and somebody answers for exceptions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx
import pytest

from slo import SLO, Ratio, Service, Stack, names
from slo.board import Check
from slo.gate.evaluate import Candidate, judge
from slo.gate.policy import Policy
from slo.gate.verdict import Decision, Outcome, Result, Verdict
from slo.prometheus import Prometheus

NOW = datetime(2026, 11, 16, tzinfo=UTC)
api = Service(name="api", owner="web", tier=1)
STACK = Stack(
    name="web",
    slos=[
        SLO(service=api, name=n, objective="99.9%", window="month", description="Answers.",
            sli=Ratio(bad="bad_total", total="all_total"))
        for n in ("reads", "writes")
    ],
)  # fmt: skip
BACKUP = Check(
    name="backup-age", title="The last backup is less than 24 h old", query="max(age) < bool 86400",
    description="Backups are nightly.", remedy="Run the backup job.", evidence="max(age)", measures="age", unit="s",
)  # fmt: skip


@dataclass
class Server:
    """A Prometheus that holds these values, and counts what it is asked."""

    left: Mapping[str, str] = field(default_factory=lambda: {"api-reads": "0.5", "api-writes": "0.9"})
    burn: str = "0"
    age: str = "30"
    pages: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=lambda: {"backup-age": "1"})
    evidence: Mapping[str, str] = field(default_factory=lambda: {"backup-age": "7200"})
    warnings: list[str] = field(default_factory=list)
    date: str = "Mon, 16 Nov 2026 00:00:00 GMT"
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("Connection refused")
        query = parse_qs(request.content.decode())["query"][0]
        self.asked.append(query)
        rows = [{"metric": m, "value": [0, v]} for m, v in self._rows(query)]
        body = {
            "status": "success",
            "warnings": self.warnings,
            "data": {"resultType": "vector", "result": rows},
        }
        return httpx.Response(200, text=json.dumps(body), headers={"date": self.date})

    def _rows(self, query: str) -> list[tuple[dict[str, str], str]]:
        if "label_replace" in query:
            asked = re.findall(r'"check", "([^"]+)"', query)
            held = self.checks if "bool" in query else self.evidence
            return [({"check": c}, held[c]) for c in asked if c in held]
        if query.startswith("ALERTS"):
            return [
                ({"alertname": names.PAGE, "severity": "critical", "slo": slo}, "1") for slo in self.pages
            ]
        if query.startswith("time()"):
            return [({"slo": slo}, self.age) for slo in self.left]
        return [
            ({"__name__": name, "slo": slo}, value)
            for slo, left in self.left.items()
            for name, value in (
                (names.REMAINING, left), (names.PERIOD_RATIO, "0.0001"), (names.MEASURED, "0.5"),
                (names.error_ratio("1h"), self.burn),
            )
        ]  # fmt: skip


def verdict(
    server: Server, lane: Mapping[str, object] | None = None, extra: tuple[Result, ...] = (), **policy: object
) -> Verdict:
    """The verdict of a policy of one lane: the usual one, with changes."""
    usual = {"from": "edge", "to": "stable", "budgets": [{"least_left": "10%", "most_burn": {"1h": "6"}}]}
    rules = Policy.model_validate({"transitions": [usual | dict(lane or {})], **policy})
    with Prometheus(
        "http://prometheus", httpx.MockTransport(server), sleep=lambda s: None, clock=NOW.timestamp
    ) as prometheus:
        return judge(
            prometheus, STACK, (BACKUP,), Candidate("2.4.1", "edge", "stable"), rules, "policy",
            NOW.timestamp(), extra,
        )  # fmt: skip


def of(found: Verdict, check: str) -> Result:
    return next(r for r in found.results if r.check == check)


def test_a_healthy_release_is_promoted() -> None:
    """Every check passed, and each says by what."""
    found = verdict(Server())
    assert found.decision is Decision.PROMOTE
    assert {r.outcome for r in found.results} == {Outcome.PASSED}
    assert all(r.evidence and r.evidence[0].query for r in found.results)
    assert "api-reads: 50% of its budget is left." in of(found, "budget/api-reads").sentence
    assert of(found, "backup-age").sentence == "The last backup is less than 24 h old: yes (age: 2h)."


BLOCKS = {
    "a budget below the bound": (
        Server(left={"api-reads": "0.09", "api-writes": "1"}), "budget/api-reads",
        "api-reads has 9% of its budget left, and the policy wants at least 10%.",
    ),
    "a burn above the bound": (
        Server(burn="0.0061"), "budget/api-reads", "api-reads burns 6.1x as fast as it may over 1h (at most 6x).",
    ),
    "a page": (
        Server(pages=("api-reads",)), "page/SLOErrorBudgetBurnFast/api-reads",
        "SLOErrorBudgetBurnFast of api-reads pages now.",
    ),
    "a failed check": (
        Server(checks={"backup-age": "0"}, evidence={"backup-age": "90000"}), "backup-age",
        "The last backup is less than 24 h old: no (age: 1d 1h).",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_it_blocks_with_the_right_sentence(name: str) -> None:
    """Exactly one check fails, and it says what, how much and what to do."""
    server, check, sentence = BLOCKS[name]
    found = verdict(server)
    failed = found.of(Outcome.FAILED)
    assert found.decision is Decision.BLOCK
    assert check in [r.check for r in failed]
    assert of(found, check).sentence == sentence
    assert of(found, check).remedy


UNKNOWN = {
    "an SLO without records": (Server(left={"api-reads": "1"}), "budget/api-writes"),
    "records that are too old": (Server(age="3600"), "budget/api-reads"),
    "no page, and no rule either": (Server(age="3600"), "page"),
    "a record that is NaN": (Server(left={"api-reads": "NaN", "api-writes": "1"}), "budget/api-reads"),
    "a check without an answer": (Server(checks={}), "backup-age"),
    "a check that is NaN": (Server(checks={"backup-age": "NaN"}), "backup-age"),
    "a server that is down": (Server(down=True), "prometheus"),
    "an answer that may be partial": (Server(warnings=["store 2 is down"]), "budget/api-reads"),
    "clocks apart": (Server(date="Mon, 16 Nov 2026 00:10:00 GMT"), "clock"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_checked_is_unknown_and_does_not_promote(name: str) -> None:
    """Never good, and not bad either: exit code 3."""
    server, check = UNKNOWN[name]
    found = verdict(server)
    assert of(found, check).outcome is Outcome.UNKNOWN
    assert found.decision is Decision.UNKNOWN
    assert found.decision.exit_code == 3


def test_bad_stays_bad_in_a_partial_answer() -> None:
    """What is shown as bad is bad."""
    found = verdict(Server(checks={"backup-age": "0"}, warnings=["store 2 is down"]))
    assert of(found, "backup-age").outcome is Outcome.FAILED
    assert found.decision is Decision.BLOCK


def test_a_policy_may_let_the_unknown_pass_and_says_so() -> None:
    """The headline counts them."""
    found = verdict(Server(checks={}), {"unknown": "pass"})
    assert found.decision is Decision.PROMOTE
    assert "1 check could not be made, which the policy allows" in found.headline


def test_a_waiver_is_for_what_cannot_be_measured_only() -> None:
    """It never excuses what was measured and is bad."""
    waive = {"waive": {"backup-age": "No metric tells of backups here."}}
    unknown, bad = verdict(Server(checks={}), waive), verdict(Server(checks={"backup-age": "0"}), waive)
    assert of(unknown, "backup-age").outcome is Outcome.WAIVED
    assert "No metric tells of backups here." in of(unknown, "backup-age").reason
    assert unknown.decision is Decision.PROMOTE
    assert bad.decision is Decision.BLOCK


def override(**changes: str) -> list[dict[str, str]]:
    fields = {"check": "backup-age", "reason": "The job is being moved.", "who": "jo@example.org",
              "expires": "2026-11-17T00:00:00Z"}  # fmt: skip
    return [fields | changes]


def test_an_override_lets_exactly_its_own_check_pass() -> None:
    """And is shown with who, why and until when."""
    server = Server(checks={"backup-age": "0"}, left={"api-reads": "0.01", "api-writes": "1"})
    found = verdict(server, overrides=override())
    result = of(found, "backup-age")
    assert result.outcome is Outcome.OVERRIDDEN
    assert (
        result.reason
        == "Overridden by jo@example.org until 2026-11-17T00:00:00+00:00: The job is being moved."
    )
    assert [r.check for r in found.of(Outcome.FAILED)] == ["budget/api-reads"]


@pytest.mark.parametrize(
    "changes", [{"expires": "2026-11-16T00:00:00Z"}, {"check": "backup"}, {"release": "2.4.0"}], ids=str
)
def test_an_override_does_not_count_when_it_is_not_for_this(changes: dict[str, str]) -> None:
    """Expired, of another check, of another release."""
    found = verdict(Server(checks={"backup-age": "0"}), overrides=override(**changes))
    assert found.decision is Decision.BLOCK


def test_an_expired_override_is_told() -> None:
    """Somebody still believes in it."""
    found = verdict(Server(), overrides=override(expires="2026-11-15T00:00:00Z"))
    assert any("expired on 2026-11-15" in w for w in found.warnings)


def test_the_hotfix_lane_asks_less() -> None:
    """Its checks are globs, and it need not ask for budgets."""
    server = Server(left={"api-reads": "-3", "api-writes": "-3"}, checks={})
    found = verdict(server, {"budgets": [], "pages": False, "checks": ["manifest-*"]})
    assert found.results == ()
    assert found.decision is Decision.UNKNOWN


def test_the_first_matching_budget_rule_counts() -> None:
    """As in a firewall."""
    rules = [{"select": {"slo": "*-reads"}, "least_left": "0%"}, {"least_left": "95%"}]
    found = verdict(Server(), {"budgets": rules})
    assert of(found, "budget/api-reads").outcome is Outcome.PASSED
    assert of(found, "budget/api-writes").outcome is Outcome.FAILED


def test_results_reached_otherwise_count_too() -> None:
    """A direct verification, for one."""
    bad = Result("verify/signer", "direct verification", Outcome.FAILED, "The signature is another's.")
    assert verdict(Server(), extra=(bad,)).decision is Decision.BLOCK


def test_five_queries_are_asked_whatever_is_judged() -> None:
    """Records, ages, alerts, verdicts, evidence."""
    server = Server()
    assert verdict(server).queries == len(server.asked) == 5
