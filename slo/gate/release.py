"""The release that wants to be promoted, as its manifest names it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from exporters.bundle import document
from exporters.bundle.manifest import Release, parse
from exporters.outcome import Refused
from slo.errors import LoadError
from slo.gate.evaluate import Candidate


def read_release(path: Path, source: str, target: str) -> tuple[Candidate, Release]:
    """Who stands before the gate. LoadError when the file is no release manifest.

    Nothing is verified here: that is what the gate's checks are for.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(document.LARGEST + 1)
    except OSError as error:
        raise LoadError(f"{path}: cannot be read ({error.strerror}): give the release manifest") from None
    try:
        release = parse(document.read(raw, path.name), path.name)
    except Refused as refused:
        raise LoadError(f"{path}: {refused.detail}") from None
    digest = hashlib.sha256(raw).hexdigest()
    images = tuple((str(c.image), c.image.digest.removeprefix("sha256:")) for c in release.components)
    return Candidate(release.seen_as, source, target, digest, ((path.name, digest), *images)), release
