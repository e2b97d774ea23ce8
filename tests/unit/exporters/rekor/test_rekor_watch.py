"""A tiled log under watch: what each event does to the verdicts, over checks and over restarts."""

from __future__ import annotations

from pathlib import Path

import httpx
import logkit
import pytest
from rekorworld import World

from exporters import metrics as m

GOOD = {"checkpoint": "verified", "consistency": "verified", "inclusion": "verified"}


@pytest.fixture
def log() -> logkit.Log:
    return logkit.Log().grow(300)


@pytest.fixture
def world(tmp_path: Path, log: logkit.Log) -> World:
    """A log of 300 entries, already known to the exporter."""
    world = World(tmp_path).log(log).exporter()
    world.check()
    return world


def test_the_first_checkpoint_makes_no_claim_of_consistency(tmp_path: Path, log: logkit.Log) -> None:
    """It is verified and trusted; that the log only grew is not said before there are two to compare."""
    world = World(tmp_path).log(log).exporter()
    assert world.check() == {"checkpoint": "verified", "inclusion": "verified"}
    assert world.value(m.REKOR_CONSISTENT) is None
    assert world.value(m.CHECKPOINT_VALID) == world.value(m.REKOR_UP) == 1
    assert world.value(m.TREE_SIZE, shard=log.origin) == 300
    assert world.value(m.REKOR_LAST_CHECK) == world.now


def test_a_growing_log_is_consistent(world: World, log: logkit.Log) -> None:
    """Across the boundary of a tile, and with the time of its growth."""
    world.serve(log.grow(400))
    assert world.check() == GOOD
    assert world.value(m.REKOR_CONSISTENT) == 1
    assert world.value(m.TREE_SIZE, shard=log.origin) == 700
    assert world.value(m.LAST_GROWTH) == world.value(m.REKOR_LAST_CHECK) == world.now
    assert world.failures() == {}


def test_a_quiet_log_is_not_a_stale_one(world: World, log: logkit.Log) -> None:
    """An unchanged log keeps its verdict, its check is as new as ever, and its growth stays where it was."""
    world.serve(log.grow(1))
    world.check()
    grown = world.value(m.LAST_GROWTH)
    assert world.check(after=86_400) == GOOD
    assert world.value(m.LAST_GROWTH) == grown
    assert world.value(m.REKOR_LAST_CHECK) == world.now
    assert world.value(m.REKOR_CONSISTENT) == world.value(m.REKOR_UP) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (429, "rate_limited"),
        (503, "bad_response"),
        (404, "bad_response"),
        (403, "bad_response"),
        (b"<html>maintenance</html>", "bad_response"),
        (b"x" * (1 << 20), "bad_response"),
        (httpx.Response(302, headers={"Location": "https://other.example/checkpoint"}), "bad_response"),
    ],
)
def test_a_log_that_does_not_answer_is_unknown(
    world: World, log: logkit.Log, answer: int | bytes | Exception | httpx.Response, reason: str
) -> None:
    """It is down, and no verdict moves: not to bad, and not to a newer good."""
    world.serve(log.grow(1))
    world.check()
    judged = world.value(m.REKOR_LAST_CHECK)
    world.hosts["main.example"] = {"checkpoint": answer}
    assert list(world.check()) == ["checkpoint"]
    assert world.failures() == {f"checkpoint {reason}": 1}
    assert world.value(m.REKOR_UP) == 0
    assert world.value(m.REKOR_CONSISTENT) == world.value(m.CHECKPOINT_VALID) == 1
    assert world.value(m.REKOR_LAST_CHECK) == judged


def test_a_log_comes_back_within_one_check(world: World, log: logkit.Log) -> None:
    """After an outage it is compared with the checkpoint from before."""
    world.hosts["main.example"] = {}
    world.check()
    world.serve(log.grow(5))
    assert world.check() == GOOD
    assert world.value(m.REKOR_UP) == world.value(m.REKOR_CONSISTENT) == 1


@pytest.mark.parametrize("line", range(3))
def test_a_tampered_checkpoint_is_invalid(world: World, log: logkit.Log, line: int) -> None:
    """Any line of it: judged, twice looked at, and nothing of it is remembered."""
    files = log.grow(1).files()
    lines = files["checkpoint"].decode().split("\n")
    lines[line] = ["other.example", "301000", "A" * 43 + "="][line]
    world.hosts["main.example"] = {**files, "checkpoint": "\n".join(lines).encode()}
    assert world.check() == {"checkpoint": "failed bad_signature"}
    assert world.value(m.CHECKPOINT_VALID) == 0
    assert world.value(m.REKOR_UP) == 1
    assert world.value(m.REKOR_LAST_CHECK) == world.now
    assert world.failures() == {"checkpoint bad_signature": 2}
    assert world.value(m.TREE_SIZE, shard=log.origin) == 300
    world.serve(log)
    assert world.check() == GOOD
    assert world.value(m.CHECKPOINT_VALID) == 1


