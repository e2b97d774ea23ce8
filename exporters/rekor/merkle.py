"""Merkle trees of RFC 6962 (RFC 9162 §2.1): proofs are recomputed here, and never believed.

A tree over `size` entries is a list of leaves D[0:size]; MTH(D[lo:hi]) is its hash over a range. Every
function is pure: where hashes come from (tiles, an API's proof) is the caller's business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

HASH_BYTES = 32
MAX_SIZE = (1 << 63) - 1  # a log index is a signed 64-bit integer in Sigstore's messages
EMPTY_ROOT = hashlib.sha256(b"").digest()

Range = tuple[int, int]
"""Entries lo <= i < hi, where lo is a multiple of the largest power of two that is < 2 (hi - lo)."""

Node = Callable[[int, int], bytes]
"""node(level, index): the hash over the complete subtree D[index << level : (index + 1) << level]."""


class ProofError(ValueError):
    """A proof has the wrong shape for its sizes: it proves nothing, neither good nor bad."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove entry `index` in a tree of `size`, leaf first: PATH of RFC 6962 §2.1.1."""
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"no entry {index} in a tree of {size}")
    ranges: list[Range] = []
    lo, hi = 0, size
    while hi - lo > 1:
        split = lo + _left(hi - lo)
        if index < split:
            ranges.append((split, hi))
            hi = split
        else:
            ranges.append((lo, split))
            lo = split
    return ranges[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """The ranges whose hashes prove that a tree of `first` is a prefix of one of `second`: PROOF of §2.1.2.

    Empty when the sizes are equal. Sizes of 0 need no proof, and have none.
    """
    if not 0 < first <= second <= MAX_SIZE:
        raise ProofError(f"no proof leads from a tree of {first} to one of {second}")
    ranges: list[Range] = []
    lo, hi = 0, second
    whole = True  # D[lo:first] is D[0:first], which the verifier knows
    while first != hi:
        split = lo + _left(hi - lo)
        if first <= split:
            ranges.append((split, hi))
            hi = split
        else:
            ranges.append((lo, split))
            lo, whole = split, False
    if not whole:
        ranges.append((lo, hi))
    return ranges[::-1]


def complete(size: int) -> bool:
    """Whether a tree of so many entries is a node of every larger one."""
    return size > 0 and size & (size - 1) == 0


def range_hash(lo: int, hi: int, node: Node) -> bytes:
    """MTH(D[lo:hi]) from the hashes of complete subtrees."""
    if hi == lo:
        return EMPTY_ROOT
    width = hi - lo
    if complete(width):
        level = width.bit_length() - 1
        return node(level, lo >> level)
    split = lo + _left(width)
    return node_hash(range_hash(lo, split, node), range_hash(split, hi, node))


def root_of_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that the proof leads to (RFC 9162 §2.1.3.2): the entry is included if it is the tree's root.

    Raises `ProofError` when the proof has not the length that index and size ask for.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"no entry {index} in a tree of {size}")
    fn, sn, root = index, size - 1, leaf
    for sibling in _hashes(proof):
        if sn == 0:
            raise ProofError("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            root = node_hash(sibling, root)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ProofError("the inclusion proof is too short")
    return root


def roots_of_consistency(first: int, second: int, root: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of both trees that the proof leads to (RFC 9162 §2.1.4.2), given the first tree's `root`.

    Both come from the same hashes. If the second is the root that the log has signed, then the hashes are
    those of its tree, and the first says what its first entries really are: equal to `root`, the log has only
    grown; other, it has rewritten its past. If the second is not the signed root, the proof proves nothing.
    Raises `ProofError` when the proof has not the length that the sizes ask for.
    """
    if not 0 < first <= second <= MAX_SIZE:
        raise ProofError(f"no proof leads from a tree of {first} to one of {second}")
    hashes = list(_hashes(proof))
    if first == second:
        if hashes:
            raise ProofError("the consistency proof is too long")
        return root, root
    if complete(first):
        hashes.insert(0, root)  # a complete tree: its root is a node of the second
    if not hashes:
        raise ProofError("the consistency proof is too short")
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if sn == 0:
            raise ProofError("the consistency proof is too long")
        if fn & 1 or fn == sn:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ProofError("the consistency proof is too short")
    return old, new


def _left(width: int) -> int:
    """The largest power of two below `width`: how many entries the left subtree holds."""
    return 1 << (width - 1).bit_length() - 1


def _hashes(proof: Sequence[bytes]) -> Iterator[bytes]:
    for item in proof:
        if len(item) != HASH_BYTES:
            raise ProofError(f"a hash of the proof has {len(item)} bytes, not {HASH_BYTES}")
        yield item
