"""Rekor v2: a tiled log (c2sp.org/tlog-tiles). Reads are static files, so every proof is built here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor.checkpoint import MAX_BYTES, Checkpoint, LogKey, verify
from exporters.rekor.log import Entry, Wanted, newest
from exporters.rekor.merkle import (
    HASH_BYTES,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    range_hash,
    root_of_inclusion,
)
from exporters.rekor.read import read_file

HEIGHT = 8  # levels of the tree in one tile
WIDTH = 1 << HEIGHT
TILE_BYTES = WIDTH * HASH_BYTES
ENTRY_BYTES = (1 << 16) - 1  # an entry's length is written in 16 bits
BUNDLE_BYTES = WIDTH * (2 + ENTRY_BYTES)
MAX_TILES = 32  # of one proof; the largest tree has 8 levels of tiles, and a proof at most 3 tiles in each


def tile_path(level: int | str, index: int, width: int) -> str:
    """`tile/1/x001/234.p/17`; a level "entries" gives the path of an entry bundle."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    partial = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(groups)}{partial}"


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes that tile holds in a tree of `size` entries."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - index * WIDTH))


class Tiles:
    """The hash tiles of one tree of `size` entries, read once each."""

    def __init__(self, read: Callable[[str, int], bytes | None], size: int) -> None:
        """`read(path, max_bytes)` gives a file's content, or None when there is no such file."""
        self._read = read
        self._size = size
        self._tiles: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """The hash over the complete subtree D[index << level : (index + 1) << level]."""
        within = level % HEIGHT
        first = index << within  # in the tiles' level
        tile = self._tile(level // HEIGHT, first // WIDTH)
        start = first % WIDTH
        hashes = [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]
        row = hashes[start : start + (1 << within)]
        while len(row) > 1:
            row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
        return row[0]

    def _tile(self, level: int, index: int) -> bytes:
        if (level, index) not in self._tiles:
            if len(self._tiles) == MAX_TILES:
                raise CouldNotCheck("too_large", f"the proof needs more than {MAX_TILES} tiles")
            width = tile_width(level, index, self._size)
            data = read_either(self._read, level, index, width, TILE_BYTES)
            if len(data) not in (width * HASH_BYTES, TILE_BYTES):
                raise CouldNotCheck(
                    "bad_response",
                    f"{tile_path(level, index, width)} has {len(data)} bytes instead of {width * HASH_BYTES}",
                )
            self._tiles[level, index] = data[: width * HASH_BYTES]
        return self._tiles[level, index]


def read_either(
    read: Callable[[str, int], bytes | None], level: int | str, index: int, width: int, max_bytes: int
) -> bytes:
    """A partial file, or the full one, which a log may keep in its place once it is there."""
    path = tile_path(level, index, width)
    data = read(path, max_bytes)
    if data is None and width != WIDTH:
        data = read(tile_path(level, index, WIDTH), max_bytes)
    if data is None:
        raise CouldNotCheck(
            "bad_response", f"the log has signed a tree that needs {path}, and does not have it"
        )
    return data


def bundle_entry(data: bytes, position: int) -> bytes:
    """One entry of a bundle: each is written after its length, two bytes, big-endian."""
    at = 0
    for _ in range(position + 1):
        length = int.from_bytes(data[at : at + 2], "big")
        start, at = at + 2, at + 2 + length
        if at > len(data):
            raise CouldNotCheck("bad_response", f"the entry bundle ends before its entry {position}")
    return data[start:at]


class TileReader:
    """One tree behind one URL prefix: a shard of a log, or a mirror of it."""

    def __init__(self, fetcher: Fetcher, url: str, origin: str, keys: Callable[[], Sequence[LogKey]]) -> None:
        """`keys` is asked anew for every checkpoint, because a trusted root's file may change."""
        self._fetcher = fetcher
        self._url = url.rstrip("/")
        self._origin = origin
        self._keys = keys

    def checkpoints(self, *, fresh: bool = False) -> tuple[Checkpoint, ...]:
        raw = self._reader(fresh)("checkpoint", MAX_BYTES)
        if raw is None:
            raise CouldNotCheck("bad_response", f"there is no {self._url}/checkpoint")
        return (verify(raw, self._origin, self._keys()),)

    def consistency(self, first: int, second: Checkpoint, *, fresh: bool = False) -> Sequence[bytes]:
        tiles = Tiles(self._reader(fresh), second.size)
        return [range_hash(lo, hi, tiles.node) for lo, hi in consistency_ranges(first, second.size)]

    def held(self, first: int, second: Checkpoint) -> bytes | None:
        return range_hash(0, first, Tiles(self._reader(False), second.size).node)

    def entry(self, wanted: Wanted, heads: Sequence[Checkpoint], *, fresh: bool = False) -> Entry:
        head = heads[0]
        index = newest(head) if wanted.index is None else wanted.index
        if index >= head.size:
            raise Refused("not_included", f"the log has {head.size} entries, and none with index {index}")
        number, position = divmod(index, WIDTH)
        width = tile_width(0, number, head.size)
        data = read_either(self._reader(fresh), "entries", number, width, BUNDLE_BYTES)
        return Entry(bundle_entry(data, position), index, head.origin)

    def inclusion(self, entry: Entry, head: Checkpoint, *, fresh: bool = False) -> None:
        tiles = Tiles(self._reader(fresh), head.size)
        proof = [range_hash(lo, hi, tiles.node) for lo, hi in inclusion_ranges(entry.index, head.size)]
        leaf = tiles.node(0, entry.index)
        if root_of_inclusion(leaf, entry.index, head.size, proof) != head.root:
            raise CouldNotCheck(
                "bad_response", f"the tiles of entry {entry.index} do not lead to the signed root"
            )
        if leaf != leaf_hash(entry.body):
            raise Refused(
                "not_included", f"the entry {entry.index} that is served is not the one in the tree"
            )

    def _reader(self, fresh: bool) -> Callable[[str, int], bytes | None]:
        def read(path: str, max_bytes: int) -> bytes | None:
            return read_file(self._fetcher, f"{self._url}/{path}", max_bytes, fresh=fresh)

        return read