@pytest.mark.parametrize("impostor", [logkit.Log().grow(300), logkit.Log("log.example/2025").grow(300)])
def test_another_log_at_the_address_is_invalid(world: World, impostor: logkit.Log) -> None:
    """Another key, or another origin with its own key."""
    world.serve(impostor)
    assert world.check() == {"checkpoint": "failed bad_signature"}
    assert world.value(m.CHECKPOINT_VALID) == 0


def test_one_bad_answer_is_asked_for_again(world: World, log: logkit.Log) -> None:
    """An error on the way is not a forged checkpoint: the second look, past every cache, decides."""
    good = log.files()
    spoilt = good["checkpoint"].replace(b"\n300\n", b"\n301\n")
    answers = iter([spoilt])

    def host(request: httpx.Request) -> bytes:
        path = request.url.path.lstrip("/")
        return next(answers, good[path]) if path == "checkpoint" else good[path]

    world.hosts["main.example"] = host
    assert world.check()["checkpoint"] == "verified"
    assert world.value(m.CHECKPOINT_VALID) == 1
    assert [r.headers.get("cache-control") for r in world.asked if r.url.path == "/checkpoint"][
        -1
    ] == "no-cache"


def assert_latched(world: World, counter: m.Metric) -> None:
    """The verdict is 0 and counted once, now, after another check, and after a restart before any check."""
    assert world.value(m.REKOR_CONSISTENT) == 0
    assert world.value(counter) == 1
    assert world.value(m.REKOR_LAST_CHECK) == world.now
    world.check()
    assert world.value(counter) == 1
    world.exporter()
    assert world.value(m.REKOR_CONSISTENT) == 0


def test_a_shrunk_tree_is_a_rollback(world: World, log: logkit.Log) -> None:
    """A smaller tree, though a true prefix, is latched; both checkpoints are kept as evidence."""
    before = log.checkpoint().decode()
    world.serve(log, size=299)
    assert world.check()["consistency"] == "failed inconsistent"
    assert world.failures() == {"consistency inconsistent": 1}
    assert_latched(world, m.ROLLBACKS)
    assert world.value(m.SPLIT_VIEWS) == 0
    latch = world.state()["latch"]
    assert (latch["kind"], latch["known"]) == ("rollback", before)
    assert "\n299\n" in latch["shown"]


def test_a_lagging_replica_is_not_a_rollback(world: World, log: logkit.Log) -> None:
    """An old checkpoint that a cache or a replica shows for a moment is looked at again."""
    world.serve(log.grow(1))
    world.check()
    good, stale = log.files(), [log.checkpoint(300), log.checkpoint(300)]

    def host(request: httpx.Request) -> bytes:
        path = request.url.path.lstrip("/")
        return (
            stale.pop() if path == "checkpoint" and stale else good.get(path, log.files(300).get(path, b""))
        )

    world.hosts["main.example"] = host
    assert world.check()["consistency"] == "verified"
    assert world.value(m.ROLLBACKS) == 0
    assert world.value(m.REKOR_CONSISTENT) == 1


def forked(log: logkit.Log, size: int, at: int = 10) -> logkit.Log:
    """The same log, by the same key, with another entry in its past."""
    entries = [*log.entries]
    entries[at] = b"rewritten"
    return logkit.Log(log.origin, log.key, entries).grow(size - len(entries))


def test_another_root_of_the_same_size_is_a_split_view(world: World, log: logkit.Log) -> None:
    """Two signed roots of one size need no further proof."""
    world.serve(forked(log, 300))
    assert world.check()["consistency"] == "failed inconsistent"
    assert_latched(world, m.SPLIT_VIEWS)
    assert world.value(m.ROLLBACKS) == 0


@pytest.mark.parametrize("size", [301, 511, 512, 513, 700])
def test_a_forked_log_is_a_split_view(world: World, log: logkit.Log, size: int) -> None:
    """A larger tree with another past: proven by its own hashes, whatever its size."""
    world.serve(forked(log, size))
    assert world.check()["consistency"] == "failed inconsistent"
    assert world.failures() == {"consistency inconsistent": 1}
    assert world.value(m.TREE_SIZE, shard=log.origin) == 300
    assert_latched(world, m.SPLIT_VIEWS)


def test_a_latched_log_stays_latched_when_it_behaves_again(world: World, log: logkit.Log) -> None:
    """It is still followed, from the last good checkpoint on, but only an operator clears the verdict."""
    world.serve(forked(log, 310))
    world.check()
    world.serve(log.grow(20))
    assert world.check()["consistency"] == "verified"
    assert world.value(m.REKOR_CONSISTENT) == 0
    assert world.value(m.TREE_SIZE, shard=log.origin) == 320


