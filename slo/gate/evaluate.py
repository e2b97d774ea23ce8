"""From a stack, checks and a policy to a verdict. Five queries, whatever the number of SLOs and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase

from slo import names, promql, status
from slo.board import Check
from slo.errors import QueryError
from slo.gate.policy import Budgets, Override, Policy, Transition
from slo.gate.verdict import Evidence, Outcome, Result, Verdict, decide
from slo.model import Stack
from slo.prometheus import Prometheus, Sample
from slo.quantity import Duration, shortest
from slo.status import Status, percent

SLOS = "error budgets"
PAGES = "alerts"
RELEASE = "release"
SERVER = "prometheus"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What wants to be promoted: a version, and the sha256 digests that a statement would be about."""

    version: str
    source: str
    target: str
    digest: str = ""
    subjects: tuple[tuple[str, str], ...] = ()


def judge(
    prometheus: Prometheus,
    stack: Stack,
    checks: Sequence[Check],
    candidate: Candidate,
    policy: Policy,
    policy_name: str,
    at: float,
    extra: Sequence[Result] = (),
) -> Verdict:
    """The verdict at one moment. `extra` are results reached otherwise (a direct verification).

    A server that cannot be asked, or whose answer is partial, makes its results unknown; nothing is raised.
    """
    transition = policy.transition(candidate.source, candidate.target, policy_name)
    try:
        alerts = status.firing(prometheus, stack, at)
        rows = status.read(prometheus, stack, at, alerts)
        results = [
            *_slos(rows, transition, at),
            *(_pages(stack, alerts, rows, at) if transition.pages else ()),
            *_checks(prometheus, checks, at),
        ]
        results = [*_server(prometheus, policy), *doubted(results, prometheus.warnings)]
    except QueryError as error:
        results = [_cannot_ask(str(error))]
    chosen = [r for r in (*results, *extra) if _wanted(r, transition)]
    applied = [_overridden(_waived(r, transition), policy.overrides, candidate, at) for r in chosen]
    return Verdict(
        release=candidate.version, source=candidate.source, target=candidate.target,
        at=datetime.fromtimestamp(at, UTC), policy=policy_name, digest=candidate.digest,
        decision=decide(applied, transition.unknown == "block"), results=tuple(sorted(applied, key=_order)),
        warnings=(*prometheus.warnings, *_expired(policy.overrides, at)), queries=prometheus.queries,
    )  # fmt: skip


def _order(result: Result) -> tuple[int, str, str]:
    rank = [Outcome.FAILED, Outcome.UNKNOWN, Outcome.OVERRIDDEN, Outcome.WAIVED, Outcome.PASSED]
    return rank.index(result.outcome), result.group, result.check


def _wanted(result: Result, transition: Transition) -> bool:
    """Checks are chosen by their names; budgets and pages by settings of their own, and the server always counts."""
    return result.group != RELEASE or any(fnmatchcase(result.check, g) for g in transition.checks)


# ---- the server -------------------------------------------------------------------------------------------------


def _cannot_ask(reason: str) -> Result:
    return Result("prometheus", SERVER, Outcome.UNKNOWN, f"Prometheus gave no answer: {reason}.",
                  remedy="Mend the connection, and judge again: nothing is known of this release.")  # fmt: skip


def _server(prometheus: Prometheus, policy: Policy) -> Iterator[Result]:
    skew = Decimal(str(round(prometheus.skew)))
    if abs(skew) > policy.skew.seconds:
        yield Result(
            "clock", SERVER, Outcome.UNKNOWN,
            f"The clocks of Prometheus and of this machine are {abs(skew)}s apart: ages cannot be judged.",
            (Evidence("the Date header", f"{skew}s", f"at most {policy.skew}"),),
            "Set both clocks by NTP.",
        )  # fmt: skip


