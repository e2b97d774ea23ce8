"""The command. The only package that prints."""

from __future__ import annotations

import sys

import slo.cli.budget
import slo.cli.definitions
import slo.cli.gate
import slo.cli.report  # noqa: F401 - registers its commands
from slo.cli.options import USAGE, app
from slo.errors import SLOError

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: every error of ours is one sentence on stderr and exit code 2; typer says the same of usage."""
    try:
        app(prog_name="slo")
    except SLOError as error:
        print(f"slo: {error}", file=sys.stderr)
        sys.exit(USAGE)
