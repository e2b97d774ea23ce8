"""A month of Stella Ops' objectives as the rules would have recorded it: the ledger, the base around incidents, alerts.

Scripted, to look like a month that happened: most budgets are kept, some incidents cost, one objective has a gap and
one was never measured. Everything follows from names and times, so that a picture of it is the same every time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from slo import catalog, names, promql
from slo.model import SLO
from slo.sli import Composite
from tests import prom_world
from tools.demo import past

MONTH = "2025-10"
STACK = catalog.stack()
STEP, BEFORE_STEP = (
    600,
    3600,
)  # seconds between two samples of the ledger, in this month and in the one before
DAY = 86400


def at(text: str) -> int:
    return int(datetime.strptime(f"{MONTH}-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp())


START, END = at("01 00:00"), at("31 00:00") + DAY
BEFORE = START - 30 * DAY


@dataclass(frozen=True)
class Incident:
    """An SLO is bad by a share; the seconds after which its alerts fired. `part` is of a composite."""

    slo: str
    start: int
    end: int
    share: float
    page: int = 0
    ticket: int = 0
    part: str = ""


INCIDENTS = (
    Incident("signer-uptime", at("07 13:12"), at("07 13:40"), 1.0, 150, 300),
    Incident("signer-availability", at("07 13:12"), at("07 13:40"), 0.9, 180, 330),
    Incident("platform-journey", at("07 13:12"), at("07 13:40"), 1.0, 0, 0, "sign"),
    Incident("web-ui-render-latency", at("14 07:00"), at("15 16:00"), 0.3, 0, 15000),
    Incident("database-backup-freshness", at("18 05:00"), at("18 13:30"), 1.0, 540, 7200),
    Incident("rekor-availability", at("21 08:05"), at("21 11:20"), 0.35, 300, 1500),
    Incident("object-store-availability", at("28 09:10"), at("28 09:22"), 1.0, 120, 240),
)
ALWAYS_BAD = {"concelier-export-latency": 0.062}  # since the 10th
GAP = {"zastava-admission-latency": (at("02 00:00"), at("05 06:00"))}
NEVER = {"scanner-sbom-diff"}


@cache
def _chance(*what: object) -> float:
    """Between 0 and 1, by name."""
    return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:4], "big") / 2**32


def _traffic(slo: SLO, t: int) -> float:
    if slo.unit == "seconds":
        return 1.0
    swing = (1 - math.cos(2 * math.pi * ((t - 2 * 3600) % DAY) / DAY)) / 2
    return (2 + 60 * _chance(slo.id, "size")) * (0.1 + 0.9 * swing)


def _bad(slo: SLO, part: str, t: int) -> float:
    """The share that is bad at a moment."""
    own = [i.share for i in INCIDENTS if (i.slo, i.part) == (slo.id, part) and i.start <= t < i.end]
    if t >= at("10 00:00") and slo.id in ALWAYS_BAD:
        own.append(ALWAYS_BAD[slo.id])
    usual = 0.05 + 0.35 * _chance(slo.id, "usual")
    by_day = 2 * _chance(slo.id, part, t // DAY) ** 2
    return max([usual * by_day * float(slo.objective.budget), *own])


def _ledger(slo: SLO, part: str) -> Iterator[str]:
    labels = {"stack": STACK.name, "slo": slo.id} | ({"component": part} if part else {})
    for start, end, step in ((BEFORE, START, BEFORE_STEP), (START, END, STEP)):
        for t in range(start + step, end + 1, step):
            a, b = GAP.get(slo.id, (0, 0))
            if a <= t < b:
                continue
            when = datetime.fromtimestamp(t - 1, UTC)
            dated = labels | {"month": str(when.month), "quarter": str((when.month + 2) // 3)}
            total = _traffic(slo, t)
            touched = any(i.slo == slo.id and i.start < t and t - step < i.end for i in INCIDENTS)
            minutes = range(t - step, t, 60 if touched else step)
            bad = total * sum(_bad(slo, part, m) for m in minutes) / len(minutes)
            yield f"{promql.series(names.ERRORS_LEDGER, dated)} {bad:.9g} {t}\n"
            yield f"{promql.series(names.TOTAL_LEDGER, dated)} {total:.9g} {t}\n"


def _detail(incident: Incident) -> Iterator[str]:
    """The base around an incident, and what it fired."""
    slo = next(s for s in STACK.slos if s.id == incident.slo)
    labels = {"stack": STACK.name, "slo": slo.id} | ({"component": incident.part} if incident.part else {})
    for t in range(incident.start - 1800, incident.end + 1800, 30):
        yield f"{promql.series(names.ERRORS, labels)} {_bad(slo, incident.part, t):.9g} {t}\n"
        yield f"{promql.series(names.TOTAL, labels)} 1 {t}\n"
    for name, after in ((names.PAGE, incident.page), (names.TICKET, incident.ticket)):
        firing = {"alertname": name, "alertstate": "firing", "stack": STACK.name, "slo": slo.id}
        for t in range(incident.start + after, incident.end + 900, 30) if after else ():
            yield f"{promql.series('ALERTS', firing)} 1 {t}\n"


def lines() -> Iterator[str]:
    """OpenMetrics, ready for promtool."""
    for slo in STACK.slos:
        for part in slo.sli.parts if isinstance(slo.sli, Composite) else ("",):
            if slo.id not in NEVER:
                yield from _ledger(slo, part)
    for incident in INCIDENTS:
        yield from _detail(incident)
    for start, end, step in ((BEFORE, START, BEFORE_STEP), (START, END, STEP)):
        for t in range(start + step, end + 1, step):
            yield f"{promql.series(names.LEDGER_TICK, {'stack': STACK.name})} {step} {t}\n"


def serve(folder: Path) -> prom_world.Asked:
    """A real Prometheus that holds the month."""
    past.store(folder, lines())
    return prom_world.serve(folder)
