"""How a stack is packed for installation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field, field_validator

from slo.errors import DefinitionError
from slo.sli import Model

Exporter: TypeAlias = Literal["cosign", "rekor", "bundle"]

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", re.ASCII)


class Chart(Model):
    """The Helm chart of a stack: its name ("<stack>-slo" where empty) and version, and what it deploys.

    `exporters` are those of this project that the chart can run, each with the `job` label that the stack's
    rules know it by.
    """

    name: str = ""
    version: str = "0.1.0"
    exporters: Mapping[Exporter, str] = Field(default={})

    if TYPE_CHECKING:

        def __init__(
            self, *, name: str = "", version: str = "0.1.0", exporters: Mapping[Exporter, str] = {}
        ) -> None: ...

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if value and (not _NAME.fullmatch(value) or len(value) > 53):
            raise DefinitionError(
                f"chart name {value!r} must be lower-case letters, digits and dashes, at most 53"
            )
        return value

    @field_validator("version")
    @classmethod
    def _is_version(cls, value: str) -> str:
        if not _VERSION.fullmatch(value):
            raise DefinitionError(
                f"chart version {value!r} is no semantic version: write one such as '1.4.0'"
            )
        return value
