"""What an offline kit holds: read once as a stream, hashed, and only small documents kept."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from exporters.bundle import tar, zstd
from exporters.bundle.document import LARGEST as LARGEST_MANIFEST
from exporters.outcome import CouldNotCheck, Refused

BLOBS = "images/blobs/sha256/"
INDEX = "images/index.json"
MARKER = "images/oci-layout"
MANIFEST = "manifest/release.yaml"
LARGEST_KEPT = 8 << 20  # bytes of an OCI manifest, a bundle or a list of bundles
MOST_KEPT = 64 << 20  # bytes of all of them together


@dataclass(frozen=True, slots=True)
class Limits:
    """`ratio` bounds the factor to which a kit may expand, `expanded` its bytes, `members` their number."""

    ratio: int = 100
    expanded: int = 256 << 30
    members: int = 100_000


@dataclass(frozen=True, slots=True)
class File:
    size: int
    sha256: str  # hex


@dataclass(slots=True)
class Contents:
    """Every file by its path, links resolved; `kept` holds the bytes of small documents by path."""

    files: dict[str, File] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    kept: dict[str, bytes] = field(default_factory=dict)

    def blob(self, digest: str) -> File | None:
        """The file that claims to have this digest."""
        return self.files.get(BLOBS + digest.removeprefix("sha256:"))

    def below(self, folder: str) -> Iterator[tuple[str, File]]:
        return ((path, file) for path, file in self.files.items() if path.startswith(f"{folder}/"))


@dataclass(frozen=True, slots=True)
class State:
    """What tells one state of a file from another without reading it."""

    size: int
    modified: int  # ns
    inode: int
    device: int

    @classmethod
    def of(cls, found: os.stat_result) -> State:
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)


def look(path: Path) -> State:
    """CouldNotCheck when there is no such file."""
    try:
        found = path.stat()
    except OSError as error:
        raise CouldNotCheck("unreachable", f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise CouldNotCheck("unreachable", f"{path} is no file")
    return State.of(found)


def read(path: Path, limits: Limits, tick: zstd.Tick) -> Contents:
    """Read a kit once. `tick` is called all the time, and raises when it is time to stop.

    Refused: it is no kit, damaged, cut off, or unsafe to unpack. CouldNotCheck: it cannot be read, changed while
    it was read, or is larger than the limits.
    """
    try:
        with path.open("rb", buffering=zstd.CHUNK) as file:
            before = State.of(os.fstat(file.fileno()))
            try:
                return _contents(file, before.size, limits, tick)
            finally:
                # Whatever was found, good or bad: it is nothing when the file changed meanwhile.
                if State.of(os.fstat(file.fileno())) != before:
                    raise CouldNotCheck("bad_response", f"{path} changed while it was read")
    except OSError as error:
        reason = "unauthorized" if isinstance(error, PermissionError) else "unreachable"
        raise CouldNotCheck(reason, f"{path} cannot be read: {error.strerror}") from None


def _contents(file: BinaryIO, size: int, limits: Limits, tick: zstd.Tick) -> Contents:
    zstd.walk(file, size, tick)
    stream = zstd.Expanded(file, size, ratio=limits.ratio, most=limits.expanded, tick=tick)
    found = Contents()
    links: list[tar.Member] = []
    kept = 0
    for member, pieces in tar.members(stream, limits.members):
        if member.kind == tar.FOLDER:
            found.folders.add(member.name)
        elif member.kind == tar.FILE:
            found.files[member.name], data = _hashed(member, pieces)
            if data is not None and (member.name[: len(BLOBS)] != BLOBS or _matters(data)):
                found.kept[member.name] = data
                kept += len(data)
                if kept > MOST_KEPT:
                    raise CouldNotCheck("too_large", f"its documents have more than {MOST_KEPT} bytes")
        elif member.kind == tar.HARDLINK:
            _hard(found, member)
        else:
            links.append(member)
    implied = {path[:i] for path in found.files for i, c in enumerate(path) if c == "/"}
    found.folders |= implied
    for member in links:
        _soft(found, member)
    return found


def _hashed(member: tar.Member, pieces: Iterator[bytes]) -> tuple[File, bytes | None]:
    digest = hashlib.sha256()
    kept = bytearray() if member.size <= _keep(member.name) else None
    for piece in pieces:
        digest.update(piece)
        if kept is not None:
            kept += piece
            if member.name.startswith(BLOBS) and kept[:1] != b"{":
                kept = None  # a layer, no document
    return File(member.size, digest.hexdigest()), None if kept is None else bytes(kept)


def _keep(name: str) -> int:
    """Up to which size a file's content is kept."""
    if name.startswith("manifest/"):
        return LARGEST_MANIFEST
    return LARGEST_KEPT if name.startswith((BLOBS, "attest/")) or name in (INDEX, MARKER) else -1


def _matters(data: bytes) -> bool:
    """Is this blob an OCI manifest, an index, or a Sigstore bundle?"""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    media = found.get("mediaType") if isinstance(found, dict) else None
    return isinstance(found, dict) and (
        found.get("schemaVersion") == 2 or (isinstance(media, str) and "sigstore.bundle" in media)
    )


def _hard(found: Contents, link: tar.Member) -> None:
    """A second name of a file before it, as GNU tar writes files with two names."""
    if link.target not in found.files:
        raise Refused("unsafe", f"{link.name!r} links to {link.target!r}, which is no file before it")
    found.files[link.name] = found.files[link.target]
    if link.target in found.kept:
        found.kept[link.name] = found.kept[link.target]


def _soft(found: Contents, link: tar.Member) -> None:
    """A symlink to a file of the kit stands for it; one to a folder stands for nothing. A dangling one is refused."""
    if link.target in found.files:
        found.files[link.name] = found.files[link.target]
    elif link.target not in found.folders:
        raise Refused("unsafe", f"{link.name!r} links to {link.target!r}, which is not in the kit")
