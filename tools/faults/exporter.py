"""One exporter as a process of its own: started, scraped, killed, and what it left on the disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from exporters.metrics import Metric
from tests.trustkit.servers import free_port

START = 90.0  # seconds until a loaded machine has it running
Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One look at /metrics: when it began (Unix time), how long it took, and every sample."""

    at: float
    seconds: float
    samples: Mapping[tuple[str, Labels], float]
    counters: frozenset[tuple[str, Labels]]

    def of(self, metric: Metric) -> dict[Labels, float]:
        return {labels: value for (name, labels), value in self.samples.items() if name == metric.name}

    def one(self, metric: Metric) -> float | None:
        return self.samples.get((metric.name, frozenset()))


@dataclass
class Exporter:
    """`word` is its command. Its configuration and state are in `folder`."""

    word: str
    folder: Path
    config: dict[str, Any]
    kills: int = 0
    persisting: int = 0  # kills while it wrote its state
    unready: bool = True
    peak: int = 0  # bytes
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.port = free_port()
        self.log = self.folder / "log"
        self._file = self.folder / "config.yaml"
        self._file.write_text(json.dumps(self.config))
        (self.folder / "state").mkdir()

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "slo-exporter"), self.word, "--config", str(self._file)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self.port}"], stdout=out, stderr=out
            )
        self.started = time.time()
        self.unready = True

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def kill_while_it_persists(self, seconds: float) -> bool:
        """SIGKILL at the moment at which it writes its state; after `seconds` without one, anyway."""
        state, ends = self.folder / "state", time.monotonic() + seconds
        before = _half_written(state)
        while time.monotonic() < ends:
            if _half_written(state) - before:
                os.kill(self.process.pid, signal.SIGKILL)
                self.process.wait()
                self.kills += 1
                self.persisting += 1
                return True
            time.sleep(0.0002)
        self.kill()
        return False

    def end(self) -> tuple[int, float]:
        """SIGTERM; its exit code, and seconds."""
        began = time.monotonic()
        self.process.terminate()
        return self.process.wait(timeout=30), time.monotonic() - began

    def scrape(self) -> Scrape:
        """Raises httpx.HTTPError when it does not answer."""
        at, began = time.time(), time.perf_counter()
        text = self.client.get(f"http://127.0.0.1:{self.port}/metrics").raise_for_status().text
        seconds = time.perf_counter() - began
        samples: dict[tuple[str, Labels], float] = {}
        counters = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, frozenset(sample.labels.items()))
                samples[key] = sample.value
                if family.type in ("counter", "histogram") and not sample.name.endswith("_created"):
                    counters.add(key)
        return Scrape(at, seconds, samples, frozenset(counters))

    def measure(self) -> None:
        """Its peak memory so far."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return
        if "VmHWM:" in status:
            self.peak = max(self.peak, int(status.partition("VmHWM:")[2].split()[0]) * 1024)


def _half_written(state: Path) -> set[tuple[str, int]]:
    """Files that are to be renamed when they are whole, and when they were last written to."""
    found = set()
    for file in state.glob(".*"):
        with suppress(FileNotFoundError):  # it was renamed just now
            found.add((file.name, file.stat().st_mtime_ns))
    return found
