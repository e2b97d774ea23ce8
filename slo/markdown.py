"""Text of others, such as labels and warnings, as Markdown that shows it and does nothing else."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"[\\|\[\]*`]")


def escaped(text: str) -> str:
    """Fit for a line and for a table's cell: one line, and nothing in it read as markup."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split())).replace("<", "&lt;")


def code(text: str) -> str:
    """As code, fit for a table's cell. A code span cannot hold a backtick."""
    return f"`{' '.join(text.split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"
