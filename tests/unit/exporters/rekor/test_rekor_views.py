"""Mirrors, shards and chosen entries of a tiled log."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import logkit
import pytest
from rekorworld import World

from exporters import metrics as m

MIRROR = {"name": "copy", "url": "https://copy.example"}
AGREES = {"checkpoint": "verified", "consistency": "verified"}


@pytest.fixture
def log() -> logkit.Log:
    return logkit.Log().grow(600)


@pytest.fixture
def world(tmp_path: Path, log: logkit.Log) -> World:
    """A log of 600 entries with a mirror, both checked."""
    world = World(tmp_path).log(log, mirrors=[MIRROR])
    world.serve(log, "copy.example")
    world.exporter()
    world.check()
    return world


def forked(log: logkit.Log, size: int) -> logkit.Log:
    entries = [*log.entries]
    entries[3] = b"rewritten"
    fork = logkit.Log(log.origin, log.key, entries)
    return fork.grow(max(0, size - len(entries)))


# ---- mirrors --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 255, 256, 257, 599, 600])
def test_a_mirror_may_be_behind(world: World, log: logkit.Log, size: int) -> None:
    """It shows what the log once was: proven by the log's tiles, and no rollback of the log."""
    world.serve(log, "copy.example", size)
    assert world.check("copy") == AGREES
    assert world.value(m.REKOR_CONSISTENT, "copy") == world.value(m.REKOR_UP, "copy") == 1
    assert world.value(m.TREE_SIZE, "copy", shard=log.origin) == size
    assert world.value(m.REKOR_LAST_CHECK, "copy") == world.now
    assert world.value(m.ROLLBACKS) == 0


def test_a_mirror_may_be_ahead(world: World, log: logkit.Log) -> None:
    """It shows what the log has grown to since it was asked: proven by the mirror's tiles."""
    world.serve(log.grow(100), "copy.example")
    assert world.check("copy") == AGREES


@pytest.mark.parametrize("size", [10, 600, 601, 700])
def test_a_mirror_with_another_view_latches_the_log(world: World, log: logkit.Log, size: int) -> None:
    """Signed by the log's key and contradicting it: two views exist, whoever shows which."""
    fork = forked(log, size)
    world.serve(fork, "copy.example", size)
    assert world.check("copy")["consistency"] == "failed inconsistent"
    assert world.failures("copy") == {"consistency inconsistent": 1}
    assert world.value(m.REKOR_CONSISTENT) == world.value(m.REKOR_CONSISTENT, "copy") == 0
    assert world.value(m.SPLIT_VIEWS) == 1
    world.serve(log, "copy.example")
    assert world.check("copy") == AGREES
    assert world.check()["consistency"] == "verified"
    world.exporter()
    assert world.value(m.REKOR_CONSISTENT) == 0


def test_a_forked_mirror_is_counted_once_while_the_log_grows(world: World, log: logkit.Log) -> None:
    """It stands still; that its log goes on makes no new contradiction."""
    world.serve(forked(log, 600), "copy.example")
    for _ in range(3):
        world.check("copy")
        world.serve(log.grow(10))
        world.check()
    assert world.value(m.SPLIT_VIEWS) == 1


def test_a_lying_mirror_proves_nothing_against_the_log(world: World, log: logkit.Log) -> None:
    """What the log's key did not sign is the mirror's fault alone."""
    world.serve(logkit.Log(log.origin).grow(600), "copy.example")
    assert world.check("copy") == {"checkpoint": "failed bad_signature"}
    assert world.value(m.CHECKPOINT_VALID, "copy") == 0
    assert world.value(m.CHECKPOINT_VALID) == 1
    assert world.value(m.SPLIT_VIEWS) == 0
    ahead = log.grow(10).files()
    world.hosts["copy.example"] = {
        p: (b"\0" * len(d) if p.startswith("tile") else d) for p, d in ahead.items()
    }
    assert world.check("copy")["consistency"] == "unknown bad_response"
    assert world.value(m.SPLIT_VIEWS) == 0


