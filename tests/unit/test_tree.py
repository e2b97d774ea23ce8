"""The only writer to disk removes what it owns and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slo import tree
from slo.artifact import Output
from slo.errors import OutputError

MANIFEST = tree.MANIFEST


def outputs(**files: str) -> tuple[Output, ...]:
    """Files by stem, and the manifest that names them."""
    made = [Output(f"rules/{name}.yaml", text) for name, text in sorted(files.items())]
    return (*made, Output(MANIFEST, json.dumps({"files": [o.path for o in made]})))


def snapshot(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_first_write_creates_every_file(tmp_path: Path) -> None:
    """And names them as missing before."""
    drift = tree.write(tmp_path / "out", outputs(a="1", b="2"))
    assert drift.missing == ("rules/a.yaml", "rules/b.yaml", MANIFEST)
    assert snapshot(tmp_path / "out") == {o.path: o.text for o in outputs(a="1", b="2")}


def test_a_second_write_touches_nothing(tmp_path: Path) -> None:
    """Not even a modification time."""
    tree.write(tmp_path, outputs(a="1"))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert not tree.write(tmp_path, outputs(a="1"))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_a_changed_file_is_replaced(tmp_path: Path) -> None:
    """Its diff is what was on disk against what was compiled."""
    tree.write(tmp_path, outputs(a="old\n"))
    drift = tree.write(tmp_path, outputs(a="new\n"))
    assert drift.changed == ("rules/a.yaml",)
    assert "-old" in drift.diff
    assert "+new" in drift.diff
    assert (tmp_path / "rules/a.yaml").read_text() == "new\n"


def test_a_stale_file_it_owns_is_removed(tmp_path: Path) -> None:
    """With its folder once that is empty."""
    tree.write(tmp_path, (Output("old/a.yaml", "1"), Output(MANIFEST, json.dumps({"files": ["old/a.yaml"]}))))
    drift = tree.write(tmp_path, outputs(b="2"))
    assert drift.stale == ("old/a.yaml",)
    assert not (tmp_path / "old").exists()


def test_a_file_of_someone_else_stays(tmp_path: Path) -> None:
    """In the same folder, and in one that loses its last file of ours."""
    tree.write(tmp_path, outputs(a="1", b="2"))
    (tmp_path / "rules" / "mine.yaml").write_text("mine")
    tree.write(tmp_path, (Output("x.yaml", "1"), Output(MANIFEST, json.dumps({"files": ["x.yaml"]}))))
    assert snapshot(tmp_path / "rules") == {"mine.yaml": "mine"}


def test_a_foreign_file_in_the_way_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The message names it and both remedies."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "b.yaml").write_text("mine")
    with pytest.raises(
        OutputError,
        match=r"b\.yaml exists and was not generated here: choose another folder with --out, or remove it",
    ):
        tree.write(tmp_path, outputs(a="1", b="2"))
    assert snapshot(tmp_path) == {"rules/b.yaml": "mine"}


def test_an_equal_foreign_file_is_adopted(tmp_path: Path) -> None:
    """Nothing would be lost."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("1")
    tree.write(tmp_path, outputs(a="1"))
    assert "rules/a.yaml" in tree.owned(tmp_path)


@pytest.mark.parametrize("evil", ["../victim", "/etc/victim", "rules/../../victim", 5, None])
def test_a_manifest_that_points_outside_its_folder_deletes_nothing(tmp_path: Path, evil: object) -> None:
    """Such entries are not ours."""
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "victim").write_text("precious")
    (folder / MANIFEST).write_text(json.dumps({"files": [evil]}))
    tree.write(folder, outputs(a="1"))
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 5}', "not json", '"files"'])
def test_a_manifest_that_is_not_ours_is_refused(tmp_path: Path, text: str) -> None:
    """Another tool may write a slos.json too."""
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(OutputError, match="is not a manifest of ours: choose another folder with --out"):
        tree.write(tmp_path, outputs(a="1"))


def test_an_interrupted_write_still_knows_what_it_owns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest goes first and names old and new files, so the next run cleans up."""
    tree.write(tmp_path, outputs(a="1", b="2"))
    real, written = os.replace, []

    def breaks(source: str, target: Path) -> None:
        written.append(target)
        if len(written) == 3:  # the manifest, one file, and then the power fails
            raise OSError(28, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", breaks)
    with pytest.raises(OutputError, match="No space left on device"):
        tree.write(tmp_path, outputs(b="changed", c="3", d="4"))
    monkeypatch.undo()
    assert {"rules/a.yaml", "rules/b.yaml", "rules/c.yaml", "rules/d.yaml"} <= tree.owned(tmp_path)
    tree.write(tmp_path, outputs(b="changed", c="3", d="4"))
    assert snapshot(tmp_path) == {o.path: o.text for o in outputs(b="changed", c="3", d="4")}


def test_a_failed_write_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are written beside and renamed; what could not be renamed is removed."""

    def breaks(source: str, target: Path) -> None:
        raise OSError(5, "Input/output error", str(target))

    monkeypatch.setattr(os, "replace", breaks)
    with pytest.raises(OutputError):
        tree.write(tmp_path, outputs(a="1"))
    assert snapshot(tmp_path) == {}


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        tree.write(tmp_path / "out", outputs(a="1"))


def test_a_folder_where_a_file_should_be_is_one_sentence(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "rules" / "a.yaml").mkdir(parents=True)
    with pytest.raises(OutputError, match="is a folder, and a file goes there"):
        tree.write(tmp_path, outputs(a="1"))


def test_comparing_writes_nothing(tmp_path: Path) -> None:
    """Missing, changed and stale are found in memory."""
    tree.write(tmp_path, outputs(a="1", b="2"))
    before = snapshot(tmp_path)
    drift = tree.compare(tmp_path, outputs(a="changed", c="3"))
    assert (drift.missing, drift.changed, drift.stale) == (
        ("rules/c.yaml",),
        ("rules/a.yaml", MANIFEST),
        ("rules/b.yaml",),
    )
    assert snapshot(tmp_path) == before


def test_a_stale_file_that_is_gone_already_is_no_drift(tmp_path: Path) -> None:
    """Nothing would have to be done."""
    tree.write(tmp_path, outputs(a="1"))
    (tmp_path / "rules" / "a.yaml").unlink()
    assert tree.compare(tmp_path, outputs()).stale == ()


def test_text_is_written_with_the_same_bytes_everywhere(tmp_path: Path) -> None:
    """UTF-8 and bare newlines."""
    tree.write(tmp_path, outputs(a="é\n"))
    assert (tmp_path / "rules/a.yaml").read_bytes() == b"\xc3\xa9\n"
