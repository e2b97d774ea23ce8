"""The only writer to disk: writes outputs, removes stale files it owns, compares without writing."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slo.artifact import Output
from slo.compile import MANIFEST
from slo.errors import OutputError


@dataclass(frozen=True, slots=True)
class Drift:
    """What `--check` found: outputs that are missing, changed, or no longer produced."""

    missing: tuple[str, ...]
    changed: tuple[str, ...]
    stale: tuple[str, ...]
    diff: str

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.stale)


def owned(folder: Path) -> set[str]:
    """Paths the manifest in the folder claims; empty without a manifest."""
    path = folder / MANIFEST
    if not path.exists():
        return set()
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        # A manifest that points outside its folder must never make us delete anything.
        return {
            f for f in files if isinstance(f, str) and not Path(f).is_absolute() and ".." not in Path(f).parts
        }
    except (ValueError, KeyError, TypeError, OSError):
        raise OutputError(
            f"{path} is not a manifest of ours: choose another folder with --out, or remove the file"
        ) from None


def compare(folder: Path, outputs: Iterable[Output]) -> Drift:
    """Compare in memory; nothing is written."""
    missing: list[str] = []
    changed: list[str] = []
    diff: list[str] = []
    wanted = {o.path: o.text for o in outputs}
    for path, text in wanted.items():
        file = folder / path
        if file.is_dir():
            raise OutputError(f"{file} is a folder, and a file goes there: choose another folder with --out")
        if not file.exists():
            missing.append(path)
        elif (now := file.read_bytes()) != text.encode():
            changed.append(path)
            before = now.decode("utf-8", "replace").splitlines(keepends=True)
            diff += difflib.unified_diff(
                before, text.splitlines(keepends=True), f"{path} (on disk)", f"{path} (compiled)"
            )
    stale = sorted(p for p in owned(folder) - set(wanted) if (folder / p).exists())
    return Drift(tuple(missing), tuple(changed), tuple(stale), "".join(diff))


def write(folder: Path, outputs: tuple[Output, ...]) -> Drift:
    """Bring the folder up to date. Refuses, before writing anything, to overwrite files that are not ours."""
    drift = compare(folder, outputs)
    ours = owned(folder) | {MANIFEST}
    foreign = sorted(p for p in drift.changed if p not in ours)
    if foreign:
        raise OutputError(
            f"{folder / foreign[0]} exists and was not generated here: choose another folder with --out, or remove it"
        )
    texts = {o.path: o.text for o in outputs}
    try:
        # The manifest goes first, naming old and new files: an interrupted run still knows what it owns.
        if drift:
            _replace(folder / MANIFEST, _claiming(texts[MANIFEST], drift.stale))
        for path in (*drift.missing, *drift.changed):
            _replace(folder / path, texts[path])
        for path in drift.stale:
            (folder / path).unlink()
            _prune((folder / path).parent, folder)
        if drift:
            _replace(folder / MANIFEST, texts[MANIFEST])
    except OSError as error:
        raise OutputError(f"cannot write {error.filename or folder}: {error.strerror}") from None
    return drift


def write_text(path: Path, text: str) -> None:
    """One file that a person named; OutputError when it cannot be written."""
    try:
        _replace(path, text)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None


def _claiming(manifest: str, stale: tuple[str, ...]) -> str:
    data = json.loads(manifest)
    data["files"] += stale
    return json.dumps(data)


def _replace(path: Path, text: str) -> None:
    """Write beside and rename, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".slo-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _prune(folder: Path, root: Path) -> None:
    """Remove folders that became empty, up to the root."""
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
