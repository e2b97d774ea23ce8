"""The trusted root: a file of keys and certificates, each with the time in which it may be believed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trust:
    """A trusted root. `sha256` is that of the file's bytes, in hex."""

    sha256: str


def load_trust(path: Path) -> Trust:
    """Read a trusted_root.json. CouldNotCheck("trusted_root") when it cannot be read or used."""
    raise NotImplementedError
