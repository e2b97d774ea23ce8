"""Every metric the exporters publish, as data. The SLO catalogue, the docs and the tests read it.

A check has three outcomes, never two: verified, failed, or unknown (it could not be made). A verdict gauge
(`*_verified`, `*_valid`, ...) holds the last verdict, 1 or 0, and is absent until there is a first one. An
unknown outcome leaves it as it is, counts in `*_errors_total`, and does not move
`*_last_check_timestamp_seconds`: the age of that timestamp is the age of the verdict. Rules, dashboards and
gates read a verdict together with its age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OUTCOMES = ("verified", "failed", "unknown")
CHECKS = ("signature", "sbom", "provenance", "labels")

# Why a signature is not accepted: an answer was reached, and it is no.
FAILURE_REASONS = (
    "no_signature",
    "bad_signature",
    "identity_mismatch",
    "issuer_mismatch",
    "subject_mismatch",
    "tlog",
    "sct",
    "timestamp",
    "trust_window",
    "malformed",
    "unsupported",
    "label_mismatch",
)
# Why else a release or an offline kit is not accepted. Findings say it; it is no metric's label.
RELEASE_FAILURE_REASONS = (
    "checksum",
    "channel",
    "calendar",
    "rollback",
    "incomplete",
    "missing",
    "digest_mismatch",
    "late",
    "soak",
    "skew",
    "unsafe",
)
# Why there is no answer: the outcome is unknown.
ERROR_REASONS = (
    "timeout",
    "unreachable",
    "unauthorized",
    "rate_limited",
    "bad_response",
    "too_large",
    "trusted_root",
    "internal",
)
REKOR_OPERATIONS = ("checkpoint", "entry", "inclusion", "consistency", "write")
# Why a Rekor probe failed. The first five are outages, the last three are about trust.
PROBE_FAILURE_REASONS = (
    "timeout",
    "unreachable",
    "rate_limited",
    "bad_response",
    "internal",
    "bad_signature",
    "not_included",
    "inconsistent",
)
SKEW_RULES = ("web_ui", "scanner", "triangle")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. `name` is the name in PromQL; a histogram adds _bucket, _count and _sum to it."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()


SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def _cycle(prefix: str) -> Metric:
    return Metric(
        f"{prefix}_exporter_last_cycle_timestamp_seconds",
        "gauge",
        "When the exporter's last cycle over all its targets ended, whatever the outcomes.",
        unit="seconds",
    )


def _config(prefix: str) -> Metric:
    return Metric(
        f"{prefix}_exporter_config_last_reload_successful",
        "gauge",
        "1 when the configuration on disk is the one in use, 0 when it was refused.",
    )


def _of_exporter(prefix: str) -> tuple[Metric, ...]:
    """What else each exporter says about itself."""
    name = f"{prefix}_exporter"
    return (
        Metric(
            f"{name}_cycle_duration_seconds",
            "gauge",
            "How long the last cycle over all targets took.",
            unit="seconds",
        ),
        Metric(
            f"{name}_cycle_failures_total",
            "counter",
            "Cycles in which the exporter itself failed: a check raised, hung, or the targets could not be listed.",
        ),
        Metric(
            f"{name}_config_last_reload_success_timestamp_seconds",
            "gauge",
            "When a configuration was last accepted.",
            unit="seconds",
        ),
        Metric(
            f"{name}_info",
            "gauge",
            "Always 1; the versions of exporter and verifier.",
            ("version", "verifier"),
        ),
    )


COSIGN_CYCLE, REKOR_CYCLE, RELEASE_CYCLE = (_cycle(p) for p in ("cosign", "rekor", "release"))
COSIGN_CONFIG, REKOR_CONFIG, RELEASE_CONFIG = (_config(p) for p in ("cosign", "rekor", "release"))

IMAGE_VERIFIED = Metric(
    "cosign_image_verified",
    "gauge",
    "Last verdict: 1 verified, 0 failed; absent until first known. Read it with the age of its last check.",
    ("component", "check"),
)
IMAGE_LAST_CHECK = Metric(
    "cosign_image_last_check_timestamp_seconds",
    "gauge",
    "When the check last reached a verdict, verified or failed. Stands still while the outcome is unknown.",
    ("component", "check"),
    "seconds",
)
IMAGE_LAST_SUCCESS = Metric(
    "cosign_image_last_success_timestamp_seconds",
    "gauge",
    "When the check last found the image verified.",
    ("component", "check"),
    "seconds",
)
IMAGE_INFO = Metric(
    "cosign_image_info",
    "gauge",
    "Always 1 for each configured image, from the start; the only metric that holds a digest.",
    ("component", "repository", "digest"),
)
CHECKS_TOTAL = Metric("cosign_checks_total", "counter", "Checks made, of any outcome.", ("check",))
CHECK_FAILURES = Metric(
    "cosign_check_failures_total", "counter", "Checks that failed: the verdict is no.", ("check", "reason")
)
CHECK_ERRORS = Metric(
    "cosign_check_errors_total", "counter", "Checks that could not be made: no verdict.", ("check", "reason")
)
CHECK_DURATION = Metric(
    "cosign_check_duration_seconds", "histogram", "How long a check took.", ("check",), "seconds", SECONDS
)
ROOT_EXPIRY = Metric(
    "cosign_trusted_root_expiry_timestamp_seconds",
    "gauge",
    "When the newest key or certificate of this kind in the trusted root expires; absent without end.",
    ("kind",),
    "seconds",
)
ROOT_DRIFT = Metric(
    "cosign_trusted_root_drift",
    "gauge",
    "1 when the pinned trusted root differs from its mirror, 0 when they are equal; absent until compared.",
)
ROOT_LAST_COMPARED = Metric(
    "cosign_trusted_root_last_compared_timestamp_seconds",
    "gauge",
    "When the trusted root was last compared with its mirror. It stands still while the mirror cannot be read.",
    unit="seconds",
)
ROOT_TIMESTAMP = Metric(
    "cosign_trusted_root_timestamp_seconds",
    "gauge",
    "When the file of the trusted root in use was last modified.",
    unit="seconds",
)

COSIGN: tuple[Metric, ...] = (
    IMAGE_VERIFIED,
    IMAGE_LAST_CHECK,
    IMAGE_LAST_SUCCESS,
    IMAGE_INFO,
    CHECKS_TOTAL,
    CHECK_FAILURES,
    CHECK_ERRORS,
    CHECK_DURATION,
    ROOT_EXPIRY,
    ROOT_DRIFT,
    ROOT_LAST_COMPARED,
    ROOT_TIMESTAMP,
    COSIGN_CYCLE,
    COSIGN_CONFIG,
    *_of_exporter("cosign"),
)

REKOR_UP = Metric("rekor_up", "gauge", "1 when the log answered the last probe, 0 when it did not.", ("log",))
PROBE_DURATION = Metric(
    "rekor_probe_duration_seconds",
    "histogram",
    "How long one attempt took, failed ones included.",
    ("log", "operation"),
    "seconds",
    SECONDS,
)
PROBES = Metric("rekor_probes_total", "counter", "Probes made.", ("log", "operation"))
PROBE_FAILURES = Metric(
    "rekor_probe_failures_total", "counter", "Probes that failed.", ("log", "operation", "reason")
)
TREE_SIZE = Metric(
    "rekor_tree_size", "gauge", "Entries of the tree at its last verified checkpoint.", ("log", "shard")
)
CHECKPOINT_VALID = Metric(
    "rekor_checkpoint_valid",
    "gauge",
    "Last verdict on the checkpoint's signature: 1 valid, 0 not; absent until first known.",
    ("log",),
)
REKOR_CONSISTENT = Metric(
    "rekor_consistent",
    "gauge",
    "1 while each checkpoint extends the last one. 0 is latched, over restarts, until an operator clears it.",
    ("log",),
)
REKOR_LAST_CHECK = Metric(
    "rekor_last_check_timestamp_seconds",
    "gauge",
    "When a checkpoint was last judged, valid or not. It stands still while the log cannot be asked.",
    ("log",),
    "seconds",
)
LAST_GROWTH = Metric(
    "rekor_last_growth_timestamp_seconds",
    "gauge",
    "When the tree was last seen to grow. A quiet log is not a stale log.",
    ("log",),
    "seconds",
)
ROLLBACKS = Metric(
    "rekor_rollback_total", "counter", "Times a checkpoint was smaller than the last verified one.", ("log",)
)
SPLIT_VIEWS = Metric(
    "rekor_split_view_total",
    "counter",
    "Times two checkpoints of one size, or two views, had different roots.",
    ("log",),
)
WRITE_DURATION = Metric(
    "rekor_write_duration_seconds",
    "histogram",
    "Time from a write to its verified inclusion. The write probe is off by default.",
    ("log",),
    "seconds",
    SECONDS,
)

REKOR: tuple[Metric, ...] = (
    REKOR_UP,
    PROBE_DURATION,
    PROBES,
    PROBE_FAILURES,
    TREE_SIZE,
    CHECKPOINT_VALID,
    REKOR_CONSISTENT,
    REKOR_LAST_CHECK,
    LAST_GROWTH,
    ROLLBACKS,
    SPLIT_VIEWS,
    WRITE_DURATION,
    REKOR_CYCLE,
    REKOR_CONFIG,
    *_of_exporter("rekor"),
)

MANIFEST_VALID = Metric(
    "release_manifest_valid",
    "gauge",
    "Last verdict on the manifest's signature and checksum: 1 valid, 0 not; absent until first known.",
    ("channel",),
)
MANIFEST_LAST_CHECK = Metric(
    "release_manifest_last_check_timestamp_seconds",
    "gauge",
    "When the manifest was last judged, valid or not. It stands still while the outcome is unknown.",
    ("channel",),
    "seconds",
)
MANIFEST_TIMESTAMP = Metric(
    "release_manifest_timestamp_seconds",
    "gauge",
    "The date in the newest valid manifest of the channel.",
    ("channel",),
    "seconds",
)
MANIFEST_INFO = Metric(
    "release_manifest_info",
    "gauge",
    "Always 1; the version of the newest valid manifest.",
    ("channel", "version"),
)
MANIFEST_ERRORS = Metric(
    "release_check_errors_total",
    "counter",
    "Checks of a bundle that could not be made: no verdict.",
    ("reason",),
)
FIRST_SEEN = Metric(
    "release_channel_first_seen_timestamp_seconds",
    "gauge",
    "When the version, without a suffix for its channel, was first seen there; kept over restarts.",
    ("channel", "version"),
    "seconds",
)
REFERENCE_RESOLVABLE = Metric(
    "release_reference_resolvable",
    "gauge",
    "1 when the manifest's reference resolves by digest, 0 when the registry says it does not exist.",
    ("channel", "component", "kind"),
)
DIGEST_MATCH = Metric(
    "release_digest_match",
    "gauge",
    "1 when the content served has the digest in the manifest, 0 when it has another or belongs to another image.",
    ("channel", "component", "kind"),
)
REFERENCES_LAST_CHECK = Metric(
    "release_references_last_check_timestamp_seconds",
    "gauge",
    "When all references of the newest valid manifest last had a verdict. It stands still while one has none.",
    ("channel",),
    "seconds",
)
SKEW_VIOLATIONS = Metric(
    "release_version_skew_violations",
    "gauge",
    "Pairs of running components outside the allowed version skew.",
    ("rule",),
)
SKEW_LAST_CHECK = Metric(
    "release_version_skew_last_check_timestamp_seconds",
    "gauge",
    "When the rule last had a verdict. It stands still while a service that it concerns cannot be asked.",
    ("rule",),
    "seconds",
)
KIT_VALID = Metric(
    "release_kit_valid",
    "gauge",
    "Last verdict on the offline kit: 1 valid, 0 not; absent until first known.",
    ("kit",),
)
KIT_LAST_CHECK = Metric(
    "release_kit_last_check_timestamp_seconds",
    "gauge",
    "When the kit was last judged, valid or not.",
    ("kit",),
    "seconds",
)

BUNDLE: tuple[Metric, ...] = (
    MANIFEST_VALID,
    MANIFEST_LAST_CHECK,
    MANIFEST_TIMESTAMP,
    MANIFEST_INFO,
    MANIFEST_ERRORS,
    FIRST_SEEN,
    REFERENCE_RESOLVABLE,
    DIGEST_MATCH,
    REFERENCES_LAST_CHECK,
    SKEW_VIOLATIONS,
    SKEW_LAST_CHECK,
    KIT_VALID,
    KIT_LAST_CHECK,
    RELEASE_CYCLE,
    RELEASE_CONFIG,
    *_of_exporter("release"),
)

ALL: tuple[Metric, ...] = (*COSIGN, *REKOR, *BUNDLE)
