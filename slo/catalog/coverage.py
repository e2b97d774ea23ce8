"""Where each operational promise of the blueprint lives: an SLO, an alert, a golden signal, or why nowhere.

A home is written "slo:<id>", "alert:<name>" or "signal:<service>.<signal>/<title>".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slo import NotMeasured, Signal, Stack
from slo.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Row:
    """One promise. `not_measured` is the reason where it has no home, or none outside the mode it is for."""

    section: str
    text: str
    homes: tuple[str, ...] = ()
    not_measured: str = ""
    database: Literal["", "mongo", "postgresql"] = ""

    def __post_init__(self) -> None:
        if not self.homes and not self.not_measured:
            raise DefinitionError(f"row {self.text!r} has no home: name one, or say why it is not measured")

    def applies(self, database: str) -> bool:
        """Whether its homes exist in a deployment with this database."""
        return bool(self.homes) and self.database in ("", database)


def has_home(stack: Stack, home: str) -> bool:
    """Whether the stack holds what the home names."""
    kind, _, name = home.partition(":")
    if kind == "slo":
        return name in {s.id for s in stack.slos}
    if kind == "alert":
        return name in {m.name for m in stack.all_monitors}
    place, _, title = name.partition("/")
    service, _, golden = place.partition(".")
    return any(s.title == title for s in _signals(stack, service, golden))


def _signals(stack: Stack, service: str, golden: str) -> tuple[Signal, ...]:
    for candidate in stack.all_services:
        if candidate.name == service and candidate.signals is not None:
            found = dict(candidate.signals.items()).get(golden, ())
            return () if isinstance(found, NotMeasured) else found
    return ()


ROWS: tuple[Row, ...] = (
    # Releases
    Row("1.1", "Edge is released weekly", ("alert:StellaEdgeReleaseLate",)),
    Row("1.1", "Stable is released monthly", ("alert:StellaStableReleaseLate",)),
    Row("1.1", "LTS is released quarterly", ("alert:StellaLtsReleaseLate",)),
    Row(
        "1.1",
        "LTS is supported for 12 months",
        not_measured="a promise to customers: no metric tells the support end",
    ),
    Row(
        "1.3",
        "Web UI and Scanner are within one minor of their peers",
        ("alert:StellaVersionSkew", "alert:StellaSkewVerdictOld"),
    ),
    Row("1.3", "Authority, Signer and Attestor run the same minor", ("alert:StellaTriangleSkew",)),
    Row(
        "2.1",
        "Builds are reproducible",
        not_measured="judged in the build pipeline: nothing of it runs in a cluster",
    ),
    Row("2.2", "Every image has SBOM and provenance", ("alert:StellaImageVerificationFailed",)),
    Row(
        "2.2",
        "SBOM parity after the build",
        not_measured="judged in the build pipeline, which stops on drift",
    ),
    Row(
        "2.3",
        "Images are signed and logged in Rekor",
        (
            "alert:StellaImageVerificationFailed",
            "alert:StellaImageVerdictOld",
            "alert:StellaImageNeverChecked",
        ),
    ),
    Row("2.4", "Hot path: SBOM compose", ("slo:scanner-sbom-compose", "alert:StellaHotPathRegressed")),
    Row("2.4", "Hot path: SBOM diff", ("slo:scanner-sbom-diff", "alert:StellaHotPathRegressed")),
    Row("2.4", "Hot path: export", ("slo:concelier-export-latency",)),
    Row("2.4", "End to end: scan, policy, sign, attest", ("slo:platform-journey",)),
    Row(
        "2.4",
        "One week on edge before stable",
        ("alert:StellaEdgeSoakTooShort", "alert:StellaEdgeSoakSkipped"),
    ),
    # Distribution
    Row("3.1", "The registry is reachable", ("alert:StellaRegistryUnreachable",)),
    Row("3.1", "Its mirrors are reachable", ("alert:StellaMirrorUnreachable",)),
    Row(
        "3.1",
        "Images resolve by digest",
        (
            "alert:StellaReleaseReferenceMissing",
            "alert:StellaReleaseDigestMismatch",
            "alert:StellaReferencesVerdictOld",
        ),
    ),
    Row("3.2", "The token service is reachable", ("alert:StellaTokenServiceUnreachable",)),
    Row("3.2", "Tokens live 60 to 300 s", ("alert:StellaRegistryTokenLifetimeWrong",)),
    Row(
        "3.2",
        "Tokens are DPoP-bound",
        not_measured="a property of each token that no metric shows: a test's task",
    ),
    Row("3.3", "Offline kits are valid", ("alert:StellaOfflineKitInvalid",)),
    # Licensing
    Row(
        "4.1",
        "The proof of entitlement does not expire unseen",
        ("alert:StellaPoeExpiring", "alert:StellaPoeExpired"),
    ),
    Row(
        "4.2",
        "Every signing request is introspected",
        ("alert:StellaLicensingUnreachable", "alert:StellaEntitlementDenied"),
    ),
    Row(
        "4.2",
        "Denials carry a reason",
        ("signal:signer.errors/Entitlement denials", "alert:StellaEntitlementDenied"),
    ),
    Row(
        "4.3",
        "Leases run 7 to 30 days",
        ("alert:StellaPoeLeaseExpiring", "alert:StellaPoeLeaseExpired", "alert:StellaPoeLeaseTermWrong"),
    ),
    Row(
        "4.3",
        "Provisional attestations are endorsed",
        ("signal:attestor.saturation/Attestations waiting for endorsement", "alert:StellaProvisionalTooOld"),
    ),
    Row("4.4", "Revoked licences are denied", ("alert:StellaRevokedLicenceUsed",)),
    Row("4.4", "Earlier attestations may be contested", ("alert:StellaAttestationsContested",)),
    # Manifests
    Row(
        "6.1",
        "The release manifest is signed",
        ("alert:StellaManifestInvalid", "alert:StellaManifestVerdictOld"),
    ),
    # Lifecycle
    Row("7.2", "Working artefacts live 7 to 14 days", ("alert:StellaShortArtifactsNotPurged",)),
    Row("7.2", "SBOMs and indexes live 90 to 180 days", ("alert:StellaDefaultArtifactsNotPurged",)),
    Row(
        "7.2",
        "Compliance artefacts are retained",
        ("alert:StellaComplianceArtifactsPurged", "alert:StellaComplianceHoldMissing"),
    ),
    Row("7.3", "The lifecycle controller runs", ("alert:StellaIlmControllerStale",)),
    Row("7.3", "Usage per class", ("signal:object-store.saturation/Usage by class",)),
    Row("7.3", "Upcoming purges", ("alert:StellaCompliancePurgeUpcoming",)),
    Row("7.4", "Runtime events expire", ("alert:StellaRuntimeEventsNotExpired",)),
    Row("7.4", "Deduplication entries expire", ("alert:StellaDedupeNotExpired",)),
    Row(
        "7.4",
        "Raw documents keep the last N windows",
        not_measured="N is a setting, and no document names its metric",
    ),
    Row(
        "7.5",
        "MongoDB's FCV is at least 4.2",
        ("alert:StellaMongoFcvTooOld",),
        not_measured="PostgreSQL has no feature compatibility version",
        database="mongo",
    ),
    # Observability
    Row("8", "Uptime 99.9 %: Signer", ("slo:signer-uptime",)),
    Row("8", "Uptime 99.9 %: Authority", ("slo:authority-uptime",)),
    Row("8", "Uptime 99.9 %: Attestor", ("slo:attestor-uptime",)),
    Row("8", "Uptime 99.5 %: Scanner WebService", ("slo:scanner-uptime",)),
    Row("8", "Uptime 99.0 %: Excititor", ("slo:excititor-uptime",)),
    Row("8", "Uptime 99.0 %: Concelier", ("slo:concelier-uptime",)),
    Row(
        "8",
        "Latency: token issuance",
        ("slo:authority-token-latency", "signal:authority.latency/Token issuance, p95"),
    ),
    Row("8", "Latency: sign to attest", ("slo:attestor-submit-latency", "slo:signer-sign-latency")),
    Row(
        "8",
        "Latency: scan, enqueue to emit",
        (
            "slo:scanner-scan-latency-small",
            "slo:scanner-scan-latency-medium",
            "slo:scanner-scan-latency-large",
            "signal:scanner.latency/Scan, enqueue to emit, p95",
        ),
    ),
    Row(
        "8",
        "Latency: export build",
        ("slo:concelier-export-latency", "signal:concelier.latency/Export build, p95"),
    ),
    Row(
        "8",
        "Saturation: queue depth",
        (
            "signal:scanner.saturation/Queue depth",
            "alert:StellaScannerQueueDeep",
            "signal:attestor.saturation/Submission queue",
            "alert:StellaAttestorBacklog",
            "signal:concelier.saturation/Ingestion queue",
        ),
    ),
    Row("8", "Saturation: database write IOPS", ("signal:database.saturation/Write IOPS",)),
    Row("8", "Saturation: object store throughput", ("signal:object-store.saturation/Throughput",)),
    Row(
        "8",
        "Saturation: object store queue depth",
        ("signal:object-store.saturation/Queue depth", "alert:StellaObjectStoreQueueDeep"),
    ),
    Row(
        "8",
        "Saturation: Authority, Web UI, webhook, policy",
        not_measured="they queue nothing and name no such metric",
    ),
    Row("8", "Traffic: scans per minute", ("signal:scanner.traffic/Scans per minute",)),
    Row("8", "Traffic: attestations per minute", ("signal:attestor.traffic/Attestations per minute",)),
    Row(
        "8",
        "Traffic: webhook admits per minute",
        ("signal:zastava.traffic/Webhook admits per minute", "alert:StellaAdmissionDenialsHigh"),
    ),
    Row(
        "8",
        "Errors: 5xx rates",
        (
            "slo:authority-availability",
            "slo:signer-availability",
            "slo:attestor-availability",
            "slo:scanner-availability",
            "slo:policy-availability",
            "slo:concelier-availability",
            "slo:excititor-availability",
            "slo:web-ui-availability",
        ),
    ),
    Row(
        "8",
        "Errors: cosign verification failures",
        (
            "signal:cosign.errors/Verification failures",
            "alert:StellaImageVerificationFailed",
            "alert:StellaAttestationVerifyFailed",
            "alert:StellaIngestSignatureFailed",
        ),
    ),
    Row("8", "Errors: Rekor timeouts", ("signal:rekor.errors/Timeouts", "alert:StellaRekorTimeouts")),
    # Security and compliance
    Row("9", "JWKS are rotated every 60 days", ("alert:StellaJwksRotationOverdue",)),
    Row("9", "JWKS rotation overlaps", ("alert:StellaJwksOverlapMissing",)),
    Row(
        "9",
        "Signing identities are rotated quarterly",
        ("alert:StellaSigningIdentityOverdue", "alert:StellaAttestorKeyOverdue"),
    ),
    Row(
        "9",
        "Sigstore roots are pinned; drift alarms",
        ("alert:StellaTrustedRootDrift", "alert:StellaTrustedRootExpiring"),
    ),
    Row("9", "FIPS mode where it is on", ("alert:StellaFipsModeOff", "alert:StellaFipsAlgorithmWrong")),
    Row("9", "FIPS: approved ciphers only", not_measured="a setting of each listener that no metric shows"),
    Row(
        "9",
        "Red-flag advisories hasten a patch",
        not_measured="a process of people: nothing counts such advisories",
    ),
    Row("9", "Nightly snapshots", ("slo:database-backup-freshness", "alert:StellaBackupStale")),
    Row(
        "9",
        "Object store versioning and replication",
        ("alert:StellaBucketVersioningOff", "alert:StellaBucketReplicationBehind"),
    ),
    Row("9", "Restores are tested quarterly", ("alert:StellaRestoreDrillOverdue",)),
    # Runbooks
    Row("12.1", "Lost proof of entitlement", ("alert:StellaEntitlementDenied", "alert:StellaSignerSilent")),
    Row(
        "12.2",
        "Rekor outage: pending entries and their age",
        (
            "signal:attestor.errors/Answered 202 (pending)",
            "signal:attestor.saturation/Entries whose proof is pending",
            "alert:StellaRekorPendingTooOld",
            "alert:StellaRekorDown",
        ),
    ),
    Row("12.3", "Emergency downgrade keeps the three together", ("alert:StellaTriangleSkew",)),
    # Appendix A
    Row("A", "tokens_issued slope is normal", ("alert:StellaTokensBelowNormal", "alert:StellaTokensSurging")),
    Row("A", "Signer succeeds when scans occur", ("alert:StellaSignerSilent",)),
    Row("A", "Attestor submit latency p95 < 0.3", ("slo:attestor-submit-latency",)),
    Row(
        "A",
        "Scan latency p95 below its target per image size",
        (
            "slo:scanner-scan-latency-small",
            "slo:scanner-scan-latency-medium",
            "slo:scanner-scan-latency-large",
        ),
    ),
    Row("A", "Export duration is stable", ("alert:StellaExportDurationUnstable",)),
    Row("A", "Consensus conflicts do not explode", ("alert:StellaConsensusConflictsExploding",)),
    Row(
        "A",
        "Object store errors near zero",
        ("alert:StellaObjectStoreErrors", "slo:object-store-availability"),
    ),
    Row("A", "Database operations hit their baseline", ("alert:StellaDatabaseBelowBaseline",)),
    # Appendix B
    Row("B", "Release manifest signature", ("alert:StellaManifestInvalid",)),
    Row("B", "Same minor of the three", ("alert:StellaTriangleSkew",)),
    Row("B", "Backups under 24 h old", ("alert:StellaBackupStale",)),
    Row("B", "No compliance purge in the upgrade window", ("alert:StellaCompliancePurgeUpcoming",)),
    # The exporters
    Row(
        "exporters",
        "Cosign exporter health",
        ("slo:cosign-verdicts", "alert:StellaCosignExporterStalled", "alert:StellaCosignConfigRejected"),
    ),
    Row(
        "exporters",
        "Rekor health",
        (
            "slo:rekor-availability",
            "slo:rekor-probe-latency",
            "alert:StellaRekorVerdictOld",
            "alert:StellaRekorExporterStalled",
            "alert:StellaRekorConfigRejected",
        ),
    ),
    Row(
        "exporters",
        "Rollback and split view are latched",
        (
            "alert:StellaRekorInconsistent",
            "alert:StellaRekorRollback",
            "alert:StellaRekorSplitView",
            "alert:StellaRekorCheckpointInvalid",
        ),
    ),
    Row(
        "exporters",
        "Release exporter health",
        (
            "alert:StellaReleaseExporterStalled",
            "alert:StellaReleaseConfigRejected",
            "alert:StellaCosignExporterDown",
            "alert:StellaRekorExporterDown",
            "alert:StellaReleaseExporterDown",
        ),
    ),
    Row(
        "services",
        "What else the platform's services promise",
        (
            "slo:scanner-scan-success",
            "slo:zastava-admission-latency",
            "slo:web-ui-render-latency",
            "alert:StellaScansGivenUp",
            "alert:StellaDatabaseDown",
        ),
    ),
)
