"""A subject whose targets do as they are told, in place of a real one, and servers that misbehave."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.config import Common, Secret
from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck, Outcome, Refused, Verdict
from exporters.subject import Finding

VERIFIER = "fake 1.0"


class Config(Common):
    """Each target does what its word says: verified, failed, unknown, raises, hangs, burns, fetches."""

    targets: dict[str, str] = {}
    detail: str = ""
    url: str = ""
    token: Secret | None = None
    broken: bool = False


class Fake:
    """Publishes as the cosign exporter does."""

    name = "cosign"

    def __init__(
        self, config: Config, instruments: Instruments, fetcher: Fetcher | None, clock: Callable[[], float]
    ) -> None:
        self.config, self._instruments, self._fetcher, self._clock = config, instruments, fetcher, clock
        self.release = threading.Event()  # lets targets that hang go on
        self.closed = False
        self.checked: list[str] = []
        self.most = self._now = 0
        self._lock = threading.Lock()

    def targets(self) -> Sequence[str]:
        return list(self.config.targets)

    def check(self, target: str) -> Sequence[Finding]:
        with self._lock:
            self.checked.append(target)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            outcome = self._do(self.config.targets[target])
        finally:
            with self._lock:
                self._now -= 1
        if outcome.verdict is not Verdict.UNKNOWN:
            good = float(outcome.verdict is Verdict.VERIFIED)
            self._instruments.set(m.IMAGE_VERIFIED, good, component=target, check="signature")
            self._instruments.set(m.IMAGE_LAST_CHECK, self._clock(), component=target, check="signature")
        self._instruments.inc(m.CHECKS_TOTAL, check="signature")
        return [Finding(target, "signature", outcome, 0.01, self._clock())]

    def close(self) -> None:
        self.closed = True

    def _do(self, word: str) -> Outcome:
        if word == "raises":
            raise RuntimeError("a bug")
        if word == "hangs":
            self.release.wait()
        if word == "burns":
            ends = time.monotonic() + 0.2
            while time.monotonic() < ends:
                pass
        if word == "fetches":
            assert self._fetcher is not None
            token = self.config.token.read() if self.config.token else ""
            try:
                self._fetcher.get(self.config.url, headers={"Authorization": f"Bearer {token}"})
            except CouldNotCheck as failure:
                return failure.outcome
        if word == "failed":
            return Refused(
                "bad_signature", self.config.detail or "the signature is not of this image"
            ).outcome
        if word == "unknown":
            return CouldNotCheck("timeout", self.config.detail or "no answer within 10 s").outcome
        return Outcome(Verdict.VERIFIED)


def build(
    config: Config, instruments: Instruments, fetcher: Fetcher | None, clock: Callable[[], float] = time.time
) -> Fake:
    if config.broken:
        raise CouldNotCheck("trusted_root", "the trusted root cannot be read")
    return Fake(config, instruments, fetcher, clock)


def fake(targets: dict[str, str], instruments: Instruments | None = None, **settings: object) -> Fake:
    """A fake with settings of its configuration, without files and connections."""
    config = Config.model_validate({"targets": targets, **settings})
    return build(config, Instruments(m.COSIGN) if instruments is None else instruments, None)


def command(*arguments: str) -> list[str]:
    """`slo-exporter` with the fake in place of the cosign exporter."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import exporterkit; "
        "sys.modules['exporters.cosign'] = exporterkit; from exporters.main import main; main()"
    )
    return [sys.executable, "-c", code, *arguments]
