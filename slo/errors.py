"""The one error tree of the project: every error says where, what, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass


class SLOError(Exception):
    """Base of every error this project raises on purpose; the command prints it as one sentence."""


class DefinitionError(SLOError, ValueError):
    """A definition is wrong. Subclasses ValueError so that pydantic reports it with its place."""


class LoadError(SLOError):
    """A definition file cannot be loaded: missing, raising, or without a `stack`."""


class OutputError(SLOError):
    """The output folder cannot be written, or holds files that are not ours."""


class QueryError(SLOError):
    """Prometheus could not be asked, or did not answer the question. Never a verdict on the service."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding of `slo validate`: where, what, why, and what to do about it.

    `severity` is "error" (will not work), "warning" (works, but not as meant) or "unknown" (could not check).
    """

    place: str
    check: str
    severity: str
    text: str
    reason: str
    remedy: str
