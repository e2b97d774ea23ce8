"""The sections of the metric map, one model each. Defaults are those of the blueprint profile."""

from __future__ import annotations

from typing import Literal

from slo import Duration
from slo.catalog.fields import (
    Bound,
    Label,
    OptionalSelector,
    Reading,
    Regex,
    Selector,
    Timing,
    field,
    stella,
)
from slo.sli import Model


class Authority(Model):
    """Token issuance and the keys that sign tokens."""

    tokens_issued: OptionalSelector = field(
        "authority_tokens_issued_total", "Tokens issued; empty counts the token route's successes."
    )
    token: Timing = field(
        Timing(reading="http", route="/token", below=Duration.parse("250ms")),
        "The latency of token issuance.",
    )
    jwks_activated: Selector = stella(
        "authority_jwks_activated_timestamp_seconds", "When each published signing key became active."
    )
    jwks_keys: Selector = stella("authority_jwks_keys", "Keys in the published JWKS.")
    jwks_cadence: Duration = field(Duration.parse("60d"), "How often the JWKS signing key is rotated.")
    jwks_overlap: Duration = field(
        Duration.parse("1d"), "How long the previous key stays published after a rotation."
    )


class Signer(Model):
    """Signing requests by result; denials of the proof of entitlement (PoE)."""

    success: OptionalSelector = field(
        'signer_requests_total{result="success"}', "Requests signed; empty counts the sign route's successes."
    )
    denied: OptionalSelector = field(
        'signer_requests_total{result="entitlement_denied"}',
        "Requests denied for want of a valid PoE; empty: by status.",
    )
    revoked: Selector = field(
        'signer_requests_total{result="revoked"}', "Requests that used a revoked licence."
    )
    sign: Timing = field(
        Timing(reading="http", route="/api/v1/signer/sign/dsse", below=Duration.parse("500ms")),
        "The latency of a signing request, PoE introspection included.",
    )


class Attestor(Model):
    """Submission to the transparency log, what waits for it, and provisional attestations."""

    submit: Timing = field(
        Timing(metric="attestor_submit_latency_seconds", reading="summary", below=Duration.parse("300ms"),
               route="/api/v1/rekor/entries"),
        "The round trip from sign to attest.",
    )  # fmt: skip
    verify_failures: Selector = field("attestor_verify_failures_total", "Verifications that failed.")
    backlog: Selector = field("attestor_queue_backlog", "Jobs in the submission queue, a gauge.")
    backlog_limit: Bound = field("100", "The backlog above which a ticket is due.")
    pending: Selector = stella(
        "attestor_pending_entries", "Entries answered 202 whose proof is not yet fetched."
    )
    pending_age: Selector = stella(
        "attestor_pending_oldest_age_seconds", "The age of the oldest such entry, 0 when there is none."
    )
    pending_limit: Duration = field(
        Duration.parse("4h"), "How long a log outage may last before a mirror log is due."
    )
    key_age: Selector = field("attestor_key_rotation_age_seconds", "The age of the Attestor's key, a gauge.")
    attestations: Selector = stella(
        "attestations", "Attestations by status: provisional, verified, contested."
    )
    provisional_age: Selector = stella(
        "attestation_provisional_oldest_age_seconds",
        "The age of the oldest provisional attestation, 0 when none.",
    )


class Scanner(Model):
    """Scans from enqueue to emit by size of the image, their queue, and the hot paths of the Scanner."""

    scan: Reading = field(
        Reading(metric="scanner_scan_latency_seconds", reading="summary"), "Enqueue to emit."
    )
    size_label: Label = field("image_size", "The label with the image's size class.")
    small: Duration = field(Duration.parse("5s"), "The bound on the 95th percentile for small images.")
    medium: Duration = field(Duration.parse("30s"), "The bound on the 95th percentile for medium images.")
    large: Duration = field(Duration.parse("2m"), "The bound on the 95th percentile for large images.")
    completed: Selector = field("scanner_worker_jobs_completed_total", "Scan jobs that completed.")
    failed: Selector = field("scanner_worker_jobs_failed_total", "Scan jobs that failed.")
    enqueued: Selector = field("scanner_queue_enqueued_total", "Scan jobs enqueued.")
    dead: Selector = field("scanner_queue_deadletter_total", "Scan jobs given up.")
    pending: Selector = field("scanner_jobs_pending", "Scan jobs that wait, a gauge.")
    pending_limit: Bound = field("100", "The queue depth above which a ticket is due.")
    compose: Timing = field(
        Timing(metric="scanner_sbom_compose_duration_seconds", below=Duration.parse("5s")),
        "Hot path: composing an SBOM.",
    )
    diff: Timing = field(
        Timing(metric="scanner_sbom_diff_duration_seconds", below=Duration.parse("1s")),
        "Hot path: the SBOM diff.",
    )
    bench: Selector = field(
        "scanner_analyzer_bench_regression_ratio", "The bench's duration over its baseline, a gauge from CI."
    )
    bench_limit: Bound = field("1.2", "The ratio at which a hot path counts as regressed.")


