"""Tar archives of unknown origin: read as a stream, never unpacked, every name judged before its content.

Python's tarfile reads extended headers of any size into memory and follows what they say; this reads what a kit
needs (POSIX ustar and pax, GNU long names) and refuses the rest.
"""

from __future__ import annotations

import re
import tarfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from exporters.bundle.zstd import CHUNK, Expanded
from exporters.outcome import Refused

BLOCK = 512
LARGEST_HEADER = 64 << 10  # bytes of a pax header or a long name
LONGEST_NAME = 1024
DEEPEST = 24  # folders
FILE, FOLDER, SYMLINK, HARDLINK = "file", "folder", "symlink", "hardlink"
_KINDS = {
    tarfile.REGTYPE: FILE, tarfile.AREGTYPE: FILE, tarfile.CONTTYPE: FILE,
    tarfile.DIRTYPE: FOLDER, tarfile.SYMTYPE: SYMLINK, tarfile.LNKTYPE: HARDLINK,
}  # fmt: skip
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|^[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Member:
    """`name` is relative and clean; `target` is a link's, from the archive's root."""

    name: str
    kind: str
    size: int
    target: str = ""


@dataclass(slots=True)
class Names:
    """The names so far: none twice, none that differs in case only, none below a file or a link.

    `most` bounds the names with the folders that they imply, and so the memory that a hostile archive takes.
    """

    most: int
    kinds: dict[str, str] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    above: set[str] = field(default_factory=set)  # folders, named or implied

    def add(self, name: str, kind: str) -> None:
        """Raises Refused("unsafe")."""
        parents = [name[:i] for i, c in enumerate(name) if c == "/"]
        for parent in parents:
            if self.kinds.get(parent, FOLDER) != FOLDER:
                raise _unsafe(name, f"lies below {parent!r}, which is a {self.kinds[parent]}")
            self._fold(parent)
        self._fold(name)
        known = self.kinds.get(name)
        if known is not None and not (known == kind == FOLDER):
            raise _unsafe(name, "is there twice")
        if kind != FOLDER and name in self.above:
            raise _unsafe(name, "is a folder and a file")
        self.kinds[name] = kind
        self.above.update(parents)

    def _fold(self, name: str) -> None:
        folded = unicodedata.normalize("NFC", name).casefold()
        if self.folded.setdefault(folded, name) != name:
            raise _unsafe(name, f"differs from {self.folded[folded]!r} in case only")
        if len(self.folded) > self.most:
            raise Refused("unsafe", f"it has more than {self.most} files and folders")


def members(stream: Expanded, most: int) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Each member with its content in pieces; what is not consumed is skipped.

    Refused("malformed") when it is no archive or cut off, Refused("unsafe") for a name or a kind that must not be
    unpacked, or for more than `most` members.
    """
    names = Names(2 * most)
    for count, (info, extra) in enumerate(_headers(stream)):
        if count == most:
            raise Refused("unsafe", f"it has more than {most} members")
        name = clean(extra.get("path", info.name))
        kind = _KINDS.get(info.type)
        if kind is None:
            what = "a device or a pipe" if info.isdev() else f"of the unknown type {info.type!r}"
            raise _unsafe(name, f"is {what}")
        size = _size(info, extra) if kind == FILE else 0
        target = _target(name, kind, extra.get("linkpath", info.linkname))
        if name:
            names.add(name, kind)
        content = _content(stream, size)
        if name:
            yield Member(name, kind, size, target), content
        for _ in content:
            pass
        stream.exactly(-size % BLOCK)


def _headers(stream: Expanded) -> Iterator[tuple[tarfile.TarInfo, dict[str, str]]]:
    """Headers of members, with what extended headers before them say about path, linkpath and size."""
    extra: dict[str, str] = {}
    while True:
        block = stream.exactly(BLOCK)
        if not any(block):
            _only_zeros(stream)
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise Refused("malformed", f"it is no tar archive, or damaged: {error}") from None
        if info.size < 0:
            raise Refused("malformed", "a member has a negative size")
        if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
            found = _pax(_extended(stream, info.size))
            if info.type == tarfile.XGLTYPE and found:
                raise Refused("unsafe", f"a global header sets {', '.join(sorted(found))} of all members")
            extra |= found
        elif info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            key = "path" if info.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
            text = _extended(stream, info.size).rstrip(b"\0")
            extra.setdefault(key, text.decode("utf-8", "surrogateescape"))
        else:
            yield info, extra
            extra = {}


def _extended(stream: Expanded, size: int) -> bytes:
    if size > LARGEST_HEADER:
        raise Refused("unsafe", f"an extended header has {size} bytes; at most {LARGEST_HEADER} are read")
    data = stream.exactly(size)
    stream.exactly(-size % BLOCK)
    return data


def _pax(data: bytes) -> dict[str, str]:
    """The records that change what a member is ("25 path=...\\n"); times and owners are nothing to us."""
    found: dict[str, str] = {}
    while data:
        length, space, rest = data.partition(b" ")
        if not space or not length.isdigit() or len(length) > 6:
            raise Refused("malformed", "an extended header is damaged")
        end = int(length) - len(length) - 1
        record, data = rest[:end], rest[max(end, 1) :]
        key, equals, value = record.partition(b"=")
        if not equals or record[-1:] != b"\n" or len(record) != end:
            raise Refused("malformed", "an extended header is damaged")
        if key.startswith(b"GNU.sparse"):
            raise Refused("unsafe", "a sparse file is in it: content that is not stored is not read")
        if key in (b"path", b"linkpath", b"size"):
            found[key.decode()] = value[:-1].decode("utf-8", "surrogateescape")
    return found


def _size(info: tarfile.TarInfo, extra: dict[str, str]) -> int:
    text = extra.get("size", str(info.size))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refused("malformed", "a member's size is no number")
    return int(text)


def _content(stream: Expanded, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = stream.some(min(left, CHUNK))
        if not piece:
            raise Refused("malformed", "the archive is cut off")
        left -= len(piece)
        yield piece


def _only_zeros(stream: Expanded) -> None:
    """After the end there may be padding. Anything else is hidden from some readers and not from others."""
    while piece := stream.some(CHUNK):
        if any(piece):
            raise Refused("unsafe", "something follows the end of the archive")


def clean(name: str) -> str:
    """The name without a leading ./ and a trailing slash; empty for the root. Raises Refused("unsafe")."""
    if len(name) > LONGEST_NAME:
        raise _unsafe(name[:80], f"is longer than {LONGEST_NAME} characters")
    if name.startswith("/"):
        raise _unsafe(name, "is absolute")
    if _UNSAFE.search(name):
        raise _unsafe(name, "holds characters that a file name must not hold")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _unsafe(name, "leads out of the archive")
    if len(parts) > DEEPEST:
        raise _unsafe(name[:80], f"lies more than {DEEPEST} folders deep")
    return "/".join(parts)


def _target(name: str, kind: str, target: str) -> str:
    """Where a link leads, from the archive's root. A hard link is written from there, a symlink from its folder."""
    if kind not in (SYMLINK, HARDLINK):
        return ""
    if kind == HARDLINK:
        return clean(target)
    if target.startswith("/") or _UNSAFE.search(target) or len(target) > LONGEST_NAME:
        raise _unsafe(name, f"links to {target[:80]!r}, out of the archive")
    parts = name.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            if not parts:
                raise _unsafe(name, f"links to {target!r}, out of the archive")
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _unsafe(name: str, why: str) -> Refused:
    return Refused("unsafe", f"{name.encode('unicode_escape').decode()[:200]!r} {why}")