def test_a_mirror_that_is_down_is_down_alone(world: World) -> None:
    """The log's own series do not move."""
    world.check()
    world.check("copy")
    judged = world.value(m.REKOR_LAST_CHECK, "copy")
    world.hosts["copy.example"] = {"checkpoint": httpx.ConnectError("refused")}
    assert world.check("copy") == {"checkpoint": "unknown unreachable"}
    assert (world.value(m.REKOR_UP, "copy"), world.value(m.REKOR_UP)) == (0, 1)
    assert world.value(m.REKOR_LAST_CHECK, "copy") == judged
    assert world.value(m.REKOR_CONSISTENT, "copy") == 1


def test_a_mirror_is_compared_though_the_log_is_down(world: World, log: logkit.Log) -> None:
    """With what is remembered of the log: that is when a mirror is about to be trusted in its place."""
    world.hosts["main.example"] = {"checkpoint": httpx.ConnectError("refused")}
    world.serve(forked(log, 650), "copy.example")
    assert world.check("copy")["consistency"] == "failed inconsistent"
    assert world.value(m.REKOR_CONSISTENT) == 0


def test_a_mirror_can_be_the_first_to_be_checked(tmp_path: Path, log: logkit.Log) -> None:
    """Before the log is known, the mirror is compared with what the log shows now."""
    world = World(tmp_path).log(log, mirrors=[MIRROR])
    world.serve(log, "copy.example", 300)
    world.exporter()
    assert world.check("copy") == AGREES
    world.serve(forked(log, 600), "copy.example")
    assert world.check("copy")["consistency"] == "failed inconsistent"
    assert world.check()["checkpoint"] == "verified"
    assert world.value(m.REKOR_CONSISTENT) == 0


# ---- shards ---------------------------------------------------------------------------------


def test_a_closed_shard_is_no_rollback(tmp_path: Path, log: logkit.Log) -> None:
    """A new shard is a new tree, smaller than the old one; the old one is still held to its word."""
    world = World(tmp_path).log(log).exporter()
    world.check()
    new = logkit.Log("log.example/2027").grow(3)
    old = {"origin": log.origin, "keys": [logkit.pem(log.key)], "url": "https://old.example"}
    world.config["logs"].clear()
    world.log(new, shards=[old])
    world.hosts["old.example"] = {**log.files(), "checkpoint": log.checkpoint(600, None, "Log frozen — now")}
    world.exporter()
    assert world.check() == {**AGREES, "inclusion": "verified"}
    assert world.value(m.REKOR_CONSISTENT) == 1
    assert world.value(m.TREE_SIZE, shard=new.origin) == 3
    assert world.value(m.TREE_SIZE, shard=log.origin) == 600
    assert world.value(m.LAST_GROWTH) == world.now
    world.serve(forked(log, 600), "old.example")
    assert world.check()["consistency"] == "failed inconsistent"
    assert world.value(m.SPLIT_VIEWS) == 1


def test_a_closed_shard_that_is_gone_leaves_no_verdict(tmp_path: Path, log: logkit.Log) -> None:
    """Its past cannot be checked: the log is not wholly up, and its verdict grows old."""
    old = logkit.Log("log.example/2025").grow(5)
    shard = {"origin": old.origin, "keys": [logkit.pem(old.key)], "url": "https://old.example"}
    world = World(tmp_path).log(log, shards=[shard])
    world.serve(old, "old.example")
    world.exporter()
    world.check()
    judged = world.value(m.REKOR_LAST_CHECK)
    world.hosts["old.example"] = {}
    assert world.check()["checkpoint"] == "unknown bad_response"
    assert world.value(m.REKOR_UP) == 0
    assert world.value(m.REKOR_LAST_CHECK) == judged


# ---- entries --------------------------------------------------------------------------------


def with_entry(tmp_path: Path, log: logkit.Log, **entry: Any) -> World:
    world = World(tmp_path).log(log, entry=entry)
    return world.exporter()


@pytest.mark.parametrize("index", [0, 255, 256, 511, 512, 599])
def test_a_chosen_entry_is_proven_to_be_included(tmp_path: Path, log: logkit.Log, index: int) -> None:
    """From the entry bundle and the tiles, wherever it is."""
    assert with_entry(tmp_path, log, index=index).check()["inclusion"] == "verified"