class Concelier(Model):
    """Export builds and the signatures of what is ingested."""

    export: Timing = field(
        Timing(metric="concelier_export_duration_seconds", below=Duration.parse("250s")),
        "Hot path: building an export; 250 s is a bucket of OpenTelemetry's defaults.",
    )
    export_drift: Bound = field("2", "How many times its usual mean duration an export may take.")
    signatures_failed: Selector = field(
        'ingestion_signature_verified_total{result="fail"}', "Ingested documents with a bad signature."
    )
    queue: Selector = field("concelier_ingest_queue_depth", "Documents that wait for ingestion, a gauge.")


class Excititor(Model):
    """Consensus over VEX statements."""

    conflicts: Selector = field(
        "excititor_consensus_conflicts_total", "Conflicts found while building a consensus."
    )
    conflicts_factor: Bound = field("3", "How many times their own daily average conflicts may reach.")
    queue: Selector = field("vex_conflict_queue_depth", "Conflicts that wait to be settled, a gauge.")


class WebUi(Model):
    """What a browser reports."""

    render: Timing = field(
        Timing(metric="ui_route_render_seconds", reading="buckets", below=Duration.parse("1500ms")),
        "The time to render a route.",
    )


class Zastava(Model):
    """The admission webhook."""

    decisions: Selector = field("zastava_admission_decisions_total", "Admission decisions.")
    decision_label: Label = field("decision", "The label with the decision.")
    deny: str = field("deny", "The decision label's value for a refusal.")
    deny_share: Bound = field("0.05", "The share of refusals above which a ticket is due.")
    latency: Timing = field(
        Timing(metric="zastava_admission_latency_seconds", below=Duration.parse("750ms")),
        "The webhook's latency.",
    )


class ObjectStore(Model):
    """One object store. All counters but `waiting`, which is a gauge whatever its name."""

    requests: Selector = field("rustfs_api_requests_total", "Requests.")
    errors: Selector = field("rustfs_api_requests_errors_total", "Requests that failed.")
    received: Selector = field("rustfs_api_requests_traffic_received_bytes", "Bytes received, a counter.")
    sent: Selector = field("rustfs_api_requests_traffic_sent_bytes", "Bytes sent, a counter.")
    waiting: Selector = field("rustfs_api_requests_waiting_total", "Requests in the queue, a gauge.")


_S3 = ObjectStore(
    requests="s3_requests_total",
    errors="s3_requests_errors_total",
    received="s3_traffic_received_bytes",
    sent="s3_traffic_sent_bytes",
    waiting="s3_requests_waiting",
)


class Storage(Model):
    """The object store that holds the artefacts: RustFS, or S3 in fallback mode."""

    mode: Literal["rustfs", "s3"] = field("rustfs", "Which of the two stores is in use.")
    rustfs: ObjectStore = field(ObjectStore(), "RustFS, the default.")
    s3: ObjectStore = field(_S3, "An S3 store such as MinIO.")
    error_share: Bound = field("0.01", "The share of failed requests that still counts as near zero.")
    waiting_limit: Bound = field("50", "The queue depth above which a ticket is due.")
    versioning: Selector = stella(
        "bucket_versioning_enabled", "1 for each bucket with versioning, 0 without."
    )
    replication_lag: Selector = stella(
        "bucket_replication_lag_seconds",
        "How far each bucket's replica is behind; only where replication is configured.",
    )
    replication_limit: Duration = field(Duration.parse("1h"), "The lag above which a ticket is due.")

    @property
    def store(self) -> ObjectStore:
        return self.s3 if self.mode == "s3" else self.rustfs


class Mongo(Model):
    """MongoDB, as percona's mongodb_exporter reports it."""

    up: Selector = field("mongodb_up", "1 while the exporter reaches the server.")
    operations: Selector = field(
        "mongodb_ss_opcounters", "The opcounters, a counter for each kind of operation."
    )
    operation_label: Label = field("legacy_op_type", "The label with the kind of operation.")
    writes: Regex = field("insert|update|delete", "The kinds of operation that write.")
    fcv: Selector = field(
        "mongodb_fcv_feature_compatibility_version", "The feature compatibility version, a gauge."
    )
    fcv_floor: Bound = field("4.2", "The lowest feature compatibility version that is supported.")


class Postgresql(Model):
    """PostgreSQL, as postgres_exporter reports it."""

    up: Selector = field("pg_up", "1 while the exporter reaches the server.")
    operations: Selector = field("pg_stat_database_xact_commit", "Transactions committed, a counter.")
    inserted: Selector = field("pg_stat_database_tup_inserted", "Rows inserted, a counter.")
    updated: Selector = field("pg_stat_database_tup_updated", "Rows updated, a counter.")
    deleted: Selector = field("pg_stat_database_tup_deleted", "Rows deleted, a counter.")


