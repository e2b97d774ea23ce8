"""The same metrics, pushed: what a collector gets, and what happens when it does not want it."""

from __future__ import annotations

import http.server
import json
import logging
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import exporterkit
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from rawserver import answer, serving

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.config import Otlp
from exporters.fetch import Fetcher
from exporters.otlp import Pusher


class Collector:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        kept = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept.requests.append(ExportMetricsServiceRequest.FromString(body))
                kept.headers.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/metrics"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    try:
        yield collector
    finally:
        collector.close()


def filled() -> Instruments:
    instruments = Instruments(m.COSIGN)
    instruments.set(m.IMAGE_VERIFIED, 0, component="a", check="sbom")
    instruments.inc(m.CHECKS_TOTAL, 7, check="sbom")
    for value in (0.01, 0.3, 99):
        instruments.observe(m.CHECK_DURATION, value, check="sbom")
    return instruments


def pusher(endpoint: str, instruments: Instruments, **settings: object) -> Pusher:
    return Pusher(
        Otlp.model_validate({"endpoint": endpoint, **settings}),
        [instruments],
        Fetcher(timeout=5, sleep=lambda seconds: None),
        service="stella-cosign-exporter",
        version="1.0",
        stop=threading.Event(),
        clock=lambda: 1795514400.0,
    )


def test_a_collector_gets_every_series_and_nothing_else() -> None:
    """Gauges, cumulative counters since the start, histograms; what is absent is not sent."""
    with collecting() as collector:
        assert pusher(collector.url, filled()).push()
    (request,) = collector.requests
    (scope,) = request.resource_metrics[0].scope_metrics
    found = {metric.name: metric for metric in scope.metrics}
    assert m.ROOT_DRIFT.name not in found
    (gauge,) = found[m.IMAGE_VERIFIED.name].gauge.data_points
    assert (gauge.as_double, gauge.time_unix_nano) == (0.0, 1795514400 * 10**9)
    assert {a.key: a.value.string_value for a in gauge.attributes} == {"component": "a", "check": "sbom"}
    counter = found[m.CHECKS_TOTAL.name].sum
    assert counter.is_monotonic
    assert {p.attributes[0].value.string_value: p.as_double for p in counter.data_points}["sbom"] == 7
    assert {p.start_time_unix_nano for p in counter.data_points} == {1795514400 * 10**9}
    (histogram,) = found[m.CHECK_DURATION.name].histogram.data_points
    assert (histogram.count, histogram.sum) == (3, pytest.approx(99.31))
    assert list(histogram.explicit_bounds) == list(m.SECONDS)
    assert list(histogram.bucket_counts) == [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert found[m.CHECK_DURATION.name].unit == "s"


def test_the_resource_names_service_and_instance() -> None:
    """An operator's own attributes win."""
    with collecting() as collector:
        pusher(
            collector.url, filled(), resource={"service.instance.id": "pod-0", "k8s.namespace.name": "slo"}
        ).push()
    attributes = collector.requests[0].resource_metrics[0].resource.attributes
    assert {a.key: a.value.string_value for a in attributes} == {
        "service.name": "stella-cosign-exporter",
        "service.version": "1.0",
        "service.instance.id": "pod-0",
        "k8s.namespace.name": "slo",
    }


def test_a_token_is_read_anew_for_each_push(tmp_path: Path) -> None:
    """A rotated one is used without a restart."""
    token = tmp_path / "token"
    headers = {"Authorization": {"file": str(token)}}
    with collecting() as collector:
        pushing = pusher(collector.url, filled(), headers=headers)
        for value in ("Bearer one", "Bearer two"):
            token.write_text(value, encoding="utf-8")
            assert pushing.push()
    assert [h["authorization"] for h in collector.headers] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("status", [302, 400, 401, 404, 429, 500, 503])
def test_a_refused_push_is_logged_once_until_one_succeeds(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """And costs nothing else."""
    caplog.set_level(logging.INFO, "exporters.otlp")
    instruments = filled()
    with serving(answer(status, b"no", Location="http://127.0.0.1:1/")) as server:
        pushing = pusher(f"{server.url}/v1/metrics", instruments)
        assert [pushing.push(), pushing.push()] == [False, False]
    assert len(caplog.records) == 1
    assert "redirects" in caplog.text if status == 302 else str(status) in caplog.text
    with collecting() as collector:
        pushing._settings = Otlp(endpoint=collector.url)
        assert pushing.push()
    assert [r.getMessage() for r in caplog.records][1:] == ["metrics are pushed again"]


def test_points_that_are_rejected_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A 200 may say that some were not taken."""
    partial = ExportMetricsServiceResponse()
    partial.partial_success.rejected_data_points = 3
    partial.partial_success.error_message = "out of order"
    body = partial.SerializeToString()
    with serving(answer(200, body, Content_Type="application/x-protobuf")) as server:
        assert not pusher(server.url, filled()).push()
    assert "rejected 3 points: out of order" in caplog.text


def test_a_collector_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    """The process pushes, and still ends within 5 s."""
    with serving(lambda connection, number: threading.Event().wait(30)) as server:  # type: ignore[arg-type, return-value]
        otlp = {"endpoint": server.url, "interval": 1, "timeout": "1s"}
        config = tmp_path / "cosign.yaml"
        config.write_text(json.dumps({"targets": {"a": "verified"}, "otlp": otlp}), encoding="utf-8")
        command = exporterkit.command("cosign", "--config", str(config), "--listen", "127.0.0.1:0")
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while not server.heads:
                assert process.poll() is None
            process.terminate()
            assert process.wait(5) == 0


def test_without_the_extra_it_is_one_sentence(tmp_path: Path) -> None:
    """With the command that installs it."""
    config = tmp_path / "cosign.yaml"
    config.write_text("otlp: {endpoint: 'http://127.0.0.1:4318/v1/metrics'}", encoding="utf-8")
    command = exporterkit.command("cosign", "--config", str(config), "--listen", "127.0.0.1:0")
    command[2] = f"import sys; sys.modules['opentelemetry'] = None; {command[2]}"
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"slo-exporter: {config}: key 'otlp' needs an extra: pip install 'stella-slo[otlp]'\n"
    )
