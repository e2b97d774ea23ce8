"""What `slo explain` tells of one SLO, as data."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from alerts.recording import Timing, pair_text
from slo.budget import budget_text, cost, events_text
from slo.burn import detection, resolve, window_seconds
from slo.model import SLO
from slo.quantity import Duration, shortest
from slo.sli import Composite, parts_of

OUTAGES = ("total", "10%", "1%")
_SHARES = (Decimal(1), Decimal("0.1"), Decimal("0.01"))


@dataclass(frozen=True, slots=True)
class TierRow:
    """One alert tier: its name, its condition, and per outage when it fires and what that costs."""

    name: str
    above: str
    detection: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Facts, queries, tiers and notes, ready to print."""

    slo: str
    facts: tuple[tuple[str, str], ...]
    queries: tuple[tuple[str, str], ...]
    tiers: tuple[TierRow, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "slo": self.slo,
            "facts": dict(self.facts),
            "queries": dict(self.queries),
            "tiers": [{"tier": t.name, "fires_above": t.above, **dict(zip(OUTAGES, t.detection, strict=True))} for t in self.tiers],
            "notes": list(self.notes),
        }  # fmt: skip


def explain(slo: SLO, timing: Timing) -> Explanation:
    """Detection times are for steady traffic, no errors before, and the worst phase of both evaluations."""
    policy = resolve(slo, timing.interval)
    budget = slo.objective.budget
    facts = [
        ("service", f"{slo.service.name}, owned by {slo.service.owner}, tier {slo.service.tier}"),
        ("objective", f"{slo.objective} over {_window(slo)}"),
        ("error budget", budget_text(slo) + (f", {events_text(slo)}" if slo.unit == "events" else "")),
        ("indicator", slo.sli.kind + (f", apart by {', '.join(slo.by)}" if slo.by else "")),
    ]
    rows, notes = [], []
    for r in policy.tiers:
        cells = []
        for bad in _SHARES:
            seconds = detection(r, budget, bad, timing.base, 2 * timing.interval)
            # A time-based indicator needs so many bad seconds, and the long window must hold them.
            guard = policy.min_bad / bad if policy.unit == "seconds" else Decimal(0)
            if seconds is None or guard > window_seconds(r.tier.long):
                cells.append("never")
                continue
            if guard:
                seconds = max(seconds, guard + 2 * timing.interval)
            spent = (cost(bad, seconds, slo) * 100).quantize(Decimal("0.1"), ROUND_CEILING)
            cells.append(f"{Duration.of(seconds.quantize(Decimal(1))).human} ({shortest(spent)}%)")
        above = f"{shortest(r.factor)}x ({shortest((r.factor * budget * 100).quantize(Decimal('0.0001')))}% bad) in {r.tier.long} and {r.tier.short}"
        rows.append(TierRow(r.tier.name, above, tuple(cells)))
        if r.replaced:
            notes.append(f"{r.tier.name}: {r.replaced}")
    notes += policy.dropped
    notes += _low_traffic(slo, timing)
    if isinstance(slo.sli, Composite):
        how = (
            "the largest error ratio of its parts"
            if slo.sli.weights is None
            else "the weighted sum of its parts' error ratios"
        )
        notes.append(f"In every window the journey's error ratio is {how}; an idle part counts 0.")
    queries = []
    for part, sli in parts_of(slo.sli).items():
        total, errors = pair_text(slo, sli, timing)
        name = f" of {part}" if part else ""
        queries += [(f"total{name}, per second over {timing.base_text}", total), (f"bad{name}", errors)]
    return Explanation(slo.id, tuple(facts), tuple(queries), tuple(rows), tuple(notes))


def _window(slo: SLO) -> str:
    calendar = slo.window.calendar
    return f"each calendar {calendar} (UTC)" if calendar else f"any {slo.window.days} days"


def _low_traffic(slo: SLO, timing: Timing) -> list[str]:
    """What the guard on the number of bad events costs in time, in a total outage."""
    policy = resolve(slo, timing.interval)
    if policy.unit == "seconds" and not isinstance(slo.sli, Composite):
        return [
            f"No tier fires before {Duration.of(policy.min_bad).human} were bad ({slo.alerts.min_events} slices)."
        ]
    notes = []
    for r in policy.of("page"):
        seconds = detection(r, slo.objective.budget, Decimal(1), timing.base, 2 * timing.interval)
        long = Duration.parse(r.tier.long)
        if seconds is None:
            continue
        enough = (policy.min_bad * 3600 / seconds).quantize(Decimal(1), ROUND_CEILING)
        least = (policy.min_bad * 3600 / long.seconds).quantize(Decimal("0.1"), ROUND_CEILING)
        notes.append(
            f"{r.tier.name} waits for {policy.min_bad} bad events: that delays the alert of a total outage below {enough} "
            f"events an hour, and below {shortest(least)} an hour this tier cannot fire."
        )
    return notes
