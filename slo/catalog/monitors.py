"""Named alerts of the platform's services that are no SLO: Appendix A, rotation, entitlement, backups."""

from __future__ import annotations

from collections.abc import Iterator

from slo import Monitor
from slo.catalog.fields import match
from slo.catalog.metrics import Metrics
from slo.catalog.queries import counter, denied, mean, tokens
from slo.catalog.services import Services
from slo.catalog.shapes import (
    Shape,
    above,
    below,
    constant,
    example,
    monitor,
    older,
    outside,
    rising,
    rose,
    sagged,
    seconds,
    share,
    sooner,
)

NOW = "{{ $value | humanize }}"
AGE = "{{ $value | humanizeDuration }}"


def monitors(m: Metrics, s: Services) -> tuple[Monitor, ...]:
    return (
        *_authority(m, s),
        *_signer(m, s),
        *_attestor(m, s),
        *_scanner(m, s),
        *_exports(m, s),
        *_storage(m, s),
        *_database(m, s),
        *_registry(m, s),
        *_licensing(m, s),
    )


def _authority(m: Metrics, s: Services) -> Iterator[Monitor]:
    yield monitor(
        "StellaTokensBelowNormal", s.authority, sagged(tokens(m), "0.25"),
        "Authority issues far fewer tokens than is normal at this time.",
        f"{NOW} tokens a second, less than a quarter of yesterday's and last week's at this time.", lasting="20m",
    )  # fmt: skip
    yield monitor(
        "StellaJwksRotationOverdue", s.authority, older(m.authority.jwks_activated, m.authority.jwks_cadence),
        "The JWKS signing key is older than its rotation cadence.",
        f"The newest key is {AGE} old; rotate it.", lasting="1h", no_data="1d",
    )  # fmt: skip
    yield monitor(
        "StellaJwksOverlapMissing", s.authority, _overlap(m),
        "A fresh JWKS key has no predecessor beside it.",
        f"{NOW} key is published so soon after a rotation: tokens of the previous one cannot be verified.",
        lasting="5m",
    )  # fmt: skip


def _overlap(m: Metrics) -> Shape:
    keys, activated = m.authority.jwks_keys, m.authority.jwks_activated
    return Shape(
        f"max({keys}) < 2 and time() - max({activated}) < {seconds(m.authority.jwks_overlap)}",
        {example(keys): constant(1), example(activated): rising(60)},
        {example(keys): constant(2), example(activated): rising(60)},
    )


def _signer(m: Metrics, s: Services) -> Iterator[Monitor]:
    yield monitor(
        "StellaEntitlementDenied", s.signer, rose(denied(m), "15m"),
        "The Signer denies requests for want of a valid proof of entitlement.",
        f"{NOW} denials within 15 minutes.", lasting=None, keep_firing="15m",
    )  # fmt: skip
    yield monitor(
        "StellaRevokedLicenceUsed", s.signer, rose(m.signer.revoked, "15m"),
        "A revoked licence is used to ask for signatures.",
        f"{NOW} requests within 15 minutes; the proof of entitlement may be stolen.", lasting=None,
        keep_firing="15m",
    )  # fmt: skip


def _attestor(m: Metrics, s: Services) -> Iterator[Monitor]:
    a = m.attestor
    yield monitor(
        "StellaAttestorBacklog", s.attestor, above(a.backlog, a.backlog_limit, function="sum"),
        "The Attestor's submission queue is deep.", f"{NOW} jobs wait.",
    )  # fmt: skip
    yield monitor(
        "StellaRekorPendingTooOld", s.attestor, above(a.pending_age, seconds(a.pending_limit)),
        "Entries wait for their transparency log proof beyond what an outage may last.",
        f"The oldest waits for {AGE}; switch to a mirror log.",
    )  # fmt: skip
    yield monitor(
        "StellaAttestorKeyOverdue", s.attestor, above(a.key_age, seconds(m.releases.identity_age)),
        "The Attestor's key is older than a quarter.", f"It is {AGE} old; rotate it.", lasting="1h",
    )  # fmt: skip
    yield monitor(
        "StellaProvisionalTooOld", s.attestor, above(a.provisional_age, seconds(m.licensing.lease_longest)),
        "Provisional attestations wait for endorsement longer than any lease lasts.",
        f"The oldest waits for {AGE}.", lasting="1h",
    )  # fmt: skip
    yield monitor(
        "StellaAttestationsContested", s.attestor,
        above(match(a.attestations, status="contested"), "0", function="sum"),
        "Some attestations are contested.", f"{NOW} attestations; sign them again under a new licence.",
        severity="info",
    )  # fmt: skip
    yield monitor(
        "StellaAttestationVerifyFailed", s.attestor, rose(a.verify_failures, "15m"),
        "The Attestor fails to verify attestations.", f"{NOW} failures within 15 minutes.", lasting=None,
        keep_firing="15m",
    )  # fmt: skip


