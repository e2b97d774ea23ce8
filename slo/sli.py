"""The kinds of service level indicator. Each is a type: a backend matches on them all.

Counting kinds (`Ratio`, `Latency`) measure events per second. Time kinds (`Uptime`, `TimeSlice`, `Freshness`)
measure seconds per second: a moment is good (0), bad (1) or not measured (no sample, or NaN), and a moment
that is not measured is never bad.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from slo import promql
from slo.errors import DefinitionError
from slo.quantity import Duration

Examples: TypeAlias = Mapping[str, str]


def _as_text(value: object) -> object:
    """A golden signal may stand where PromQL is expected: its query is meant."""
    return getattr(value, "query", value)


class HasQuery(Protocol):
    """A golden signal, which may stand where PromQL is expected."""

    @property
    def query(self) -> str: ...


EventsLike: TypeAlias = str | HasQuery
PromQL = Annotated[str, BeforeValidator(_as_text)]


class Model(BaseModel):
    """Frozen, strict, and without room for a misspelt field."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    # pydantic's own parameter is `data`; the loader adds file and line to what this raises.
    def __init__(self, **data: Any) -> None:
        super().__init__(**data)


def checked_events(expr: str) -> str:
    """Events are a counter selector, or PromQL that yields events per second over `$window`."""
    if promql.WINDOW in expr:
        try:
            promql.parse(f"sum(({expr}) >= 0)")
        except DefinitionError as error:
            raise DefinitionError(
                f"{expr!r} does not yield events per second: write 'sum(rate(metric[$window]))' ({error})"
            ) from None
    elif promql.as_selector(expr) is None:
        raise DefinitionError(
            f"{expr!r} is neither a series selector nor PromQL with a $window placeholder: "
            "write 'metric{label=\"value\"}' or 'sum(rate(metric[$window]))'"
        )
    return expr


def checked_selector(expr: str) -> str:
    if promql.as_selector(expr) is None:
        raise DefinitionError(f"{expr!r} is not a series selector: write 'metric{{label=\"value\"}}'")
    return expr


class Ratio(Model):
    """Bad (or good) events over total events, or bad and good events that sum to the total; all counters.

    Each is a series selector, or any PromQL that yields events per second over a `$window` placeholder.
    """

    kind: Literal["ratio"] = "ratio"
    total: PromQL | None = None
    bad: PromQL | None = None
    good: PromQL | None = None

    if TYPE_CHECKING:  # what may be written, for type checkers and editors

        def __init__(
            self,
            *,
            total: EventsLike | None = None,
            bad: EventsLike | None = None,
            good: EventsLike | None = None,
        ) -> None: ...

    _events = field_validator("total", "bad", "good")(lambda v: v if v is None else checked_events(v))

    @model_validator(mode="after")
    def _two_of_three(self) -> Ratio:
        if sum(side is not None for side in (self.total, self.bad, self.good)) != 2:
            raise DefinitionError("a Ratio takes two of total=, bad= and good=: the third follows from them")
        return self


class Latency(Model):
    """Events slower than a bound are bad.

    `histogram` selects the histogram by its base name (without _bucket). With classic buckets the bound must
    be one of them: `slo validate --live` checks. `unit` is the unit of the buckets.
    """

    kind: Literal["latency"] = "latency"
    histogram: PromQL
    below: Duration
    unit: Literal["seconds", "milliseconds"] = "seconds"
    native: bool = False

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            histogram: EventsLike,
            below: str | Duration,
            unit: Literal["seconds", "milliseconds"] = "seconds",
            native: bool = False,
        ) -> None: ...

    @field_validator("histogram")
    @classmethod
    def _base_name(cls, value: str) -> str:
        selector = promql.as_selector(value)
        if selector is None:
            raise DefinitionError(
                f"histogram {value!r} is not a series selector: write 'metric{{label=\"value\"}}'"
            )
        if not selector.metric:
            raise DefinitionError(
                f"histogram {value!r} has no metric name: write it, as its series derive from it"
            )
        for suffix in ("_bucket", "_count", "_sum"):
            if selector.metric.endswith(suffix):
                raise DefinitionError(
                    f"histogram {value!r} names one series of it: write the base name without {suffix}"
                )
        return value

    @property
    def bound(self) -> Decimal:
        """The bound in the unit of the buckets."""
        return self.below.seconds * (1000 if self.unit == "milliseconds" else 1)


