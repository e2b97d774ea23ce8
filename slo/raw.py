"""The error ratio of a period from raw series, where the rules recorded nothing: exact, and slow.

A counting indicator is one increase over the whole period; what a counter lost between two scrapes of a gap is
extrapolated, as Prometheus does. A time-based one is averaged over at most POINTS moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from alerts.recording import raw_pair
from slo.model import SLO
from slo.prometheus import Prometheus
from slo.quantity import Duration
from slo.sli import Composite, Simple, counts_time, parts_of
from slo.status import period_start

POINTS = 2000


def error_ratio(
    prometheus: Prometheus, slo: SLO, at: datetime
) -> Mapping[tuple[tuple[str, str], ...], Decimal]:
    """The ratio of each group, in the period up to `at`; nothing for a group without data."""
    seconds = max(int((at - period_start(slo.window, at)).total_seconds()), 60)
    parts = {
        part: _one(prometheus, slo, sli, seconds, at.timestamp()) for part, sli in parts_of(slo.sli).items()
    }
    groups = sorted({g for ratios in parts.values() for g in ratios})
    if not isinstance(slo.sli, Composite):
        return parts[""]
    weights = {part: Decimal(w) for part, w in (slo.sli.weights or {}).items()}
    if not weights:
        return {g: max(ratios.get(g, Decimal(0)) for ratios in parts.values()) for g in groups}
    return {g: sum((weights[p] * r.get(g, Decimal(0)) for p, r in parts.items()), Decimal(0)) for g in groups}


def _one(
    prometheus: Prometheus, slo: SLO, sli: Simple, seconds: int, at: float
) -> dict[tuple[tuple[str, str], ...], Decimal]:
    total, errors = (f"({e})" for e in _summed(slo, sli, seconds))
    ratio = f"{errors} / ({total} > 0)"
    found = prometheus.query(ratio, at)
    return {
        tuple(sorted((k, v) for k, v in s.labels.items() if k in slo.by)): s.decimal
        for s in found
        if s.decimal is not None
    }


def _summed(slo: SLO, sli: Simple, seconds: int) -> tuple[str, str]:
    """Total and errors as queries over the last so many seconds."""
    if not counts_time(sli):
        return raw_pair(slo, sli, str(Duration.of(seconds)))
    total, errors = raw_pair(slo, sli, "5m")
    span = f"{Duration.of(seconds)}:{Duration.of(max(60, seconds // POINTS))}"
    return f"sum_over_time(({total})[{span}])", f"sum_over_time(({errors})[{span}])"
