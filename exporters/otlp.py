"""The same metrics, pushed to an OpenTelemetry collector: OTLP over HTTP, in protobuf (the extra `otlp`).

Names and units are chosen so that a Prometheus behind the collector has the names that a scrape has.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from prometheus_client.core import Metric as Family
from prometheus_client.core import Sample

from exporters.config import Otlp
from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck

log = logging.getLogger(__name__)

LAST_PUSH = 2.0  # seconds for the push at the end
UNITS = {"seconds": "s", "bytes": "By"}


class Source(Protocol):
    def collect(self) -> Iterable[Family]:
        """What to push."""


class Pusher:
    """Pushes every `interval` until `stop` is set. A push that fails is logged once, until one succeeds."""

    def __init__(
        self,
        settings: Otlp,
        sources: Sequence[Source],
        fetcher: Fetcher,
        *,
        service: str,
        version: str,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._sources, self._fetcher = settings, sources, fetcher
        self._version, self._stop, self._clock = version, stop, clock
        self._started = _nanoseconds(clock())
        self._resource = {
            "service.name": service,
            "service.version": version,
            "service.instance.id": socket.gethostname(),
            **settings.resource,
        }
        self._failing = False

    def run(self) -> None:
        while not self._stop.wait(self._settings.interval):
            self.push()

    def last(self) -> None:
        """A push at the end of the process, in little time."""
        worker = threading.Thread(target=self.push, daemon=True)
        worker.start()
        worker.join(LAST_PUSH)

    def push(self) -> bool:
        """Push now. Never raises."""
        try:
            self._post(self._request())
        except CouldNotCheck as failure:
            log.log(
                logging.DEBUG if self._failing else logging.WARNING,
                "metrics were not pushed: %s",
                failure.detail,
            )
            self._failing = True
        except Exception:
            log.exception("metrics were not pushed")
            self._failing = True
        else:
            if self._failing:
                log.info("metrics are pushed again")
            self._failing = False
        return not self._failing

    def _post(self, request: ExportMetricsServiceRequest) -> None:
        headers = {name: secret.read() for name, secret in self._settings.headers.items()}
        answer = self._fetcher.request(
            "POST",
            self._settings.endpoint,
            headers={**headers, "Content-Type": "application/x-protobuf"},
            content=request.SerializeToString(),
        )
        if answer.status >= 300:
            said = answer.body[:200].decode("utf-8", "replace")
            raise CouldNotCheck("bad_response", f"{self._settings.endpoint} answered {answer.status}: {said}")
        if answer.headers.get("content-type", "").startswith("application/x-protobuf"):
            try:
                partial = ExportMetricsServiceResponse.FromString(answer.body).partial_success
            except DecodeError:
                return  # accepted all the same
            if partial.rejected_data_points:
                raise CouldNotCheck(
                    "bad_response",
                    f"{self._settings.endpoint} rejected {partial.rejected_data_points} points: {partial.error_message}",
                )

    def _request(self) -> ExportMetricsServiceRequest:
        now = _nanoseconds(self._clock())
        families = [family for source in self._sources for family in source.collect()]
        scope = pb.ScopeMetrics(
            scope=InstrumentationScope(name="stella-slo-exporter", version=self._version),
            metrics=[m for f in families if (m := as_otlp(f, self._started, now)) is not None],
        )
        resource = Resource(attributes=_attributes(self._resource))
        return ExportMetricsServiceRequest(
            resource_metrics=[pb.ResourceMetrics(resource=resource, scope_metrics=[scope])]
        )


def as_otlp(family: Family, started: int, now: int) -> pb.Metric | None:
    """One family as cumulative OTLP; times are Unix nanoseconds. None for a family without series."""
    unit = UNITS.get(family.unit or family.name.rpartition("_")[2], "")
    if family.type == "counter":
        points = _points((s for s in family.samples if s.name.endswith("_total")), started, now)
        total = pb.Sum(
            data_points=points,
            aggregation_temporality=pb.AGGREGATION_TEMPORALITY_CUMULATIVE,
            is_monotonic=True,
        )
        name = f"{family.name}_total"
        return (
            pb.Metric(name=name, description=family.documentation, unit=unit, sum=total) if points else None
        )
    if family.type == "histogram":
        histogram = pb.Histogram(
            data_points=_histograms(family, started, now),
            aggregation_temporality=pb.AGGREGATION_TEMPORALITY_CUMULATIVE,
        )
        if not histogram.data_points:
            return None
        return pb.Metric(name=family.name, description=family.documentation, unit=unit, histogram=histogram)
    points = _points(family.samples, 0, now)
    gauge = pb.Gauge(data_points=points)
    return (
        pb.Metric(name=family.name, description=family.documentation, unit=unit, gauge=gauge)
        if points
        else None
    )


def _points(samples: Iterable[Sample], started: int, now: int) -> list[pb.NumberDataPoint]:
    return [
        pb.NumberDataPoint(
            attributes=_attributes(sample.labels),
            start_time_unix_nano=started,
            time_unix_nano=now,
            as_double=sample.value,
        )
        for sample in samples
    ]


def _histograms(family: Family, started: int, now: int) -> list[pb.HistogramDataPoint]:
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        bound = labels.pop("le", None)
        key = tuple(sorted(labels.items()))
        if bound is not None:
            series.setdefault(key, []).append((float(bound), sample.value))
        elif sample.name.endswith("_sum"):
            sums[key] = sample.value
    found = []
    for key, buckets in series.items():
        cumulated = [0.0, *(count for _, count in sorted(buckets))]
        found.append(
            pb.HistogramDataPoint(
                attributes=_attributes(dict(key)),
                start_time_unix_nano=started,
                time_unix_nano=now,
                count=int(cumulated[-1]),
                sum=sums.get(key, 0.0),
                bucket_counts=[int(b - a) for a, b in pairwise(cumulated)],
                explicit_bounds=[bound for bound, _ in sorted(buckets)][:-1],
            )
        )
    return found


def _attributes(labels: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in labels.items()]


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
