"""Stella Ops' own SLOs, as a user of the language would write them, over a metric map that a deployment adapts."""

from __future__ import annotations

from slo import Stack
from slo.catalog import monitors, trust
from slo.catalog.metrics import Metrics, load_metrics
from slo.catalog.services import services
from slo.catalog.slos import slos

__all__ = ["Metrics", "load_metrics", "stack"]


def stack(metrics: Metrics | None = None) -> Stack:
    """The stack "stella-ops" for one deployment; without a map, the blueprint's defaults."""
    m = Metrics() if metrics is None else metrics
    s = services(m)
    return Stack(
        name="stella-ops",
        services=s.all(),
        slos=slos(m, s),
        monitors=(*monitors.monitors(m, s), *trust.monitors(m, s)),
        runbooks=m.links.runbooks,
        dashboards=m.links.dashboards,
        description="Release, signing and scanning: what Stella Ops promises and watches.",
    )
