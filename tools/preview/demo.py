"""The demo, run beside for as long as the pictures take."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tools.demo.run import KNOWN
from tools.demo.servers import DemoError
from tools.preview.build import ROOT

WAIT = 240.0  # seconds: the five-minute windows hold data, and alerts have come through
SCRAPE = "5s"  # the demo's scrape interval
STARTS_WITHIN = 90.0
ENDS_WITHIN = 60.0


@contextlib.contextmanager
def running(seconds: float) -> Iterator[str]:
    """The URL of the demo's Prometheus once it has scraped for so long. Raises DemoError."""
    with tempfile.TemporaryDirectory(prefix="preview-demo-") as folder:
        state = Path(folder) / "state"
        log = Path(folder) / "demo.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                (sys.executable, "-m", "tools.demo", "--state", str(state)),
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            url = _ready(process, state / KNOWN, log)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                _alive(process, log)
                time.sleep(1)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _alive(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise DemoError(f"the demo ended by itself; it says: {said[-1] if said else 'nothing'}")


def _ready(process: subprocess.Popen[bytes], known: Path, log: Path) -> str:
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end:
        _alive(process, log)
        with contextlib.suppress(OSError, ValueError, KeyError, httpx.HTTPError):
            url = f"http://127.0.0.1:{json.loads(known.read_text(encoding='utf-8'))['ports']['prometheus']}"
            if httpx.get(f"{url}/-/ready", timeout=2, trust_env=False).status_code == 200:
                return url
        time.sleep(0.5)
    raise DemoError(f"the demo was not ready within {STARTS_WITHIN:.0f}s")
