"""What the catalogue reads is there, in a real Prometheus: signals, records, and the series of every monitor."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.monitors import RATE_WINDOW
from alerts.rules import rule_files
from slo import promql
from slo.model import NotMeasured
from tests.prom_world import HEALTHY, OUTAGE, STACK, TAMPERED, TIMING, Asked

SIGNALS = [
    pytest.param(promql.inject(signal.expr, service.selector), id=f"{service.name}-{signal.title}")
    for service in STACK.all_services
    if service.signals is not None
    for _, signals in service.signals.items()
    if not isinstance(signals, NotMeasured)
    for signal in signals
]
RECORDS = sorted({r.record for f in rule_files(STACK, TIMING) for g in f.groups for r in g.rules if r.record})


def _now(asked: Asked, expr: str, moment: int) -> list[dict[str, Any]]:
    """What a query yields, NaN left out."""
    result: list[dict[str, Any]] = asked.get("query", query=expr, time=moment)["result"]
    return [s for s in result if s["value"][1] != "NaN"]


@pytest.mark.parametrize("expr", SIGNALS)
def test_a_golden_signal_is_drawn(asked: Asked, expr: str) -> None:
    """On a healthy platform each signal that is measured has a value."""
    assert _now(asked, promql.in_window(expr, RATE_WINDOW), HEALTHY), expr


@pytest.mark.parametrize("record", RECORDS)
def test_a_recorded_series_has_values(asked: Asked, record: str) -> None:
    """Every record of the generated rules holds data, in each of the moments."""
    assert all(_now(asked, record, moment) for moment in (HEALTHY, TAMPERED, OUTAGE))


@pytest.mark.parametrize("monitor", STACK.all_monitors, ids=lambda m: m.name)
def test_a_monitor_sees_every_series_that_it_reads(asked: Asked, monitor: Any) -> None:
    """None of its selectors finds nothing: a metric or label that does not exist would never fire."""
    lost = [s for s in promql.selectors(monitor.expr) if not _now(asked, str(s), HEALTHY)]
    assert not lost


def _firing(asked: Asked, moment: int) -> set[str]:
    return {s["metric"]["alertname"] for s in _now(asked, 'ALERTS{alertstate="firing"}', moment)}


def test_nothing_fires_on_a_healthy_platform(asked: Asked) -> None:
    """A normal day is quiet: no page, no ticket, nothing pending."""
    assert [s["metric"] for s in _now(asked, "ALERTS", HEALTHY)] == []


def test_what_was_tampered_with_is_told_and_budgets_are_not_touched(asked: Asked) -> None:
    """A bad verdict pages by itself; the platform answers as before, so that no objective burns."""
    firing = _firing(asked, TAMPERED)
    assert {
        "StellaImageVerificationFailed", "StellaImageVerdictOld", "StellaRekorInconsistent", "StellaManifestInvalid",
        "StellaReleaseDigestMismatch", "StellaOfflineKitInvalid", "StellaTrustedRootDrift",
    } <= firing  # fmt: skip
    assert not {name for name in firing if name.startswith("SLO")}


def test_an_outage_burns_budgets_and_takes_data_away(asked: Asked) -> None:
    """Pages and tickets fire, an indicator has no data, an exporter is down, and failing rules are told."""
    assert {
        "SLOErrorBudgetBurnFast", "SLOErrorBudgetBurnSlow", "SLONoData", "SLORulesFailing", "StellaRekorExporterDown",
    } <= _firing(asked, OUTAGE)  # fmt: skip
