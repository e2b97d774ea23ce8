"""Rekor v1: an API whose proofs are recomputed, and whose JSON proves nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import logkit
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rekorworld import World

from exporters import metrics as m

GOOD = {"checkpoint": "verified", "consistency": "verified", "inclusion": "verified"}


@pytest.fixture
def log() -> logkit.Log:
    return logkit.Log("rekor.example", ec.generate_private_key(ec.SECP256R1()), tree=42).grow(30)


@pytest.fixture
def world(tmp_path: Path, log: logkit.Log) -> World:
    """A log of 30 entries in its tree 42, already known to the exporter."""
    world = World(tmp_path).log(log).exporter()
    world.check()
    return world


def tampered(world: World, path: str, change: Callable[[dict[str, Any]], object]) -> None:
    """The server's answers under that path, changed."""
    host = world.hosts["main.example"]
    assert callable(host)

    def answer(request: httpx.Request) -> Any:
        found = host(request)
        if request.url.path != path or not isinstance(found, bytes):
            return found
        content = json.loads(found)
        changed = change(content)
        return changed if isinstance(changed, bytes) else json.dumps(content).encode()

    world.hosts["main.example"] = answer


def test_a_growing_tree_is_consistent(world: World, log: logkit.Log) -> None:
    """ECDSA checkpoints, the proof from the API, the newest entry; the label is the tree's number."""
    log.grow(25)
    assert world.check() == GOOD
    assert world.value(m.TREE_SIZE, shard="42") == 55
    assert world.value(m.LAST_GROWTH) == world.now
    assert world.failures() == {}


def test_a_quiet_tree_is_verified_anew(world: World) -> None:
    """The server signs on demand: a new signature under the same root is the same tree."""
    assert world.check() == GOOD
    assert world.value(m.REKOR_CONSISTENT) == 1


def test_a_shrunk_tree_is_a_rollback(world: World, log: logkit.Log) -> None:
    """Latched, with both notes."""
    world.serve_api(logkit.Api(log)).sizes[42] = 20
    assert world.check()["consistency"] == "failed inconsistent"
    assert (world.value(m.REKOR_CONSISTENT), world.value(m.ROLLBACKS)) == (0, 1)


def forked(log: logkit.Log, size: int) -> logkit.Log:
    entries = [*log.entries]
    entries[2] = b"rewritten"
    return logkit.Log(log.origin, log.key, entries, log.tree).grow(size - len(entries))


@pytest.mark.parametrize("size", [30, 31, 32, 60])
def test_a_fork_is_a_split_view(world: World, log: logkit.Log, size: int) -> None:
    """The same tree with another past, whatever its size."""
    world.serve_api(logkit.Api(forked(log, size)))
    assert world.check()["consistency"] == "failed inconsistent"
    assert (world.value(m.REKOR_CONSISTENT), world.value(m.SPLIT_VIEWS)) == (0, 1)


def test_a_new_shard_is_no_rollback(world: World, log: logkit.Log) -> None:
    """The old tree is listed as closed, and compared; the new one, with few entries, is the one that grows."""
    new = logkit.Log(log.origin, log.key, tree=43).grow(4, "new")
    log.grow(2)
    world.serve_api(logkit.Api(new, log))
    assert world.check() == GOOD
    assert world.value(m.TREE_SIZE, shard="43") == 4
    assert world.value(m.TREE_SIZE, shard="42") == 32
    assert world.value(m.REKOR_CONSISTENT) == 1
    assert world.value(m.ROLLBACKS) == world.value(m.SPLIT_VIEWS) == 0


def test_a_closed_shard_that_shrank_is_a_rollback(world: World, log: logkit.Log) -> None:
    """A rotation does not hide what is cut off the old tree."""
    new = logkit.Log(log.origin, log.key, tree=43).grow(4, "new")
    world.serve_api(logkit.Api(new, log)).sizes[42] = 29
    assert world.check()["consistency"] == "failed inconsistent"
    assert world.value(m.ROLLBACKS) == 1


