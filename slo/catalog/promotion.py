"""What one release must show before it is promoted: its own manifest, images and soak, as checks.

They take the place of the checks of the same name, which judge whatever is newest on a channel.

Each query yields 1 (passes), 0 (fails) or nothing (unknown): no record, or one too old to be a word on now.
"""

from __future__ import annotations

from collections.abc import Sequence

from slo import Stack, names, promql
from slo.board import Check
from slo.catalog.fields import match
from slo.catalog.metrics import Metrics
from slo.catalog.shapes import seconds


def release_checks(
    m: Metrics, stack: Stack, version: str, digests: Sequence[str], source: str
) -> tuple[Check, ...]:
    """Checks of the version as it is known on its `source` channel; `digests` are "sha256:..." of its images.

    Only a promotion from edge soaks.
    """
    soak = (_soak(m, version, source), _quiet(m, stack)) if source == m.releases.edge else ()
    return (_manifest(m, version, source), _images(m, digests), *soak)


def _manifest(m: Metrics, version: str, source: str) -> Check:
    r = m.releases
    valid = f"min({match(r.manifest, channel=source)})"
    age = f"time() - max({match(r.manifest_check, channel=source)})"
    this = f"sum({match(r.info, channel=source, version=version)} > 0)"
    other = (
        f"0 * max({match(r.info, channel=source)} unless {match(r.info, channel=source, version=version)})"
    )
    return Check(
        name="manifest-valid",
        title=f"The signature of the manifest of {version} on {source} is valid",
        query=f"(({valid} and {age} <= {seconds(r.unknown_age)}) and {this}) or {other}",
        description="The bundle exporter's last verdict on this version's manifest, no older than its bound.",
        remedy=f"Look at `slo-exporter bundle --once`: it must judge {version} on {source}, and verify its signature.",
        evidence=age,
        measures="age of the verdict",
        unit="dtdurations",
    )


def _images(m: Metrics, digests: Sequence[str]) -> Check:
    """Good when each digest is known, and each component that runs one has as many fresh good verdicts as kinds."""
    c = m.cosign
    ours = match(c.info, digest="~" + promql.any_of(digests))
    of_ours = f"on (component) group by (component) ({ours})"
    fresh = f"(time() - max by (component, check) ({c.last_check}) <= {seconds(c.unknown_age)})"
    verdicts = f"min by (component, check) ({c.verified})"
    bad = f"count(({verdicts} == 0) and {of_ours})"
    good = f"count(((min by (component, check) ({c.required}) == 1) and {fresh}) and {of_ours})"
    known = f"count(count by (digest) ({ours})) >= {len(set(digests))}"
    wanted = f"({c.kinds} * count(count by (component) ({ours})))"
    return Check(
        name="images-verified",
        title=f"All {len(set(digests))} images of the release are verified by digest",
        query=f"0 * {bad} or clamp_max(({good} >= {wanted}) and on () {known}, 1)",
        description=f"Signature, SBOM and provenance of every image are good, judged within {c.unknown_age}.",
        remedy="See `slo-exporter cosign --once`: which image, which check, and why. Do not deploy what fails.",
        evidence=f"({good} or 0 * {wanted}) / {wanted}",
        measures="good and fresh verdicts",
        unit="percentunit",
    )


def _soak(m: Metrics, version: str, source: str) -> Check:
    r = m.releases
    age = f"time() - min({match(r.first_seen, channel=source, version=version)})"
    never = f"0 * count({match(r.first_seen, channel=source)})"
    return Check(
        name="edge-soak",
        title=f"{version} has been on {source} for {r.soak}",
        query=f"({age} >= bool {seconds(r.soak)}) or {never}",
        description=f"Canaries run a version on {source} for {r.soak} before it becomes stable.",
        remedy="Wait, or release it through the hotfix lane.",
        evidence=age,
        measures=f"time on {source}",
        unit="dtdurations",
    )


def _quiet(m: Metrics, stack: Stack) -> Check:
    """Needs records from the start of the soak: nothing can be said of a time before Prometheus looked."""
    soak = m.releases.soak
    page = names.sel("ALERTS", alertstate="firing", severity=stack.severities["page"], stack=stack.name)
    pages = f"count(count by (alertname, slo, service) (count_over_time({page}[{soak}]))) or vector(0)"
    began = f"count(last_over_time({names.sel(names.CLOCK, stack=stack.name)}[6h] offset {soak}))"
    return Check(
        name="soak-quiet",
        title=f"No page fired in the last {soak}",
        query=f"(({pages}) == bool 0) and on () {began}",
        description="A page during the soak is a reason not to hand the release on.",
        remedy="Find out whether the release caused it. If it did not, override this check with that reason.",
        evidence=f"({pages})",
        measures="alerts that paged",
    )