class Uptime(Model):
    """The share of time in which a quorum of replicas is up: a 0/1 gauge such as `up` or `probe_success`.

    `quorum` is a number of replicas (1 by default) or a share of those that report, such as "50%".
    """

    kind: Literal["uptime"] = "uptime"
    gauge: PromQL
    quorum: int | str = 1

    if TYPE_CHECKING:

        def __init__(self, *, gauge: EventsLike, quorum: int | str = 1) -> None: ...

    _gauge = field_validator("gauge")(checked_selector)

    @field_validator("quorum")
    @classmethod
    def _share(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value >= 1:
            return value
        if isinstance(value, str) and value.endswith("%"):
            try:
                if 0 < Decimal(value[:-1]) <= 100:
                    return value
            except InvalidOperation:
                pass
        raise DefinitionError(
            f"quorum {value!r} is not understood: write a number of replicas from 1, or a share such as '50%'"
        )


class TimeSlice(Model):
    """The share of slices in which a condition holds, such as 'latency{quantile="0.95"} < 0.3'.

    A slice is one rule evaluation (30 s by default). The condition is a PromQL comparison; `$window` in it is
    filled with the base window. Where it yields several series, all of them must hold.
    """

    kind: Literal["time_slice"] = "time_slice"
    condition: str

    if TYPE_CHECKING:

        def __init__(self, *, condition: str) -> None: ...

    @field_validator("condition")
    @classmethod
    def _comparison(cls, value: str) -> str:
        if promql.as_comparison(value) is None:
            raise DefinitionError(
                f"condition {value!r} is no plain comparison: write '<query> < <bound>' "
                "(labels to match on go into the query: 'a - on (x) b < 0')"
            )
        return value


class Freshness(Model):
    """The share of time in which a Unix timestamp gauge is no older than `within`: backups, checkpoints."""

    kind: Literal["freshness"] = "freshness"
    timestamp: PromQL
    within: Duration

    if TYPE_CHECKING:

        def __init__(self, *, timestamp: EventsLike, within: str | Duration) -> None: ...

    _gauge = field_validator("timestamp")(checked_selector)


class Composite(Model):
    """Several indicators of one journey (scan, policy, sign, attest), judged together; budget in minutes.

    With e_i(W) the error ratio of part i over a window W, and 0 for a part that was idle in W:

    - without weights, worst-of:  e(W) = max_i e_i(W)
    - with weights w_i (text, sum exactly 1):  e(W) = sum_i w_i * e_i(W)
    """

    kind: Literal["composite"] = "composite"
    parts: Mapping[
        str, Annotated[Ratio | Latency | Uptime | TimeSlice | Freshness, Field(discriminator="kind")]
    ]
    weights: Mapping[str, str] | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            parts: Mapping[str, Ratio | Latency | Uptime | TimeSlice | Freshness],
            weights: Mapping[str, str] | None = None,
        ) -> None: ...

    @model_validator(mode="after")
    def _whole(self) -> Composite:
        if len(self.parts) < 2:
            raise DefinitionError("a Composite needs at least two parts")
        for part in self.parts:
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?", part):
                raise DefinitionError(
                    f"part {part!r} becomes a label: name it with letters, digits and dashes"
                )
        if self.weights is not None:
            if set(self.weights) != set(self.parts):
                raise DefinitionError(
                    f"weights name {sorted(self.weights)}, parts name {sorted(self.parts)}: name the same ones"
                )
            try:
                total = sum((Decimal(w) for w in self.weights.values()), Decimal(0))
            except InvalidOperation:
                raise DefinitionError("weights are decimals written as text, such as '0.25'") from None
            if total != 1 or any(Decimal(w) <= 0 for w in self.weights.values()):
                raise DefinitionError(f"weights must be positive and sum to 1, not {total}")
        return self


Simple: TypeAlias = Ratio | Latency | Uptime | TimeSlice | Freshness
SLI: TypeAlias = Simple | Composite
AnySLI = Annotated[SLI, Field(discriminator="kind")]


def counts_time(sli: SLI) -> bool:
    """Whether the indicator measures seconds rather than events."""
    return isinstance(sli, Uptime | TimeSlice | Freshness)


def parts_of(sli: SLI) -> dict[str, Simple]:
    """The simple indicators of any indicator; a simple one is its own only part, named ""."""
    return dict(sli.parts) if isinstance(sli, Composite) else {"": sli}
