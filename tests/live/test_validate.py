"""`slo validate --live` against a real Prometheus that scrapes itself."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slo import SLO, Latency, Ratio, Service, Stack, check
from slo.compile import Config
from slo.errors import QueryError
from slo.prometheus import Prometheus
from tools.demo.servers import find

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the default retention of 15 days, asked once its own metrics are there."""
    folder = tmp_path_factory.mktemp("prometheus")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: prometheus\n"
        f"    static_configs: [{{targets: ['{address}']}}]\n"
    )
    command = [
        str(find("prometheus")),
        f"--config.file={config}",
        f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(60):
            time.sleep(1)
            try:
                with Prometheus(f"http://{address}") as prometheus:
                    if prometheus.query(
                        'prometheus_http_request_duration_seconds_bucket{handler="/metrics"}'
                    ):
                        break
            except QueryError:
                continue
        else:
            pytest.fail(
                f"Prometheus has no metrics of its own after a minute: {Path(folder / 'log').read_text()[-500:]}"
            )
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def findings(url: str, **slo: object) -> set[tuple[str, str]]:
    """(check, severity) of every finding of one SLO."""
    options = {"service": Service(name="prometheus", owner="monitoring"), "name": "x", "objective": "99%", "window": "7d",
               "description": "It answers."} | slo  # fmt: skip
    stack = Stack(name="live", slos=[SLO(**options)])  # type: ignore[arg-type]
    return {(p.check, p.severity) for p in check.live(stack, Config().timing, url)}


def latency(below: str) -> Latency:
    return Latency(histogram='prometheus_http_request_duration_seconds{handler="/metrics"}', below=below)


def test_a_bound_that_is_a_bucket_passes(url: str) -> None:
    """Buckets are compared as the server writes them."""
    assert findings(url, sli=latency("400ms")) == set()


def test_a_bound_that_is_no_bucket_is_an_error(url: str) -> None:
    """300 ms lies between two buckets and cannot be counted."""
    assert findings(url, sli=latency("300ms")) == {("bucket", "error")}


def test_a_window_beyond_the_retention_is_an_error(url: str) -> None:
    """The server keeps 15 days unless told otherwise."""
    assert findings(url, sli=latency("400ms"), window="month") == {("retention", "error")}


def test_a_metric_nobody_exposes_is_an_error(url: str) -> None:
    """A misspelt metric is found before its SLO is silent."""
    sli = Ratio(bad="nobody_errors_total", total="prometheus_http_requests_total")
    assert findings(url, sli=sli) == {("metric-missing", "error")}


def test_a_rate_over_a_gauge_is_an_error(url: str) -> None:
    """The server knows the type that the name does not tell."""
    sli = Ratio(bad="sum(rate(go_goroutines[$window]))", total="prometheus_http_requests_total")
    assert findings(url, sli=sli) == {("rate-over-gauge", "error")}
