"""YAML that an operator wrote, without YAML's traps: no aliases, no tags, no duplicate keys, no depth, a size cap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LARGEST = 4 << 20  # bytes; a list of 10,000 images is about 1 MiB
DEEPEST = 32  # levels; our configurations have six

# libyaml is ten times as fast; PyYAML's wheels have it, a build from source may not.
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class ConfigError(Exception):
    """A file of the operator's cannot be used: one sentence with file, place and remedy."""


class _Loader(_LOADER):  # type: ignore[misc] # one of two base classes, chosen above
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                said = getattr(key, "value", "a list or mapping")
                raise _marked(key, f"the key {said!r} is no text: write it in quotes")
            if key.value in seen:
                raise _marked(key, f"the key {key.value!r} is there twice: remove one")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)  # type: ignore[no-any-return] # untyped base


def read(path: Path) -> tuple[bytes, Any]:
    """The bytes and the content of a YAML file; None when it is empty. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}): check the path and its permissions"
        ) from None
    return raw, parse(raw, str(path))


def parse(raw: bytes, place: str) -> Any:
    """The content of one YAML document. `place` names the file in a ConfigError."""
    if len(raw) > LARGEST:
        raise ConfigError(
            f"{place}: is larger than {LARGEST} bytes: split it, or remove what is no configuration"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place}: is not UTF-8 at byte {error.start}: save it as UTF-8") from None
    try:
        _judge(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 # a safe loader that refuses more
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        remedy = "" if ": " in reason else ": mend the line"
        raise ConfigError(f"{place}{line}: {reason}{remedy}") from None
    except (RecursionError, ValueError) as error:  # ValueError: 2027-99-99 is no date
        raise ConfigError(
            f"{place}: is not YAML that can be read ({error}): write plain nested keys"
        ) from None


def _judge(text: str) -> None:
    """Look at the parser's events, before anything is built: what is refused costs nothing."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise _marked(event, "YAML aliases (*name) are not read: write it out")
        tag = getattr(event, "tag", None)
        if isinstance(event, yaml.NodeEvent) and tag not in (None, "!"):  # "!" is a quoted scalar
            raise _marked(event, f"YAML tags ({tag}) are not read: remove it")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _marked(event, f"nested more than {DEEPEST} levels deep: write it flatter")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _marked(where: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)
