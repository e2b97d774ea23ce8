"""Whatever a definition file does, loading it yields a stack or one sentence with file and line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slo.errors import LoadError
from slo.load import OUR_PACKAGES, load

GOOD = """from slo import SLO, Ratio, Service, Stack

api = Service(name="api", owner="team-api")
stack = Stack(
    name="demo",
    slos=[
        SLO(
            service=api,
            name="availability",
            objective="99.9%",
            sli=Ratio(bad="errors_total", total="requests_total"),
            description="Requests are answered.",
        )
    ],
)
"""


@pytest.fixture(autouse=True)
def own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one definition imports must not be there for the next."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        del sys.modules[name]


def written(folder: Path, text: str, name: str = "slos.py") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_binds_a_stack(tmp_path: Path) -> None:
    """By path, whatever its name."""
    assert load(written(tmp_path, GOOD, "team.py")).name == "demo"


def test_a_folder_is_read_as_its_slos(tmp_path: Path) -> None:
    """`slo generate .` works."""
    written(tmp_path, GOOD)
    assert load(tmp_path).name == "demo"


def test_a_file_imports_its_neighbours(tmp_path: Path) -> None:
    """Shared definitions live beside it."""
    written(tmp_path, GOOD.replace("stack =", "shared ="), "neighbour_of_slos.py")
    written(tmp_path, "from neighbour_of_slos import shared as stack\n")
    assert load(tmp_path).name == "demo"


# definition, and what the message says after the file's name
BROKEN = {
    "syntax": ("stack = (\n", r":1: '\(' was never closed"),
    "raises": ("x = 1\ny = x / 0\n", ":2: ZeroDivisionError: division by zero"),
    "exits": ("import sys\nsys.exit(3)\n", ":2: SystemExit: 3"),
    "missing module": ("import no_such_module\n", ":1: ModuleNotFoundError: No module named 'no_such_module'"),
    "recursion": ("def f():\n    f()\nf()\n", ":2: RecursionError"),
    "null byte": ("x = 1\x00\n", "null byte"),
    "no stack": ("x = 1\n", r": binds no `stack`: end it with stack = Stack\("),
    "wrong type": ("stack = [1]\n", r": binds `stack` to a list: end it with stack = Stack\("),
    "misspelt": (GOOD.replace("objective=", "objektive="), r":7: .*SLO has no field 'objektive': did you mean objective=\?"),
    "far off": (GOOD.replace("objective=", "zzz="), r":7: .*SLO has no field 'zzz': it takes service, name"),
    "missing": (GOOD.replace('            objective="99.9%",\n', ""), ":7: SLO needs objective=: add it"),
    "no unit": (GOOD.replace("99.9%", "0.999"), r":7: SLO\(objective\): objective '0.999' has no unit: write '99.9%'"),
    "inner": (GOOD.replace("errors_total", "errors_total{"), r":11: Ratio\(bad\): PromQL 'errors_total\{' does not parse"),
    "own error": (
        "from slo import Duration\nDuration.parse('soon')\n",
        ":2: duration 'soon' is not understood: write a number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_sentence_with_its_line(tmp_path: Path, name: str) -> None:
    """No traceback, and the line is the user's, never ours."""
    text, message = BROKEN[name]
    file = written(tmp_path, text)
    with pytest.raises(LoadError) as caught:
        load(file)
    said = str(caught.value)
    assert re.search(message, said), said
    assert said.startswith(str(file))
    assert "\n" not in said
    assert "None" not in said


def test_the_line_is_that_of_the_neighbour_that_raised(tmp_path: Path) -> None:
    """An error in an imported file is shown there."""
    neighbour = written(tmp_path, "\n\nraise KeyError('x')\n", "neighbour_that_raises.py")
    written(tmp_path, "import neighbour_that_raises\n")
    with pytest.raises(LoadError, match=re.escape(f"{neighbour}:3: KeyError: 'x'")):
        load(tmp_path)


def test_a_neighbour_with_a_syntax_error_is_named(tmp_path: Path) -> None:
    """Not the file that imports it."""
    neighbour = written(tmp_path, "x = (\n", "neighbour_with_a_typo.py")
    written(tmp_path, "import neighbour_with_a_typo\n")
    with pytest.raises(LoadError, match=re.escape(f"{neighbour}:1: ")):
        load(tmp_path)


def test_bytes_that_are_no_text_are_one_sentence(tmp_path: Path) -> None:
    """A file in another encoding is named."""
    file = tmp_path / "slos.py"
    file.write_bytes(b"x = '\xff'\n")
    with pytest.raises(LoadError, match=re.escape(str(file))):
        load(file)


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    """`slo init` is the remedy."""
    with pytest.raises(LoadError, match=r"no such definition file; `slo init .*` writes one to start from"):
        load(tmp_path / "nowhere")


def test_a_file_that_is_no_python_is_refused(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(LoadError, match=r"not a Python file; name it with \.py"):
        load(written(tmp_path, GOOD, "slos.yaml"))


@pytest.mark.parametrize("package", OUR_PACKAGES)
@pytest.mark.parametrize("kind", ["folder", "module"])
def test_a_module_with_a_name_of_ours_is_refused(tmp_path: Path, package: str, kind: str) -> None:
    """It would stand in for ours, or ours for it."""
    written(tmp_path, GOOD)
    if kind == "folder":
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    else:
        (tmp_path / f"{package}.py").touch()
    with pytest.raises(
        LoadError, match=rf"must not hold a module named '{package}', which is ours: rename it"
    ):
        load(tmp_path)


def test_a_definitions_folder_never_comes_first(tmp_path: Path) -> None:
    """It is appended to the import path, so the standard library stays itself."""
    written(tmp_path, GOOD)
    (tmp_path / "json.py").write_text("raise SystemError('shadowed')\n")
    load(tmp_path)
    assert sys.path[-1] == str(tmp_path)
    assert sys.path[0] != str(tmp_path)
