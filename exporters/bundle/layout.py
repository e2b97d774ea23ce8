"""The OCI image layout in a kit: is every blob what its name says, and is everything there that is referred to?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporters.bundle.judge import short
from exporters.bundle.kit import BLOBS, INDEX, MARKER, Contents
from exporters.oci_types import DOCKER_LIST, DOCKER_MANIFEST, MANIFEST, Descriptor, descriptors, parse_object
from exporters.oci_types import INDEX as INDEX_TYPE
from exporters.outcome import CouldNotCheck, Refused

NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")  # where tools write an image's name


@dataclass(slots=True)
class Layout:
    """What index.json reaches. `parts` are the digests of an image's platforms, `attached` its referrers.

    `named` are the entries of index.json with a name; `problems` are damaged and missing blobs.
    """

    manifests: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    attached: dict[str, list[str]] = field(default_factory=dict)
    named: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Refused] = field(default_factory=list)

    def subjects(self, image: str) -> frozenset[str]:
        """The digests under which something may be attached to an image: its own, and its platforms'."""
        return frozenset((image, *self.parts.get(image, ())))


def examine(contents: Contents) -> Layout:
    """Never raises: what is wrong is in `problems`."""
    found = Layout()
    for path, file in contents.below(BLOBS.rstrip("/")):
        name = path.removeprefix(BLOBS)
        if name != file.sha256:
            found.problems.append(
                Refused("digest_mismatch", f"the blob {name[:12]}… has the digest {file.sha256[:12]}…")
            )
    try:
        marker = parse_object(_kept(contents, MARKER), MARKER)
        if marker.get("imageLayoutVersion") != "1.0.0":
            raise Refused("malformed", f"{MARKER} names no version that is known (1.0.0)")
        index = parse_object(_kept(contents, INDEX), INDEX)
        top = descriptors(index.get("manifests"), INDEX)
    except CouldNotCheck as error:  # of a registry no answer; of a file that we hold, an answer
        found.problems.append(Refused("malformed", error.detail))
        return found
    except Refused as error:
        found.problems.append(error)
        return found
    found.named = [(d.annotations[n], d.digest) for d in top for n in NAMES if n in d.annotations]
    waiting = list(top)
    while waiting:
        waiting += _follow(waiting.pop(), contents, found)
    return found


def _kept(contents: Contents, path: str) -> bytes:
    if path not in contents.files:
        raise Refused("missing", f"{path} is not in the kit")
    if path not in contents.kept:
        raise Refused("malformed", f"{path} is too large for what it is")
    return contents.kept[path]


def _follow(descriptor: Descriptor, contents: Contents, found: Layout) -> tuple[Descriptor, ...]:
    """Look at one manifest or index; returns what it refers to that has to be looked at as well."""
    digest = descriptor.digest
    if digest in found.manifests or not _there(descriptor, contents, found):
        return ()
    found.manifests[digest] = {}
    try:
        content = parse_object(
            _kept(contents, BLOBS + digest.removeprefix("sha256:")), f"manifest {short(digest)}"
        )
        found.manifests[digest] = content
        subject = content.get("subject")
        if subject is not None:
            (of,) = descriptors([subject], f"the subject of {short(digest)}")
            found.attached.setdefault(of.digest, []).append(digest)
        media = content.get("mediaType", descriptor.media_type)
        if media in (INDEX_TYPE, DOCKER_LIST):
            children = descriptors(content.get("manifests"), f"index {short(digest)}")
            found.parts[digest] = tuple(child.digest for child in children)
            return children
        if media in (MANIFEST, DOCKER_MANIFEST):
            blobs = descriptors([content.get("config")], f"manifest {short(digest)}")
            blobs += descriptors(content.get("layers"), f"manifest {short(digest)}")
            for blob in blobs:
                _there(blob, contents, found)
            return ()
        raise Refused("unsupported", f"{short(digest)} is {str(media)[:80]!r}, no manifest")
    except CouldNotCheck as error:
        found.problems.append(Refused("malformed", error.detail))
    except Refused as error:
        found.problems.append(error)
    return ()


def _there(descriptor: Descriptor, contents: Contents, found: Layout) -> bool:
    """Is the blob in the kit, with the size that the descriptor gives? Its digest was compared with its name."""
    if not descriptor.digest.startswith("sha256:"):
        found.problems.append(Refused("unsupported", f"{short(descriptor.digest)} is no sha256 digest"))
        return False
    file = contents.blob(descriptor.digest)
    if file is None:
        found.problems.append(Refused("missing", f"the blob {short(descriptor.digest)} is not in the kit"))
        return False
    if file.size != descriptor.size:
        found.problems.append(
            Refused(
                "digest_mismatch",
                f"the blob {short(descriptor.digest)} has {file.size} bytes, and {descriptor.size} are announced",
            )
        )
    return True