class Database(Model):
    """The database: MongoDB, or PostgreSQL in later releases."""

    mode: Literal["mongo", "postgresql"] = field("mongo", "Which of the two is in use.")
    mongo: Mongo = field(Mongo(), "MongoDB.")
    postgresql: Postgresql = field(Postgresql(), "PostgreSQL.")
    baseline: Bound = field(
        "0.2", "The share of yesterday's and last week's operations below which the baseline is missed."
    )
    backup: Selector = stella(
        "backup_last_success_timestamp_seconds", "When the last nightly snapshot succeeded."
    )
    backup_age: Duration = field(Duration.parse("24h"), "How old the last snapshot may be.")
    drill: Selector = stella(
        "restore_drill_last_success_timestamp_seconds", "When a restore was last tested."
    )
    drill_age: Duration = field(
        Duration.parse("92d"), "How long ago the last restore drill may be: a quarter."
    )
    retention_age: Selector = stella(
        "retention_oldest_age_seconds",
        "The age of the oldest document of each collection with a time to live.",
    )
    events: str = field("runtime.events", "The collection label's value for the Scanner's runtime events.")
    events_age: Duration = field(Duration.parse("90d"), "Their time to live.")
    dedupe: str = field("dedupe", "The collection label's value for the Attestor's deduplication.")
    dedupe_age: Duration = field(Duration.parse("48h"), "Its time to live.")


class Registry(Model):
    """Private repositories' tokens. The registry, its mirrors and the token service are probed: see http.probes."""

    token_lifetime: Selector = stella(
        "registry_token_lifetime_seconds", "The lifetime of a freshly issued token."
    )
    shortest: Duration = field(Duration.parse("60s"), "The shortest lifetime a token may have.")
    longest: Duration = field(Duration.parse("5m"), "The longest lifetime a token may have.")


class Licensing(Model):
    """The proof of entitlement and the offline lease."""

    poe_expiry: Selector = stella("poe_expiry_timestamp_seconds", "When the PoE expires.")
    poe_notice: Duration = field(Duration.parse("14d"), "How long before that a ticket is due.")
    lease_issued: Selector = stella(
        "poe_lease_issued_timestamp_seconds", "When the offline lease was issued."
    )
    lease_expiry: Selector = stella("poe_lease_expiry_timestamp_seconds", "When the offline lease expires.")
    lease_notice: Duration = field(Duration.parse("3d"), "How long before that a ticket is due.")
    lease_shortest: Duration = field(Duration.parse("7d"), "The shortest term of a lease.")
    lease_longest: Duration = field(Duration.parse("30d"), "The longest term of a lease.")


class Ilm(Model):
    """The artefact lifecycle controller, by class: short, default, compliance."""

    purged: Selector = stella("ilm_purged_total", "Artefacts purged, by class.")
    upcoming: Selector = stella("ilm_upcoming_purges", "Artefacts to be purged within a day, by class.")
    usage: Selector = stella("ilm_usage_bytes", "Bytes stored, by class.")
    unheld: Selector = stella("ilm_unheld_artifacts", "Artefacts without a hold or object lock, by class.")
    oldest_age: Selector = stella(
        "ilm_oldest_artifact_age_seconds", "The age of the oldest unpinned artefact, by class."
    )
    last_run: Selector = stella("ilm_last_run_timestamp_seconds", "When the controller last completed a run.")
    class_label: Label = field("class", "The label with the class.")
    short: str = field("short", "The label's value for working artefacts.")
    default: str = field("default", "The label's value for SBOMs and indexes.")
    compliance: str = field("compliance", "The label's value for signed reports and attested exports.")
    short_age: Duration = field(Duration.parse("14d"), "The time to live of working artefacts.")
    default_age: Duration = field(Duration.parse("180d"), "The time to live of SBOMs and indexes.")
    run_age: Duration = field(Duration.parse("1d"), "How long ago the controller's last run may be.")


class Links(Model):
    """The pages that alerts link to."""

    runbooks: str = field(
        "https://docs.stella-ops.org/runbooks/{alert}",
        "The runbook pages; {alert} stands for the alert's name, which is appended where it is left out.",
    )
    dashboards: str = field("", "The base URL of Grafana, such as https://grafana.example.org.")


class Platform(Model):
    """What concerns every service: FIPS mode, and the exporters themselves."""

    fips_required: Selector = stella(
        "fips_required", "1 for each component that must run in FIPS mode, else 0."
    )
    fips_enabled: Selector = stella("fips_enabled", "1 for each component that runs in FIPS mode, else 0.")
    signing_keys: Selector = stella("signing_keys", "Signing keys in use, by algorithm.")
    algorithm_label: Label = field("algorithm", "The label with a key's algorithm.")
    fips_algorithm: str = field("ES256", "The algorithm that FIPS mode enforces.")
    cycle_age: Duration = field(Duration.parse("1h"), "How long ago an exporter's last cycle may be.")
