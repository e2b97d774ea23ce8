"""One log, watched: its checkpoints are verified, compared with those it signed before, and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.outcome import CouldNotCheck, Problem, Refused
from exporters.rekor.checkpoint import Checkpoint
from exporters.rekor.log import Contradiction, Entry, Reader, Rollback, Wanted, judge_pair
from exporters.rekor.memory import Judgement, Memory
from exporters.rekor.probe import Findings, Probe, worse
from exporters.subject import Finding

REREADS = 3  # a replica or a cache may lag for a moment
PAUSE = 1.0  # seconds between them

Heads = Sequence[tuple[Reader, Checkpoint]]


class Watch:
    """The checks of one log."""

    def __init__(
        self,
        memory: Memory,
        readers: Mapping[str, Reader],
        wanted: Callable[[], Wanted],
        instruments: Instruments,
        *,
        lists_trees: bool,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`readers` by the origin of each shard, the growing one first. With `lists_trees` the log itself names
        all its trees (Rekor v1), so that none may vanish."""
        self.name = memory.name
        self.memory = memory
        self.probe = Probe(instruments, memory.name, monotonic)
        self.reader = next(iter(readers.values()))
        self._readers = dict(readers)
        self._wanted = wanted
        self._instruments = instruments
        self._lists_trees = lists_trees
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep

    def check(self) -> list[Finding]:
        self.probe.answered = True
        findings = Findings(self.name, self._clock, self._monotonic)
        judged = Judgement()
        readable = self._recall(judged)
        heads = self._checkpoints(judged)
        findings.add("checkpoint", judged.checkpoint, _sizes(h for _, h in heads))
        if heads and (included := self._inclusion(heads, judged)) is not None:
            findings.add("inclusion", *included)
        if heads and readable:
            self._compare_all(heads, judged)
        if readable or judged.contradictions:
            self._record(judged)
        if judged.compared or judged.consistency is not None:
            findings.add("consistency", judged.consistency, f"{_sizes(judged.heads.values())}: only grown")
        self._instruments.set(m.REKOR_UP, self.probe.answered, log=self.name)
        return findings.found

    def _recall(self, judged: Judgement) -> bool:
        """Whether the state can be read; a missing one can."""
        try:
            judged.before = self.probe.before("consistency", self.memory.store.load)
        except CouldNotCheck as problem:
            judged.consistency = problem
            return False
        return True

    def _checkpoints(self, judged: Judgement) -> Heads:
        heads: list[tuple[Reader, Checkpoint]] = []
        for reader in self._readers.values():
            try:
                found = self.probe.twice("checkpoint", partial(_checkpoints, reader))
            except (CouldNotCheck, Refused) as problem:
                judged.checkpoint = worse(judged.checkpoint, problem)
            else:
                heads += [(reader, head) for head in found]
        if judged.checkpoint is None or isinstance(judged.checkpoint, Refused):
            self._instruments.set(m.CHECKPOINT_VALID, judged.checkpoint is None, log=self.name)
        return heads

    def _compare_all(self, heads: Heads, judged: Judgement) -> None:
        trees = {} if judged.before is None else judged.before.trees
        for reader, head in heads:
            known = trees.get(head.origin)
            try:
                if known is not None:
                    head = self._compare(reader, head, known.head)
                    judged.compared = True
                judged.heads[head.origin] = head
            except (CouldNotCheck, Refused) as problem:
                _note(judged, problem)
        try:
            self.probe.before("consistency", lambda: self._all_listed(trees, heads))
        except CouldNotCheck as problem:
            _note(judged, problem)

    def _compare(self, reader: Reader, head: Checkpoint, known: Checkpoint) -> Checkpoint:
        """The head, perhaps read again, when it extends the known checkpoint."""
        for _ in range(REREADS):
            if head.size >= known.size:
                break
            self._sleep(PAUSE)
            again = self.probe.once("checkpoint", lambda: reader.checkpoints(fresh=True))
            head = next((h for h in again if h.origin == known.origin), head)
        if (head.size, head.root) != (known.size, known.root):
            self.probe.once("consistency", lambda: _judge_step(reader, known, head))
        return head

    def _all_listed(self, trees: Iterable[str], heads: Heads) -> None:
        vanished = sorted(set(trees) - {head.origin for _, head in heads})
        if self._lists_trees and vanished:
            raise CouldNotCheck("bad_response", f"{self.name} no longer lists its tree {vanished[0]}")

    def _inclusion(self, heads: Heads, judged: Judgement) -> tuple[Problem | None, str] | None:
        """What came of it; None when the log is empty and no entry is named."""
        try:
            wanted = self.probe.before("entry", self._wanted)
            reader = self._readers.get(wanted.origin, self.reader)
            mine = [head for r, head in heads if r is reader]
            if not mine:
                raise CouldNotCheck(
                    "bad_response", f"{wanted.origin}, where the entry is, shows no checkpoint"
                )
            if mine[0].size == 0 and wanted.index is None and not wanted.uuid:
                return None
            entry = self.probe.twice("entry", lambda fresh: reader.entry(wanted, mine, fresh=fresh))
            self.probe.twice(
                "inclusion",
                lambda fresh: _include(
                    reader, wanted, mine, reader.entry(wanted, mine, fresh=True) if fresh else entry, fresh
                ),
            )
        except (CouldNotCheck, Refused) as problem:
            if isinstance(problem, Contradiction):
                _note(judged, problem)
            return problem, ""
        return None, f"entry {entry.index} of {entry.origin}"

    def _record(self, judged: Judgement) -> None:
        if not (judged.heads or judged.contradictions or isinstance(judged.checkpoint, Refused)):
            return
        try:
            self.probe.before("consistency", lambda: self.memory.record(judged))
        except CouldNotCheck as problem:
            judged.consistency = worse(judged.consistency, problem)


def _checkpoints(reader: Reader, fresh: bool) -> tuple[Checkpoint, ...]:
    return reader.checkpoints(fresh=fresh)


def _judge_step(reader: Reader, known: Checkpoint, head: Checkpoint) -> None:
    if head.size < known.size:
        raise Rollback(known, head)
    judge_pair(known, head, reader.consistency, reader.held)


def _include(reader: Reader, wanted: Wanted, heads: Sequence[Checkpoint], entry: Entry, fresh: bool) -> None:
    head = next((h for h in heads if h.origin == entry.origin), None)
    if head is None:
        raise CouldNotCheck("bad_response", f"the entry is in a tree that is not listed: {entry.origin}")
    reader.inclusion(entry, head, fresh=fresh)
    if wanted.body is not None and wanted.body != entry.body:
        raise Refused("not_included", f"the entry {entry.index} of the log is not the one in the bundle")


def _note(judged: Judgement, problem: Problem) -> None:
    judged.consistency = worse(judged.consistency, problem)
    if isinstance(problem, Contradiction):
        judged.contradictions.append(problem)


def _sizes(heads: Iterable[Checkpoint]) -> str:
    return ", ".join(f"{head.size} entries in {head.tree}" for head in heads)
