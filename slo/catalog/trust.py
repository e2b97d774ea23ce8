"""Named alerts of trust and lifecycle: our exporters' verdicts, releases, version skew, ILM, FIPS.

A verdict of "failed" pages at once. A verdict that could not be reached is a ticket once the last one is too old.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slo import Monitor
from slo.catalog.fields import match
from slo.catalog.metrics import Metrics
from slo.catalog.services import Services
from slo.catalog.shapes import (
    Shape,
    above,
    below,
    constant,
    example,
    monitor,
    older,
    rose,
    seconds,
    sooner,
)
from slo.quantity import Duration

NOW = "{{ $value | humanize }}"
AGE = "{{ $value | humanizeDuration }}"
IMAGE = "{{ $labels.component }} ({{ $labels.check }})"
AT_ONCE: dict[str, Any] = {"severity": "page", "lasting": None, "keep_firing": "10m"}


def monitors(m: Metrics, s: Services) -> tuple[Monitor, ...]:
    return (
        *_cosign(m, s),
        *_rekor(m, s),
        *_bundle(m, s),
        *_channels(m, s),
        *_skew(m, s),
        *_ilm(m, s),
        *_fips(m, s),
        *_exporters(m, s),
    )


def _cosign(m: Metrics, s: Services) -> Iterator[Monitor]:
    c = m.cosign
    yield monitor(
        "StellaImageVerificationFailed", s.cosign, below(c.verified, "1", "component", "check"),
        "An image of the release fails verification.",
        f"{IMAGE} is not what the release identity signed. Do not deploy it.", **AT_ONCE,
    )  # fmt: skip
    yield monitor(
        "StellaImageVerdictOld", s.cosign, older(c.last_check, c.unknown_age, "component", "check"),
        "An image of the release could not be checked for a while.",
        f"The last verdict on {IMAGE} is {AGE} old.",
    )  # fmt: skip
    info = f"max by (component) ({c.info})"
    judged = f"count by (component) (count by (component, check) ({c.required}))"
    known = example(c.info, ("component",))
    verdicts = {
        example(c.verified, ("component",), {"check": kind}): constant(1) for kind in c.attested.split("|")
    }
    yield monitor(
        "StellaImageNeverChecked", s.cosign,
        Shape(f"{info} unless {judged} >= {c.kinds}", {known: constant(1)}, {known: constant(1), **verdicts}),
        "An image of the release lacks a verdict that it should have.",
        "Not every check of {{ $labels.component }} has succeeded once: signature, SBOM, provenance.",
        lasting="1h",
    )  # fmt: skip
    yield monitor(
        "StellaTrustedRootDrift", s.cosign, above(c.root_drift, "0"),
        "The pinned trusted root differs from its mirror.",
        "Compare them by hand before either is replaced.", lasting="15m",
    )  # fmt: skip
    yield monitor(
        "StellaTrustedRootExpiring", s.cosign, sooner(c.root_expiry, c.root_notice, "kind"),
        "A key or certificate of the trusted root expires soon.",
        f"The newest {{{{ $labels.kind }}}} expires in {AGE}.", lasting="1h",
    )  # fmt: skip


def _rekor(m: Metrics, s: Services) -> Iterator[Monitor]:
    r = m.rekor
    log = "Log {{ $labels.log }}"
    yield monitor(
        "StellaRekorInconsistent", s.rekor, below(r.consistent, "1", "log"),
        "The transparency log contradicts what it has said before.",
        f"{log} was rolled back or shows two views. It stays so until an operator clears it.", **AT_ONCE,
    )  # fmt: skip
    yield monitor(
        "StellaRekorCheckpointInvalid", s.rekor, below(r.checkpoint, "1", "log"),
        "The transparency log's checkpoint has a bad signature.", f"{log} is not signed by its key.", **AT_ONCE,
    )  # fmt: skip
    for name, counter, text in (
        ("StellaRekorRollback", r.rollbacks, "shrank"),
        ("StellaRekorSplitView", r.split_views, "showed two views of one size"),
    ):
        yield monitor(
            name, s.rekor, rose(counter, "1h", "log"), f"The transparency log {text}.",
            f"{log}: {NOW} times within an hour.", lasting=None,
        )  # fmt: skip
    yield monitor(
        "StellaRekorDown", s.rekor, below(r.up, "1", "log"), "The transparency log does not answer.",
        f"{log}: attestations are queued as pending.", lasting="15m",
    )  # fmt: skip
    yield monitor(
        "StellaRekorTimeouts", s.rekor,
        rose(match(r.failures, reason="timeout"), "15m", "log", bound=r.timeouts),
        "The transparency log times out.", f"{log}: {NOW} timeouts within 15 minutes.", lasting=None,
    )  # fmt: skip
    yield monitor(
        "StellaRekorVerdictOld", s.rekor, older(r.last_check, r.unknown_age, "log"),
        "The transparency log could not be checked for a while.", f"{log}: the last verdict is {AGE} old.",
    )  # fmt: skip


def _bundle(m: Metrics, s: Services) -> Iterator[Monitor]:
    b = m.releases
    channel, part = "Channel {{ $labels.channel }}", "{{ $labels.component }} ({{ $labels.kind }})"
    yield monitor(
        "StellaManifestInvalid", s.releases, below(b.manifest, "1", "channel"),
        "A release manifest has a bad signature or checksum.", f"{channel}: do not deploy from it.", **AT_ONCE,
    )  # fmt: skip
    yield monitor(
        "StellaManifestVerdictOld", s.releases, older(b.manifest_check, b.unknown_age, "channel"),
        "A release manifest could not be checked for a while.", f"{channel}: the last verdict is {AGE} old.",
    )  # fmt: skip
    yield monitor(
        "StellaReferencesVerdictOld", s.releases, older(b.references_check, b.unknown_age, "channel"),
        "What a release manifest names could not be looked up for a while.",
        f"{channel}: the last verdict on its references is {AGE} old.",
    )  # fmt: skip
    yield monitor(
        "StellaReleaseDigestMismatch", s.releases, below(b.digest, "1", "component", "kind"),
        "The registry serves something else than the release manifest names.",
        f"{part} has another digest. Do not deploy it.", **AT_ONCE,
    )  # fmt: skip
    yield monitor(
        "StellaReleaseReferenceMissing", s.releases, below(b.reference, "1", "component", "kind"),
        "A reference of the release manifest does not resolve.", f"{part} is not in the registry.",
        lasting="15m",
    )  # fmt: skip
    yield monitor(
        "StellaOfflineKitInvalid", s.releases, below(b.kit, "1", "kit"),
        "An offline kit fails verification.", "Kit {{ $labels.kit }}: do not import it.", **AT_ONCE,
    )  # fmt: skip
    yield monitor(
        "StellaSigningIdentityOverdue", s.releases, older(b.identity_rotated, b.identity_age),
        "The release signing identity was not rotated for a quarter.", f"It is {AGE} old; rotate it.",
        lasting="1h", no_data="1d",
    )  # fmt: skip


def _channels(m: Metrics, s: Services) -> Iterator[Monitor]:
    b = m.releases
    for title, channel, age in (
        ("Edge", b.edge, b.edge_age),
        ("Stable", b.stable, b.stable_age),
        ("Lts", b.lts, b.lts_age),
    ):
        yield monitor(
            f"Stella{title}ReleaseLate", s.releases, older(match(b.released, channel=channel), age),
            f"No release reached channel {channel} in time for its cadence.", f"The last one is {AGE} old.",
            lasting="1h",
        )  # fmt: skip
    yield monitor(
        "StellaEdgeSoakTooShort", s.releases, _soak(m),
        "A version became stable before it had been on edge long enough.",
        f"Version {{{{ $labels.version }}}} was on edge for {AGE}.", lasting=None,
    )  # fmt: skip
    yield monitor(
        "StellaEdgeSoakSkipped", s.releases, _unsoaked(m),
        "A version became stable that was never on edge.", "Version {{ $labels.version }}.", lasting="1h",
    )  # fmt: skip


def _seen(m: Metrics, channel: str) -> str:
    return f"min by (version) ({match(m.releases.first_seen, channel=channel)})"


def _series(m: Metrics, channel: str) -> str:
    return example(match(m.releases.first_seen, channel=channel), ("version",))


def _soak(m: Metrics) -> Shape:
    """Judged for as long after the promotion as the soak lasts, so that an old lapse does not fire for ever."""
    b, soak = m.releases, seconds(m.releases.soak)
    edge, stable = _seen(m, b.edge), _seen(m, b.stable)
    return Shape(
        f"{stable} - {edge} < {soak} and time() - {stable} < {soak}",
        {_series(m, b.stable): constant(0), _series(m, b.edge): constant(-3600)},
        {_series(m, b.stable): constant(0), _series(m, b.edge): constant(-int(b.soak.seconds) - 3600)},
    )


def _unsoaked(m: Metrics) -> Shape:
    b = m.releases
    edge, stable = _seen(m, b.edge), _seen(m, b.stable)
    return Shape(
        f"time() - {stable} < {seconds(b.soak)} unless {edge}",
        {_series(m, b.stable): constant(0)},
        {_series(m, b.stable): constant(0), _series(m, b.edge): constant(-864000)},
    )


def _skew(m: Metrics, s: Services) -> Iterator[Monitor]:
    pairs = f"{NOW} pairs of components"
    yield monitor(
        "StellaVersionSkew", s.releases,
        above(match(m.releases.skew, rule="~web_ui|scanner"), "0", "rule"),
        "Running components are more than one minor version apart.",
        f"{pairs} break rule {{{{ $labels.rule }}}}.", lasting="1h",
    )  # fmt: skip
    yield monitor(
        "StellaSkewVerdictOld", s.releases, older(m.releases.skew_check, m.releases.unknown_age, "rule"),
        "The versions of running components could not be compared for a while.",
        f"Rule {{{{ $labels.rule }}}}: the last verdict is {AGE} old.",
    )  # fmt: skip
    yield monitor(
        "StellaTriangleSkew", s.releases, above(match(m.releases.skew, rule="triangle"), "0"),
        "Authority, Signer and Attestor do not run the same minor version.",
        f"{pairs} differ; roll the three together.", lasting="30m",
    )  # fmt: skip


def _ilm(m: Metrics, s: Services) -> Iterator[Monitor]:
    i = m.ilm

    def of(selector: str, value: str) -> str:
        return match(selector, **{i.class_label: value})

    yield monitor(
        "StellaComplianceArtifactsPurged", s.platform, rose(of(i.purged, i.compliance), "1h"),
        "Artefacts under compliance retention are being purged.",
        f"{NOW} artefacts within an hour. Stop the lifecycle controller.", **AT_ONCE,
    )  # fmt: skip
    yield monitor(
        "StellaCompliancePurgeUpcoming", s.platform,
        above(of(i.upcoming, i.compliance), "0", function="sum"),
        "The lifecycle controller is about to purge compliance artefacts.",
        f"{NOW} artefacts within a day. Do not start an upgrade.",
    )  # fmt: skip
    yield monitor(
        "StellaComplianceHoldMissing", s.platform, above(of(i.unheld, i.compliance), "0", function="sum"),
        "Compliance artefacts have no hold or object lock.", f"{NOW} artefacts.", lasting="1h",
    )  # fmt: skip
    for title, value, age in (("Short", i.short, i.short_age), ("Default", i.default, i.default_age)):
        grace = Duration(age.seconds + i.run_age.seconds)
        yield monitor(
            f"Stella{title}ArtifactsNotPurged", s.platform, above(of(i.oldest_age, value), seconds(grace)),
            f"Unpinned artefacts of class {value} outlive their time to live.",
            f"The oldest is {AGE} old.", lasting="1h",
        )  # fmt: skip
    yield monitor(
        "StellaIlmControllerStale", s.platform, older(i.last_run, i.run_age),
        "The artefact lifecycle controller has not run for a while.", f"Its last run was {AGE} ago.",
        lasting="1h", no_data="1d",
    )  # fmt: skip


def _fips(m: Metrics, s: Services) -> Iterator[Monitor]:
    p = m.platform
    required, enabled = example(p.fips_required, ("component",)), example(p.fips_enabled, ("component",))
    yield monitor(
        "StellaFipsModeOff", s.platform,
        Shape(
            f"max by (component) ({p.fips_required}) > min by (component) ({p.fips_enabled})",
            {required: constant(1), enabled: constant(0)},
            {required: constant(1), enabled: constant(1)},
        ),
        "A component that must run in FIPS mode does not.", "Component {{ $labels.component }}.",
    )  # fmt: skip
    others = match(p.signing_keys, **{p.algorithm_label: f"!{p.fips_algorithm}"})
    keys = example(p.signing_keys, sample={p.algorithm_label: "Ed25519"})
    yield monitor(
        "StellaFipsAlgorithmWrong", s.platform,
        Shape(
            f"sum({others}) > 0 and max({p.fips_required}) == 1",
            {keys: constant(1), required: constant(1)},
            {keys: constant(1), required: constant(0)},
        ),
        "A signing key uses an algorithm that FIPS mode forbids.", f"{NOW} keys.",
    )  # fmt: skip


def _exporters(m: Metrics, s: Services) -> Iterator[Monitor]:
    for title, service, up, cycle, config in (
        ("Cosign", s.cosign, m.cosign.exporter_up, m.cosign.cycle, m.cosign.config),
        ("Rekor", s.rekor, m.rekor.exporter_up, m.rekor.cycle, m.rekor.config),
        ("Release", s.releases, m.releases.exporter_up, m.releases.cycle, m.releases.config),
    ):
        yield monitor(
            f"Stella{title}ExporterDown", service, below(up, "1", function="max"),
            f"The {title.lower()} exporter is down.", "Its verdicts grow old.", no_data="15m",
            labels={"feeds": service.name},
        )  # fmt: skip
        yield monitor(
            f"Stella{title}ExporterStalled", service, older(cycle, m.platform.cycle_age),
            f"The {title.lower()} exporter has not completed a cycle for a while.",
            f"Its last cycle ended {AGE} ago.",
        )  # fmt: skip
        yield monitor(
            f"Stella{title}ConfigRejected", service, below(config, "1"),
            f"The {title.lower()} exporter refused its new configuration.",
            "It still runs with the previous one.",
        )  # fmt: skip
