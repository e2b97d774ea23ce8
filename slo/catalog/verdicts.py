"""The sections of the metric map that read our own exporters; the names are those of exporters.metrics."""

from __future__ import annotations

from exporters import metrics as exported
from slo import Duration
from slo.catalog.fields import Bound, Regex, Selector, field, match, stella
from slo.sli import Model


class Cosign(Model):
    """The cosign exporter."""

    exporter_up: Selector = field('up{job="stella-cosign-exporter"}', "The scrape state of the exporter.")
    cycle: Selector = field(exported.COSIGN_CYCLE.name, exported.COSIGN_CYCLE.help)
    config: Selector = field(exported.COSIGN_CONFIG.name, exported.COSIGN_CONFIG.help)
    verified: Selector = field(exported.IMAGE_VERIFIED.name, exported.IMAGE_VERIFIED.help)
    last_check: Selector = field(exported.IMAGE_LAST_CHECK.name, exported.IMAGE_LAST_CHECK.help)
    info: Selector = field(exported.IMAGE_INFO.name, exported.IMAGE_INFO.help)
    checks: Selector = field(exported.CHECKS_TOTAL.name, exported.CHECKS_TOTAL.help)
    failures: Selector = field(exported.CHECK_FAILURES.name, exported.CHECK_FAILURES.help)
    errors: Selector = field(exported.CHECK_ERRORS.name, exported.CHECK_ERRORS.help)
    duration: Selector = field(exported.CHECK_DURATION.name, exported.CHECK_DURATION.help)
    root_expiry: Selector = field(exported.ROOT_EXPIRY.name, exported.ROOT_EXPIRY.help)
    root_drift: Selector = field(exported.ROOT_DRIFT.name, exported.ROOT_DRIFT.help)
    root_compared: Selector = field(exported.ROOT_LAST_COMPARED.name, exported.ROOT_LAST_COMPARED.help)
    root_notice: Duration = field(Duration.parse("30d"), "How long before the root expires a ticket is due.")
    attested: Regex = field(
        "signature|sbom|provenance", "The checks that every image must have a verdict of."
    )
    unknown_age: Duration = field(
        Duration.parse("3h"), "How old a verdict may be before its age is a ticket."
    )

    @property
    def kinds(self) -> int:
        """How many checks every image must have a verdict of."""
        return len(self.attested.split("|"))

    @property
    def required(self) -> str:
        """The verdicts of those checks."""
        return match(self.verified, check=f"~{self.attested}")


class Rekor(Model):
    """The Rekor exporter."""

    exporter_up: Selector = field('up{job="stella-rekor-exporter"}', "The scrape state of the exporter.")
    cycle: Selector = field(exported.REKOR_CYCLE.name, exported.REKOR_CYCLE.help)
    config: Selector = field(exported.REKOR_CONFIG.name, exported.REKOR_CONFIG.help)
    up: Selector = field(exported.REKOR_UP.name, exported.REKOR_UP.help)
    probes: Selector = field(exported.PROBES.name, exported.PROBES.help)
    failures: Selector = field(exported.PROBE_FAILURES.name, exported.PROBE_FAILURES.help)
    duration: Selector = field(exported.PROBE_DURATION.name, exported.PROBE_DURATION.help)
    below: Duration = field(
        Duration.parse("2500ms"), "The bound on the 95th percentile of a probe; a bucket."
    )
    tree_size: Selector = field(exported.TREE_SIZE.name, exported.TREE_SIZE.help)
    checkpoint: Selector = field(exported.CHECKPOINT_VALID.name, exported.CHECKPOINT_VALID.help)
    consistent: Selector = field(exported.REKOR_CONSISTENT.name, exported.REKOR_CONSISTENT.help)
    last_check: Selector = field(exported.REKOR_LAST_CHECK.name, exported.REKOR_LAST_CHECK.help)
    rollbacks: Selector = field(exported.ROLLBACKS.name, exported.ROLLBACKS.help)
    last_growth: Selector = field(exported.LAST_GROWTH.name, exported.LAST_GROWTH.help)
    split_views: Selector = field(exported.SPLIT_VIEWS.name, exported.SPLIT_VIEWS.help)
    timeouts: Bound = field("5", "Timeouts within 15 minutes above which a ticket is due.")
    unknown_age: Duration = field(
        Duration.parse("1h"), "How old a verdict may be before its age is a ticket."
    )


class Releases(Model):
    """The release bundle exporter, and the calendar of the channels."""

    exporter_up: Selector = field('up{job="stella-bundle-exporter"}', "The scrape state of the exporter.")
    cycle: Selector = field(exported.RELEASE_CYCLE.name, exported.RELEASE_CYCLE.help)
    config: Selector = field(exported.RELEASE_CONFIG.name, exported.RELEASE_CONFIG.help)
    manifest: Selector = field(exported.MANIFEST_VALID.name, exported.MANIFEST_VALID.help)
    manifest_check: Selector = field(exported.MANIFEST_LAST_CHECK.name, exported.MANIFEST_LAST_CHECK.help)
    released: Selector = field(exported.MANIFEST_TIMESTAMP.name, exported.MANIFEST_TIMESTAMP.help)
    info: Selector = field(exported.MANIFEST_INFO.name, exported.MANIFEST_INFO.help)
    first_seen: Selector = field(exported.FIRST_SEEN.name, exported.FIRST_SEEN.help)
    reference: Selector = field(exported.REFERENCE_RESOLVABLE.name, exported.REFERENCE_RESOLVABLE.help)
    digest: Selector = field(exported.DIGEST_MATCH.name, exported.DIGEST_MATCH.help)
    references_check: Selector = field(
        exported.REFERENCES_LAST_CHECK.name, exported.REFERENCES_LAST_CHECK.help
    )
    skew: Selector = field(exported.SKEW_VIOLATIONS.name, exported.SKEW_VIOLATIONS.help)
    skew_check: Selector = field(exported.SKEW_LAST_CHECK.name, exported.SKEW_LAST_CHECK.help)
    kit: Selector = field(exported.KIT_VALID.name, exported.KIT_VALID.help)
    kit_check: Selector = field(exported.KIT_LAST_CHECK.name, exported.KIT_LAST_CHECK.help)
    errors: Selector = field(exported.MANIFEST_ERRORS.name, exported.MANIFEST_ERRORS.help)
    unknown_age: Duration = field(
        Duration.parse("3h"), "How old a verdict may be before its age is a ticket."
    )
    edge: str = field("edge", "The channel label's value for edge.")
    stable: str = field("stable", "The channel label's value for stable.")
    lts: str = field("lts", "The channel label's value for LTS.")
    edge_age: Duration = field(Duration.parse("8d"), "Weekly, with a day of grace.")
    stable_age: Duration = field(Duration.parse("34d"), "Monthly, with three days of grace.")
    lts_age: Duration = field(Duration.parse("99d"), "Quarterly, with a week of grace.")
    soak: Duration = field(Duration.parse("7d"), "How long a version is on edge before it is stable.")
    identity_rotated: Selector = stella(
        "release_identity_rotated_timestamp_seconds", "When the release signing identity was last rotated."
    )
    identity_age: Duration = field(Duration.parse("92d"), "How old a signing identity may be: a quarter.")
