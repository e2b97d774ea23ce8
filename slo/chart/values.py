"""A chart's values as one tree: values.yaml with its comments, the strict JSON Schema and the README's table are
three views of it, so none can say what another does not.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

Json: TypeAlias = bool | int | str | Sequence["Json"] | Mapping[str, "Json"] | None
Schema: TypeAlias = Mapping[str, Any]

WIDTH = 100
DURATION = r"^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$"
STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Value:
    """One value: what it is for, its default, the schema of what may be put there, and an example."""

    says: str
    default: Json
    schema: Schema
    example: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Values that belong together. A key that is not among them is refused."""

    says: str
    keys: Mapping[str, Node] = field(default_factory=dict)


Node: TypeAlias = Value | Section


def text(says: str, default: str = "", *, pattern: str = "", one_of: Sequence[str] = ()) -> Value:
    schema: dict[str, Any] = {"type": "string"}
    if pattern:
        schema["pattern"] = pattern
    if one_of:
        schema["enum"] = list(one_of)
    return Value(says, default, schema)


def flag(says: str, default: bool) -> Value:
    return Value(says, default, {"type": "boolean"})


def whole(says: str, default: int, least: int, most: int | None = None) -> Value:
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return Value(says, default, {"type": "integer"} | bounds)


def strings(says: str, default: Mapping[str, str] | None = None, example: str = "") -> Value:
    """A free map of text to text, such as labels."""
    return Value(says, default or {}, STRINGS, example)


def free(says: str, default: Mapping[str, Json] | None = None, example: str = "") -> Value:
    """A map that is handed on as it is: its own reader judges it."""
    return Value(says, default or {}, {"type": "object"}, example)


def items(
    says: str, schema: Schema | None = None, default: Sequence[Json] | None = None, example: str = ""
) -> Value:
    return Value(says, default or [], {"type": "array", "items": schema or {"type": "object"}}, example)


def keyed(says: str, keys: Sequence[str], value: Schema, example: str = "") -> Value:
    """A map that is empty by default and may hold these keys only."""
    properties = dict.fromkeys(keys, value)
    return Value(
        says, {}, {"type": "object", "additionalProperties": False, "properties": properties}, example
    )


def defaults(tree: Mapping[str, Node]) -> dict[str, Json]:
    return {k: defaults(v.keys) if isinstance(v, Section) else v.default for k, v in tree.items()}


def schema(tree: Mapping[str, Node], title: str, definitions: Mapping[str, Schema]) -> str:
    """A JSON Schema (draft 7: what Helm 3 and 4 both read) that refuses every unknown key."""
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        **_object(tree),
        "definitions": definitions,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _object(tree: Mapping[str, Node]) -> dict[str, Any]:
    properties = {
        key: {
            "description": node.says,
            **(_object(node.keys) if isinstance(node, Section) else node.schema),
        }
        for key, node in tree.items()
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def document(tree: Mapping[str, Node]) -> str:
    """values.yaml: above every key what it is for, in the comments that helm-docs reads."""
    return "".join(_lines(tree, ""))


def _lines(tree: Mapping[str, Node], pad: str) -> Iterator[str]:
    for key, node in tree.items():
        if not pad:
            yield "\n"
        yield from _comment(f"-- {node.says}", pad)
        if isinstance(node, Section):
            yield f"{pad}{key}:\n"
            yield from _lines(node.keys, pad + "  ")
            continue
        yield f"{pad}{key}:{_yaml(node.default, pad)}\n"
        if node.example:
            yield textwrap.indent(node.example.strip("\n") + "\n", f"{pad}#  ")


def _comment(said: str, pad: str) -> Iterator[str]:
    one = " ".join(said.split())  # YAML knows line breaks that wrapping does not
    for line in textwrap.wrap(one, WIDTH - len(pad), break_long_words=False, break_on_hyphens=False):
        yield f"{pad}# {line}\n"


def _yaml(value: Json, pad: str) -> str:
    if not isinstance(value, Mapping | list | tuple) or not value:
        return " " + json.dumps(value, ensure_ascii=False)
    return "\n" + textwrap.indent(dumped(value).rstrip("\n"), pad + "  ")


class _Dumper(yaml.SafeDumper):
    """Lists stand below their key, and nothing is written once and referred to."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dumped(value: Any) -> str:
    """YAML for people, in the order it was written."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return text


def table(tree: Mapping[str, Node]) -> str:
    """The values as a Markdown table, one row for each."""
    rows = "".join(
        f"| `{key}` | {v.schema.get('type', 'any')} | {_cell(v.default)} | {v.says.replace('|', chr(92) + '|')} |\n"
        for key, v in _flat(tree, "")
    )
    return f"| value | type | default | what it is for |\n|---|---|---|---|\n{rows}"


def _cell(default: Json) -> str:
    return f"`{json.dumps(default, ensure_ascii=False)}`".replace("|", r"\|")


def _flat(tree: Mapping[str, Node], prefix: str) -> Iterator[tuple[str, Value]]:
    for key, node in tree.items():
        if isinstance(node, Section):
            yield from _flat(node.keys, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", node
