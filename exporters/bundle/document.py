"""YAML and JSON of unknown origin, read within bounds: no aliases, no duplicate keys, no depth, no surprises."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from exporters.outcome import Refused

LARGEST = 1 << 20  # bytes of a manifest; a bundle of a hundred images is a twentieth of it
DEEPEST = 16  # levels; release.yaml has four
MOST = 50_000  # scalars, mappings and sequences

_PARSER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


@dataclass(frozen=True, slots=True)
class Document:
    """`content` holds mappings, lists and scalars. YAML's scalars are text: 2027.10 stays 2027.10, not 2027.1.

    `spans` says where in `text` the value of a path lies, without its quotes: ("checksums", "sha256") -> (810, 874).
    JSON has none.
    """

    text: str
    content: Any
    spans: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict)

    def digest_without(self, start: int, end: int) -> str:
        """The sha256, in hex, of the text with the value at this span blanked; all other bytes count."""
        return hashlib.sha256((self.text[:start] + self.text[end:]).encode()).hexdigest()


def read(data: bytes, what: str) -> Document:
    """Read JSON (it begins with a brace) or YAML. Raises Refused("malformed") with a sentence about `what`."""
    if len(data) > LARGEST:
        raise Refused("malformed", f"{what} has {len(data)} bytes; at most {LARGEST} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("malformed", f"{what} is not UTF-8 (byte {error.start})") from None
    if text.startswith("\ufeff"):
        raise Refused("malformed", f"{what} begins with a byte order mark: it is written without one")
    if text.lstrip(" \t\r\n").startswith("{"):
        return Document(text, _json(text, what))
    return _yaml(text, what)


# ---- JSON ------------------------------------------------------------------------------------


def _json(text: str, what: str) -> Any:
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as error:
        raise Refused("malformed", f"{what} is not valid JSON: {error}") from None
    if _deeper(content, DEEPEST):
        raise _too_deep(what)
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} is there twice")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _deeper(value: Any, levels: int) -> bool:
    """Is the value nested more than `levels` deep? It stops there, so its own recursion is bounded."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper(child, levels - 1) for child in children)


# ---- YAML ------------------------------------------------------------------------------------


def _yaml(text: str, what: str) -> Document:
    """Built from parser events, so that nothing is expanded, constructed or nested before it was judged."""
    spans: dict[tuple[str, ...], tuple[int, int]] = {}
    try:
        events = _Events(yaml.parse(text, Loader=_PARSER), what)
        events.take(yaml.StreamStartEvent)
        if not isinstance(events.next(), yaml.DocumentStartEvent):
            raise Refused("malformed", f"{what} is empty")
        content = _value(events, (), spans)
        events.take(yaml.DocumentEndEvent)
        if not isinstance(events.next(), yaml.StreamEndEvent):
            raise Refused("malformed", f"{what} holds more than one YAML document")
    except yaml.YAMLError as error:
        if "maximum nesting depth" in str(error):  # libyaml's own limit, which newer versions have
            raise _too_deep(what) from None
        raise Refused("malformed", f"{what} is not valid YAML: {' '.join(str(error).split())}") from None
    return Document(text, content, spans)


class _Events:
    def __init__(self, events: Iterator[yaml.Event], what: str) -> None:
        self._events = events
        self._count = 0
        self.what = what

    def next(self) -> yaml.Event:
        self._count += 1
        if self._count > MOST:
            raise Refused("malformed", f"{self.what} has more than {MOST} parts")
        event = next(self._events)
        place = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise Refused("malformed", f"{self.what}, {place}: anchors and aliases are not read")
        if getattr(event, "tag", None) not in (None, "!"):  # a quoted scalar has "!"
            raise Refused("malformed", f"{self.what}, {place}: tags are not read")
        return event

    def take(self, kind: type[yaml.Event]) -> None:
        event = self.next()
        assert isinstance(event, kind), event


def _line(event: yaml.Event) -> str:
    assert event.start_mark is not None
    return f"line {event.start_mark.line + 1}"


def _value(
    events: _Events,
    path: tuple[str, ...],
    spans: dict[tuple[str, ...], tuple[int, int]],
    first: yaml.Event | None = None,
) -> Any:
    event = events.next() if first is None else first
    if isinstance(event, yaml.ScalarEvent):
        quoted = 1 if event.style in ("'", '"') else 0
        assert event.start_mark is not None
        assert event.end_mark is not None
        spans[path] = (event.start_mark.index + quoted, event.end_mark.index - quoted)
        return event.value
    if len(path) >= DEEPEST:
        raise _too_deep(events.what)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := events.next(), yaml.SequenceEndEvent):
            items.append(_value(events, (*path, str(len(items))), spans, event))
        return items
    assert isinstance(event, yaml.MappingStartEvent), event
    found: dict[str, Any] = {}
    while not isinstance(event := events.next(), yaml.MappingEndEvent):
        place = f"{events.what}, {_line(event)}"
        if not isinstance(event, yaml.ScalarEvent):
            raise Refused("malformed", f"{place}: a key is no text")
        if event.value in found:
            raise Refused("malformed", f"{place}: the key {event.value[:60]!r} is there twice")
        found[event.value] = _value(events, (*path, event.value), spans)
    return found


def _too_deep(what: str) -> Refused:
    return Refused("malformed", f"{what} is nested more than {DEEPEST} levels deep")


_MEMBER = r'"{name}"\s*:\s*"(?P<value>[^"\\]*)"'


def json_span(document: Document, name: str) -> tuple[int, int] | None:
    """Where the text value of this member lies in a JSON document; None unless it is there exactly once."""
    found = list(re.finditer(_MEMBER.format(name=re.escape(name)), document.text))
    return found[0].span("value") if len(found) == 1 else None
