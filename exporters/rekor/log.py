"""What a reader of a log gives, whichever API it speaks, and how its answers are judged.

Two outcomes are kept apart. A log has *failed* when what it has signed contradicts something: that is proven,
and no error on the way can look like it. Anything else, a proof of the wrong length, a tile that does not lead
to the signed root, is an answer that proves nothing: the outcome is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor.checkpoint import Checkpoint
from exporters.rekor.merkle import (
    EMPTY_ROOT,
    ProofError,
    complete,
    leaf_hash,
    root_of_inclusion,
    roots_of_consistency,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The entry to look for: by its place in the log or, in Rekor v1, by its UUID; without both, the newest.

    `body` is what it must be. `origin` says which shard of a tiled log has it: "" is the one that grows.
    """

    index: int | None = None
    uuid: str = ""
    body: bytes | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as served; `index` is its place in its own tree, `origin` the tree's.

    `uuid`, `proof` and `checkpoint` came with it from an API that sends them along; a tiled log sends none.
    """

    body: bytes
    index: int
    origin: str
    uuid: str = ""
    proof: tuple[bytes, ...] | None = None
    checkpoint: Checkpoint | None = None


class Reader(Protocol):
    """One place to read a log from. Every method raises `CouldNotCheck` or `Refused`.

    With `fresh` no cache on the way may answer: a bad answer is asked for twice before it is believed.
    """

    def checkpoints(self, *, fresh: bool = False) -> tuple[Checkpoint, ...]:
        """The verified checkpoints of the log's trees, the one that grows first."""

    def consistency(self, first: int, second: Checkpoint, *, fresh: bool = False) -> Sequence[bytes]:
        """The hashes that prove that the tree of `first` entries is a prefix of the checkpoint's."""

    def held(self, first: int, second: Checkpoint) -> bytes | None:
        """The root of the first entries (2^n of them) as the larger tree holds it; None where a log does not say."""

    def entry(self, wanted: Wanted, heads: Sequence[Checkpoint], *, fresh: bool = False) -> Entry:
        """The entry; without an index or UUID, the newest one of the first tree."""

    def inclusion(self, entry: Entry, head: Checkpoint, *, fresh: bool = False) -> None:
        """Recompute that the entry is in a tree that this log has signed."""


class Contradiction(Refused):
    """The log has signed two checkpoints that cannot both be true: each is the evidence against the other."""

    def __init__(self, known: Checkpoint, shown: Checkpoint, detail: str) -> None:
        super().__init__("inconsistent", detail)
        self.known = known
        self.shown = shown


class Rollback(Contradiction):
    """The log shows a smaller tree than one that it has signed before."""

    def __init__(self, known: Checkpoint, shown: Checkpoint) -> None:
        super().__init__(known, shown, f"{shown.origin} shrank from {known.size} to {shown.size} entries")


def judge_pair(
    known: Checkpoint,
    shown: Checkpoint,
    prove: Callable[[int, Checkpoint], Sequence[bytes]],
    held: Callable[[int, Checkpoint], bytes | None] = lambda first, second: None,
) -> None:
    """Whether two checkpoints of one tree agree: the larger extends the smaller, by the larger one's proof.

    Raises `Contradiction` when it is proven that they do not, and `CouldNotCheck` when the proof does not lead
    to the root that the log has signed. Of 2^n entries RFC 9162 leaves the root out of the proof, since the verifier
    knows it: another past is then a proof that fails, unless the tree says what it has `held` in its place.
    """
    old, new = (known, shown) if known.size <= shown.size else (shown, known)
    if old.size == new.size and old.root != new.root:
        raise Contradiction(
            known,
            shown,
            f"{new.origin} has signed two trees of {new.size} entries, {old.root.hex()} and {new.root.hex()}",
        )
    if old.size in (0, new.size):
        return
    try:
        proof = prove(old.size, new)
        first, second = roots_of_consistency(old.size, new.size, old.root, proof)
        if second != new.root and complete(old.size) and (other := held(old.size, new)) is not None:
            first, second = roots_of_consistency(old.size, new.size, other, proof)
    except ProofError as error:
        raise CouldNotCheck("bad_response", f"no proof from {old.size} to {new.size}: {error}") from None
    if second != new.root:
        raise CouldNotCheck(
            "bad_response", f"the proof from {old.size} to {new.size} does not lead to the signed root"
        )
    if first != old.root:
        raise Contradiction(
            known,
            shown,
            f"the first {old.size} of {new.size} entries of {new.origin} are not those that it signed before: "
            f"{first.hex()} instead of {old.root.hex()}",
        )


def judge_inclusion(entry: Entry, proof: Sequence[bytes], head: Checkpoint) -> None:
    """Raises `Refused("not_included")` when the proof leads to another root than the signed one."""
    try:
        root = root_of_inclusion(leaf_hash(entry.body), entry.index, head.size, proof)
    except ProofError as error:
        raise CouldNotCheck("bad_response", f"no proof of entry {entry.index}: {error}") from None
    if root != head.root:
        raise Refused("not_included", f"entry {entry.index} is not in the tree of {head.size} entries")


def newest(head: Checkpoint) -> int:
    """The index of the newest entry."""
    if head.size == 0 or head.root == EMPTY_ROOT:
        raise CouldNotCheck("bad_response", f"{head.origin} is empty: it has no entry to look for")
    return head.size - 1
