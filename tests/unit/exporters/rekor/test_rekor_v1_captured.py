"""What a real Rekor v1 server said: growth, an entry, a shard rotation, and a fork after a restored backup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from rekorworld import World

from exporters import metrics as m

SAID: dict[str, Any] = json.loads((Path(__file__).parent / "rekor_v1.json").read_text())
OLD = SAID["log_at_5"]["treeID"]
NEW = SAID["rotated"]["treeID"]
(UUID,) = SAID["entry_3"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An exporter that knows the real log at 5 entries."""
    world = World(tmp_path)
    log = {"name": "main", "kind": "v1", "url": "https://main.example", "origin": "rekor.test"}
    world.config["logs"] = [{**log, "keys": [SAID["key"]], "entry": {"uuid": UUID}}]
    answer(world, "log_at_5")
    world.exporter()
    world.check()
    return world


def answer(world: World, log: str, proofs: tuple[str, ...] = ("proof_5_to_305",)) -> None:
    """Replay what was captured."""

    def host(request: httpx.Request) -> Any:
        path, query = request.url.path, dict(request.url.params)
        if path == "/api/v1/log":
            return json.dumps(SAID[log]).encode()
        if path == "/api/v1/log/proof":
            name = f"proof_{query['firstSize']}_to_{query['lastSize']}"
            return json.dumps(SAID[name]).encode() if name in proofs and query["treeID"] == OLD else 400
        return json.dumps(SAID["entry_3"]).encode() if path.endswith(UUID) else 404

    world.hosts["main.example"] = host


def test_a_real_log_is_followed(world: World) -> None:
    """From 5 entries to 305, with an entry by its UUID, whose proof came at 305."""
    answer(world, "log_at_305")
    assert world.check() == {"checkpoint": "verified", "inclusion": "verified", "consistency": "verified"}
    assert world.value(m.TREE_SIZE, shard=OLD) == 305


def test_a_real_rotation_is_no_rollback(world: World) -> None:
    """The closed shard is listed with the checkpoint that the server signs for it now."""
    answer(world, "log_at_305")
    world.check()
    answer(world, "rotated", ("proof_305_to_376",))
    assert world.check() == {"checkpoint": "verified", "inclusion": "verified", "consistency": "verified"}
    assert world.value(m.TREE_SIZE, shard=NEW) == 7
    assert world.value(m.TREE_SIZE, shard=OLD) == 376
    assert world.value(m.REKOR_CONSISTENT) == 1


def test_a_real_fork_is_a_split_view(world: World) -> None:
    """A backup was restored and outgrew what had been signed: Rekor's own proof shows it."""
    state = json.loads((world.folder / "state" / "main.json").read_text())["state"]
    state["trees"][f"rekor.test - {OLD}"]["note"] = SAID["before_restore"]
    world.remember(state)
    answer(world, "rotated", ("proof_336_to_376",))
    assert world.check()["consistency"] == "failed inconsistent"
    assert (world.value(m.REKOR_CONSISTENT), world.value(m.SPLIT_VIEWS)) == (0, 1)


def test_a_real_log_that_was_restored_is_a_rollback(world: World) -> None:
    """Fewer entries than it had signed."""
    state = json.loads((world.folder / "state" / "main.json").read_text())["state"]
    state["trees"][f"rekor.test - {OLD}"]["note"] = SAID["before_restore"]
    world.remember(state)
    answer(world, "log_at_305")
    assert world.check()["consistency"] == "failed inconsistent"
    assert (world.value(m.REKOR_CONSISTENT), world.value(m.ROLLBACKS)) == (0, 1)
