"""Metrics from the data in `exporters.metrics`: absent until set, rendered without ever waiting for a check.

Rendering is our own because prometheus_client needs 15 µs a sample, which is too much to do every second over
thousands of series beside the checks; a test holds that the bytes are the same.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.utils import floatToGoString as _untyped

from exporters import metrics as m
from exporters.metrics import Metric

_number: Callable[[float], str] = _untyped  # a float as Go prints it
# Counters whose labels are closed sets: all their series exist from the start, at 0, so that increase() sees
# the first event. Where a label names a target, its subject starts the series with inc(metric, 0, ...).
STARTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    m.CHECKS_TOTAL.name: (m.CHECKS,),
    m.CHECK_FAILURES.name: (m.CHECKS, m.FAILURE_REASONS),
    m.CHECK_ERRORS.name: (m.CHECKS, m.ERROR_REASONS),
    m.MANIFEST_ERRORS.name: (m.ERROR_REASONS,),
}
# Labels that name what an operator configured: when that goes, `forget` removes every series that names it.
TARGET_LABELS = frozenset({"component", "log", "channel", "kit"})


class _Series:
    """The values of one series: [value], or for a histogram a count per bucket (the last is +Inf) and the sum."""

    __slots__ = ("heads", "values")

    def __init__(self, metric: Metric, labels: tuple[str, ...]) -> None:
        pairs = list(zip(metric.labels, labels, strict=True))
        if metric.type == "histogram":
            bounds = [*(_number(b) for b in metric.buckets), "+Inf"]
            self.heads = [
                *(f"{metric.name}_bucket{_labels([*pairs, ('le', bound)])} " for bound in bounds),
                f"{metric.name}_count{_labels(pairs)} ",
                f"{metric.name}_sum{_labels(pairs)} ",
            ]
            self.values = [0.0] * (len(bounds) + 1)
        else:
            self.heads = [f"{metric.name}{_labels(pairs)} "]
            self.values = [0.0]

    def samples(self) -> list[float]:
        """A histogram's value for each head: buckets cumulated, the count, the sum."""
        *counts, total = self.values
        cumulated, seen = [], 0.0
        for count in counts:
            seen += count
            cumulated.append(seen)
        return [*cumulated, seen, total]


