"""`slo init`: a first definition of a team's own."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment

from slo.errors import OutputError

TEMPLATE = "slos.py.j2"


def write(folder: Path, name: str) -> Path:
    """Write slos.py into the folder. Raises OutputError rather than touch an existing one."""
    file = folder / "slos.py"
    if file.exists():
        raise OutputError(f"{file} exists already: choose another folder, or edit it")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50] or "my-team"
    source = files("slo").joinpath("templates", TEMPLATE).read_text(encoding="utf-8")
    text = Environment(autoescape=False, keep_trailing_newline=True).from_string(source).render(name=slug)  # noqa: S701 - Python, not HTML
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from None
    return file
