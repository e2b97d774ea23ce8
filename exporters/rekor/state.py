"""What the exporter remembers of a log over restarts: the last verified checkpoint of each tree, and the latch.

One file per log, written beside and renamed, so that a reader never sees half of it; it carries its own
checksum, because a flipped bit in a root would look like a forged log. A file that cannot be read is never
taken for a missing one: nothing is judged until an operator has it set aside.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from exporters.outcome import CouldNotCheck
from exporters.rekor.checkpoint import Checkpoint, parse

MAX_BYTES = 4 << 20
ABOUT = "State of slo-exporter rekor. Do not edit; `slo-exporter rekor --clear-latch LOG` sets it aside."
CLEAR = "find the cause, then run slo-exporter rekor --clear-latch"
SEEN = 64  # contradictions that are remembered, so that each is counted once


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Tree(_Part):
    """`note` is the last verified checkpoint; `grown_at` when it was last seen to grow, Unix time."""

    note: str
    grown_at: float | None = None

    @property
    def head(self) -> Checkpoint:
        return parse(self.note.encode())


class Latch(_Part):
    """The first contradiction, with both notes as its evidence, and marks of all that were counted."""

    kind: Literal["rollback", "split_view"]
    at: float
    detail: str
    known: str
    shown: str
    seen: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: str, at: float, detail: str, known: str, shown: str) -> Latch:
        return cls.model_validate({"kind": kind, "at": at, "detail": detail, "known": known, "shown": shown})


class State(_Part):
    """`trees` by origin line; `checked_at` (Unix time) and `valid` are those of the last verdict."""

    log: str
    trees: dict[str, Tree] = {}
    compared: bool = False  # whether a checkpoint was ever compared with an earlier one
    latch: Latch | None = None
    checked_at: float | None = None
    valid: bool | None = None
    written_at: float | None = None  # of the write probe


class Store:
    """The state of one log in a folder that outlives the process."""

    def __init__(
        self,
        folder: Path,
        log: str,
        *,
        patience: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._folder = folder
        self._log = log
        self._patience = patience
        self._monotonic = monotonic
        self._sleep = sleep

    @property
    def path(self) -> Path:
        return self._folder / f"{self._log}.json"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nobody else, in this process or another, reads and replaces the state meanwhile."""
        lock = self._folder / f"{self._log}.lock"
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CouldNotCheck(
                "internal",
                f"cannot open {lock} ({error.strerror}): state needs a writable folder that outlives restarts",
            ) from None
        try:
            self._wait_for(handle)
            yield
        finally:
            os.close(handle)

    def _wait_for(self, handle: int) -> None:
        ends = self._monotonic() + self._patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if self._monotonic() >= ends:
                    raise CouldNotCheck(
                        "internal", f"the state of {self._log} in {self._folder} is in use by another check"
                    ) from None
            self._sleep(0.05)

    def load(self) -> State | None:
        """None when there is no file: the log is new. Raises `CouldNotCheck("internal")` for one that is torn."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CouldNotCheck("internal", f"cannot read {self.path} ({error.strerror})") from None
        try:
            whole = json.loads(data)
            state = State.model_validate_json(json.dumps(whole["state"]))
            if whole["sha256"] != _checksum(whole["state"]) or state.log != self._log:
                raise ValueError
            for tree in state.trees.values():
                tree.head  # noqa: B018 # it raises
        except (ValueError, KeyError, TypeError, RecursionError, ValidationError, CouldNotCheck):
            raise CouldNotCheck(
                "internal",
                f"{self.path} is damaged, so no checkpoint is compared: {CLEAR} {self._log}",
            ) from None
        return state

    def save(self, state: State) -> None:
        """Replace the file; after this call it is on the disk. Raises `CouldNotCheck("internal")`."""
        content = state.model_dump(mode="json")
        whole = {"about": ABOUT, "sha256": _checksum(content), "state": content}
        beside = self._folder / f".{self._log}.json.new"
        try:
            with beside.open("wb") as file:
                file.write(json.dumps(whole, indent=1).encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            self._sync_folder()
        except OSError as error:
            raise CouldNotCheck("internal", f"cannot write {self.path} ({error.strerror})") from None

    def update(self, change: Callable[[State | None], State]) -> State:
        """Replace the state by what `change` makes of it, while nobody else does."""
        with self.exclusive():
            state = change(self.load())
            self.save(state)
        return state

    def set_aside(self, at: float) -> Path | None:
        """Rename the file, which stays as evidence; the log's next checkpoint is then its first. None without one."""
        if not self.path.exists():
            return None
        number = int(at)
        while (aside := self._folder / f"{self._log}.cleared-{number}.json").exists():
            number += 1
        os.rename(self.path, aside)
        self._sync_folder()
        return aside

    def _sync_folder(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _checksum(content: Any) -> str:
    """Over the content as it was written, so that a later version, which knows more fields, finds it whole."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