def doubted(results: Sequence[Result], warnings: Sequence[str]) -> list[Result]:
    """An answer with warnings may be partial: what it shows as bad is bad, what it shows as good is not sure."""
    if not warnings:
        return list(results)
    return [
        replace(r, outcome=Outcome.UNKNOWN, sentence=f"{r.sentence} But the answer may be partial: {warnings[0]}.")
        if r.outcome is Outcome.PASSED
        else r
        for r in results
    ]  # fmt: skip


# ---- error budgets ----------------------------------------------------------------------------------------------


def _slos(rows: Sequence[Status], transition: Transition, at: float) -> Iterator[Result]:
    for row in rows:
        rule = next((b for b in transition.budgets if b.matches(status.labels_of(row))), None)
        if rule is not None:
            yield _slo(row, rule, at)


def _slo(row: Status, rule: Budgets, at: float) -> Result:
    """One result an SLO: every bound it breaks, in one sentence."""
    check = f"budget/{row.slo}" + "".join(f"/{k}={v}" for k, v in row.group)
    time = datetime.fromtimestamp(at, UTC).isoformat()
    if not row.known:
        outcome = Outcome.UNKNOWN if rule.measured else Outcome.PASSED
        why = row.notes[0] if row.notes else "nothing is known of it"
        return Result(check, SLOS, outcome, f"{row.name} is not measured: {why}.",
                      (Evidence(names.sel(names.REMAINING, slo=row.slo), "", time=time),),
                      "See why with `slo validate --live`, or on its dashboard.")  # fmt: skip
    broken, evidence = [], []
    for said, item in _bounds(row, rule, time):
        evidence.append(item)
        if said:
            broken.append(said)
    if broken:
        return Result(check, SLOS, Outcome.FAILED, f"{row.name} {', and '.join(broken)}.", tuple(evidence),
                      "Wait until it recovers, mend what burns it, or have somebody override this check.")  # fmt: skip
    left = "" if row.remaining is None else f"{percent(row.remaining, 1)} of its budget is left"
    return Result(check, SLOS, Outcome.PASSED, f"{row.name}: {left}.", tuple(evidence))


def _bounds(row: Status, rule: Budgets, time: str) -> Iterator[tuple[str, Evidence]]:
    """Each bound as what is broken ("" when it holds) and its evidence."""
    assert row.remaining is not None  # it is known
    if rule.least_left is not None:
        least = f"at least {percent(rule.least_left)}"
        said = f"has {percent(row.remaining, 1)} of its budget left, and the policy wants {least}"
        evidence = Evidence(names.sel(names.REMAINING, slo=row.slo), percent(row.remaining), least, time)
        yield (said if row.remaining < rule.least_left else ""), evidence
    for window, most in rule.most_burn.items():
        burn = row.burn.get(window)
        value = "" if burn is None else f"{shortest(burn.quantize(Decimal('0.1')))}x"
        evidence = Evidence(
            names.sel(names.error_ratio(window), slo=row.slo), value, f"at most {shortest(most)}x", time
        )
        over = burn is not None and burn > most
        yield (
            (f"burns {value} as fast as it may over {window} (at most {shortest(most)}x)" if over else ""),
            evidence,
        )


# ---- pages ------------------------------------------------------------------------------------------------------


def _pages(stack: Stack, alerts: Sequence[Sample], rows: Sequence[Status], at: float) -> Iterator[Result]:
    """Each alert that pages is a failed check. That none does is known only while the rules are evaluated."""
    time, severity = datetime.fromtimestamp(at, UTC).isoformat(), stack.severities["page"]
    query = names.sel("ALERTS", alertstate="firing", severity=severity, stack=stack.name)
    paging = sorted({_alert(a) for a in alerts if a.labels.get("severity") == severity})
    for name in paging:
        yield Result(f"page/{name}", PAGES, Outcome.FAILED, f"{name.replace('/', ' of ')} pages now.",
                     (Evidence(query, name, "none", time),), "Settle it first; its runbook says how.")  # fmt: skip
    if not paging and any(row.known for row in rows):
        yield Result(
            "page", PAGES, Outcome.PASSED, "No alert pages.", (Evidence(query, "none", "none", time),)
        )
    elif not paging:
        yield Result("page", PAGES, Outcome.UNKNOWN, "No alert pages, but no rule was evaluated lately either.",
                     (Evidence(query, "", "none", time),), "See whether Prometheus evaluates the rules.")  # fmt: skip


