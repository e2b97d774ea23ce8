"""The gate as a person runs it, against the Prometheus of a simulated Stella Ops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from exporters.bundle import document
from tests.prom_world import HEALTHY, Asked

SLO = Path(sys.executable).parent / "slo"
SOAKED = "2.4.1"  # on edge for twenty days, and the newest there no more


def slo(asked: Asked, *arguments: str) -> subprocess.CompletedProcess[str]:
    return slo_at(asked.server.url, *arguments)


def slo_at(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SLO, *arguments, "--prometheus", url], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip


def release(asked: Asked, folder: Path, version: str = "2.5.0", swap: str = "") -> Path:
    """The manifest of a version that holds the images the world runs; `swap` gives one component another digest."""
    found = asked.get(
        "query", query="max by (component, repository, digest) (cosign_image_info)", time=HEALTHY
    )
    images = []
    for row in found["result"]:
        name, repository, digest = (row["metric"][k] for k in ("component", "repository", "digest"))
        images.append((name, f"{repository}@{'sha256:' + '0' * 64 if name == swap else digest}"))
    return written(folder, version, images)


def small_release(folder: Path) -> Path:
    """The manifest of a version with one image."""
    return written(
        folder,
        "2.5.0",
        [("signer", f"registry.example.org/stellaops/signer@sha256:{'0123456789abcdef' * 4}")],
    )


def written(folder: Path, version: str, images: list[tuple[str, str]]) -> Path:
    """release.yaml of these components on edge, with its checksum."""
    lines = [
        f'release:\n  version: "{version}"\n  channel: "edge"\n  date: "2026-03-01T12:00:00Z"\n  calendar: "2026.03"'
    ]
    lines += ["components:", *(f"  - name: {name}\n    image: {image}" for name, image in images)]
    text = "\n".join([*lines, "checksums:", f'  sha256: "{"f" * 64}"', ""])
    read = document.read(text.encode(), "release.yaml")
    file = folder / "release.yaml"
    file.write_text(text.replace("f" * 64, read.digest_without(*read.spans["checksums", "sha256"])))
    return file


def policy(folder: Path, **overrides: str) -> str:
    """The default policy, with overrides of the named checks."""
    text = subprocess.run([SLO, "policy"], capture_output=True, text=True, check=True).stdout
    entries = "".join(
        f'\n  - {{check: {c.replace("_", "-")}, reason: "{why}", who: me@example.org, expires: 2026-03-20T00:00:00Z}}'
        for c, why in overrides.items()
    )
    file = folder / "policy.yaml"
    file.write_text(text.replace("overrides: []", f"overrides:{entries}"))
    return str(file)
