"""YAML that people write for us: read with a cap, refused in one sentence with the place and the remedy."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from slo.errors import LoadError

SIZE_LIMIT = 1 << 20  # bytes
_KINDS = {
    int: "a number",
    float: "a number",
    bool: "a truth value",
    list: "a list",
    dict: "a mapping",
    str: "a text",
}
M = TypeVar("M", bound=BaseModel)


def load_document(path: Path, model: type[M], what: str) -> M:
    """The file as a model; LoadError says what is wrong with it. `what` names its kind: "a metric map"."""
    return parse_document(read_text(path, what), model, what, str(path))


def read_text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise LoadError(
            f"{path}: cannot be read ({error.strerror}): check the path and its permissions"
        ) from None
    if len(raw) > SIZE_LIMIT:
        raise LoadError(f"{path}: is larger than {SIZE_LIMIT} bytes: is it {what}?")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise LoadError(f"{path}: is not UTF-8: save it as UTF-8") from None


def parse_document(text: str, model: type[M], what: str, place: str) -> M:
    """Text as a model. An empty file is a model of defaults."""
    data = _parse(text, place)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise LoadError(f"{place}: {what} is a YAML mapping, not a {type(data).__name__}")
    if (odd := _odd_key(data)) is not None:
        known = ", ".join(_keys(model, []))
        raise LoadError(f"{place}: key '{odd}' is no text: write it in quotes, or use one of {known}")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise LoadError(f"{place}: {_explain(first, model)}") from None


def _parse(text: str, place: str) -> Any:
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise LoadError(f"{place}: uses a YAML alias (*name), which can grow without bound: write it out")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise LoadError(f"{place}{line}: is not YAML ({reason}): mend the line") from None
    except (RecursionError, ValueError) as error:
        raise LoadError(f"{place}: is not YAML that can be read ({error}): write plain nested keys") from None


def _odd_key(data: Any, place: str = "") -> str | None:
    """The path of the first key that is no text: YAML reads `on:` and `1:` as a truth value and a number."""
    if not isinstance(data, dict):
        return None
    for key, value in data.items():
        if not isinstance(key, str):
            return f"{place}{key}"
        if (odd := _odd_key(value, f"{place}{key}.")) is not None:
            return odd
    return None


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    """One problem as: key path, reason, remedy. A value is shown only where it cannot be a secret."""
    place = [str(part) for part in error["loc"]]
    key = f"key '{'.'.join(place)}'" if place else "the whole"
    if error["type"] == "extra_forbidden":
        known = _keys(model, place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1)
        return f"{key} is unknown: " + (
            f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
        )
    if error["type"] == "literal_error":
        return f"{key} is {error['input']!r}: use one of {error['ctx']['expected']}"
    if error["type"] == "model_type":
        return f"{key} takes keys of its own, not {_KINDS.get(type(error['input']), 'this')}: use some of {', '.join(_keys(model, place))}"
    if error["type"] == "string_type":
        return (
            f"{key} is {_KINDS.get(type(error['input']), 'something')}, which is no text: write it in quotes"
        )
    return f"{key}: {error['msg'].removeprefix('Value error, ')}"


def _keys(model: type[BaseModel], place: list[str]) -> list[str]:
    """The keys that are known at a place, through optional models, lists and maps of models."""
    at: type[BaseModel] = model
    for part in place:
        if part.isdigit():
            continue
        field = next((f for n, f in at.model_fields.items() if part in (n, f.alias)), None)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is not None:
            at = inner
    return [f.alias or n for n, f in at.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for a in get_args(annotation) if (found := _model_in(a)) is not None), None)
