"""The state outlives the process, is never half written, and is never silently forgotten."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import logkit
import pytest
from rekorworld import World

from exporters import metrics as m
from exporters.config import ConfigError, load
from exporters.outcome import CouldNotCheck
from exporters.rekor import Config, clear_latch
from exporters.rekor.state import State, Store, Tree

LOG = logkit.Log().grow(20)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path).log(LOG).exporter()
    world.check()
    world.check()
    return world


def state_file(world: World) -> Path:
    return world.folder / "state" / "main.json"


def spoil(text: str, how: str) -> str:
    content = json.loads(text)
    match how:
        case "torn":
            return text[: len(text) // 2]
        case "empty":
            return ""
        case "garbage":
            return "\x00" * 100
        case "deep":
            return "[" * 200_000
        case "other root":
            note = content["state"]["trees"][LOG.origin]["note"]
            content["state"]["trees"][LOG.origin]["note"] = note.replace("\n20\n", "\n21\n")
        case "no latch key":
            del content["state"]["latch"]
        case "unknown key":
            content["state"]["more"] = 1
        case "another log's":
            content["state"]["log"] = "other"
    return json.dumps(content)


DAMAGE = ["torn", "empty", "garbage", "deep", "other root", "no latch key", "unknown key", "another log's"]


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_state_leaves_no_verdict(world: World, how: str) -> None:
    """It is not taken for a first start: nothing is compared, and the verdict's age grows, until it is cleared."""
    judged = world.value(m.REKOR_LAST_CHECK)
    damaged = spoil(state_file(world).read_text(), how)
    state_file(world).write_text(damaged)
    assert world.check() == {
        "checkpoint": "verified",
        "inclusion": "verified",
        "consistency": "unknown internal",
    }
    assert world.failures() == {"consistency internal": 1}
    assert world.value(m.REKOR_LAST_CHECK) == judged
    assert world.value(m.REKOR_CONSISTENT) == world.value(m.REKOR_UP) == 1
    assert state_file(world).read_text() == damaged
    world.exporter()
    assert world.value(m.REKOR_CONSISTENT) is None


def test_a_damaged_state_is_named_with_its_remedy(world: World) -> None:
    """One sentence: the file, what it means, and the command that helps."""
    state_file(world).write_text("{")
    (finding,) = [f for f in world.subject.check("main") if f.check == "consistency"]
    assert finding.outcome.detail == (
        f"{state_file(world)} is damaged, so no checkpoint is compared: "
        "find the cause, then run slo-exporter rekor --clear-latch main"
    )


def config(world: World) -> Config:
    return load(Config, world.folder / "config.yaml")


def test_clearing_sets_the_evidence_aside(world: World) -> None:
    """The state is renamed, not removed; the next checkpoint is trusted, and the one after it is compared."""
    world.serve(LOG, size=10)
    world.check()
    assert world.value(m.REKOR_CONSISTENT) == 0
    aside = clear_latch(config(world), "main", lambda: 1234.5)
    assert aside == world.folder / "state" / "main.cleared-1234.json"
    assert json.loads(aside.read_text())["state"]["latch"]["kind"] == "rollback"
    assert world.check() == {"checkpoint": "verified", "inclusion": "verified"}
    assert world.check()["consistency"] == "verified"
    assert world.value(m.REKOR_CONSISTENT) == 1


def test_clearing_twice_keeps_both_files(world: World) -> None:
    """No evidence is written over; clearing what is not there is no error."""
    content = state_file(world).read_text()
    first = clear_latch(config(world), "main", lambda: 7)
    assert clear_latch(config(world), "main", lambda: 7) is None
    state_file(world).write_text(content)
    second = clear_latch(config(world), "main", lambda: 7)
    assert first is not None
    assert second is not None
    assert first != second
    assert first.read_text() == second.read_text() == content


