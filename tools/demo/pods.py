"""What our exporters would publish of a release: several components, logs, channels and kits.

Names and labels are those of `exporters.metrics`. On a normal day everything is verified and fresh. In the mode
"tampered" one check fails and another has no verdict any more, on every shelf: an image, a log, a manifest, a kit.
In an outage nothing can be checked: verdicts stay, and grow old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Literal

from exporters import metrics as exported
from exporters.metrics import CHECKS, Metric
from slo import promql
from slo.model import Stack
from tools.demo.series import Key, key_of

DAY = 86400.0
HELD = float("inf")  # a clock that stands still

COMPONENTS = (
    "authority", "signer", "attestor", "scanner-webservice", "concelier", "excititor", "web-ui", "zastava",
)  # fmt: skip
KINDS = ("image", "sbom", "provenance")
LOGS = {"public": "2026-1", "stella": "0"}  # and the shard that is written to
# Version, channel, days since it was first seen there. The newest has just been on edge for long enough.
SEEN = (
    ("2.4.0", "edge", 70), ("2.4.0", "stable", 60), ("2.4.0", "lts", 30), ("2.4.1", "edge", 20),
    ("2.4.1", "stable", 10), ("2.5.0", "edge", 7.5),
)  # fmt: skip
NEWEST = {"edge": "2.5.0", "stable": "2.4.1", "lts": "2.4.0"}
KITS = ("stable-2.4.1", "lts-2.4.0")
OUTAGES = ("timeout", "unreachable", "rate_limited", "bad_response")
OPERATIONS = ("checkpoint", "entry", "inclusion", "consistency")

JOBS = {
    name: {"job": f"stella-{pod}-exporter", "instance": f"{pod}-exporter:9464"}
    for name, pod in (("cosign", "cosign"), ("rekor", "rekor"), ("releases", "bundle"))
}
_METRICS = {"cosign": exported.COSIGN, "rekor": exported.REKOR, "releases": exported.BUNDLE}
NAMES = frozenset(m.name for m in exported.ALL)
BUCKETS = {m.name: {Decimal(str(b)) for b in m.buckets} for m in exported.ALL if m.buckets}


@dataclass(slots=True)
class Published:
    """One series: a gauge's value, a counter's growth per second, or how many seconds a clock is behind.

    `tampered` and `outage` are what it is in those modes, where that differs from a normal day.
    """

    service: str
    key: Key
    kind: Literal["gauge", "counter", "clock"]
    normal: float
    tampered: float | None = None
    outage: float | None = None
    value: float = 0.0

    def advance(self, now: float, dt: float, mode: str) -> None:
        other = {"tampered": self.tampered, "outage": self.outage}.get(mode)
        number = self.normal if other is None else other
        if self.kind == "gauge":
            self.value = number
        elif self.kind == "counter":
            self.value += number * dt
        elif number != HELD:
            self.value = now - number


def reads(stack: Stack) -> bool:
    """Whether a stack watches our exporters."""
    return any(s.metric in NAMES for m in stack.all_monitors for s in promql.selectors(m.expr))


def ours(key: Key) -> bool:
    """Whether one of our exporters publishes this series, or its scrape does."""
    name, labels = key
    job = dict(labels).get("job")
    return name in NAMES or (name == "up" and job in {j["job"] for j in JOBS.values()})


def spread(metric: str) -> list[dict[str, str]]:
    """Labels of the series over which the events of one of our counters or histograms are spread."""
    base = metric.removesuffix("_count")
    cosign, rekor = ([{**JOBS[name], **labels} for labels in found] for name, found in (
        ("cosign", [{"check": c} for c in CHECKS]),
        ("rekor", [{"log": log, "operation": o} for log in LOGS for o in OPERATIONS]),
    ))  # fmt: skip
    return {
        exported.CHECKS_TOTAL.name: cosign,
        exported.CHECK_DURATION.name: cosign,
        exported.CHECK_ERRORS.name: _reasons(cosign, exported.ERROR_REASONS),
        exported.PROBES.name: rekor,
        exported.PROBE_DURATION.name: rekor,
        exported.PROBE_FAILURES.name: _reasons(rekor, OUTAGES),
        exported.WRITE_DURATION.name: [{**JOBS["rekor"], "log": log} for log in LOGS],
    }.get(base, [{}])


def _reasons(series: Iterable[dict[str, str]], reasons: Iterable[str]) -> list[dict[str, str]]:
    return [{**labels, "reason": reason} for labels in series for reason in reasons]


def published() -> Iterator[Published]:
    """Every series of the three exporters but those that flows of events feed."""
    yield from _cosign()
    yield from _rekor()
    yield from _bundle()
    for name, prefix in (("cosign", "cosign"), ("rekor", "rekor"), ("releases", "release")):
        yield from _exporter(name, f"{prefix}_exporter")


def _of(service: str, metric: Metric, **labels: str) -> tuple[str, Key]:
    return service, key_of(metric.name, {**JOBS[service], **labels})


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _cosign() -> Iterator[Published]:
    for component in COMPONENTS:
        repository = f"registry.stella-ops.org/stellaops/{component}"
        info = {"component": component, "repository": repository, "digest": _digest(component)}
        yield Published(*_of("cosign", exported.IMAGE_INFO, **info), "gauge", 1)
        for check in CHECKS:
            labels = {"component": component, "check": check}
            bad, stale = (component, check) == ("signer", "signature"), component == "attestor"
            aside = HELD if bad else None
            yield Published(*_of("cosign", exported.IMAGE_VERIFIED, **labels), "gauge", 1, 0 if bad else None)
            yield Published(*_of("cosign", exported.IMAGE_LAST_CHECK, **labels), "clock", 120,
                            HELD if stale else None, HELD)  # fmt: skip
            yield Published(*_of("cosign", exported.IMAGE_LAST_SUCCESS, **labels), "clock", 120,
                            HELD if stale else aside, HELD)  # fmt: skip
    for check in CHECKS:
        for reason in exported.FAILURE_REASONS:
            bad = (check, reason) == ("signature", "bad_signature")
            yield Published(*_of("cosign", exported.CHECK_FAILURES, check=check, reason=reason), "counter", 0,
                            1 / 60 if bad else None)  # fmt: skip
    for kind, days in (("certificate", 200), ("tlog", 400), ("timestamp", 300)):
        yield Published(*_of("cosign", exported.ROOT_EXPIRY, kind=kind), "clock", -days * DAY, -20 * DAY)
    yield Published(*_of("cosign", exported.ROOT_DRIFT), "gauge", 0, 1)
    yield Published(*_of("cosign", exported.ROOT_LAST_COMPARED), "clock", 300, None, HELD)
    yield Published(*_of("cosign", exported.ROOT_TIMESTAMP), "clock", 20 * DAY)


def _rekor() -> Iterator[Published]:
    for log, shard in LOGS.items():
        bad = log == "stella"  # the other one grows old
        of = {"log": log}
        yield Published(*_of("rekor", exported.REKOR_UP, **of), "gauge", 1, None if bad else 0, 0)
        yield Published(
            *_of("rekor", exported.TREE_SIZE, **of, shard=shard), "counter", 2, None, 0, value=1_000_000
        )
        for verdict in (exported.CHECKPOINT_VALID, exported.REKOR_CONSISTENT):
            yield Published(*_of("rekor", verdict, **of), "gauge", 1, 0 if bad else None)
        for when in (exported.REKOR_LAST_CHECK, exported.LAST_GROWTH):
            yield Published(*_of("rekor", when, **of), "clock", 30, None if bad else HELD, HELD)
        for count in (exported.ROLLBACKS, exported.SPLIT_VIEWS):
            yield Published(*_of("rekor", count, **of), "counter", 0, 1 / 300 if bad else None)


def _bundle() -> Iterator[Published]:
    for channel, version in NEWEST.items():
        bad, stale = channel == "edge", channel == "stable"
        age = next(days for v, c, days in SEEN if (v, c) == (version, channel))
        yield Published(
            *_of("releases", exported.MANIFEST_VALID, channel=channel), "gauge", 1, 0 if bad else None
        )
        yield Published(*_of("releases", exported.MANIFEST_LAST_CHECK, channel=channel), "clock", 60,
                        HELD if stale else None, HELD)  # fmt: skip
        yield Published(*_of("releases", exported.MANIFEST_TIMESTAMP, channel=channel), "clock", age * DAY)
        yield Published(
            *_of("releases", exported.MANIFEST_INFO, channel=channel, version=version), "gauge", 1
        )
    for version, channel, days in SEEN:
        seen = _of("releases", exported.FIRST_SEEN, channel=channel, version=version)
        yield Published(*seen, "clock", days * DAY)
    for reason in exported.ERROR_REASONS:
        bad = reason == "unreachable"
        yield Published(*_of("releases", exported.MANIFEST_ERRORS, reason=reason), "counter", 0,
                        1 / 60 if bad else None, 1 / 30 if bad else None)  # fmt: skip
    for channel, component, kind in product(NEWEST, COMPONENTS, KINDS):
        labels = {"channel": channel, "component": component, "kind": kind}
        at = (channel, component, kind)
        yield Published(*_of("releases", exported.REFERENCE_RESOLVABLE, **labels), "gauge", 1,
                        0 if at == ("edge", "concelier", "sbom") else None)  # fmt: skip
        yield Published(*_of("releases", exported.DIGEST_MATCH, **labels), "gauge", 1,
                        0 if at == ("edge", "signer", "image") else None)  # fmt: skip
    for channel in NEWEST:
        when = _of("releases", exported.REFERENCES_LAST_CHECK, channel=channel)
        yield Published(*when, "clock", 60, HELD if channel == "stable" else None, HELD)
    for rule in exported.SKEW_RULES:
        yield Published(*_of("releases", exported.SKEW_VIOLATIONS, rule=rule), "gauge", 0, 1)
        yield Published(*_of("releases", exported.SKEW_LAST_CHECK, rule=rule), "clock", 60, None, HELD)
    for kit in KITS:
        bad = kit == KITS[0]
        yield Published(*_of("releases", exported.KIT_VALID, kit=kit), "gauge", 1, 0 if bad else None)
        yield Published(
            *_of("releases", exported.KIT_LAST_CHECK, kit=kit), "clock", 60, None if bad else HELD, HELD
        )


def _exporter(service: str, prefix: str) -> Iterator[Published]:
    """What an exporter says about itself, and that it is scraped."""
    yield Published(service, key_of("up", JOBS[service]), "gauge", 1)
    kinds: dict[str, tuple[Literal["gauge", "counter", "clock"], float]] = {
        f"{prefix}_last_cycle_timestamp_seconds": ("clock", 30),
        f"{prefix}_cycle_duration_seconds": ("gauge", 4.2),
        f"{prefix}_cycle_failures_total": ("counter", 0),
        f"{prefix}_config_last_reload_successful": ("gauge", 1),
        f"{prefix}_config_last_reload_success_timestamp_seconds": ("clock", 3 * DAY),
        f"{prefix}_info": ("gauge", 1),
    }
    for metric in _METRICS[service]:
        if metric.name in kinds:
            labels = {"version": "0.2.0", "verifier": "sigstore 4.5.1"} if metric.labels else {}
            yield Published(*_of(service, metric, **labels), *kinds[metric.name])
