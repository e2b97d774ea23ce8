"""Stella Ops' own SLOs, as a user of the language would write them, over a metric map that a deployment adapts."""

from __future__ import annotations

from importlib.metadata import version

from slo import Chart, Stack, promql
from slo.catalog import monitors, trust
from slo.catalog.boards import boards
from slo.catalog.metrics import Metrics, load_metrics
from slo.catalog.readiness import STACK, checks
from slo.catalog.sections import Storage
from slo.catalog.services import services
from slo.catalog.slos import slos
from slo.packing import Exporter

__all__ = ["Metrics", "load_metrics", "modes", "stack"]

STORES = ("rustfs", "s3")


def stack(metrics: Metrics | None = None) -> Stack:
    """The stack "stella-ops" for one deployment; without a map, the blueprint's defaults."""
    m = Metrics() if metrics is None else metrics
    s = services(m)
    gate = checks(m)
    return Stack(
        name=STACK,
        services=s.all(),
        slos=slos(m, s),
        monitors=(*monitors.monitors(m, s), *trust.monitors(m, s)),
        boards=boards(m, gate),
        checks=gate,
        runbooks=m.links.runbooks,
        dashboards=m.links.dashboards,
        description="Release, signing and scanning: what Stella Ops promises and watches.",
        chart=Chart(name="stella-slo", version=version("stella-slo"), exporters=_exporters(m)),
    )


def modes(metrics: Metrics) -> dict[str, Stack]:
    """The stack for each kind of object store, the map's own first."""
    own = metrics.storage.mode
    kinds = (own, *(k for k in STORES if k != own))
    return {kind: stack(metrics.model_copy(update={"storage": _stored(metrics, kind)})) for kind in kinds}


def _stored(metrics: Metrics, kind: str) -> Storage:
    return metrics.storage.model_copy(update={"mode": kind})


def _exporters(m: Metrics) -> dict[Exporter, str]:
    """The job that each exporter's scrape state is looked up by."""
    read: dict[Exporter, str] = {
        "cosign": m.cosign.exporter_up, "rekor": m.rekor.exporter_up, "bundle": m.releases.exporter_up,
    }  # fmt: skip
    return {name: _job(selector) or f"stella-{name}-exporter" for name, selector in read.items()}


def _job(selector: str) -> str:
    found = promql.as_selector(selector)
    return next((x.value for x in found.matchers if (x.name, x.op) == ("job", "=")), "") if found else ""
