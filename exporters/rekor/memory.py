"""What is remembered of a log, and published: first the one, then the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.outcome import CouldNotCheck, Problem, Refused
from exporters.rekor.checkpoint import Checkpoint
from exporters.rekor.log import Contradiction, Rollback
from exporters.rekor.state import SEEN, Latch, State, Store, Tree

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Judgement:
    """What one check finds out about a log's trees. A problem is a verdict (`Refused`) or the lack of one."""

    before: State | None = None
    heads: dict[str, Checkpoint] = field(
        default_factory=dict
    )  # verified and not contradicted, by origin line
    compared: bool = False
    checkpoint: Problem | None = None
    consistency: Problem | None = None
    contradictions: list[Contradiction] = field(default_factory=list)

    @property
    def reached(self) -> bool:
        """Whether there is a verdict: everything is in order, or something is proven not to be."""
        problems = [p for p in (self.checkpoint, self.consistency) if p is not None]
        return not problems or any(isinstance(p, Refused) for p in problems)


class Memory:
    """The state of one log and the metrics that follow from it. Thread-safe, as its file is."""

    def __init__(
        self, name: str, store: Store, instruments: Instruments, clock: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self.store = store
        self._instruments = instruments
        self._clock = clock
        self._unsaved: Latch | None = None  # a latch that could not be written; it holds all the same

    def restore(self) -> None:
        """Publish what was known before a restart: a latched verdict has no gap, an old one shows its age."""
        for counter in (m.ROLLBACKS, m.SPLIT_VIEWS):
            self._instruments.inc(counter, 0, log=self.name)
        try:
            state = self.store.load()
        except CouldNotCheck as error:
            log.error("%s", error.detail, extra={"target": self.name})
            return
        if state is None:
            log.warning("%s is new here: its first checkpoint will be trusted", self.name)
            return
        for metric, value in ((m.REKOR_LAST_CHECK, state.checked_at), (m.CHECKPOINT_VALID, state.valid)):
            if value is not None:
                self._instruments.set(metric, value, log=self.name)
        self._publish(state, {origin: tree.head for origin, tree in state.trees.items()})

    def record(self, judged: Judgement) -> None:
        """Write, then publish. Raises `CouldNotCheck("internal")` when it cannot be written; nothing is
        published then but a contradiction, which is proven whatever the disk does."""
        now = self._clock()

        def change(state: State | None) -> State:
            if _trees(state) != _trees(judged.before):
                raise CouldNotCheck("internal", f"the state of {self.name} was replaced during the check")
            return self._next(state or State(log=self.name), judged, now)

        state = self._write(change, judged.contradictions)
        self._publish(state, judged.heads)
        if judged.reached:
            self._instruments.set(m.REKOR_LAST_CHECK, now, log=self.name)

    def latched(self) -> bool:
        """Whether a contradiction is on record. Raises `CouldNotCheck("internal")` when the state is damaged."""
        state = self.store.load()
        return self._unsaved is not None or (state is not None and state.latch is not None)

    def latch(self, found: Contradiction) -> None:
        """Record a contradiction that another view has shown."""
        state = self._write(lambda s: self._latched(s or State(log=self.name), [found]), [found])
        self._publish(state, {})

    def _write(self, change: Callable[[State | None], State], found: Sequence[Contradiction]) -> State:
        try:
            state = self.store.update(change)
        except CouldNotCheck:
            if found:
                self._latched(State(log=self.name), found)
                self._instruments.set(m.REKOR_CONSISTENT, 0, log=self.name)
            raise
        self._unsaved = None
        return state

    def _next(self, state: State, judged: Judgement, now: float) -> State:
        trees = dict(state.trees)
        for origin, head in judged.heads.items():
            known = state.trees.get(origin)
            if known is None:
                log.warning("%s: the first checkpoint of %s is trusted", self.name, origin)
                grown_at = now if state.trees and head.size else None
            else:
                grown_at = now if head.size > known.head.size else known.grown_at
            trees[origin] = Tree(note=head.note, grown_at=grown_at)
        changed: dict[str, object] = {"trees": trees, "compared": state.compared or judged.compared}
        if judged.reached:
            changed |= {"checked_at": now, "valid": judged.checkpoint is None}
        return self._latched(state.model_copy(update=changed), judged.contradictions)

    def _latched(self, state: State, found: Iterable[Contradiction]) -> State:
        """The state with these contradictions; each is counted once, however often it is seen."""
        latch = state.latch or self._unsaved
        for error in found:
            kind = "rollback" if isinstance(error, Rollback) else "split_view"
            mark = f"{kind} {error.shown.origin} {error.shown.size} {error.shown.root.hex()}"
            latch = latch or Latch.of(kind, self._clock(), error.detail, error.known.note, error.shown.note)
            if mark in latch.seen:
                continue
            self._instruments.inc(m.ROLLBACKS if kind == "rollback" else m.SPLIT_VIEWS, log=self.name)
            notes = {"target": self.name, "known": error.known.note, "shown": error.shown.note}
            log.critical("%s", error.detail, extra=notes)
            latch = latch.model_copy(update={"seen": (*latch.seen, mark)[-SEEN:]})
        self._unsaved = latch
        return state.model_copy(update={"latch": latch})

    def _publish(self, state: State, heads: Mapping[str, Checkpoint]) -> None:
        for head in heads.values():
            self._instruments.set(m.TREE_SIZE, head.size, log=self.name, shard=head.tree)
        grown = [tree.grown_at for tree in state.trees.values() if tree.grown_at is not None]
        if grown:
            self._instruments.set(m.LAST_GROWTH, max(grown), log=self.name)
        if state.latch is not None:
            self._instruments.set(m.REKOR_CONSISTENT, 0, log=self.name)
        elif state.compared:
            self._instruments.set(m.REKOR_CONSISTENT, 1, log=self.name)


def _trees(state: State | None) -> Mapping[str, Tree]:
    return {} if state is None else state.trees
