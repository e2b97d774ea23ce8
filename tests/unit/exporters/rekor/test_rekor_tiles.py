"""Tiles are found where c2sp.org/tlog-tiles puts them, and few of them are needed."""

from __future__ import annotations

import logkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.outcome import CouldNotCheck
from exporters.rekor import v2
from exporters.rekor.merkle import consistency_ranges, inclusion_ranges, range_hash

LOG = logkit.Log().grow(1030)
FILES = LOG.files()


@pytest.mark.parametrize(
    ("index", "width", "path"),
    [
        (0, 256, "tile/0/000"),
        (67, 3, "tile/0/067.p/3"),
        (1000, 256, "tile/0/x001/000"),
        (1234067, 256, "tile/0/x001/x234/067"),
        (1234067, 255, "tile/0/x001/x234/067.p/255"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(index: int, width: int, path: str) -> None:
    """Three digits a folder, all but the last behind an x; a partial tile says how wide it is."""
    assert v2.tile_path(0, index, width) == path
    assert v2.tile_path("entries", index, width) == path.replace("tile/0", "tile/entries")


def test_a_tree_of_70000_has_the_tiles_of_the_specification() -> None:
    """Its own example: 273 full tiles and one of 112, one full and one of 17, one of 1."""
    widths = {(level, n): v2.tile_width(level, n, 70_000) for level in range(4) for n in range(300)}
    assert [widths[0, n] for n in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [widths[1, n] for n in (0, 1, 2)] == [256, 17, 0]
    assert [widths[2, n] for n in (0, 1)] == [1, 0]
    assert widths[3, 0] == 0


def test_a_tree_of_256_has_a_tile_above() -> None:
    """A full tile, and one of width 1 over it."""
    assert v2.tile_width(0, 0, 256) == 256
    assert v2.tile_width(1, 0, 256) == 1


@given(st.integers(0, 10), st.data())
def test_a_node_is_the_hash_of_its_subtree(level: int, data: st.DataObject) -> None:
    """Within a tile and across levels of tiles."""
    index = data.draw(st.integers(0, (1030 >> level) - 1))
    tiles = v2.Tiles(lambda path, _: FILES.get(path), 1030)
    assert tiles.node(level, index) == logkit.mth(LOG.leaves()[index << level : (index + 1) << level])


SIZES = st.integers(2, v2.WIDTH**3)


def needed(size: int, ranges: list[tuple[int, int]]) -> set[str]:
    """The paths that are read for these ranges; contents do not matter."""
    read: set[str] = set()

    def serve(path: str, _: int) -> bytes:
        read.add(path)
        return b"\0" * 32 * int(path.partition(".p/")[2] or v2.WIDTH)

    tiles = v2.Tiles(serve, size)
    for lo, hi in ranges:
        range_hash(lo, hi, tiles.node)
    return read


@given(SIZES, st.data())
def test_a_proof_needs_few_tiles(size: int, data: st.DataObject) -> None:
    """At most two a level: one on the way to the entry, one at the tree's edge. Five for 16 million entries."""
    index = data.draw(st.integers(0, size - 1))
    assert len(needed(size, inclusion_ranges(index, size))) <= 5
    assert len(needed(size, consistency_ranges(index + 1, size))) <= 5


def test_the_largest_tree_stays_under_the_cap() -> None:
    """Eight levels of tiles."""
    size = (1 << 63) - 1
    assert len(needed(size, consistency_ranges(size // 3, size))) <= v2.MAX_TILES


def test_no_proof_reads_more_tiles_than_the_cap() -> None:
    """Whatever is asked for."""
    tiles = v2.Tiles(lambda *_: b"\0" * v2.TILE_BYTES, 1 << 40)
    for index in range(v2.MAX_TILES):
        tiles.node(0, index * v2.WIDTH)
    with pytest.raises(CouldNotCheck, match="needs more than 32 tiles"):
        tiles.node(0, v2.MAX_TILES * v2.WIDTH)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.data())
def test_an_entry_comes_out_of_its_bundle(entries: list[bytes], data: st.DataObject) -> None:
    """Each behind its length, empty ones too; a bundle that was cut is refused where it ends."""
    bundle = b"".join(len(e).to_bytes(2, "big") + e for e in entries)
    position = data.draw(st.integers(0, len(entries) - 1))
    assert v2.bundle_entry(bundle, position) == entries[position]
    with pytest.raises(CouldNotCheck):
        v2.bundle_entry(bundle[:-1], len(entries) - 1)
    with pytest.raises(CouldNotCheck):
        v2.bundle_entry(bundle, len(entries))
