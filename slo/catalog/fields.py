"""The building blocks of the metric map: selectors, readings of a latency, and how matchers are added."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from slo import Duration, Latency, Objective, TimeSlice, promql
from slo.errors import DefinitionError
from slo.quantity import shortest
from slo.sli import Model

NO_METRIC = "No documented metric: provide it by a textfile or exporter."


def _parsed(text: str) -> promql.Selector:
    found = promql.as_selector(text)
    if found is None or not found.metric:
        raise DefinitionError(
            f"{text!r} is not a series selector: write 'metric' or 'metric{{label=\"value\"}}'"
        )
    return found


def _selector(value: str) -> str:
    _parsed(value)
    return value


def _label(value: str) -> str:
    if not promql.is_label(value):
        raise DefinitionError(f"{value!r} is no label name: use letters, digits and underscores")
    return value


def _regex(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise DefinitionError(
            f"{value!r} is no regular expression ({error}): write one such as '5..'"
        ) from None
    return value


def _bound(value: object) -> object:
    """A number of the map: YAML's own numbers are welcome, and are kept as exact text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DefinitionError(f"{value!r} is not a number: write one such as 0.05")
    try:
        return shortest(Decimal(str(value)))
    except (InvalidOperation, ValueError):
        raise DefinitionError(f"{value!r} is not a number: write one such as 0.05") from None


Selector = Annotated[str, AfterValidator(_selector)]
OptionalSelector = Annotated[str, AfterValidator(lambda v: _selector(v) if v else v)]
Label = Annotated[str, AfterValidator(_label)]
Regex = Annotated[str, AfterValidator(_regex)]
Bound = Annotated[str, BeforeValidator(_bound)]


def field(default: object, description: str) -> Any:
    """A field of the map: its default and what it stands for, on one line."""
    return Field(default=default, description=description)


def stella(name: str, description: str) -> Any:
    """A field whose metric no document names: ours by convention, provided by a textfile or an exporter."""
    return Field(default=f"stella_{name}", description=f"{description} {NO_METRIC}")


def match(selector: str, **labels: str) -> str:
    """The selector with label="value" added; "~value" is a regular expression, "!value" a difference."""
    found = _parsed(selector)
    operators = {"~": "=~", "!": "!="}
    extra = tuple(
        promql.Matcher(name, operators.get(value[:1], "="), value[1:] if value[:1] in operators else value)
        for name, value in labels.items()
    )
    return str(promql.Selector(found.metric, found.matchers + extra))


def series_of(selector: str, suffix: str) -> str:
    """One series of a histogram or summary: _bucket, _count or _sum."""
    found = _parsed(selector)
    return str(promql.Selector(found.metric + suffix, found.matchers))


ReadingKind: TypeAlias = Literal["summary", "buckets", "native", "quantile", "http"]


class Reading(Model):
    """Where a latency is read, and in which form it is published."""

    metric: OptionalSelector = field("", "Base name of the summary or histogram; unused when read from HTTP.")
    reading: ReadingKind = field(
        "buckets",
        "summary: a precomputed p95 series; buckets: a classic histogram that has the bound among its buckets; "
        "native: a native histogram; quantile: p95 interpolated from buckets that lack the bound; "
        "http: the HTTP family's histogram of one route.",
    )
    unit: Literal["seconds", "milliseconds"] = field("seconds", "The unit of the published values.")
    route: str = field("", "The HTTP route, for the http reading.")

    @model_validator(mode="after")
    def _readable(self) -> Reading:
        if self.reading == "http" and not self.route:
            raise DefinitionError("reading 'http' needs route=, such as '/token'")
        if self.reading != "http" and not self.metric:
            raise DefinitionError(
                f"reading {self.reading!r} needs metric=, the base name of the summary or histogram"
            )
        return self


class Timing(Reading):
    """A latency with its bound."""

    below: Duration = field(
        Duration.parse("1s"), "The bound on the 95th percentile; with buckets, one of them."
    )


SHARE_OF_EVENTS = Objective.parse("95%")  # p95 below the bound is 95 % of events below the bound
SHARE_OF_TIME = Objective.parse("99%")  # a p95 series is judged slice by slice


def objective_of(reading: Reading) -> Objective:
    """What "p95 below the bound" means for this form: a share of events, or of time where only p95 is known."""
    return SHARE_OF_TIME if reading.reading in ("summary", "quantile") else SHARE_OF_EVENTS


def sli_of(reading: Reading, metric: str, below: Duration) -> Latency | TimeSlice:
    """The indicator of a latency; `metric` is the selector with every matcher added."""
    unit = reading.unit
    value = shortest(below.seconds * (1000 if unit == "milliseconds" else 1))
    if reading.reading == "summary":
        return TimeSlice(condition=f"{match(metric, quantile='0.95')} < {value}")
    if reading.reading == "quantile":
        return TimeSlice(condition=f"{p95(metric)} < {value}")
    return Latency(histogram=metric, below=below, unit=unit, native=reading.reading == "native")


def p95(metric: str) -> str:
    return f"histogram_quantile(0.95, sum by (le) (rate({series_of(metric, '_bucket')}[{promql.WINDOW}])))"


def drawn(reading: Reading, metric: str) -> tuple[str, str]:
    """The query and Grafana unit that show a latency's 95th percentile."""
    unit = "ms" if reading.unit == "milliseconds" else "s"
    if reading.reading == "summary":
        return f"max({match(metric, quantile='0.95')})", unit
    if reading.reading == "native":
        return f"histogram_quantile(0.95, sum(rate({metric}[{promql.WINDOW}])))", unit
    return p95(metric), unit
