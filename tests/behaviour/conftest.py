"""The Prometheus that holds a simulated Stella Ops, for the tests that ask it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import prom_world
from tests.prom_world import Asked


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """A server of this worker's own, over data that the first worker builds for all of them."""
    mine = tmp_path_factory.mktemp("prometheus")
    base = tmp_path_factory.getbasetemp()
    built = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "prom-world"
    with (base.parent / "prom-world.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
        if not built.exists():
            _build(built)
    # Blocks never change. What a server writes while it runs is its own: two that map one file end each other.
    for block in (built / "prometheus").glob("*/meta.json"):
        shutil.copytree(block.parent, mine / "prometheus" / block.parent.name, copy_function=os.link)
    server = prom_world.serve(mine)
    yield server
    server.stop()


def _build(folder: Path) -> None:
    """What was begun and not ended is no world."""
    begun = folder.with_suffix(".begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir()
    prom_world.build(begun)
    begun.rename(folder)
