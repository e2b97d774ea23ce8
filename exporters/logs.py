"""Logs on stderr, as text or one JSON object a line. No secret gets into them."""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LONGEST = 2000  # characters of one message; servers choose what some of it says

# The attributes every record has; what else is there was given as `extra`.
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ in a URL
    (re.compile(r"(?<=://)[^/\s@]{1,1000}@"), "***@"),
    # Authorization: Bearer abc, 'authorization': 'Basic abc', DPoP proofs; not "basic authentication"
    (re.compile(r"(?i:\b(bearer|basic|dpop))\s+(?=\S*[A-Z0-9=])[A-Za-z0-9._~+/=-]{6,}"), r"\1 ***"),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*['\"]?)[^\s'\",;]+"),
        r"\1\2***",
    ),
    # password: x, and of the rest token=x and "token": "x": in prose "the token: expired" is no secret
    (re.compile(r"(?i)(pass(?:word|wd|phrase)['\"]?\s*[:=]\s*['\"]?)[^\s'\",;&}]+"), r"\1***"),
    (
        re.compile(
            r"(?i)((?:secret|token|signature|api[_-]?key|credential)s?(?:=|['\"]\s*[:=]\s*)['\"]?)[^\s'\",;&}]+"
        ),
        r"\1***",
    ),
    # A JSON Web Token, wherever it stands
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "***"),
)


def redact(text: str) -> str:
    """The text without what looks like a credential."""
    for pattern, put in _SECRETS:
        text = pattern.sub(put, text)
    return text


def one_line(text: str) -> str:
    """Redacted, cut, and without control characters: a server's text can neither forge a line nor move a cursor."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return "".join(c if c.isprintable() else " " for c in redact(cut))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {
        key: value if isinstance(value, (int, float, bool)) or value is None else one_line(str(value))
        for key, value in vars(record).items()
        if key not in _PLAIN
    }


def _trace(record: logging.LogRecord) -> str:
    """Type, message and the innermost frames of an exception, on one line."""
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    error = record.exc_info[1]
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in reversed(frames))
    return one_line(f"{type(error).__name__}: {error} at {places}")


class Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        trace = _trace(record)
        return f"{when} {record.levelname} {one_line(record.getMessage())}{f' [{trace}]' if trace else ''}"


class Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": one_line(record.getMessage()),
            **_fields(record),
        }
        if trace := _trace(record):
            said["error"] = trace
        return json.dumps(said, ensure_ascii=False)


_FORMATS: Mapping[str, type[logging.Formatter]] = {"text": Text, "json": Json}


def configure(level: str, form: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Log from now on like this. Libraries are heard from warning on: HTTP clients log headers below it."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(_FORMATS[form]())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("exporters").setLevel(level.upper())
