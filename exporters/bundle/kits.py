"""Kits on a disk: found by pattern, verified when they changed or when the last verdict is old."""

from __future__ import annotations

import glob
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporters.bundle import kit_check
from exporters.bundle.judge import Judge
from exporters.bundle.kit import Limits, State, look, read
from exporters.bundle.manifest import Release
from exporters.outcome import CouldNotCheck, Outcome, Refused, Verdict

MOST = 1000  # kits that patterns may find

Published = Callable[[Release], str | None]  # sha256 of the manifest that a channel offered for this version


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of one state of a file, and when. `checks` are names with outcomes.

    `published` is what was asked about the release in the kit, and the answer: it may be another one later.
    """

    state: State
    fingerprint: str
    at: float
    checks: tuple[tuple[str, Outcome], ...]
    published: tuple[tuple[Release, str | None], ...] = ()


class Kits:
    """`settled` is how many seconds a file must have been left alone before a damaged archive is its fault.

    A kit that is being copied looks as a damaged one does. So damage counts only when the file is the same as at
    the last look, or was not modified for `settled` seconds. `timeout` bounds the reading of one kit.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        *,
        judge: Judge,
        published: Published,
        limits: Limits,
        folders: Sequence[str],
        require: Sequence[str],
        settled: float,
        again_after: float,
        timeout: float,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patterns = tuple(patterns)
        self._judge, self._published = judge, published
        self._limits, self._folders, self._require = limits, folders, require
        self._settled, self._again_after, self._timeout = settled, again_after, timeout
        self._clock, self._monotonic = clock, monotonic
        self._stop = threading.Event()
        # By name; threads of different kits share them, and each touches its own name only.
        self._judged: dict[str, Judged] = {}
        self._looked: dict[str, State] = {}

    def found(self) -> dict[str, Path]:
        """Kits by their file names. A path without wildcards is there whether or not the file is."""
        paths: list[str] = []
        for pattern in self._patterns:
            paths += sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        found: dict[str, Path] = {}
        for path in paths[:MOST]:
            name = Path(path).name
            found[path if name in found else name] = Path(path)
        for seen in (self._judged, self._looked):
            for gone in [name for name in tuple(seen) if name not in found]:
                seen.pop(gone, None)
        return found

    def check(self, name: str) -> Judged:
        """The verdict on a kit: a new one, or the last one when nothing changed. Raises CouldNotCheck."""
        path = self.found().get(name)
        if path is None:
            raise CouldNotCheck("unreachable", f"{name} is gone")
        state, fingerprint, now = look(path), self._judge.fingerprint, self._clock()
        before = self._looked.get(name)
        self._looked[name] = state
        known = self._judged.get(name)
        # A clock that went back makes a verdict look young for ever: then it is made anew as well.
        if (
            known is not None
            and (known.state, known.fingerprint) == (state, fingerprint)
            and 0 <= now - known.at < self._again_after
            and all(self._published(release) == said for release, said in known.published)
        ):
            return known
        asked: list[tuple[Release, str | None]] = []

        def published(release: Release) -> str | None:
            asked.append((release, self._published(release)))
            return asked[-1][1]

        settled = before == state or now - state.modified / 1e9 >= self._settled
        checks = tuple(self._checks(path, settled, published))
        judged = Judged(state, fingerprint, self._clock(), checks, tuple(asked))
        if all(outcome.verdict is not Verdict.UNKNOWN for _, outcome in checks):
            self._judged[name] = judged
        return judged

    def close(self) -> None:
        self._stop.set()

    def _checks(self, path: Path, settled: bool, published: Published) -> Iterable[tuple[str, Outcome]]:
        ends = self._monotonic() + self._timeout

        def tick() -> None:
            if self._stop.is_set():
                raise CouldNotCheck("internal", "the exporter is stopping")
            if self._monotonic() > ends:
                raise CouldNotCheck("timeout", f"the kit was not read within {self._timeout:g} s")

        try:
            contents = read(path, self._limits, tick)
            yield "archive", Outcome(Verdict.VERIFIED, "", f"{len(contents.files)} files")
            yield from kit_check.check(
                contents,
                name=path.name,
                folders=self._folders,
                require=self._require,
                judge=self._judge,
                published=published,
                tick=tick,
            )
        except Refused as refused:
            if refused.reason == "malformed" and not settled:
                detail = f"{refused.detail}; it was written just now, and may not be complete yet"
                yield "archive", Outcome(Verdict.UNKNOWN, "bad_response", detail)
            else:
                yield "archive", refused.outcome
        except CouldNotCheck as error:
            yield "archive", error.outcome
