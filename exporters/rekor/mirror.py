"""A mirror of a log, watched: what it shows must be what the log has shown, or will have grown to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.outcome import CouldNotCheck, Problem, Refused
from exporters.rekor.checkpoint import Checkpoint
from exporters.rekor.log import Contradiction, Reader, judge_pair
from exporters.rekor.memory import Memory
from exporters.rekor.probe import Findings, Probe, worse
from exporters.subject import Finding


class MirrorWatch:
    """The checks of one mirror. A mirror may be behind its log or ahead of it; it may not be beside it."""

    def __init__(
        self,
        name: str,
        reader: Reader,
        original: Reader,
        memory: Memory,
        instruments: Instruments,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`original` reads the log itself, whose `memory` is compared with."""
        self.name = name
        self.probe = Probe(instruments, name, monotonic)
        self._reader = reader
        self._original = original
        self._memory = memory
        self._instruments = instruments
        self._clock, self._monotonic = clock, monotonic

    def check(self) -> list[Finding]:
        self.probe.answered = True
        findings = Findings(self.name, self._clock, self._monotonic)
        heads: Sequence[Checkpoint] = ()
        bad: Problem | None = None
        try:
            heads = self.probe.twice("checkpoint", lambda fresh: self._reader.checkpoints(fresh=fresh))
        except (CouldNotCheck, Refused) as problem:
            bad = problem
        findings.add("checkpoint", bad, ", ".join(f"{h.size} entries in {h.tree}" for h in heads))
        if bad is None or isinstance(bad, Refused):
            self._instruments.set(m.CHECKPOINT_VALID, bad is None, log=self.name)
        differs = self._compare(heads) if heads else None
        if heads:
            findings.add("consistency", differs, f"agrees with {self._memory.name}")
            self._publish(heads, differs)
        if isinstance(bad, Refused) or (heads and not isinstance(differs, CouldNotCheck)):
            self._instruments.set(m.REKOR_LAST_CHECK, self._clock(), log=self.name)
        self._instruments.set(m.REKOR_UP, self.probe.answered, log=self.name)
        return findings.found

    def _compare(self, heads: Sequence[Checkpoint]) -> Problem | None:
        try:
            known = self.probe.before("consistency", self._known)
        except (CouldNotCheck, Refused) as problem:
            return problem
        worst: Problem | None = None
        for head in heads:
            try:
                self._compare_one(head, known.get(head.origin))
            except (CouldNotCheck, Refused) as problem:
                worst = worse(worst, problem)
        return worst

    def _known(self) -> dict[str, Checkpoint]:
        """What the log has shown: as remembered or, before its first check, as it shows now."""
        state = self._memory.store.load()
        if state is not None and state.trees:
            return {origin: tree.head for origin, tree in state.trees.items()}
        return {head.origin: head for head in self._original.checkpoints()}

    def _compare_one(self, head: Checkpoint, known: Checkpoint | None) -> None:
        if known is None:
            raise CouldNotCheck("bad_response", f"{self._memory.name} has not shown the tree {head.origin}")
        if (head.size, head.root) == (known.size, known.root):
            return
        larger = self._reader if head.size > known.size else self._original
        try:
            self.probe.once("consistency", lambda: judge_pair(known, head, larger.consistency, larger.held))
        except Contradiction as found:
            with suppress(CouldNotCheck):  # it is proven, whatever the disk does
                self._memory.latch(found)
            raise

    def _publish(self, heads: Sequence[Checkpoint], differs: Problem | None) -> None:
        if differs is None:
            for head in heads:
                self._instruments.set(m.TREE_SIZE, head.size, log=self.name, shard=head.tree)
            with suppress(CouldNotCheck):
                self._instruments.set(m.REKOR_CONSISTENT, not self._memory.latched(), log=self.name)
        elif isinstance(differs, Refused):
            self._instruments.set(m.REKOR_CONSISTENT, 0, log=self.name)
