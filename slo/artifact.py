"""What a compilation yields, before anything is written: rules, groups, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RULES_PER_GROUP = 20  # Mimir's default limit


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording rule (`record`) or an alert (`alert`), as Prometheus knows it."""

    expr: str
    record: str = ""
    alert: str = ""
    lasting: str = ""
    keep_firing: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules evaluated one after the other, every `interval`."""

    name: str
    interval: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Groups that belong together; `name` is the file's stem."""

    name: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One file to write: a path relative to the output folder, and its text."""

    path: str
    text: str


def split(name: str, interval: str, rules: list[Rule]) -> tuple[Group, ...]:
    """Groups of at most RULES_PER_GROUP rules, numbered where one does not hold them all."""
    chunks = [rules[i : i + RULES_PER_GROUP] for i in range(0, len(rules), RULES_PER_GROUP)]
    return tuple(
        Group(name if len(chunks) == 1 else f"{name}-{n:03d}", interval, tuple(chunk))
        for n, chunk in enumerate(chunks, 1)
    )
