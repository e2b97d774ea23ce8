"""What /metrics answers: rendered and compressed in the background, so that a scrape only sends bytes."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.openmetrics.exposition import generate_latest as _untyped

from exporters.collector import Instruments

_openmetrics: Callable[[CollectorRegistry], bytes] = _untyped

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
EVERY = 1.0  # seconds between two renderings while something changes
PROCESS = 5.0  # seconds between two while only the process' own metrics do
IDLE = 600.0  # seconds after which a format that nobody asks for is rendered at its next request only
LEVEL = 1  # of gzip: a third of level 6's time for a tenth more bytes


@dataclass(frozen=True, slots=True)
class Body:
    content_type: str
    plain: bytes
    gzipped: bytes


class Exposition:
    """The newest rendering in both formats. `get` waits for no check, and renders only what nobody asked for in a while; `run` renders until `stop` is set."""

    def __init__(
        self, instruments: Instruments, stop: threading.Event, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._instruments = instruments
        self._stop = stop
        self._clock = clock
        self.process = CollectorRegistry()  # the process' own metrics
        ProcessCollector(registry=self.process)
        PlatformCollector(registry=self.process)
        GCCollector(registry=self.process)
        self._lock = threading.Lock()  # one rendering at a time
        now = clock()
        self._asked = {False: now, True: now}  # when each format was last asked for
        self._bodies: dict[bool, Body] = {}
        self._from: dict[bool, tuple[bytes, float]] = {}
        for form in (False, True):
            self._render(form)

    def get(self, accept: str) -> Body:
        """The body for an Accept header."""
        form = prefers_openmetrics(accept)
        now = self._clock()
        idle, self._asked[form] = now - self._asked[form], now
        if idle > IDLE:
            self._render(form)
        return self._bodies[form]

    def run(self) -> None:
        while not self._stop.wait(EVERY):
            self.refresh()

    def refresh(self) -> None:
        """Render what has changed, in the formats that somebody asks for."""
        for form, asked in self._asked.items():
            if self._clock() - asked <= IDLE:
                self._render(form)

    def _render(self, form: bool) -> None:
        with self._lock:
            now = self._clock()
            own = self._instruments.render(form)
            before = self._from.get(form)
            if before is not None and before[0] is own and now - before[1] < PROCESS:
                return
            body = own + (_openmetrics if form else generate_latest)(self.process)
            kind = OPENMETRICS if form else TEXT
            self._bodies[form] = Body(kind, body, gzip.compress(body, LEVEL, mtime=0))
            self._from[form] = (own, now)


def prefers_openmetrics(accept: str) -> bool:
    """Does the header rank OpenMetrics 1.0 at least as high as the text format?"""
    ranks = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        values = dict(p.split("=", 1) for p in parameters if "=" in p)
        if kind not in ranks or (kind != "text/plain" and values.get("version", "1.0.0") != "1.0.0"):
            continue
        ranks[kind] = max(ranks[kind], quality(values.get("q", "1")))
    wanted = ranks["application/openmetrics-text"]
    return wanted > 0 and wanted >= ranks["text/plain"]


def accepts_gzip(header: str) -> bool:
    """Does an Accept-Encoding header allow gzip?"""
    for item in header.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        if coding == "gzip":
            return all(quality(p[2:]) > 0 for p in parameters if p.startswith("q="))
    return False


def quality(text: str) -> float:
    """A q value; 0 when it is none."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