def test_an_entry_that_the_log_does_not_reach_is_not_included(tmp_path: Path, log: logkit.Log) -> None:
    """The log answers, and the answer is no."""
    world = with_entry(tmp_path, log, index=600)
    assert world.check()["inclusion"] == "failed not_included"
    assert world.failures() == {"entry not_included": 2}
    assert world.value(m.REKOR_UP) == 1


def test_an_entry_served_other_than_it_was_logged_is_not_included(tmp_path: Path, log: logkit.Log) -> None:
    """The tiles lead to the signed root, and the served entry is not the tree's."""
    world = with_entry(tmp_path, log, index=7)
    files = log.files()
    served = files["tile/entries/000"].replace(b"entry 7", b"entry X", 1)
    world.hosts["main.example"] = {**files, "tile/entries/000": served}
    assert world.check()["inclusion"] == "failed not_included"
    assert world.failures() == {"inclusion not_included": 2}


@pytest.mark.parametrize("data", [b"", b"\xff\xff", b"\x00\x07entry 0"])
def test_a_broken_entry_bundle_is_unknown(tmp_path: Path, log: logkit.Log, data: bytes) -> None:
    """Truncated in the length, in the entry, or before the one that is looked for."""
    world = with_entry(tmp_path, log, index=7)
    world.hosts["main.example"] = {**log.files(), "tile/entries/000": data}
    assert world.check()["inclusion"] == "unknown bad_response"
    assert world.failures() == {"entry bad_response": 1}


def test_a_missing_entry_bundle_is_unknown(tmp_path: Path, log: logkit.Log) -> None:
    """The log has signed that there is one, and does not give it."""
    world = with_entry(tmp_path, log, index=7)
    world.hosts["main.example"] = {p: d for p, d in log.files().items() if "entries" not in p}
    assert world.check()["inclusion"] == "unknown bad_response"


def bundle(log: logkit.Log, index: int, body: bytes) -> str:
    """The part of a Sigstore bundle that names a log entry; the index is left out when it is 0, as proto3 does."""
    entry: dict[str, Any] = {
        "canonicalizedBody": base64.b64encode(body).decode(),
        "inclusionProof": {"checkpoint": {"envelope": log.checkpoint().decode()}},
    }
    if index:
        entry["logIndex"] = str(index)
    return json.dumps({"verificationMaterial": {"tlogEntries": [entry]}})


@pytest.mark.parametrize("index", [0, 300])
def test_the_entry_of_a_bundle_must_be_the_logs(tmp_path: Path, log: logkit.Log, index: int) -> None:
    """Its index and its body: a log that has another entry there does not include it."""
    file = tmp_path / "bundle.json"
    file.write_text(bundle(log, index, log.entries[index]))
    world = with_entry(tmp_path, log, bundle=str(file))
    assert world.check()["inclusion"] == "verified"
    file.write_text(bundle(log, index, b"never logged"))
    assert world.check()["inclusion"] == "failed not_included"


@pytest.mark.parametrize("text", ["", "[]", "{}", bundle(logkit.Log("other.example").grow(1), 0, b"")])
def test_a_bundle_of_no_use_is_unknown(tmp_path: Path, log: logkit.Log, text: str) -> None:
    """Our own file is at fault: the log is not said to be down."""
    file = tmp_path / "bundle.json"
    file.write_text(text)
    world = with_entry(tmp_path, log, bundle=str(file))
    assert world.check()["inclusion"] == "unknown internal"
    assert world.failures() == {"entry internal": 1}
    assert world.value(m.REKOR_UP) == 1


def test_an_entry_of_a_closed_shard_is_looked_for_there(tmp_path: Path, log: logkit.Log) -> None:
    """By the shard's origin."""
    old = logkit.Log("log.example/2025").grow(5, "old")
    shard = {"origin": old.origin, "keys": [logkit.pem(old.key)], "url": "https://old.example"}
    world = World(tmp_path).log(log, shards=[shard], entry={"index": 4, "shard": old.origin})
    world.serve(old, "old.example")
    assert world.exporter().check()["inclusion"] == "verified"
    world.hosts["old.example"] = {}
    assert world.check()["inclusion"] == "unknown bad_response"