def _scanner(m: Metrics, s: Services) -> Iterator[Monitor]:
    yield monitor(
        "StellaScannerQueueDeep", s.scanner, above(m.scanner.pending, m.scanner.pending_limit, function="sum"),
        "The Scanner's queue is deep.", f"{NOW} scans wait.",
    )  # fmt: skip
    yield monitor(
        "StellaScansGivenUp", s.scanner, rose(m.scanner.dead, "1h"),
        "Scans were given up after their last retry.", f"{NOW} scans within an hour.", lasting=None,
    )  # fmt: skip
    yield monitor(
        "StellaHotPathRegressed", s.scanner, above(m.scanner.bench, m.scanner.bench_limit, "scenario"),
        "A hot path of the Scanner is slower than its budget in the bench.",
        f"{{{{ $labels.scenario }}}} takes {NOW} times its baseline.", lasting=None,
    )  # fmt: skip
    yield monitor(
        "StellaAdmissionDenialsHigh", s.zastava,
        share(
            match(m.zastava.decisions, **{m.zastava.decision_label: m.zastava.deny}), m.zastava.decisions,
            m.zastava.deny_share,
        ),
        "The admission webhook refuses many workloads.", "{{ $value | humanizePercentage }} of decisions.",
    )  # fmt: skip


def _exports(m: Metrics, s: Services) -> Iterator[Monitor]:
    yield monitor(
        "StellaExportDurationUnstable", s.concelier, _unstable(m),
        "Exports take far longer than they did over the last day.",
        f"An export takes {AGE} on average.", lasting="30m",
    )  # fmt: skip
    yield monitor(
        "StellaIngestSignatureFailed", s.concelier, rose(m.concelier.signatures_failed, "15m"),
        "Concelier ingests documents with bad signatures.", f"{NOW} documents within 15 minutes.", lasting=None,
        keep_firing="15m",
    )  # fmt: skip


def _unstable(m: Metrics) -> Shape:
    """The mean of an hour against the mean of the day before it: both are all seconds over all exports."""
    export = m.concelier.export
    now, before = (mean(m, export, "concelier", w) for w in ("1h]", "1d] offset 1h"))
    count = example(counter(m, export, "concelier"))
    total = count.replace("_count{", "_sum{", 1)
    return Shape(
        f"{now} > {m.concelier.export_drift} * ({before})",
        {count: rising(1, 361), total: "0+10x240 2500+100x120"},
        {count: rising(1, 361), total: rising(10, 361)},
    )


def _storage(m: Metrics, s: Services) -> Iterator[Monitor]:
    yield monitor(
        "StellaObjectStoreQueueDeep", s.storage,
        above(m.storage.store.waiting, m.storage.waiting_limit, function="sum"),
        "Requests queue at the object store.", f"{NOW} requests wait.",
    )  # fmt: skip
    yield monitor(
        "StellaBucketVersioningOff", s.storage, below(m.storage.versioning, "1", "bucket"),
        "A bucket has no versioning.", "Bucket {{ $labels.bucket }}: a deleted artefact cannot be restored.",
    )  # fmt: skip
    yield monitor(
        "StellaBucketReplicationBehind", s.storage,
        above(m.storage.replication_lag, seconds(m.storage.replication_limit), "bucket"),
        "A bucket's replica is behind.", f"Bucket {{{{ $labels.bucket }}}} is {AGE} behind.",
    )  # fmt: skip