def _labels(pairs: list[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    said = (
        f'{name}="{value.replace(chr(92), chr(92) * 2).replace(chr(10), chr(92) + "n").replace(chr(34), chr(92) + chr(34))}"'
        for name, value in sorted(pairs)
    )
    return f"{{{','.join(said)}}}"


class Instruments:
    """The series of one exporter. Thread-safe; a label set that does not fit its metric is a ValueError."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._families: dict[str, tuple[Metric, dict[tuple[str, ...], _Series]]] = {
            metric.name: (metric, {}) for metric in metrics
        }
        self._lock = threading.Lock()
        self._changes = 0
        self._rendered: dict[bool, tuple[int, bytes]] = {}
        for metric, _ in self._families.values():
            if metric.type == "counter" and (not metric.labels or metric.name in STARTS):
                for values in product(*STARTS.get(metric.name, ())):
                    self.inc(metric, 0, **dict(zip(metric.labels, values, strict=True)))

    def set(self, metric: Metric, value: float, **labels: str) -> None:
        """A gauge has this value now."""
        with self._lock:
            self._series(metric, "gauge", labels).values[0] = float(value)

    def inc(self, metric: Metric, amount: float = 1, **labels: str) -> None:
        """Count; an amount of 0 starts the series."""
        if amount < 0:
            raise ValueError(f"{metric.name} is a counter: it never falls")
        with self._lock:
            self._series(metric, "counter", labels).values[0] += amount

    def observe(self, metric: Metric, value: float, **labels: str) -> None:
        """Count one observation in its bucket."""
        with self._lock:
            values = self._series(metric, "histogram", labels).values
            values[bisect_left(metric.buckets, value)] += 1
            values[-1] += value

    def remove(self, metric: Metric, **labels: str) -> None:
        """Drop the series with exactly these labels; none is no error."""
        with self._lock:
            self._changes += 1
            self._families[metric.name][1].pop(_key(metric, labels), None)

    def forget(self, target: str) -> None:
        """Drop every series that names a target that is no longer configured."""
        with self._lock:
            self._changes += 1
            for metric, series in self._families.values():
                places = [i for i, label in enumerate(metric.labels) if label in TARGET_LABELS]
                for key in [k for k in series if any(k[i] == target for i in places)]:
                    del series[key]

    def value(self, metric: Metric, **labels: str) -> float | None:
        """The value now, a histogram's count; None while the series is absent."""
        with self._lock:
            series = self._families[metric.name][1].get(_key(metric, labels))
            if series is None:
                return None
            return series.values[0] if len(series.values) == 1 else sum(series.values[:-1])

    def series(self, metric: Metric, **labels: str) -> list[dict[str, str]]:
        """The labels of each series that has at least these: what a former configuration left, for example."""
        with self._lock:
            keys = list(self._families[metric.name][1])
        wanted = [(metric.labels.index(name), value) for name, value in labels.items()]
        return [
            dict(zip(metric.labels, key, strict=True)) for key in keys if all(key[i] == v for i, v in wanted)
        ]

    def render(self, openmetrics: bool) -> bytes:
        """The exposition, in Prometheus' text format 0.0.4 or OpenMetrics 1.0 (without its `# EOF`)."""
        with self._lock:
            changes = self._changes
            cached = self._rendered.get(openmetrics)
        if cached is not None and cached[0] == changes:
            return cached[1]
        lines: list[str] = []
        for metric, series in self._snapshot():
            name = metric.name.removesuffix("_total") if openmetrics else metric.name
            lines.append(f"# HELP {name} {_help(metric.help, openmetrics)}\n# TYPE {name} {metric.type}\n")
            if openmetrics and metric.unit:
                lines.append(f"# UNIT {name} {metric.unit}\n")
            if metric.type == "histogram":
                for one in series.values():
                    values = zip(one.heads, one.samples(), strict=True)
                    lines += [f"{head}{_number(value)}\n" for head, value in values]
            else:
                lines += [f"{one.heads[0]}{_number(one.values[0])}\n" for one in series.values()]
        body = "".join(lines).encode()
        with self._lock:
            self._rendered[openmetrics] = (changes, body)
        return body

    def collect(self) -> Iterator[Family]:
        """The same, as prometheus_client's families: for OTLP, and for tests."""
        for metric, series in self._snapshot():
            if metric.type == "histogram":
                histogram = HistogramMetricFamily(
                    metric.name, metric.help, labels=metric.labels, unit=metric.unit
                )
                for key, one in series.items():
                    bounds = [*(_number(b) for b in metric.buckets), "+Inf"]
                    samples = one.samples()
                    histogram.add_metric(
                        key, list(zip(bounds, samples[:-2], strict=True)), sum_value=samples[-1]
                    )
                yield histogram
                continue
            kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
            for key, one in series.items():
                family.add_metric(key, one.values[0])
            yield family

    def _series(self, metric: Metric, kind: str, labels: Mapping[str, str]) -> _Series:
        if metric.type != kind:
            raise ValueError(f"{metric.name} is a {metric.type}, not a {kind}")
        key = _key(metric, labels)
        self._changes += 1
        series = self._families[metric.name][1]
        found = series.get(key)
        if found is None:
            found = series[key] = _Series(metric, key)
        return found

    def _snapshot(self) -> list[tuple[Metric, dict[tuple[str, ...], _Series]]]:
        with self._lock:
            return [(metric, dict(series)) for metric, series in self._families.values()]


def _key(metric: Metric, labels: Mapping[str, str]) -> tuple[str, ...]:
    if len(labels) != len(metric.labels) or any(name not in labels for name in metric.labels):
        raise ValueError(
            f"{metric.name} has the labels ({', '.join(metric.labels)}), not ({', '.join(labels)})"
        )
    # A lone surrogate, which JSON can carry, cannot be encoded and would break every later scrape.
    return tuple(labels[name].encode("utf-8", "replace").decode() for name in metric.labels)


def _help(text: str, openmetrics: bool) -> str:
    said = text.replace("\\", "\\\\").replace("\n", "\\n")
    return said.replace('"', '\\"') if openmetrics else said