def _alert(sample: Sample) -> str:
    about = sample.labels.get("slo") or sample.labels.get("service", "")
    return sample.labels.get("alertname", "?") + (f"/{about}" if about else "")


# ---- checks -----------------------------------------------------------------------------------------------------


def _checks(prometheus: Prometheus, checks: Sequence[Check], at: float) -> Iterator[Result]:
    if not checks:
        return
    verdicts = _ask(prometheus, {c.name: c.query for c in checks}, at)
    evidence = _ask(prometheus, {c.name: c.evidence for c in checks}, at)
    for check in checks:
        yield _check(check, verdicts.get(check.name), evidence.get(check.name), at)


def _ask(prometheus: Prometheus, queries: Mapping[str, str], at: float) -> dict[str, Sample]:
    """All queries as one, each answer carrying its check's name."""
    named = [
        f'label_replace({promql.grouped(q)}, "check", {promql.quote(n)}, "", "")' for n, q in queries.items()
    ]
    return {s.labels.get("check", ""): s for s in prometheus.query("\nor\n".join(named), at)}


def _check(check: Check, verdict: Sample | None, evidence: Sample | None, at: float) -> Result:
    value = None if verdict is None else verdict.decimal
    shown = None if evidence is None else evidence.decimal
    text = "" if shown is None else measured(shown, check.unit)
    proof = (
        Evidence(check.query, "" if verdict is None else verdict.value, "1", datetime.fromtimestamp(at, UTC).isoformat()),
        Evidence(check.evidence, text),
    )  # fmt: skip
    what = f"{check.measures}: {text or 'unknown'}"
    if value is None:
        return Result(check.name, RELEASE, Outcome.UNKNOWN, f"{check.title}: cannot tell ({what}).", proof,
                      check.remedy)  # fmt: skip
    if value == 1:
        return Result(check.name, RELEASE, Outcome.PASSED, f"{check.title}: yes ({what}).", proof)
    return Result(check.name, RELEASE, Outcome.FAILED, f"{check.title}: no ({what}).", proof, check.remedy)


def measured(value: Decimal, unit: str) -> str:
    """A number in a Grafana unit, as a person reads it."""
    if unit in ("s", "dtdurations"):
        return ("-" if value < 0 else "") + Duration.of(abs(value).quantize(Decimal(1))).human
    if unit == "percentunit":
        return percent(value)
    return shortest(value.quantize(Decimal("0.001")))


# ---- waivers and overrides --------------------------------------------------------------------------------------


def _waived(result: Result, transition: Transition) -> Result:
    reason = transition.waive.get(result.check)
    if reason is None or result.outcome is not Outcome.UNKNOWN:
        return result  # a waiver is for what cannot be measured; what is measured and bad needs an override
    return replace(result, outcome=Outcome.WAIVED, reason=f"Waived by the policy: {reason}")


def _overridden(result: Result, overrides: Sequence[Override], candidate: Candidate, at: float) -> Result:
    if result.outcome not in (Outcome.FAILED, Outcome.UNKNOWN):
        return result
    for o in overrides:
        valid = o.expires.timestamp() > at and o.release in ("", candidate.version)
        if o.check == result.check and valid:
            until = o.expires.astimezone(UTC).isoformat()
            return replace(
                result, outcome=Outcome.OVERRIDDEN, reason=f"Overridden by {o.who} until {until}: {o.reason}"
            )
    return result


def _expired(overrides: Sequence[Override], at: float) -> Iterator[str]:
    for o in overrides:
        if o.expires.timestamp() <= at:
            yield f"the override of {o.check} by {o.who} expired on {o.expires.astimezone(UTC).isoformat()} and does not count"
