"""The demo, run beside for as long as the pictures take: what the monitoring's own board shows is real."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tools.demo.run import Demo, Ports, prepare
from tools.demo.servers import DemoError
from tools.demo.simulator import switch
from tools.demo.webhook import Webhook
from tools.demo.world import RATE

WAIT = 300.0  # seconds: five-minute windows are full
SCRAPE = "5s"  # the demo's scrape interval
COMPRESS = 6  # rules are evaluated that many times as often as in earnest: the demo's own choice
MODE = ("outage", "attestor")  # so that alerts are delivered


@contextlib.contextmanager
def running() -> Iterator[Demo]:
    """The demo, just started."""
    with tempfile.TemporaryDirectory(prefix="preview-") as name:
        folder = Path(name) / "state"
        prepare(folder)
        ports = Ports.choose(None)
        demo = Demo(folder, ports, SCRAPE, COMPRESS, None, RATE)
        try:
            demo.start(Webhook(ports.webhook, folder / "webhook.jsonl"))
            switch(demo.simulator.url, *MODE)
            yield demo
        finally:
            demo.stop()


def wait(demo: Demo, end: float) -> None:
    """Until the clock (time.monotonic) stands at `end`. Raises DemoError when a server ends before."""
    while time.monotonic() < end:
        for server in demo.servers:
            if not server.running:
                raise DemoError(f"{server.name} ended by itself; it says: {server.last_words()}")
        time.sleep(1)
