"""The page that draws a dashboard: its npm packages and its bundle, both under .tools/preview, made anew when what
they are made of has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILT = ROOT / ".tools" / "preview"
LOCK = ("package.json", "package-lock.json")
SOURCES = ("app", "vite.config.js", "tsconfig.json")
# The packages' own scripts are not run. Grafana's peer ranges name React 18 and 19 in turn, so npm must not judge them.
INSTALL = ("npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund")
STEPS = (("npx", "tsc", "--project", "."), ("npx", "vite", "build"))
MEMORY = {"NODE_OPTIONS": "--max-old-space-size=4096"}  # of the bundler; @grafana/ui is large


class PreviewError(Exception):
    """Something the preview needs is missing or failed; the message holds the remedy."""


def find(tool: str, remedy: str) -> str:
    """The path of a program: the project's own, or the one on PATH. Raises PreviewError."""
    for candidate in (str(ROOT / ".tools" / "bin" / tool), tool):
        found = shutil.which(candidate)
        if found is not None:
            return found
    raise PreviewError(f"{tool} is not installed: {remedy}")


def page() -> Path:
    """The folder of the built page; its neighbours are node_modules and shoot.mjs. Raises PreviewError."""
    find("npm", "install Node.js 20 or newer with npm")
    BUILT.mkdir(parents=True, exist_ok=True)
    packages = _digest(LOCK)
    if not _stamped("packages", packages):
        _copy(LOCK)
        _run(INSTALL, "npm could not install the packages of tools/preview/package-lock.json")
        _stamp("packages", packages)
    _copy(("shoot.mjs",))
    bundle = _digest((*LOCK, *SOURCES))
    if not _stamped("bundle", bundle):
        _copy(SOURCES)
        for step in STEPS:
            _run(step, "the page of tools/preview/app was not built")
        _stamp("bundle", bundle)
    return BUILT / "dist"


def _files(names: Iterable[str]) -> list[Path]:
    return sorted(f for name in names for f in (HERE / name, *(HERE / name).rglob("*")) if f.is_file())


def _digest(names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for file in _files(names):
        digest.update(f"{file.relative_to(HERE)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamped(name: str, digest: str) -> bool:
    stamp = BUILT / f"{name}.stamp"
    return stamp.exists() and stamp.read_text(encoding="ascii") == digest


def _stamp(name: str, digest: str) -> None:
    (BUILT / f"{name}.stamp").write_text(digest, encoding="ascii")


def _copy(names: Iterable[str]) -> None:
    for name in names:
        source, target = HERE / name, BUILT / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)


def _run(command: tuple[str, ...], what: str) -> None:
    done = subprocess.run(command, cwd=BUILT, capture_output=True, text=True, env={**os.environ, **MEMORY})
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise PreviewError(f"{what}: {' '.join(command)} says:\n" + "\n".join(said[-15:]))
