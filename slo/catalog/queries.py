"""Queries and signals that the catalogue writes often. Rates are summed before they are compared or divided."""

from __future__ import annotations

from typing import Any

from slo import GoldenSignals, Signal, promql
from slo.catalog.fields import Reading, drawn, series_of
from slo.catalog.http import ServiceName
from slo.catalog.metrics import Metrics
from slo.catalog.shapes import example, rising

W = promql.WINDOW


def golden(latency: Any, traffic: Any, errors: Any, saturation: Any) -> GoldenSignals:
    """Each is a signal, several, or NotMeasured."""
    return GoldenSignals(latency=latency, traffic=traffic, errors=errors, saturation=saturation)


def signal(query: str, title: str, unit: str = "short", **more: Any) -> Signal:
    return Signal(query=query, title=title, unit=unit, **more)


def rate(selector: str) -> str:
    return f"sum(rate({selector}[{W}]))"


def ratio(part: str, whole: str) -> str:
    """Part of whole, both summed first: rates of different label sets do not divide."""
    return f"{rate(part)} / {rate(whole)}"


def counter(m: Metrics, reading: Reading, service: ServiceName) -> str:
    """The counter of the events that a latency times."""
    return (
        m.http.of(service, reading.route)
        if reading.reading == "http"
        else series_of(reading.metric, "_count")
    )


def events(m: Metrics, reading: Reading, service: ServiceName) -> str:
    """Those events per second."""
    if reading.reading == "native":
        return f"histogram_count(sum(rate({reading.metric}[{W}])))"
    return rate(counter(m, reading, service))


def mean(m: Metrics, reading: Reading, service: ServiceName, window: str) -> str:
    """The mean duration over a window such as "1d] offset 1h": all seconds over all events."""
    base = timed(m, reading, service)
    if reading.reading == "native":
        whole = f"sum(rate({base}[{window}))"
        return f"histogram_sum({whole}) / histogram_count({whole})"
    return f"sum(rate({series_of(base, '_sum')}[{window})) / sum(rate({series_of(base, '_count')}[{window}))"


def timed(m: Metrics, reading: Reading, service: ServiceName) -> str:
    """The base name of a latency's series, wherever it is read."""
    return m.http.timed(service, reading.route) if reading.reading == "http" else reading.metric


def latency(m: Metrics, reading: Reading, service: ServiceName, title: str) -> Signal:
    query, unit = drawn(reading, timed(m, reading, service))
    return signal(query, title=title, unit=unit)


def traffic(m: Metrics, service: ServiceName) -> Signal:
    return signal(m.http.of(service), title="Requests", unit="reqps")


def errors(m: Metrics, service: ServiceName) -> Signal:
    return signal(
        query=ratio(m.http.errors(service), m.http.of(service)), title="Share of 5xx", unit="percentunit"
    )


def surging(selector: str) -> dict[str, Any]:
    """Series for a counter that explodes after four quiet hours, and for one that does not."""
    return {
        "fires": {example(selector): f"{rising(60, 240)} {240 * 60 + 6000}+6000x30"},
        "silent": {example(selector): rising(60, 270)},
    }


def tokens(m: Metrics) -> str:
    return m.requests(m.authority.tokens_issued, "authority", m.authority.token.route, m.http.success)


def signed(m: Metrics) -> str:
    return m.requests(m.signer.success, "signer", m.signer.sign.route, m.http.success)


def denied(m: Metrics) -> str:
    return m.requests(m.signer.denied, "signer", m.signer.sign.route, m.http.denied)
