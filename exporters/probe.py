"""/probe?target=NAME: one configured target checked now, by the conventions of the blackbox exporter."""

from __future__ import annotations

import math
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from exporters.outcome import Verdict
from exporters.subject import Finding

OFFSET = 0.5  # seconds that are left for the answer to travel, as in the blackbox exporter


class _Families:
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families


def time_limit(header: str | None, longest: float) -> float:
    """Seconds for a probe, from X-Prometheus-Scrape-Timeout-Seconds. Raises ValueError when it is no such number."""
    if header is None:
        return longest
    seconds = float(header)
    if not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"{header!r} is no number of seconds")
    return min(longest, seconds - OFFSET if seconds > OFFSET else seconds)


def worst(findings: Sequence[Finding]) -> Verdict:
    """Failed when any check failed, else unknown when any could not be made, or when nothing was checked."""
    verdicts = {finding.outcome.verdict for finding in findings} or {Verdict.UNKNOWN}
    return next(v for v in (Verdict.FAILED, Verdict.UNKNOWN, Verdict.VERIFIED) if v in verdicts)


def render(findings: Sequence[Finding] | None, seconds: float) -> bytes:
    """The exposition of one probe, in the text format; None means that its time was over."""
    found = worst(findings or ())
    success = GaugeMetricFamily("probe_success", "1 when every check of the target was verified, else 0.")
    success.add_metric((), found is Verdict.VERIFIED)
    duration = GaugeMetricFamily("probe_duration_seconds", "How long the probe took.")
    duration.add_metric((), seconds)
    verdict = GaugeMetricFamily(
        "probe_verdict",
        "1 for the verdict of the probe, 0 for the others; unknown means that it could not be made in time.",
        labels=("verdict",),
    )
    for one in Verdict:
        verdict.add_metric((str(one),), one is found)
    registry = CollectorRegistry()
    registry.register(_Families((success, duration, verdict)))
    return generate_latest(registry)
