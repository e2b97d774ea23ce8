"""Services below and beside the platform: object store, database, and what the trust exporters watch."""

from __future__ import annotations

from slo import NearZero, NotMeasured, Service
from slo.catalog.fields import match, p95
from slo.catalog.metrics import Metrics
from slo.catalog.queries import W, golden, rate, ratio, signal
from slo.catalog.shapes import Shape, constant, example, rising


def storage(m: Metrics) -> Service:
    store = m.storage.store
    name = "RustFS" if m.storage.mode == "rustfs" else "S3"
    near_zero = _error_share(store.errors, store.requests)
    return Service(
        name="object-store",
        owner="operations",
        tier=1,
        description=f"Holds the artefacts ({name}).",
        signals=golden(
            latency=NotMeasured("no latency metric is common to RustFS and S3 stores"),
            traffic=[
                signal(rate(store.requests), title="Requests", unit="reqps"),
                signal(rate(store.received), title="Received", unit="Bps"),
                signal(rate(store.sent), title="Sent", unit="Bps"),
            ],
            errors=signal(
                near_zero.condition,
                title="Share of errors",
                unit="percentunit",
                alert="StellaObjectStoreErrors",
                when=NearZero(m.storage.error_share),
                lasting="10m",
                summary="Requests to the object store fail.",
                description="{{ $value | humanizePercentage }} of requests fail; near zero is normal.",
                fires=near_zero.fires,
                silent=near_zero.silent,
            ),
            saturation=[
                signal(f"sum({store.waiting})", title="Queue depth"),
                signal(
                    f"{rate(store.received)} + {rate(store.sent)}",
                    title="Throughput",
                    unit="Bps",
                ),
                signal(
                    f"sum by ({m.ilm.class_label}) ({m.ilm.usage})",
                    title="Usage by class",
                    unit="bytes",
                ),
            ],
        ),
    )


def _error_share(part: str, whole: str) -> Shape:
    return Shape(
        ratio(part, whole),
        {example(part): rising(50), example(whole): rising(100)},
        {example(part): constant(5), example(whole): rising(100)},
    )


def database(m: Metrics) -> Service:
    mongo = m.database.mode == "mongo"
    pg = m.database.postgresql
    operations = m.database.mongo.operations if mongo else pg.operations
    return Service(
        name="database",
        owner="operations",
        tier=1,
        description="MongoDB." if mongo else "PostgreSQL.",
        signals=golden(
            latency=NotMeasured("the database's exporter publishes no latency of commands by default"),
            traffic=signal(rate(operations), title="Operations", unit="ops"),
            errors=NotMeasured("failed operations are counted as errors of the service that asked"),
            saturation=signal(_writes(m), title="Write IOPS", unit="iops"),
        ),
    )


def _writes(m: Metrics) -> str:
    if m.database.mode == "mongo":
        mongo = m.database.mongo
        return rate(match(mongo.operations, **{mongo.operation_label: f"~{mongo.writes}"}))
    pg = m.database.postgresql
    return f"{rate(pg.inserted)} + {rate(pg.updated)} + {rate(pg.deleted)}"


def cosign(m: Metrics) -> Service:
    return Service(
        name="cosign",
        owner="supply-chain",
        tier=1,
        description="Are the images of the release signed, with SBOM and provenance?",
        signals=golden(
            latency=signal(p95(m.cosign.duration), title="Check, p95", unit="s"),
            traffic=signal(rate(m.cosign.checks), title="Checks", unit="reqps"),
            errors=[
                signal(
                    f"sum by (reason) (rate({m.cosign.failures}[{W}]))",
                    title="Verification failures",
                    unit="reqps",
                ),
                signal(
                    f"sum by (reason) (rate({m.cosign.errors}[{W}]))",
                    title="Checks without a verdict",
                    unit="reqps",
                ),
            ],
            saturation=NotMeasured(
                "the exporter checks in turn: an overlong cycle shows as the age of its verdicts"
            ),
        ),
    )


def rekor(m: Metrics) -> Service:
    return Service(
        name="rekor",
        owner="supply-chain",
        tier=1,
        description="The transparency log, as our exporter sees it.",
        signals=golden(
            latency=signal(p95(m.rekor.duration), title="Probe, p95", unit="s"),
            traffic=[
                signal(rate(m.rekor.probes), title="Probes", unit="reqps"),
                signal(f"sum by (log) ({m.rekor.tree_size})", title="Entries of the log"),
            ],
            errors=[
                signal(rate(match(m.rekor.failures, reason="timeout")), title="Timeouts", unit="reqps"),
                signal(ratio(m.rekor.failures, m.rekor.probes), title="Failed probes", unit="percentunit"),
            ],
            saturation=NotMeasured("neither version of Rekor publishes its pending queue"),
        ),
    )
