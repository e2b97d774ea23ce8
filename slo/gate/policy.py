"""The gate's policy: per transition what must hold, what is waived, and who overrode what until when."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from slo.document import parse_document, read_text
from slo.errors import LoadError
from slo.quantity import Duration

WHAT = "a gate policy"
REASON = Annotated[str, Field(min_length=10)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _share(value: object) -> object:
    if isinstance(value, str) and value.endswith("%"):
        try:
            return Decimal(value[:-1]) / 100
        except ArithmeticError:
            pass
    raise ValueError("write a share of the budget as a percentage, such as '10%'")


def _rate(value: object) -> object:
    try:
        rate = Decimal(str(value))
    except ArithmeticError:
        rate = Decimal(0)
    if isinstance(value, bool) or not rate.is_finite() or rate <= 0:
        raise ValueError("write a burn rate as a number above 0, such as '6'")
    return rate


BurnWindow = Literal["5m", "1h", "6h", "1d", "3d"]


class Budgets(_Part):
    """What the SLOs that `select` names must keep. The first entry that matches an SLO is the one that counts.

    `select` holds globs on slo, service, owner, tier and window; an empty one matches every SLO.
    """

    select: Mapping[Literal["slo", "service", "owner", "tier", "window"], str] = {}
    least_left: Annotated[Decimal, BeforeValidator(_share)] | None = None
    most_burn: Mapping[BurnWindow, Annotated[Decimal, BeforeValidator(_rate)]] = {}
    measured: bool = True  # an SLO that nothing is known of is unknown, not ignored

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(fnmatchcase(labels.get(k, ""), v) for k, v in self.select.items())


class Transition(_Part):
    """From one channel to another. `checks` are globs on names of checks; `waive` says why one is not asked for.

    With `pages` every alert that pages now is a failed check of its own.
    """

    source: Annotated[str, Field(alias="from", min_length=1)]
    target: Annotated[str, Field(alias="to", min_length=1)]
    budgets: tuple[Budgets, ...] = ()
    pages: bool = True
    checks: tuple[str, ...] = ("*",)
    waive: Mapping[str, REASON] = {}
    unknown: Literal["block", "pass"] = "block"


class Override(_Part):
    """One named check that somebody answers for, until a moment."""

    check: Annotated[str, Field(min_length=1)]
    reason: REASON
    who: Annotated[str, Field(min_length=3)]
    expires: datetime
    release: str = ""  # only for this version; any when empty

    @model_validator(mode="after")
    def _exact(self) -> Override:
        if self.expires.tzinfo is None:
            raise ValueError("expires needs a time zone: write 2026-11-30T12:00:00Z")
        if any(c in self.check for c in "*?["):
            raise ValueError("check names one check, without wildcards")
        return self


class Policy(_Part):
    """`stale` is how old the rules' records may be, `skew` how far the server's clock may be from ours."""

    transitions: Annotated[tuple[Transition, ...], Field(min_length=1)]
    overrides: tuple[Override, ...] = ()
    stale: Duration = Duration.of(600)
    skew: Duration = Duration.of(60)

    def transition(self, source: str, target: str, place: str) -> Transition:
        for found in self.transitions:
            if (found.source, found.target) == (source, target):
                return found
        known = ", ".join(f"{t.source} to {t.target}" for t in self.transitions)
        raise LoadError(f"{place} has no transition from {source} to {target}; it has {known}")


def default_text() -> str:
    return (files("slo.gate") / "policy.yaml").read_text(encoding="utf-8")


def load_policy(path: Path | None) -> tuple[Policy, str]:
    """The policy, and what names it in a verdict: its file name and the first digits of its digest."""
    text = default_text() if path is None else read_text(path, WHAT)
    policy = parse_document(text, Policy, WHAT, "the default policy" if path is None else str(path))
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return policy, f"{'default' if path is None else path.name}@sha256:{digest}"
