"""What others rely on: public names, light imports, layers, the wheel, and what the README shows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import slo
from slo.compile import compile_stack
from slo.load import OUR_PACKAGES, load

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

PUBLIC = [
    "SLO", "Above", "AlertPolicy", "Below", "Board", "Chart", "Check", "Column", "Composite",
    "DefinitionError", "Duration", "Freshness", "GoldenSignals", "Latency", "Link", "Mark", "Monitor",
    "NearZero", "NotExploding", "NotMeasured", "Objective", "Panel", "Query", "Ratio", "SLOError",
    "Section", "Service", "Signal", "Stack", "Step", "TimeSlice", "Uptime", "Value", "Variable",
    "WhileDemand", "Window",
]  # fmt: skip


def test_the_public_names_are_these() -> None:
    """A name that comes or goes is a decision: it changes this list and the changelog."""
    assert slo.__all__ == PUBLIC
    assert all(hasattr(slo, name) for name in PUBLIC)


def test_every_public_name_says_what_it_is() -> None:
    """Its docstring is the help a user gets in an editor; none is inherited from a library."""
    silent = [n for n in PUBLIC if not (getattr(slo, n).__doc__ or "").strip()]
    assert silent == []


def imported_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_a_definition_imports_the_model_and_no_backend() -> None:
    """It loads in milliseconds, and a definition can never depend on a target."""
    loaded = imported_by("import slo")
    assert (
        loaded
        & {"alerts", "dashboards", "exporters", "httpx", "rich", "typer", "jinja2", "grafanalib", "yaml"}
        == set()
    )


def test_only_one_package_prints() -> None:
    """`cli` is the only one with print or a console."""
    printing = [
        str(file.relative_to(ROOT))
        for package in ("slo", "alerts", "dashboards")
        for file in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*print\(|\bConsole\(|sys\.stdout", file.read_text(), re.MULTILINE)
    ]
    assert printing
    assert all(file.startswith("slo/cli/") for file in printing), printing


def test_imports_point_one_way() -> None:
    """import-linter's contracts hold."""
    done = subprocess.run([BIN / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_packages_cannot_be_run_as_modules() -> None:
    """Four generic names: only the console script is an entry point."""
    assert not [p for p in OUR_PACKAGES if (ROOT / p / "__main__.py").exists()]


def test_the_wheel_holds_exactly_the_four_packages(tmp_path: Path) -> None:
    """Every module, template, runbook and the mark that we are typed; no tests, no tools, no fifth package."""
    source = tmp_path / "source"
    source.mkdir()
    for name in (*OUR_PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        (source / name).symlink_to(ROOT / name)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (file,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        held = {n for n in archive.namelist() if ".dist-info/" not in n}
    ours = {p for package in OUR_PACKAGES for p in (ROOT / package).rglob("*") if p.is_file()}
    assert held == {str(p.relative_to(ROOT)) for p in ours if p.suffix != ".pyc"}


def test_every_dependency_says_why_it_is_there() -> None:
    """A comment on its line."""
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    for dependency in (*project["dependencies"], *project["optional-dependencies"]["dev"]):
        (line,) = [row for row in text.splitlines() if f'"{dependency}"' in row]
        assert "#" in line, dependency


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )


def test_the_readmes_example_compiles(tmp_path: Path) -> None:
    """The first Python block is a definition file as it stands."""
    file = tmp_path / "slos.py"
    file.write_text(blocks("python")[0], encoding="utf-8")
    assert len(compile_stack(load(file))) > 5


def test_the_readme_names_commands_that_exist() -> None:
    """Every `slo ...` and `make ...` line of its shell blocks."""
    lines = [line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    commands = {words[1] for words in lines if words[:1] == ["slo"]}
    targets = {words[1] for words in lines if words[:1] == ["make"]}
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    usage = subprocess.run([BIN / "slo", "--help"], capture_output=True, text=True, check=True).stdout
    assert commands
    assert {c for c in commands if not re.search(rf"^  {c}\s", usage, re.MULTILINE)} == set()
    assert targets
    assert targets <= known


def test_links_within_the_documents_resolve() -> None:
    """Relative links of README, CONTRIBUTING, docs and runbooks lead to files."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    documents += (ROOT / "alerts" / "runbooks").glob("*.md")
    broken = [
        f"{file.relative_to(ROOT)}: {link}"
        for file in documents
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text())
        if "://" not in link and not (file.parent / link).exists()
    ]
    assert len(documents) > 3
    assert broken == []


def test_no_file_of_ours_names_a_machine() -> None:
    """Neither a home folder nor a registry's address."""
    pattern = re.compile(r"/(root|home|work)/[a-z]|index-url")
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    files = [
        ROOT / f
        for f in tracked
        if f.endswith((".py", ".md", ".toml", ".yaml", ".yml", ".j2")) or f == "Makefile"
    ]
    assert len(files) > 50
    found = [
        str(f.relative_to(ROOT))
        for f in files
        if f.is_file()
        and f.parent != Path(__file__).parent
        and pattern.search(f.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
