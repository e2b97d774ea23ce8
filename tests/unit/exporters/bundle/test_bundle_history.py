"""What was seen on each channel survives restarts, crashes and bad clocks."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import count
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from exporters.bundle import history as history_module
from exporters.bundle.history import History, HistoryError, Seen


def seen(first: float, date: float | None = 100.0, order: tuple[int, int, int] = (2, 4, 1)) -> Seen:
    return Seen(first, date, "ab", order)


def test_a_version_is_first_seen_once(tmp_path: Path) -> None:
    """A later look, or a clock that went back, changes nothing."""
    history = History(tmp_path / "state")
    history.note("edge", "2.4.0", seen(50.0, 10.0, (2, 4, 0)))
    for now in (200.0, 300.0, 20.0):
        history.note("edge", "2.4.1", seen(now))
    assert History(tmp_path / "state").versions("edge")["2.4.1"].first == 200.0


def test_the_first_version_of_a_channel_counts_from_its_own_date(tmp_path: Path) -> None:
    """It was there before we looked. Later ones count from when they were seen."""
    history = History(tmp_path / "state")
    history.note("edge", "2.4.1", seen(200.0, 100.0))
    history.note("edge", "2.4.2", seen(300.0, 100.0, (2, 4, 2)))
    assert {v: s.first for v, s in history.versions("edge").items()} == {"2.4.1": 100.0, "2.4.2": 300.0}


def test_the_newest_is_by_date_and_then_by_version(tmp_path: Path) -> None:
    """Without dates by version alone; a withdrawn one does not count."""
    history = History(None)
    history.note("a", "2.4.9", seen(1, 100.0, (2, 4, 9)))
    history.note("a", "2.4.10", seen(1, 100.0, (2, 4, 10)))
    history.note("a", "2.3.0", seen(1, 99.0, (2, 3, 0)))
    assert [
        found[0] for found in (history.newest("a"), history.newest("a", frozenset({"2.4.10"}))) if found
    ] == [
        "2.4.10",
        "2.4.9",
    ]
    assert history.newest("b") is None


def test_old_versions_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays small for ever."""
    monkeypatch.setattr(history_module, "KEPT", 3)
    history = History(tmp_path / "state")
    for n in range(5):
        history.note("edge", f"2.4.{n}", seen(float(n), float(n), (2, 4, n)))
    kept = History(tmp_path / "state").versions("edge")
    assert kept.keys() == {"2.4.2", "2.4.3", "2.4.4"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 2, "channels": {}}', '{"format": 1}', '{"format": 1, "channels": {"a": {"v": {}}}}',
     '{"format": 1, "channels": {"a": {"v": {"first": "x", "date": 1, "sha256": "", "order": [1, 2, 3]}}}}',
     "[" * 100_000],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    """Torn, of another format, or something else."""
    (tmp_path / "state").write_text(text)
    with pytest.raises(HistoryError, match="move it away to begin anew"):
        History(tmp_path / "state")


def test_a_write_that_fails_leaves_file_and_memory_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing beside it."""
    path = tmp_path / "state"
    history = History(path)
    history.note("edge", "2.4.1", seen(1.0))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        history.note("edge", "2.4.2", seen(2.0))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert history.versions("edge").keys() == {"2.4.1"}


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    """A pod that is killed again and again does not fill its volume."""
    path = tmp_path / "state"
    (tmp_path / ".state.new").write_text('{"format": 1, "chan')
    History(path).note("edge", "2.4.1", seen(1.0))
    assert list(tmp_path.iterdir()) == [path]


def write_for_ever(path: Path, said: Connection) -> None:
    history = History(path)
    for n in count(1):
        history.note("edge", f"2.{n}.0", Seen(float(n), float(n), "ab", (2, n, 0)))
        said.send(n)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.05])
def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path, delay: float) -> None:
    """SIGKILL at any moment: the file reads, and holds what was said to be written."""
    path = tmp_path / "state"
    ours, theirs = Pipe(duplex=False)
    writer = get_context("fork").Process(target=write_for_ever, args=(path, theirs))
    writer.start()
    theirs.close()
    last = ours.recv()
    time.sleep(delay)
    writer.kill()
    with suppress(EOFError):
        while True:
            last = ours.recv()
    writer.join()
    newest = History(path).newest("edge")
    assert newest is not None
    assert newest[1].order[1] >= last
