"""The Rekor exporter's subject: logs and mirrors are its targets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from exporters.collector import Instruments
from exporters.config import ConfigError
from exporters.fetch import Fetcher
from exporters.rekor.config import Config, Log
from exporters.rekor.log import Reader
from exporters.rekor.memory import Memory
from exporters.rekor.mirror import MirrorWatch
from exporters.rekor.state import Store
from exporters.rekor.v1 import ApiReader
from exporters.rekor.v2 import TileReader
from exporters.rekor.watch import Watch
from exporters.rekor.write import WriteProbe
from exporters.subject import Finding

READS = ("checkpoint", "entry", "inclusion", "consistency")


class Rekor:
    """Each log and each mirror is a target. See `exporters.subject.Subject`."""

    name = "rekor"

    def __init__(self, checks: dict[str, Sequence[Callable[[], list[Finding]]]]) -> None:
        self._checks = checks

    def targets(self) -> Sequence[str]:
        return tuple(self._checks)

    def check(self, target: str) -> Sequence[Finding]:
        return [finding for check in self._checks[target] for finding in check()]

    def close(self) -> None:
        """The fetcher, the only thing that stays open, is not ours."""


def build(
    config: Config,
    instruments: Instruments,
    fetcher: Fetcher,
    clock: Callable[[], float] = time.time,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Rekor:
    """Raises ConfigError when there is no folder for the state."""
    if not config.state.is_dir():
        raise ConfigError(
            f"key 'state': {config.state} is not a folder: create it on a volume that outlives the process, "
            "because what a log has signed must be remembered over restarts"
        )
    once = fetcher.alike(attempts=1)  # an attempt is an attempt: none hides in the time of another
    checks: dict[str, Sequence[Callable[[], list[Finding]]]] = {}
    for log in config.logs:
        memory = Memory(log.name, Store(config.state, log.name), instruments, clock)
        readers = {log.origin: _reader(log, log.url, once)}
        readers |= {s.origin: TileReader(once, s.url, s.origin, s.read_keys) for s in log.shards}
        watch = Watch(
            memory,
            readers,
            log.wanted,
            instruments,
            lists_trees=log.kind == "v1",
            clock=clock,
            monotonic=monotonic,
            sleep=sleep,
        )
        watch.probe.start(READS)
        memory.restore()
        checks[log.name] = [watch.check]
        if log.write is not None:
            watch.probe.start(("write",))
            write = WriteProbe(
                log,
                watch.reader,
                memory,
                watch.probe,
                instruments,
                once,
                clock=clock,
                monotonic=monotonic,
                sleep=sleep,
            )
            checks[log.name] = [watch.check, write.check]
        for mirror in log.mirrors:
            reader = _reader(log, mirror.url, once)
            seen = MirrorWatch(
                mirror.name, reader, watch.reader, memory, instruments, clock=clock, monotonic=monotonic
            )
            seen.probe.start(("checkpoint", "consistency"))
            checks[mirror.name] = [seen.check]
    return Rekor(checks)


def _reader(log: Log, url: str, fetcher: Fetcher) -> Reader:
    kind = ApiReader if log.kind == "v1" else TileReader
    return kind(fetcher, url, log.origin, log.read_keys)


def clear_latch(config: Config, name: str, clock: Callable[[], float] = time.time) -> Path | None:
    """Set the state of a log aside, as evidence; the exporter then trusts the log's next checkpoint.

    Returns where it is now, None when there was none. Raises ConfigError for a log that is not configured,
    `CouldNotCheck` when the state is in use.
    """
    if name not in [log.name for log in config.logs]:
        known = ", ".join(log.name for log in config.logs)
        raise ConfigError(f"there is no log {name!r}: name one of {known}")
    store = Store(config.state, name)
    with store.exclusive():
        return store.set_aside(clock())
