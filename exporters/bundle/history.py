"""What was seen on each channel, kept over restarts: the soak on edge, and the newest valid manifest."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FORMAT = 1
KEPT = 200  # versions of a channel; edge, weekly, fills it in four years
LARGEST = 4 << 20  # bytes


class HistoryError(Exception):
    """The state file cannot be read, or is not ours."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One version on one channel. `first` is Unix time; `date` is the manifest's own, None where it has none.

    `sha256` is that of the manifest's bytes, and `order` the version's numbers.
    """

    first: float
    date: float | None
    sha256: str
    order: tuple[int, int, int]

    @property
    def age(self) -> tuple[float, tuple[int, int, int]]:
        """What newer and older mean: the manifest's date, then the version."""
        return (0.0 if self.date is None else self.date, self.order)


class History:
    """Versions by channel. Written whole, beside the file and renamed, so that it is never torn."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._channels = {} if path is None else _load(path)

    def versions(self, channel: str) -> Mapping[str, Seen]:
        with self._lock:
            return dict(self._channels.get(channel, {}))

    def newest(self, channel: str, withdrawn: frozenset[str] = frozenset()) -> tuple[str, Seen] | None:
        """The newest version that was valid, but those that release engineering took back."""
        kept = {v: s for v, s in self.versions(channel).items() if v not in withdrawn}
        return max(kept.items(), key=lambda item: item[1].age, default=None)

    def note(self, channel: str, version: str, seen: Seen) -> None:
        """Keep it. `first` of a version that is known stays, whatever the clock says now.

        The first version of a channel was there before we looked: it counts from its own date.
        """
        with self._lock:
            versions = dict(self._channels.get(channel, {}))
            known = versions.get(version)
            first = seen.first if known is None else known.first
            if not versions and seen.date is not None:
                first = min(first, seen.date)
            kept = Seen(first, seen.date, seen.sha256, seen.order)
            if known == kept:
                return
            versions[version] = kept
            for oldest in sorted(versions, key=lambda v: versions[v].age)[: max(0, len(versions) - KEPT)]:
                del versions[oldest]
            channels = {**self._channels, channel: versions}
            if self._path is not None:
                _save(self._path, channels)
            self._channels = channels


def _load(path: Path) -> dict[str, dict[str, Seen]]:
    try:
        if not path.exists():
            return {}
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        data = json.loads(path.read_bytes())
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']!r}, not {FORMAT}")
        return {
            str(channel): {str(version): _seen(s) for version, s in versions.items()}
            for channel, versions in data["channels"].items()
        }
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HistoryError(
            f"{path} is not the state of this exporter ({error}): move it away to begin anew. "
            "The soak on edge and the newest manifests are then forgotten"
        ) from None


def _seen(data: Mapping[str, object]) -> Seen:
    first, date, sha256, order = data["first"], data["date"], data["sha256"], data["order"]
    if not isinstance(first, int | float) or not isinstance(date, int | float | None):
        raise ValueError("a time is no number")
    if not isinstance(sha256, str) or not isinstance(order, list) or len(order) != 3:
        raise ValueError("a version is not complete")
    major, minor, patch = (int(n) for n in order)
    return Seen(float(first), None if date is None else float(date), sha256, (major, minor, patch))


def _save(path: Path, channels: Mapping[str, Mapping[str, Seen]]) -> None:
    """Raises OSError; the file is then as it was."""
    data = {
        "format": FORMAT,
        "channels": {
            c: {v: asdict(s) for v, s in sorted(found.items())} for c, found in sorted(channels.items())
        },
    }
    beside = path.with_name(f".{path.name}.new")  # one name: what a killed process left is written over
    try:
        with beside.open("w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the rename itself survives a power cut
        finally:
            os.close(folder)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
