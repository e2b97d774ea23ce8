"""A real Prometheus 3 gets the exporter's metrics twice, scraped and pushed over OTLP: they are the same."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from exporterkit import fake

from exporters import metrics as m
from exporters import page
from exporters.collector import Instruments
from exporters.config import Otlp
from exporters.exposition import Exposition
from exporters.fetch import Fetcher
from exporters.loop import Loop
from exporters.otlp import Pusher
from exporters.server import Server, Site
from exporters.webconfig import Guard

pytestmark = pytest.mark.live

PROMETHEUS = Path(__file__).resolve().parents[2] / ".tools" / "prometheus3" / "prometheus"
# What Prometheus itself adds to a scrape, or makes of a resource.
OWN = ("up", "scrape_", "target_info")


def filled() -> Instruments:
    """A value for every metric there is, histograms included."""
    instruments = Instruments(m.ALL)
    for metric in m.ALL:
        labels = dict.fromkeys(metric.labels, "x")
        if metric.type == "histogram":
            for value in (0.01, 0.3, 99):
                instruments.observe(metric, value, **labels)
        elif metric.type == "counter":
            instruments.inc(metric, 3, **labels)
        else:
            instruments.set(metric, 1795514400.5, **labels)
    return instruments


@pytest.fixture
def exporter() -> Iterator[tuple[Instruments, Exposition, int]]:
    instruments = filled()
    exposition = Exposition(instruments, threading.Event())
    subject = fake({})
    state = page.State("x", "1", time.time(), None, True, 60)
    site = Site(Loop(subject, instruments, subject.config), exposition, Guard(None), lambda: state)
    server = Server("127.0.0.1:0", site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield instruments, exposition, server.server_port
    server.shutdown()
    server.server_close()


def labels(metric: dict[str, str]) -> str:
    """Without job and instance. A bucket's bound as a number: Prometheus 3 writes 1.0 of a scrape and 1 of OTLP."""
    kept = {k: v for k, v in metric.items() if k not in ("job", "instance")}
    if "le" in kept:
        kept["le"] = str(float(kept["le"]))
    return json.dumps(kept, sort_keys=True)


def series(url: str, job: str) -> dict[str, str]:
    """Each series' labels, to its value."""
    query = {"query": f'{{job="{job}"}}'}
    found = httpx.get(f"{url}/api/v1/query", params=query, timeout=10, trust_env=False).json()["data"][
        "result"
    ]
    return {labels(s["metric"]): s["value"][1] for s in found if not s["metric"]["__name__"].startswith(OWN)}


def test_pushed_and_scraped_series_are_the_same(
    tmp_path: Path, exporter: tuple[Instruments, Exposition, int]
) -> None:
    """Every name, label and value, of our metrics; the process' own have the same names."""
    assert PROMETHEUS.exists(), "tools/peers prometheus3 builds it"
    instruments, exposition, port = exporter
    config = {"scrape_configs": [{"job_name": "scraped", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]}  # fmt: skip
    (tmp_path / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [PROMETHEUS, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address={url.removeprefix('http://')}", "--web.enable-otlp-receiver"]  # fmt: skip
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stderr=log, stdout=log) as prometheus,
    ):
        try:
            pusher = Pusher(
                Otlp(endpoint=f"{url}/api/v1/otlp/v1/metrics"),
                (instruments, exposition.process),
                Fetcher(timeout=10),
                service="pushed",
                version="1",
                stop=threading.Event(),
            )
            ends = time.monotonic() + 60
            while not (pusher.push() and series(url, "scraped") and series(url, "pushed")):
                assert time.monotonic() < ends, (tmp_path / "log").read_text()
                time.sleep(0.5)
            scraped, pushed = series(url, "scraped"), series(url, "pushed")
        finally:
            prometheus.terminate()
    ours = lambda found: {k: v for k, v in found.items() if json.loads(k)["__name__"].startswith(("cosign_", "rekor_", "release_"))}  # noqa: E731  # fmt: skip
    assert len(ours(scraped)) > len(m.ALL)
    assert ours(pushed) == ours(scraped)
    assert pushed.keys() == scraped.keys()