def _database(m: Metrics, s: Services) -> Iterator[Monitor]:
    d = m.database
    mongo = d.mode == "mongo"
    up, operations = (d.mongo.up, d.mongo.operations) if mongo else (d.postgresql.up, d.postgresql.operations)
    yield monitor(
        "StellaDatabaseDown", s.database, below(up, "1", function="max"),
        "No server of the database answers.", "The exporter reaches none of them.", lasting="5m", no_data="15m",
    )  # fmt: skip
    yield monitor(
        "StellaDatabaseBelowBaseline", s.database, sagged(operations, d.baseline),
        "The database does far fewer operations than is normal at this time.",
        f"{NOW} operations a second.", lasting="20m",
    )  # fmt: skip
    if mongo:
        yield monitor(
            "StellaMongoFcvTooOld", s.database, below(d.mongo.fcv, d.mongo.fcv_floor),
            "MongoDB's feature compatibility version is below what is supported.",
            f"It is {NOW}; raise it before the servers are upgraded.",
        )  # fmt: skip
    yield monitor(
        "StellaBackupStale", s.database, older(d.backup, d.backup_age),
        "The last snapshot of the database is too old.", f"It is {AGE} old.", lasting="1h", no_data="1h",
    )  # fmt: skip
    yield monitor(
        "StellaRestoreDrillOverdue", s.database, older(d.drill, d.drill_age),
        "No restore was tested this quarter.", f"The last drill was {AGE} ago.", lasting="1h", no_data="1d",
    )  # fmt: skip
    for name, collection, age, what in (
        ("StellaRuntimeEventsNotExpired", d.events, d.events_age, "Runtime events"),
        ("StellaDedupeNotExpired", d.dedupe, d.dedupe_age, "The Attestor's deduplication entries"),
    ):
        yield monitor(
            name, s.database, above(match(d.retention_age, collection=collection), seconds(age)),
            f"{what} outlive their time to live.", f"The oldest is {AGE} old.", lasting="1h",
        )  # fmt: skip


def _registry(m: Metrics, s: Services) -> Iterator[Monitor]:
    yield monitor(
        "StellaRegistryUnreachable", s.registry, below(m.http.up("registry"), "1", function="max"),
        "The registry cannot be reached.", "No prober reaches it; pulls by digest may still work from a mirror.",
        no_data="15m",
    )  # fmt: skip
    yield monitor(
        "StellaMirrorUnreachable", s.registry,
        below(m.http.mirrors_up(), "1", m.http.probe_label, function="max"),
        "A mirror of the registry cannot be reached.",
        f"No prober reaches {{{{ $labels.{m.http.probe_label} }}}}.", lasting="30m",
    )  # fmt: skip
    yield monitor(
        "StellaTokenServiceUnreachable", s.registry, below(m.http.up("token_service"), "1", function="max"),
        "The registry's token service cannot be reached.", "Private repositories cannot be pulled from.",
    )  # fmt: skip
    yield monitor(
        "StellaRegistryTokenLifetimeWrong", s.registry,
        outside(m.registry.token_lifetime, m.registry.shortest, m.registry.longest),
        "Registry tokens live shorter or longer than they should.", f"A fresh token lives for {AGE}.",
    )  # fmt: skip


def _licensing(m: Metrics, s: Services) -> Iterator[Monitor]:
    li = m.licensing
    yield monitor(
        "StellaLicensingUnreachable", s.licensing, below(m.http.up("licensing"), "1", function="max"),
        "The licensing service cannot be reached.", "The Signer cannot introspect proofs of entitlement.",
    )  # fmt: skip
    for what, text, expiry, notice in (
        ("Poe", "proof of entitlement", li.poe_expiry, li.poe_notice),
        ("PoeLease", "offline lease", li.lease_expiry, li.lease_notice),
    ):
        yield monitor(
            f"Stella{what}Expiring", s.licensing, sooner(expiry, notice),
            f"The {text} expires soon.", f"It expires in {AGE}; renew it.", lasting="1h",
        )  # fmt: skip
        yield monitor(
            f"Stella{what}Expired", s.licensing, _passed(expiry),
            f"The {text} has expired, so the Signer denies every request.", f"It expired {AGE} ago.",
            severity="page",
        )  # fmt: skip
    yield monitor(
        "StellaPoeLeaseTermWrong", s.licensing, _term(m),
        "The offline lease runs for a term outside 7 to 30 days.", f"It runs for {AGE}.", lasting="1h",
    )  # fmt: skip


def _passed(expiry: str) -> Shape:
    series = example(expiry)
    return Shape(f"time() - max({expiry}) > 0", {series: constant(-3600)}, {series: constant(864000)})


def _term(m: Metrics) -> Shape:
    li = m.licensing
    term = f"max({li.lease_expiry}) - max({li.lease_issued})"
    issued, expiry = example(li.lease_issued), example(li.lease_expiry)
    least, most = li.lease_shortest, li.lease_longest
    return Shape(
        f"{term} < {seconds(least)} or {term} > {seconds(most)}",
        {issued: constant(0), expiry: constant(int(most.seconds) + 86400)},
        {issued: constant(0), expiry: constant(int(least.seconds) + 86400)},
    )
