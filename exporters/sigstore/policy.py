"""Who must have signed, and whether the transparency log must know of it."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator


class Policy(BaseModel):
    """Either an identity with its issuer (keyless), or a public key.

    `identity_pattern` is a regular expression that must match the whole identity. `require_log: false` waives the
    transparency log; only a key can do without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: str | None = None
    identity_pattern: str | None = None
    issuer: str | None = None
    key: Path | None = None  # a public key in PEM
    require_log: bool = True

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        return self
