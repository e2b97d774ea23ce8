"""Proofs are recomputed as RFC 6962 defines them, whatever the sizes, and nothing else passes."""

from __future__ import annotations

import logkit
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporters.rekor import merkle

SIZES = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 127, 128, 129, 255, 256, 257, 300]))
LEAVES = logkit.Log().grow(300).leaves()


def node_of(leaves: tuple[bytes, ...]) -> merkle.Node:
    return lambda level, index: logkit.mth(leaves[index << level : (index + 1) << level])


def hashes(ranges: list[merkle.Range], leaves: tuple[bytes, ...] = LEAVES) -> list[bytes]:
    return [merkle.range_hash(lo, hi, node_of(leaves)) for lo, hi in ranges]


@given(SIZES)
def test_a_root_is_the_hash_of_its_complete_subtrees(size: int) -> None:
    """range_hash over the whole tree is MTH, though it only ever asks for complete, aligned subtrees."""
    asked: list[tuple[int, int]] = []

    def node(level: int, index: int) -> bytes:
        asked.append((index << level, (index + 1) << level))
        return node_of(LEAVES)(level, index)

    assert merkle.range_hash(0, size, node) == logkit.mth(LEAVES[:size])
    assert asked[-1][1] == size


def test_an_empty_tree_has_the_root_of_the_rfc() -> None:
    """MTH of an empty list is the hash of an empty string."""
    assert merkle.range_hash(0, 0, node_of(())) == logkit.mth(())


@given(SIZES, st.data())
def test_an_inclusion_proof_holds_the_hashes_of_the_rfc(size: int, data: st.DataObject) -> None:
    """The ranges are those of PATH, in its order, and the proof leads to the tree's root."""
    index = data.draw(st.integers(0, size - 1))
    proof = hashes(merkle.inclusion_ranges(index, size))
    assert proof == logkit.path(index, LEAVES[:size])
    assert merkle.root_of_inclusion(LEAVES[index], index, size, proof) == logkit.mth(LEAVES[:size])


@given(SIZES, st.data())
def test_a_consistency_proof_holds_the_hashes_of_the_rfc(second: int, data: st.DataObject) -> None:
    """The ranges are those of PROOF, and the proof leads to both roots."""
    first = data.draw(st.integers(1, second))
    proof = hashes(merkle.consistency_ranges(first, second))
    assert proof == logkit.proof(first, LEAVES[:second])
    roots = logkit.mth(LEAVES[:first]), logkit.mth(LEAVES[:second])
    assert merkle.roots_of_consistency(first, second, roots[0], proof) == roots


@given(SIZES, st.data())
def test_a_rewritten_past_leads_to_another_first_root(second: int, data: st.DataObject) -> None:
    """A log that replaced one old entry proves its own new root, and with it that the old one was another."""
    first = data.draw(st.integers(1, second))
    assume(first < second)
    changed = data.draw(st.integers(0, first - 1))
    forked = (*LEAVES[:changed], b"\xff" * 32, *LEAVES[changed + 1 : second])
    proof = hashes(merkle.consistency_ranges(first, second), forked)
    known = logkit.mth(LEAVES[:first])
    old, new = merkle.roots_of_consistency(first, second, known, proof)
    assert (old, new) != (known, logkit.mth(forked))


@given(SIZES, st.data())
def test_no_other_entry_and_no_other_place_is_included(size: int, data: st.DataObject) -> None:
    """A proof for one entry leads elsewhere for another leaf, and for another index of the same leaf."""
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))
    assume(index != other)
    proof, root = logkit.path(index, LEAVES[:size]), logkit.mth(LEAVES[:size])
    assert merkle.root_of_inclusion(LEAVES[other], index, size, proof) != root
    try:
        led_to = merkle.root_of_inclusion(LEAVES[index], other, size, proof)
    except merkle.ProofError:
        return
    assert led_to != root


@given(SIZES, st.data())
def test_a_changed_hash_spoils_a_proof(second: int, data: st.DataObject) -> None:
    """Any flipped bit in a consistency proof leads away from the second root."""
    first = data.draw(st.integers(1, second))
    proof = logkit.proof(first, LEAVES[:second])
    assume(proof)
    at = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    broken = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    proof[at] = broken
    _, new = merkle.roots_of_consistency(first, second, logkit.mth(LEAVES[:first]), proof)
    assert new != logkit.mth(LEAVES[:second])


@given(SIZES, st.data())
def test_a_proof_of_the_wrong_length_proves_nothing(second: int, data: st.DataObject) -> None:
    """A hash too few or too many, or one that is no hash, is refused as a proof; it is no verdict."""
    first = data.draw(st.integers(1, second))
    root = logkit.mth(LEAVES[:first])
    proof = logkit.proof(first, LEAVES[:second])
    bad = [[*proof, LEAVES[0]], [*proof[:-1], b"short"]]
    if proof:
        bad.append(proof[:-1])
    for hashes in bad:
        with pytest.raises(merkle.ProofError):
            merkle.roots_of_consistency(first, second, root, hashes)
    path = logkit.path(first - 1, LEAVES[:second])
    for hashes in ([*path, LEAVES[0]], path[:-1]) if path else ([LEAVES[0]],):
        with pytest.raises(merkle.ProofError):
            merkle.root_of_inclusion(LEAVES[first - 1], first - 1, second, hashes)


@pytest.mark.parametrize(("first", "second"), [(0, 5), (6, 5), (-1, 5), (1, 1 << 63)])
def test_sizes_without_a_proof_are_refused(first: int, second: int) -> None:
    """Nothing leads from an empty tree, backwards, or to a size that no log can have."""
    with pytest.raises(merkle.ProofError):
        merkle.consistency_ranges(first, second)
    with pytest.raises(merkle.ProofError):
        merkle.roots_of_consistency(first, second, LEAVES[0], [])


@pytest.mark.parametrize(("index", "size"), [(5, 5), (-1, 5), (0, 0), (0, 1 << 63)])
def test_an_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    """There is no proof for an entry that the tree does not hold."""
    with pytest.raises(merkle.ProofError):
        merkle.inclusion_ranges(index, size)
    with pytest.raises(merkle.ProofError):
        merkle.root_of_inclusion(LEAVES[0], index, size, [])


def test_the_largest_tree_needs_no_more_than_64_hashes() -> None:
    """An absurd size costs no more than its number of bits."""
    largest = merkle.MAX_SIZE
    assert len(merkle.inclusion_ranges(largest // 3, largest)) <= 64
    assert len(merkle.consistency_ranges(largest // 3, largest)) <= 64
