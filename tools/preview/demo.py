"""The demo, run beside for as long as the pictures take, with a month of the past in its Prometheus."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from alerts.recording import Timing
from slo import Duration
from tools.demo.run import Demo, Ports, prepare, switch
from tools.demo.servers import DemoError
from tools.demo.webhook import Webhook
from tools.demo.world import RATE
from tools.preview import history

WAIT = 180.0  # seconds: short windows hold data of the servers themselves, and alerts have come through
SCRAPE = "5s"  # the demo's scrape interval
COMPRESS = 6  # rules are evaluated that many times as often as in earnest: the demo's own choice
NOW = ("outage", "attestor")  # what the platform does while the pictures are taken


@contextlib.contextmanager
def running(seconds: float) -> Iterator[str]:
    """The URL of the demo's Prometheus, once it has run for so long. Raises DemoError."""
    with tempfile.TemporaryDirectory(prefix="preview-") as name:
        folder = Path(name) / "state"
        prepare(folder)
        ports = Ports.choose(None)
        demo = Demo(folder, ports, SCRAPE, COMPRESS, None, RATE)
        history.write(folder, demo.stacks[:1], Timing.of(Duration.parse(SCRAPE)), int(time.time()))
        webhook = Webhook(ports.webhook, folder / "webhook.jsonl")
        try:
            demo.start(webhook)
            switch(demo.simulator.url, *NOW)
            _wait(demo, seconds)
            yield demo.prometheus.url
        finally:
            demo.stop()


def _wait(demo: Demo, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for server in demo.servers:
            if not server.running:
                raise DemoError(f"{server.name} ended by itself; it says: {server.last_words()}")
        time.sleep(1)