def test_a_tree_that_is_no_longer_listed_leaves_no_verdict(world: World, log: logkit.Log) -> None:
    """A new tree without the old one cannot be told from a log that was replaced."""
    world.check()
    judged = world.value(m.REKOR_LAST_CHECK)
    world.serve_api(logkit.Api(logkit.Log(log.origin, log.key, tree=43).grow(4, "new")))
    assert world.check()["consistency"] == "unknown bad_response"
    assert world.value(m.REKOR_LAST_CHECK) == judged
    assert world.value(m.REKOR_CONSISTENT) == 1


@pytest.mark.parametrize("index", [0, 29, 30, 33])
def test_an_entry_is_found_by_its_index_over_all_shards(tmp_path: Path, log: logkit.Log, index: int) -> None:
    """In the closed tree, and in the growing one."""
    new = logkit.Log(log.origin, log.key, tree=43).grow(4, "new")
    world = World(tmp_path).log(log, entry={"index": index})
    world.serve_api(logkit.Api(new, log))
    assert world.exporter().check()["inclusion"] == "verified"


@pytest.mark.parametrize("long", [True, False])
def test_an_entry_is_found_by_its_uuid(tmp_path: Path, log: logkit.Log, long: bool) -> None:
    """With the tree's number or without; one that the log does not have is not included."""
    uuid = logkit.uuid(log, log.entries[9])
    world = World(tmp_path).log(log, entry={"uuid": uuid if long else uuid[16:]})
    assert world.exporter().check()["inclusion"] == "verified"
    log.entries[9] = b"something else"
    assert world.check()["inclusion"] == "failed not_included"
    assert world.failures()["entry not_included"] == 2


def test_the_entry_of_a_bundle_must_be_the_logs(tmp_path: Path, log: logkit.Log) -> None:
    """Found by the index in the bundle, and compared with the body in it."""
    proof = {"checkpoint": {"envelope": log.checkpoint().decode()}}
    entry = {"logIndex": "9", "inclusionProof": proof}

    def write(body: bytes) -> None:
        logged = {**entry, "canonicalizedBody": base64.b64encode(body).decode()}
        content = {"verificationMaterial": {"tlogEntries": [logged]}}
        (tmp_path / "bundle.json").write_text(json.dumps(content))

    world = World(tmp_path).log(log, entry={"bundle": "bundle.json"}).exporter()
    write(log.entries[9])
    assert world.check()["inclusion"] == "verified"
    write(b"never logged")
    assert world.check()["inclusion"] == "failed not_included"


