"""Whatever happens on the way, in any order: no fault is a verdict, and no fork goes unseen."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import httpx
import logkit
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rekorworld import World

from exporters import metrics as m

GOOD = {"checkpoint": "verified", "consistency": "verified", "inclusion": "verified"}

grown = st.tuples(st.just("grow"), st.integers(0, 60))
restarted = st.tuples(st.just("restart"), st.just(0))
spoilt = st.tuples(st.sampled_from(["zero", "cut", "drop", "swap"]), st.integers(0, 1000))
down = st.tuples(st.sampled_from(["refused", "slow", "503", "404", "html"]), st.just(0))
faults = st.lists(st.one_of(grown, grown, restarted, spoilt, down), min_size=1, max_size=6)

DOWN: dict[str, Any] = {
    "refused": httpx.ConnectError("refused"),
    "slow": httpx.ReadTimeout("slow"),
    "503": 503,
    "404": 404,
    "html": b"<html>log in</html>",
}


def spoil(files: dict[str, bytes], how: str, which: int) -> dict[str, Any]:
    """One file that is not the checkpoint, spoilt as a disk or a proxy might."""
    paths = sorted(path for path in files if path != "checkpoint")
    if not paths:
        return dict(files)
    path, other = paths[which % len(paths)], paths[which // 7 % len(paths)]
    data = files[path]
    spoilt = {"zero": bytes(len(data)), "cut": data[:-1], "drop": 404, "swap": files[other]}[how]
    return {**files, path: spoilt}


def happen(world: World, log: logkit.Log, event: tuple[str, int]) -> None:
    kind, number = event
    if kind == "grow":
        world.serve(log.grow(number))
    elif kind == "restart":
        world.exporter()
    elif kind in DOWN:
        world.hosts["main.example"] = lambda _: DOWN[kind]
    else:
        world.hosts["main.example"] = spoil(log.files(), kind, number)


@settings(max_examples=25)
@given(faults)
def test_no_fault_is_a_verdict(events: list[tuple[str, int]]) -> None:
    """An honest log behind faults is never said to have lied about its tree, and is good one check after them."""
    with tempfile.TemporaryDirectory() as folder:
        log = logkit.Log().grow(230)
        world = World(Path(folder)).log(log).exporter()
        world.check()
        for event in events:
            happen(world, log, event)
            found = world.check()
            assert not found["checkpoint"].startswith("failed")
            assert not found.get("consistency", "").startswith("failed")
            assert world.value(m.REKOR_CONSISTENT) != 0
            assert world.value(m.ROLLBACKS) == world.value(m.SPLIT_VIEWS) == 0
        world.serve(log)
        assert world.check() == GOOD
        assert world.value(m.REKOR_CONSISTENT) == world.value(m.REKOR_UP) == 1


@settings(max_examples=15)
@example([("grow", 26)], 0, 1, [])  # from a tree of 256 entries, whose root is a node of every larger one
@given(faults, st.integers(0, 229), st.integers(0, 60), faults)
def test_no_fork_goes_unseen(
    before: list[tuple[str, int]], entry: int, growth: int, after: list[tuple[str, int]]
) -> None:
    """Whatever came before it and comes after it, at any size: failed at once, and latched for good."""
    with tempfile.TemporaryDirectory() as folder:
        log = logkit.Log().grow(230)
        world = World(Path(folder)).log(log).exporter()
        world.check()
        for event in before:
            happen(world, log, event)
            world.check()
        entries = [*log.entries]
        entries[entry] = b"rewritten"
        fork = logkit.Log(log.origin, log.key, entries).grow(growth, "fork")
        world.serve(fork)
        assert world.check()["consistency"] == "failed inconsistent"
        for event in after:
            assert world.value(m.REKOR_CONSISTENT) == 0
            happen(world, log, event)
            world.check()
        assert world.value(m.REKOR_CONSISTENT) == 0
        assert world.exporter().value(m.REKOR_CONSISTENT) == 0
