"""The trusted root as it is on disk now, when it ends, and whether the mirror still serves the same."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.cosign.config import ROOT, TrustedRoot
from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck, Outcome, Verdict
from exporters.sigstore.trust import KINDS, MAX_BYTES, Trust, load_trust
from exporters.subject import Finding


class RootWatch:
    """Thread-safe. Without a configured root, `current` is None."""

    def __init__(
        self,
        config: TrustedRoot | None,
        instruments: Instruments,
        fetcher: Fetcher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._instruments = instruments
        self._fetcher = fetcher
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._trust: Trust | None = None

    def current(self) -> Trust | None:
        """The root in the file, read again when it has changed. CouldNotCheck("trusted_root") when it is no good."""
        if self._config is None:
            return None
        path = self._config.file
        try:
            stat = path.stat()
        except OSError as error:
            raise CouldNotCheck(
                "trusted_root", f"the trusted root {path} cannot be read: {error.strerror}"
            ) from None
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            if self._trust is None or seen != self._seen:
                self._trust = None
                self._trust = self._load(self._config, stat.st_mtime)
                self._seen = seen
            return self._trust

    def check(self) -> list[Finding]:
        """One finding for the file, and one for the mirror when there is one."""
        config = self._config
        assert config is not None
        found = [self._finding("file", self.current)]
        if config.mirror is not None:
            found.append(self._finding("mirror", lambda: self._compare(config)))
        return found

    def _load(self, config: TrustedRoot, modified: float) -> Trust:
        trust = load_trust(config.file, self._clock)
        if config.sha256 is not None and trust.sha256 != config.sha256:
            raise CouldNotCheck(
                "trusted_root",
                f"the trusted root {config.file} has the digest {trust.sha256}, not the one that is pinned",
            )
        self._instruments.set(m.ROOT_TIMESTAMP, modified)
        for kind in KINDS:
            ends = trust.expiry(kind)
            if ends is None:
                self._instruments.remove(m.ROOT_EXPIRY, kind=kind)
            else:
                self._instruments.set(m.ROOT_EXPIRY, ends.timestamp(), kind=kind)
        return trust

    def _compare(self, config: TrustedRoot) -> Outcome:
        assert config.mirror is not None
        trust = self.current()
        wanted = config.sha256 or (trust.sha256 if trust is not None else "")
        served = hashlib.sha256(self._mirrored(config)).hexdigest()
        self._instruments.set(m.ROOT_DRIFT, served != wanted)
        self._instruments.set(m.ROOT_LAST_COMPARED, self._clock())
        if served == wanted:
            return Outcome(Verdict.VERIFIED)
        return Outcome(
            Verdict.FAILED,
            "drift",
            f"the mirror serves a trusted root of digest {served}, the pinned one is {wanted}",
        )

    def _mirrored(self, config: TrustedRoot) -> bytes:
        assert config.mirror is not None
        if config.mirror.url is not None:
            response = self._fetcher.get(config.mirror.url, max_bytes=MAX_BYTES)
            if response.status != 200:
                raise CouldNotCheck("bad_response", f"the root's mirror answered {response.status}")
            return response.body
        assert config.mirror.file is not None
        try:
            with config.mirror.file.open("rb") as file:
                return file.read(MAX_BYTES)
        except OSError as error:
            raise CouldNotCheck(
                "unreachable", f"{config.mirror.file} cannot be read: {error.strerror}"
            ) from None

    def _finding(self, check: str, look: Callable[[], object]) -> Finding:
        began = time.monotonic()
        try:
            found = look()
            outcome = found if isinstance(found, Outcome) else Outcome(Verdict.VERIFIED)
        except CouldNotCheck as error:
            outcome = error.outcome
        return Finding(ROOT, check, outcome, time.monotonic() - began, self._clock())
