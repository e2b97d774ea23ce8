"""What the images install, installed here: from the wheel and the pins, twice, into the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = ROOT / "tools" / "containers"
DATE = 1_700_000_000


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/build of the build stage: the script, the pins and the wheel."""
    folder = tmp_path_factory.mktemp("build")
    for file in (CONTEXT / "install", *CONTEXT.glob("*.txt")):
        shutil.copy2(file, folder)
    source = folder / "source"
    source.mkdir()
    for name in ("slo", "alerts", "dashboards", "exporters", "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder / "dist"), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    shutil.rmtree(source)
    return folder


def install(context: Path, target: str, folder: Path) -> dict[str, tuple[str, int]]:
    """Run the image's own script; returns each file's digest and date."""
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(DATE)}
    done = subprocess.run(
        [context / "install", target, folder], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), int(p.stat().st_mtime))
        for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.is_symlink()
    }


@pytest.fixture(scope="module", params=["exporters", "cli"])
def installed(request: pytest.FixtureRequest, context: Path) -> tuple[str, Path, dict[str, tuple[str, int]]]:
    """A target, where it is, and what was written there."""
    folder = context / f"slo-{request.param}"
    return request.param, folder, install(context, request.param, folder)


WORK = {
    "exporters": [(["slo-exporter", "schema", name], '"interval"') for name in ("cosign", "rekor", "bundle")],
    "cli": [(["slo", "list"], "signer-uptime"), (["slo", "schema"], '"profile"')],
}


def test_an_image_can_do_its_work(installed: tuple[str, Path, dict[str, tuple[str, int]]]) -> None:
    """Alone: without this checkout, without a home, and leaving nothing behind."""
    target, folder, written = installed
    environment = {"PATH": f"{folder}/bin", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: S108 # as in the image
    for command, said in WORK[target]:
        done = subprocess.run(
            [folder / "bin" / command[0], *command[1:]],
            capture_output=True, text=True, check=False, cwd="/", env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert {
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and not p.is_symlink()
    } == written.keys()
    assert [p for p in written if p.endswith(".pyc")] == []


def test_the_same_wheel_and_date_give_the_same_files(
    installed: tuple[str, Path, dict[str, tuple[str, int]]], context: Path
) -> None:
    """Byte for byte, each with the one date."""
    target, folder, first = installed
    shutil.rmtree(folder)
    assert install(context, target, folder) == first
    assert {date for _, date in first.values()} == {DATE}
