"""How long a scrape takes while eight checks compute: a thousand images, three checks each, in a real server."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from exporters import metrics as m
from exporters import page
from exporters.collector import Instruments
from exporters.config import Common
from exporters.exposition import Exposition
from exporters.loop import Loop
from exporters.outcome import Outcome, Verdict
from exporters.server import Server, Site
from exporters.service import SWITCH
from exporters.subject import Finding
from exporters.webconfig import Guard

IMAGES = 1000
SCRAPES = 500
PAUSE = 0.02  # seconds between two scrapes
BURN = 0.05  # seconds of pure Python per check: harder on the interpreter's lock than verifying is


class Burning:
    """A thousand images whose checks do nothing but hold the interpreter's lock."""

    name = "cosign"

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def targets(self) -> Sequence[str]:
        return [f"component-{number:04}" for number in range(IMAGES)]

    def check(self, target: str) -> Sequence[Finding]:
        ends = time.monotonic() + BURN
        while time.monotonic() < ends:
            sum(range(100))
        for check in m.CHECKS:
            labels = {"component": target, "check": check}
            self._instruments.set(m.IMAGE_VERIFIED, 1, **labels)
            self._instruments.set(m.IMAGE_LAST_CHECK, time.time(), **labels)
            self._instruments.set(m.IMAGE_LAST_SUCCESS, time.time(), **labels)
            self._instruments.inc(m.CHECKS_TOTAL, check=check)
            self._instruments.observe(m.CHECK_DURATION, BURN, check=check)
        digest = "sha256:" + "0" * 64
        self._instruments.set(m.IMAGE_INFO, 1, component=target, repository=f"r/{target}", digest=digest)
        return [Finding(target, check, Outcome(Verdict.VERIFIED), BURN, time.time()) for check in m.CHECKS]

    def close(self) -> None:
        pass


def serve(pipe: Connection) -> None:
    """In a process of its own: the loop, the renderer and the server, as `slo-exporter` puts them together."""
    sys.setswitchinterval(SWITCH)
    instruments, stop = Instruments(m.COSIGN), threading.Event()
    subject = Burning(instruments)
    for target in subject.targets():  # every series is there from the first scrape on
        for check in m.CHECKS:
            for metric in (m.IMAGE_VERIFIED, m.IMAGE_LAST_CHECK, m.IMAGE_LAST_SUCCESS):
                instruments.set(metric, 1, component=target, check=check)
    loop = Loop(subject, instruments, Common(interval=1, concurrency=8), stop=stop)
    exposition = Exposition(instruments, stop)
    loop.cycled = exposition.refresh
    state = page.State("bench", "0", time.time(), None, True, 60)
    server = Server("127.0.0.1:0", Site(loop, exposition, Guard(None), lambda: state))
    for work in (server.serve_forever, exposition.run, loop.run):
        threading.Thread(target=work, daemon=True).start()
    pipe.send(server.server_port)
    pipe.recv()


def scrape() -> dict[str, object]:
    """Seconds from request to last byte, over a kept connection, as Prometheus scrapes, and over new ones."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    port = here.recv()
    time.sleep(2)
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    found: dict[str, object] = {"images": IMAGES, "checks": len(m.CHECKS), "busy_threads": 8}
    for name, kept, coding in (("kept_gzip", True, "gzip"), ("new_gzip", False, "gzip"), ("kept_plain", True, "identity")):  # fmt: skip
        times, size = [], 0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for _ in range(SCRAPES):
            began = time.perf_counter()
            connection.request("GET", "/metrics", headers={**accept, "Accept-Encoding": coding})
            size = len(connection.getresponse().read())
            times.append(time.perf_counter() - began)
            if not kept:
                connection.close()
            time.sleep(PAUSE)
        connection.close()
        found[name] = {"bytes": size, **quantiles(times)}
    memory = Path(f"/proc/{process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
    found["peak_memory_mib"] = int(memory) // 1024
    here.send(None)
    process.join(5)
    return found


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        f"{n}_ms": round(1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))], 2)
        for n, q in at.items()
    }


if __name__ == "__main__":
    print(json.dumps(scrape(), indent=2))