def test_each_new_contradiction_is_counted(world: World, log: logkit.Log) -> None:
    """A fork that goes on growing contradicts anew, and one that stands still does not."""
    for size in (301, 301, 302):
        world.serve(forked(log, size))
        world.check()
    assert world.value(m.SPLIT_VIEWS) == 2
    world.serve(log, size=100)
    world.check()
    assert world.value(m.ROLLBACKS) == 1


def tiles(files: dict[str, bytes], level: str = "") -> list[str]:
    return [path for path in files if path.startswith(f"tile/{level}") and "entries" not in path]


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: b"", lambda t: bytes(len(t))])
def test_spoilt_tiles_prove_nothing(world: World, log: logkit.Log, change: object) -> None:
    """Truncated, empty or zeroed tiles: unknown, not a fork; the checkpoint is not remembered."""
    assert callable(change)
    world.check()
    judged = world.value(m.REKOR_LAST_CHECK)
    files = log.grow(300).files()
    world.hosts["main.example"] = {**files, **{path: change(files[path]) for path in tiles(files)}}
    found = world.check()
    assert (found["checkpoint"], found["consistency"]) == ("verified", "unknown bad_response")
    assert found["inclusion"].startswith("unknown")
    assert world.value(m.REKOR_CONSISTENT) == 1
    assert world.value(m.REKOR_LAST_CHECK) == judged
    assert world.value(m.REKOR_UP) == 0
    assert world.value(m.TREE_SIZE, shard=log.origin) == 300
    assert world.value(m.SPLIT_VIEWS) == world.value(m.ROLLBACKS) == 0
    world.serve(log)
    assert world.check() == GOOD


def test_an_oversized_tile_is_not_read(world: World, log: logkit.Log) -> None:
    """A tile of another size than a tile's is refused before it is read."""
    files = log.grow(300).files()
    world.hosts["main.example"] = {**files, **dict.fromkeys(tiles(files), b"x" * 100_000)}
    found = world.check()
    assert found["consistency"] == found["inclusion"] == "unknown too_large"
    assert world.failures() == {"consistency bad_response": 1, "inclusion bad_response": 1}


def test_a_full_tile_stands_in_for_a_partial_one(world: World, log: logkit.Log) -> None:
    """A log may delete a partial tile once it is full: the full one has the same beginning."""
    later = logkit.Log(log.origin, log.key, [*log.entries]).grow(724).files()
    log.grow(200)
    world.hosts["main.example"] = {
        **{path: data for path, data in later.items() if ".p/" not in path},
        **{
            path: data
            for path, data in log.files().items()
            if not path.startswith(("tile/0", "tile/entries"))
        },
    }
    assert world.check() == GOOD


@pytest.mark.parametrize("size", [2**63 - 1, 2**62 + 12345])
def test_an_absurd_size_costs_a_few_requests(world: World, log: logkit.Log, size: int) -> None:
    """A log that signs a size it cannot have has no tiles for it: unknown, after few requests."""
    world.hosts["main.example"] = {**log.files(), "checkpoint": log.checkpoint(size, b"\1" * 32)}
    world.asked.clear()
    assert world.check()["consistency"] == "unknown bad_response"
    assert len(world.asked) < 12
    assert world.value(m.TREE_SIZE, shard=log.origin) == 300


def test_time_running_backwards_changes_no_verdict(world: World, log: logkit.Log) -> None:
    """The clock is set back by a year: checks go on, and say when they were made."""
    world.serve(log.grow(1))
    assert world.check(after=-31_536_000) == GOOD
    assert world.value(m.REKOR_LAST_CHECK) == world.value(m.LAST_GROWTH) == world.now
    assert world.value(m.REKOR_CONSISTENT) == 1


def test_a_restart_remembers(world: World, log: logkit.Log) -> None:
    """Sizes, growth, verdict and its age are published before the first check, and that one compares."""
    world.serve(log.grow(1))
    world.check()
    judged = world.now
    world.exporter()
    assert world.value(m.TREE_SIZE, shard=log.origin) == 301
    assert world.value(m.LAST_GROWTH) == world.value(m.REKOR_LAST_CHECK) == judged
    assert world.value(m.REKOR_CONSISTENT) == world.value(m.CHECKPOINT_VALID) == 1
    world.serve(forked(log, 302))
    assert world.check()["consistency"] == "failed inconsistent"


def test_an_empty_log_has_nothing_to_include(tmp_path: Path) -> None:
    """A fresh log is verified; no entry is looked for; its growth from nothing is consistent."""
    log = logkit.Log()
    world = World(tmp_path).log(log).exporter()
    assert world.check() == {"checkpoint": "verified"}
    world.serve(log.grow(1))
    assert world.check() == GOOD
    assert world.value(m.REKOR_CONSISTENT) == 1