def test_the_command_clears(world: World) -> None:
    """It says where the evidence is now; a second time there is nothing to set aside; a typo is a usage error."""
    command = [str(Path(sys.executable).parent / "slo-exporter"), "rekor", "--config", "config.yaml"]

    def run(log: str) -> tuple[int, str]:
        done = subprocess.run(
            [*command, "--clear-latch", log], cwd=world.folder, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    code, said = run("main")
    (aside,) = (world.folder / "state").glob("main.cleared-*.json")
    assert (code, said) == (
        0,
        f"what was remembered of main is now in state/{aside.name}; its next checkpoint will be trusted\n",
    )
    assert run("main") == (0, "nothing is remembered of main\n")
    assert run("mian") == (2, "slo-exporter: there is no log 'mian': name one of main\n")


def test_only_a_configured_log_can_be_cleared(world: World) -> None:
    """The sentence names those that are."""
    with pytest.raises(ConfigError, match="there is no log 'mian': name one of main"):
        clear_latch(config(world), "mian")


def test_a_state_that_cannot_be_written_is_no_verdict(world: World) -> None:
    """The checkpoint would not be remembered: so it does not count as judged, and is not published."""
    judged = world.value(m.REKOR_LAST_CHECK)
    grown = logkit.Log(LOG.origin, LOG.key, [*LOG.entries]).grow(1)
    world.serve(grown)
    (world.folder / "state" / ".main.json.new").mkdir()  # in the place of the file that is written first
    assert world.check()["consistency"] == "unknown internal"
    assert world.value(m.TREE_SIZE, shard=LOG.origin) == 20
    assert world.value(m.REKOR_LAST_CHECK) == judged
    (world.folder / "state" / ".main.json.new").rmdir()
    assert world.check()["consistency"] == "verified"
    assert world.value(m.TREE_SIZE, shard=LOG.origin) == 21


def test_a_contradiction_is_published_though_it_cannot_be_written(world: World) -> None:
    """It is proven whatever the disk does, holds while the process lives, and is written when that is possible."""
    blocker = world.folder / "state" / ".main.json.new"
    blocker.mkdir()
    world.serve(LOG, size=10)
    assert world.check()["consistency"] == "failed inconsistent"
    assert (world.value(m.REKOR_CONSISTENT), world.value(m.ROLLBACKS)) == (0, 1)
    blocker.rmdir()
    world.serve(LOG)
    assert world.check()["consistency"] == "verified"
    assert (world.value(m.REKOR_CONSISTENT), world.value(m.ROLLBACKS)) == (0, 1)
    world.exporter()
    assert world.value(m.REKOR_CONSISTENT) == 0


def test_an_exporter_without_a_folder_does_not_start(tmp_path: Path) -> None:
    """A folder made on the way would be lost with the container: the operator has to give one."""
    world = World(tmp_path).log(LOG)
    world.config["state"] = "stat"
    with pytest.raises(ConfigError, match=r"key 'state': .*stat is not a folder: create it on a volume"):
        world.exporter()


def test_a_state_in_use_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    """Two exporters that share a folder do not write over each other; the sentence says so."""
    ticks = iter(range(1000))
    one = Store(tmp_path, "main")
    other = Store(tmp_path, "main", patience=3, monotonic=lambda: next(ticks), sleep=lambda _: None)
    with one.exclusive(), pytest.raises(CouldNotCheck, match="is in use by another check"):
        other.update(lambda _: State(log="main"))
    other.update(lambda _: State(log="main"))
    assert one.load() == State(log="main")


def test_a_state_replaced_during_a_check_is_not_written_over(world: World) -> None:
    """What another exporter, or a clearing, has put there meanwhile stays; the check has no verdict."""
    store = Store(world.folder / "state", "main")
    grown = logkit.Log(LOG.origin, LOG.key, [*LOG.entries]).grow(5)
    theirs = State(log="main", trees={LOG.origin: Tree(note=grown.checkpoint(22).decode())})
    files = grown.files()

    def host(request: object) -> bytes:
        store.save(theirs)
        return files[request.url.path.lstrip("/")]  # type: ignore[attr-defined]

    world.hosts["main.example"] = host
    assert world.check()["consistency"] == "unknown internal"
    assert store.load() == theirs


def write_for_ever(store: Store, notes: list[str]) -> None:
    for note in itertools.cycle(notes):
        store.update(partial(lambda state, note: State(log="main", trees={"t": Tree(note=note)}), note=note))


def test_a_killed_writer_leaves_a_whole_state(tmp_path: Path) -> None:
    """SIGKILL at any moment: the file is one of those that were written, every time, and is not locked."""
    notes = [LOG.checkpoint(n, None, "x" * 20_000).decode() for n in range(1, 21)]
    store = Store(tmp_path, "main")
    fork = multiprocessing.get_context("fork")
    seen: set[int] = set()
    for turn in range(40):
        process = fork.Process(target=write_for_ever, args=(store, notes), daemon=True)
        process.start()
        while not store.path.exists():
            time.sleep(0.001)
        time.sleep(turn * 0.0013)
        process.kill()
        process.join()
        state = store.load()
        assert state is not None
        assert state.trees["t"].note in notes
        seen.add(state.trees["t"].head.size)
        with store.exclusive():
            assert set(os.listdir(tmp_path)) <= {"main.json", "main.lock", ".main.json.new"}
    assert len(seen) > 1
