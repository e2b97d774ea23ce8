"""Small definitions that tests start from."""

from __future__ import annotations

from typing import Any

from slo import SLO, Monitor, Ratio, Service, Stack

API = Service(name="api", owner="team-api")


def slo(name: str = "availability", **changes: Any) -> SLO:
    """A ratio SLO over one counter pair: 99.9 % of a rolling 30 days."""
    fields: dict[str, Any] = {
        "service": API,
        "name": name,
        "objective": "99.9%",
        "window": "30d",
        "sli": Ratio(bad="errors_total", total="requests_total"),
        "description": "Requests are answered.",
    }
    return SLO(**fields | changes)


def monitor(name: str = "RootsDrift", **changes: Any) -> Monitor:
    """A monitor of one gauge."""
    fields: dict[str, Any] = {
        "name": name,
        "service": API,
        "condition": "roots_drift > 0",
        "summary": "The roots drifted.",
    }
    return Monitor(**fields | changes)


def stack(*slos: SLO, **changes: Any) -> Stack:
    """A stack of these SLOs, or of one."""
    return Stack(**{"name": "demo", "slos": list(slos) or [slo()]} | changes)


def only(s: SLO) -> Stack:
    return stack(s)
