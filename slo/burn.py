"""Burn-rate policy: the alert tiers of a window and an objective, derived from a table."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from slo.model import SLO, AlertPolicy
from slo.quantity import Duration, shortest
from slo.sli import Composite, parts_of

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Tier:
    """One row of the table: alert when `share` of the budget is spent within `long`, still so within `short`.

    `floor` is the lowest burn rate at which the tier makes sense: where share × period / long falls below it
    (short periods), the floor takes its place.
    """

    severity: Literal["page", "ticket"]
    long: str
    short: str
    share: Decimal
    floor: Decimal

    @property
    def name(self) -> str:
        return f"{self.severity}-{self.long}"


# Windows and shares: Google, The Site Reliability Workbook, chapter 5, table 5-8 (2 %, 5 %, 10 %, 10 % of a 30-day
# budget: burn rates 14.4, 6, 3 and 1). Floors are ours: what the shares give for a 7-day period (3.36, 1.4, 0.7,
# 0.23) pages healthy services.
TIERS = (
    Tier("page", "1h", "5m", Decimal("0.02"), Decimal("6")),
    Tier("page", "6h", "30m", Decimal("0.05"), Decimal("3")),
    Tier("ticket", "1d", "2h", Decimal("0.10"), Decimal("1.5")),
    Tier("ticket", "3d", "6h", Decimal("0.10"), Decimal("1")),
)
CAP = Decimal("0.5")  # the threshold that replaces one of 100 % or more, which could never be exceeded


@dataclass(frozen=True, slots=True)
class Resolved:
    """A tier with its burn rate for one window and objective, and the sentence that says what was replaced."""

    tier: Tier
    factor: Decimal
    share: Decimal
    replaced: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the alerts of a set of SLOs have in common; SLOs of one policy share their alert rules.

    `min_bad` is in events, or in seconds for time-based indicators.
    """

    window: str
    period: int
    tiers: tuple[Resolved, ...]
    min_bad: int
    unit: str
    no_data: str
    runbooks: str
    parts: int = 0
    dropped: tuple[str, ...] = ()
    usual: bool = True

    @property
    def id(self) -> str:
        """Window and unit, and a digest of whatever is not the default."""
        name = f"{self.window}-{self.unit}"
        rest = repr((self.period, [(r.tier.name, str(r.factor), str(r.share)) for r in self.tiers], self.min_bad,
                     self.no_data, self.runbooks, self.parts))  # fmt: skip
        return name if self.usual else f"{name}-{hashlib.sha256(rest.encode()).hexdigest()[:6]}"

    def of(self, severity: str) -> tuple[Resolved, ...]:
        return tuple(r for r in self.tiers if r.tier.severity == severity)


def window_seconds(window: str) -> int:
    return int(Duration.parse(window).seconds)


def resolve(slo: SLO, interval: int) -> Policy:
    """The policy of one SLO. `interval` is the evaluation interval in seconds: the length of one slice."""
    period, budget = slo.window.seconds, slo.objective.budget
    tiers, dropped, capped = [], [], False
    for tier in TIERS:
        if {tier.name, tier.severity} & set(slo.alerts.off):
            dropped.append(f"{tier.name}: switched off by the definition")
            continue
        long = window_seconds(tier.long)
        if long >= period:
            dropped.append(f"{tier.name}: a window of {tier.long} does not fit into a period of {slo.window}")
            continue
        factor, replaced = tier.share * period / long, ""
        if factor < tier.floor:
            replaced = f"{shortest(tier.share * 100)}% of a {slo.window} budget in {tier.long} is a burn rate of {_short(factor)}; {shortest(tier.floor)} is used"
            factor = tier.floor
        if factor * budget >= 1:
            capped = True
            most = max(Decimal(1), CAP / budget)
            replaced = f"a burn rate of {_short(factor)} would need {_short(factor * budget * 100)}% errors; {_short(most)} is used"
            factor = most
        share = (factor * long / period).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
        tiers.append(Resolved(tier, _round(factor), share.normalize(), replaced))
    slices = slo.unit == "seconds" and not _counts_events(slo)
    composite = isinstance(slo.sli, Composite)
    return Policy(
        window=str(slo.window), period=period, tiers=tuple(tiers),
        min_bad=slo.alerts.min_events * (interval if slices else 1),
        unit=slo.unit, no_data=str(slo.alerts.no_data), runbooks=slo.service.runbooks,
        parts=len(parts_of(slo.sli)) if composite else 0, dropped=tuple(dropped),
        usual=slo.alerts == AlertPolicy() and not slo.service.runbooks and not composite and not capped,
    )  # fmt: skip


def _counts_events(slo: SLO) -> bool:
    """A composite is stated in time, but what keeps it quiet at low traffic are its parts' events."""
    return isinstance(slo.sli, Composite) and any(
        p.kind in ("ratio", "latency") for p in slo.sli.parts.values()
    )


def _round(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.0001"), ROUND_HALF_EVEN).normalize()


def _short(value: Decimal) -> str:
    return shortest(value.quantize(Decimal("0.01"), ROUND_HALF_EVEN))


def detection(resolved: Resolved, budget: Decimal, bad: Decimal, base: int, interval: int) -> Decimal | None:
    """Seconds from the start of an incident with a `bad` share of events until the tier's condition holds, at
    steady traffic and with no errors before; None when it never does.

    The long window holds bad × (x - base/2) / long once x exceeds the base window (the base rate ramps up over
    its own length), and bad × x² / (2 × base × long) before; the short window is reached no later, its
    threshold being the same. One evaluation of the base rules and one of the window rules follow.
    """
    threshold, long = resolved.factor * budget, window_seconds(resolved.tier.long)
    if bad <= threshold:
        return None
    needed = threshold * long / bad
    reached = needed + Decimal(base) / 2
    if needed < Decimal(base) / 2:
        reached = (2 * needed * base).sqrt()
    short = window_seconds(resolved.tier.short)
    in_short = threshold * short / bad + Decimal(base) / 2
    return (max(reached, min(in_short, Decimal(short))) + interval).quantize(Decimal(1))
