"""Zstandard, expanded within bounds. Frames are walked before anything is expanded (RFC 8878 §3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import zstandard

from exporters.outcome import CouldNotCheck, Refused

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPABLE = b"\x2a\x4d\x18"  # the last three bytes of its magic; the first is 0x50 to 0x5f
LARGEST_WINDOW = (
    128 << 20
)  # bytes of memory that a frame may ask for; what zstd itself allows without --long=31
LONGEST_HEADER = 18  # bytes of a frame's header
CHUNK = 1 << 17  # bytes read and expanded at a time

Tick = Callable[[], None]  # called now and then; raises when it is time to stop


def walk(file: BinaryIO, size: int, tick: Tick) -> None:
    """Follow the frames from the file's beginning to its end without expanding them.

    Refused("malformed") when the file is cut off, holds something else, or wants too much memory. A decoder at the
    end of its input cannot tell a whole file from one that is cut off between blocks; this can.
    """
    at, blocks, most = 0, 0, 4096 + size // 64
    while at < size:
        head = _at(file, at, LONGEST_HEADER, size)
        if head[1:4] == SKIPPABLE and 0x50 <= head[0] <= 0x5F:
            at += 8 + int.from_bytes(head[4:8], "little")
            continue
        at, checksum = _frame(head, at)
        last = False
        while not last:
            blocks += 1
            if blocks > most:
                raise Refused("malformed", f"it has more than {most} blocks: it is no archive of files")
            if blocks % 4096 == 0:
                tick()
            header = _at(file, at, 3, size)
            if len(header) < 3:
                raise _cut_off(size)
            value = int.from_bytes(header, "little")
            last, kind, length = bool(value & 1), value >> 1 & 3, value >> 3
            if kind == 3:
                raise Refused("malformed", f"byte {at} is no Zstandard block")
            at += 3 + (1 if kind == 1 else length)
        at += 4 * checksum
    if at != size or size == 0:
        raise _cut_off(size)


def _at(file: BinaryIO, at: int, count: int, size: int) -> bytes:
    if at >= size:
        raise _cut_off(size)
    file.seek(at)
    return file.read(count)


def _frame(head: bytes, at: int) -> tuple[int, bool]:
    """Where the frame's first block begins, and whether a checksum follows the last."""
    if head[:4] != MAGIC:
        raise Refused("malformed", f"byte {at} is no Zstandard frame")
    try:
        length = zstandard.frame_header_size(head)
        found = zstandard.get_frame_parameters(head)
    except zstandard.ZstdError:
        raise Refused("malformed", f"byte {at} is no whole Zstandard frame") from None
    if found.window_size > LARGEST_WINDOW:
        raise Refused(
            "malformed",
            f"it wants {found.window_size >> 20} MiB of memory to be expanded; at most {LARGEST_WINDOW >> 20} are given",
        )
    if found.dict_id:
        raise Refused("malformed", "it needs a dictionary that is not in it")
    return at + length, bool(found.has_checksum)


def _cut_off(size: int) -> Refused:
    return Refused("malformed", f"it is cut off: its last frame does not end at byte {size}")


class Expanded:
    """What a file expands to, read in pieces. `ratio` is the largest factor to its size, `most` the most bytes."""

    SLACK = 64 << 20  # bytes that even a small file may expand to

    def __init__(self, file: BinaryIO, size: int, *, ratio: int, most: int, tick: Tick) -> None:
        file.seek(0)
        self._reader = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).stream_reader(
            file, read_size=CHUNK, read_across_frames=True
        )
        self._bomb = ratio * size + self.SLACK
        self._ratio = ratio
        self._most = most
        self._tick = tick
        self.count = 0  # bytes so far

    def some(self, most: int) -> bytes:
        """At most so many bytes; none at the end. Refused for a bomb, CouldNotCheck for more than `most` bytes."""
        self._tick()
        try:
            piece = self._reader.read(min(most, CHUNK))
        except zstandard.ZstdError as error:
            raise Refused("malformed", f"it cannot be expanded: {error}") from None
        self.count += len(piece)
        if self.count > self._bomb:
            raise Refused(
                "unsafe", f"it expands to more than {self._ratio} times its size: an expansion bomb, no kit"
            )
        if self.count > self._most:
            raise CouldNotCheck(
                "too_large", f"it expands to more than the {self._most} bytes of max_expanded_bytes"
            )
        return piece

    def exactly(self, count: int) -> bytes:
        """Exactly so many bytes; Refused("malformed") when the end comes first. For small counts."""
        found = bytearray()
        while len(found) < count:
            piece = self.some(count - len(found))
            if not piece:
                raise Refused("malformed", "the archive is cut off")
            found += piece
        return bytes(found)