def change_entry(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    def change(content: dict[str, Any]) -> None:
        ((_, entry),) = content.items()
        entry["body" if key == "body" else "verification"] = (
            value
            if key == "body"
            else {"inclusionProof": {**entry["verification"]["inclusionProof"], key: value}}
        )

    return change


@pytest.mark.parametrize(
    ("key", "value", "outcome"),
    [
        ("body", "AAAA", "failed not_included"),
        ("hashes", ["00" * 32] * 4, "failed not_included"),
        ("hashes", [], "unknown bad_response"),
        ("hashes", ["00" * 32] * 90, "unknown bad_response"),
        ("hashes", ["00"] * 4, "unknown bad_response"),
        ("hashes", ["zz"], "unknown bad_response"),
        ("hashes", 7, "unknown bad_response"),
        ("body", "not base64!", "unknown bad_response"),
        ("body", None, "unknown bad_response"),
        ("logIndex", "3", "unknown bad_response"),
        ("logIndex", True, "unknown bad_response"),
        ("logIndex", -1, "unknown bad_response"),
        ("logIndex", 2**70, "unknown bad_response"),
        ("logIndex", 28, "failed not_included"),
        ("checkpoint", None, "unknown bad_response"),
        ("checkpoint", "\ud800", "unknown bad_response"),
        ("checkpoint", "x", "unknown bad_response"),
    ],
)
def test_a_tampered_entry_is_not_accepted(world: World, key: str, value: object, outcome: str) -> None:
    """A proof that leads elsewhere is a no; an answer that is no proof is no answer."""
    tampered(world, "/api/v1/log/entries", change_entry(key, value))
    assert world.check()["inclusion"] == outcome
    assert world.value(m.REKOR_CONSISTENT) == 1


def test_an_entry_under_an_unsigned_checkpoint_is_refused(world: World, log: logkit.Log) -> None:
    """The proof's own checkpoint must be signed by the log."""
    forged = logkit.Log(log.origin, tree=42).grow(30).checkpoint().decode()
    tampered(world, "/api/v1/log/entries", change_entry("checkpoint", forged))
    assert world.check()["inclusion"] == "failed bad_signature"


@pytest.mark.parametrize("size", [30, 33])
def test_an_entry_in_another_view_is_a_split_view(world: World, log: logkit.Log, size: int) -> None:
    """A proof under a signed checkpoint that contradicts the log's own latches, though each verifies alone."""
    fork = logkit.Api(forked(log, size))
    ours = world.hosts["main.example"]
    assert callable(ours)

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/api/v1/log":
            return ours(request)
        return json.dumps(fork(request.url.path, dict(request.url.params))).encode()

    world.hosts["main.example"] = answer
    found = world.check()
    assert (found["inclusion"], found["consistency"]) == ("failed inconsistent", "failed inconsistent")
    assert (world.value(m.REKOR_CONSISTENT), world.value(m.SPLIT_VIEWS)) == (0, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(treeSize=29), "bad_response"),
        (lambda c: c.update(rootHash="00" * 32), "bad_response"),
        (lambda c: c.update(signedTreeHead=None), "bad_response"),
        (lambda c: c.update(inactiveShards={"a": 1}), "bad_response"),
        (lambda c: c.update(inactiveShards=[c.copy()]), "bad_response"),
        (lambda c: c.update(inactiveShards=[7]), "bad_response"),
        (lambda c: c.update(inactiveShards=[None] * 1000), "bad_response"),
        (lambda c: b"[]", "bad_response"),
        (lambda c: b"{", "bad_response"),
        (lambda c: b"\xff\xfe", "bad_response"),
        (lambda c: b"[" * 200_000, "bad_response"),
        (lambda c: b'{"treeSize": ' + b"9" * 10_000 + b"}", "bad_response"),
        (lambda c: b" " * (2 << 20), "too_large"),
    ],
)
def test_a_log_info_that_makes_no_sense_is_unknown(
    world: World, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    """JSON that contradicts the checkpoint in it, has other shapes, is too deep or too large."""
    judged = world.value(m.REKOR_LAST_CHECK)
    tampered(world, "/api/v1/log", change)
    assert world.check() == {"checkpoint": f"unknown {reason}"}
    assert world.value(m.REKOR_UP) == 0
    assert world.value(m.REKOR_LAST_CHECK) == judged
    assert world.value(m.CHECKPOINT_VALID) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(hashes=["00" * 32] * 5),
        lambda c: c.update(hashes=None),
        lambda c: c.update(hashes=[1]),
        lambda c: b"{}",
        lambda c: b"null",
    ],
)
def test_a_spoilt_consistency_proof_proves_nothing(
    world: World, log: logkit.Log, change: Callable[[dict[str, Any]], object]
) -> None:
    """It is unknown whether the log kept its word; it is not said to have broken it."""
    log.grow(9)
    tampered(world, "/api/v1/log/proof", change)
    assert world.check()["consistency"] == "unknown bad_response"
    assert world.value(m.SPLIT_VIEWS) == 0
    assert world.value(m.TREE_SIZE, shard="42") == 30


def test_a_tampered_head_is_a_bad_signature(world: World) -> None:
    """Of the growing tree or of a closed one."""
    tampered(
        world,
        "/api/v1/log",
        lambda c: c.update(signedTreeHead=c["signedTreeHead"].replace("\n30\n", "\n31\n"), treeSize=31),
    )
    assert world.check() == {"checkpoint": "failed bad_signature"}
    assert world.value(m.CHECKPOINT_VALID) == 0
