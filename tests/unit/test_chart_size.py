"""Helm keeps a release in one Secret of at most a mebibyte: a large stack must fit, or be warned of."""

from __future__ import annotations

import functools
import random
from pathlib import Path

import helm
import pytest
from given import slo, stack

from slo import GoldenSignals, Latency, Ratio, Service, Uptime, chart
from slo.artifact import Output
from slo.chart import size


@functools.cache
def service(n: int) -> Service:
    """With golden signals, so that it has a dashboard of its own."""
    signals = GoldenSignals(
        latency="http_request_duration_seconds_bucket",
        traffic="http_requests_total",
        errors='http_requests_total{code=~"5.."}',
        saturation="process_open_fds",
    )
    return Service(
        name=f"service-{n:03d}",
        owner=f"team-{n % 20:02d}",
        selector={"job": f"service-{n:03d}"},
        signals=signals,
    )


def test_three_hundred_slos_fit(tmp_path: Path) -> None:
    """With what a real Helm renders of their chart."""
    slos = [
        slo(name, service=service(n), objective=objective, window="month", sli=sli)
        for n in range(100)
        for name, objective, sli in (
            (
                "availability",
                "99.9%",
                Ratio(bad='http_requests_total{code=~"5.."}', total="http_requests_total"),
            ),
            ("latency", "99%", Latency(histogram="http_request_duration_seconds", below="500ms")),
            ("uptime", "99.5%", Uptime(gauge="up")),
        )
    ]
    assert len(slos) == 300
    folder = helm.written(tmp_path, stack(*slos, name="large"))
    files = {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}
    stored = size.stored(files, helm.manifest("helm4", folder))
    assert stored < size.LIMIT, f"{stored >> 10} KiB"


def test_the_estimate_is_what_helm_would_store(tmp_path: Path) -> None:
    """Within a tenth of the record with Helm's own manifest: Stella Ops' chart."""
    folder = helm.stella(tmp_path)
    files = {str(f.relative_to(folder)): f.read_text() for f in sorted(folder.rglob("*")) if f.is_file()}
    real = size.stored(files, helm.manifest("helm4", folder))
    guessed = size.stored(files, size._manifest(files))
    assert guessed == pytest.approx(real, rel=0.1)


def noise(letters: int) -> str:
    """Text that does not compress to nothing."""
    return "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=letters))  # noqa: S311


def test_a_small_chart_is_not_warned_of() -> None:
    """Nor what is no part of it."""
    outputs = [
        Output("chart/a/files/rules/a.yaml", noise(1000)),
        Output("prometheus/a.yaml", noise(5_000_000)),
    ]
    assert chart.warning(outputs) == ""


def test_a_large_chart_is_warned_of_in_one_sentence() -> None:
    """With the size, the limit and two remedies."""
    said = chart.warning([Output("chart/a/files/rules/a.yaml", noise(600_000))])
    assert "Helm cannot store more than 1024 KiB" in said
    assert "split the stack" in said
    assert "\n" not in said
