"""Exact quantities: objective, duration, period. Parsed once from text, held as decimals, printed shortest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from slo.errors import DefinitionError

_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400),
          "w": Decimal(604800), "y": Decimal(31536000)}  # fmt: skip
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w|y)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def shortest(value: Decimal) -> str:
    """Print a decimal in the fewest digits, never in exponent notation: Decimal("14.40") -> "14.4"."""
    text = format(value.normalize(), "f")
    return "0" if text == "-0" else text


class _Text:
    """A quantity written as text: gives its subclasses their pydantic schema (parse a str, accept an instance)."""

    @classmethod
    def parse(cls, text: str) -> Any:
        raise NotImplementedError

    @classmethod
    def _validate(cls, value: object) -> object:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        raise DefinitionError(
            f"{cls.__name__.lower()} is written as text, such as {cls._example()!r}, not {value!r}"
        )

    @classmethod
    def _example(cls) -> str:
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        return {"type": "string", "examples": [cls._example()]}


@dataclass(frozen=True, slots=True)
class Objective(_Text):
    """The share of good events that is promised, written with its unit: `Objective.parse("99.9%")`.

    `ratio` is Decimal("0.999"), `budget` is exactly 1 - ratio. Raises DefinitionError for a text without
    the percent sign, for 0 % and for 100 % (which leaves no error budget).
    """

    ratio: Decimal

    @classmethod
    def parse(cls, text: str) -> Objective:
        found = _PERCENT.fullmatch(text.strip())
        if found is None:
            raise DefinitionError(f"objective {text!r} has no unit: {_suggest(text)}")
        ratio = Decimal(found[1]) / 100
        if not 0 < ratio < 1:
            raise DefinitionError(
                f"objective {text!r} leaves no error budget: choose a value above 0% and below 100%, such as '99.9%'"
            )
        return cls(ratio)

    @classmethod
    def _example(cls) -> str:
        return "99.9%"

    @property
    def budget(self) -> Decimal:
        """The error budget as a ratio: the share of events that may be bad."""
        return 1 - self.ratio

    def __str__(self) -> str:
        return f"{shortest(self.ratio * 100)}%"


def _suggest(text: str) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        return "write it as a percentage, such as '99.9%'"
    percent = value * 100 if value < 1 else value
    return (
        f"write '{shortest(percent)}%'" if 0 < percent < 100 else "write it as a percentage, such as '99.9%'"
    )


@dataclass(frozen=True, slots=True, order=True)
class Duration(_Text):
    """A length of time in seconds, written as Prometheus writes it: "300ms", "5m", "1h30m", "1.5h"."""

    seconds: Decimal

    @classmethod
    def parse(cls, text: str) -> Duration:
        compact = text.replace(" ", "")
        parts = _PART.findall(compact)
        if not parts or "".join(n + u for n, u in parts) != compact:
            raise DefinitionError(
                f"duration {text!r} is not understood: write a number with ms, s, m, h, d or w, such as '5m'"
            )
        total = sum((Decimal(n) * _UNITS[u] for n, u in parts), Decimal(0))
        if total <= 0:
            raise DefinitionError(f"duration {text!r} must be longer than zero")
        return cls(total)

    @classmethod
    def _example(cls) -> str:
        return "5m"

    @classmethod
    def of(cls, seconds: int | Decimal) -> Duration:
        return cls(Decimal(seconds))

    def __str__(self) -> str:
        """Shortest form Prometheus accepts: one unit where one divides evenly, else a compound ("1h30m")."""
        millis = int(self.seconds * 1000)
        if millis != self.seconds * 1000:
            return f"{shortest(self.seconds * 1000)}ms"
        for unit, size in (("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000)):
            if millis % size == 0:
                return f"{millis // size}{unit}"
            if millis > size and unit != "d":
                return f"{millis // size}{unit}{Duration.of(Decimal(millis % size) / 1000)}"
        return f"{millis}ms"

    @property
    def human(self) -> str:
        """Readable and rounded, for tables and sentences: "43m 12s", "2d 4h"."""
        left = int(self.seconds.to_integral_value())
        if left == 0:
            return f"{shortest(self.seconds)}s"
        parts = []
        for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
            if left >= size:
                parts.append(f"{left // size}{unit}")
                left %= size
        return " ".join(parts[:2])


@dataclass(frozen=True, slots=True)
class Window(_Text):
    """The period an error budget is judged over: rolling ("30d", whole days) or calendar ("month", "quarter", UTC).

    `days` is the length used for burn-rate factors and for stating a budget: 30 for a month and 90 for a
    quarter, nominal; the elapsed share of a calendar period is always computed from its true length.
    """

    days: int
    calendar: str | None = None

    @classmethod
    def parse(cls, text: str) -> Window:
        if text in _CALENDAR:
            return cls(_CALENDAR[text][0], text)
        found = re.fullmatch(r"(\d+)([dw])", text)
        days = int(found[1]) * (7 if found[2] == "w" else 1) if found else 0
        if not 1 <= days <= 400:
            raise DefinitionError(
                f"window {text!r} is not understood: write whole days from '1d' to '400d', or 'month' or 'quarter'"
            )
        return cls(days)

    @classmethod
    def _example(cls) -> str:
        return "month"

    @property
    def seconds(self) -> int:
        return self.days * 86400

    @property
    def longest_days(self) -> int:
        """Days that a range must reach back to hold the whole period: 31 for a month, 92 for a quarter."""
        return _CALENDAR[self.calendar][1] if self.calendar else self.days

    def __str__(self) -> str:
        return self.calendar or f"{self.days}d"


_CALENDAR = {"month": (30, 31), "quarter": (90, 92)}
