"""Whether a release may go on to its next channel: the checks that the dashboard draws and the gate judges.

A check passes only on what is known to be good, and fails on what is known to be bad. A record that is absent, or too
old to be a word on now, is neither.
"""

from __future__ import annotations

from collections.abc import Iterator

from slo import Check, names
from slo.catalog.fields import match
from slo.catalog.metrics import Metrics
from slo.catalog.shapes import seconds
from slo.model import SEVERITIES
from slo.names import sel
from slo.quantity import Duration

STACK = "stella-ops"
GATING = "0|1"  # tiers: signing, admission and what a scan needs; the others do not hold a release back
RULES = {"stack": STACK}


def checks(m: Metrics) -> tuple[Check, ...]:
    return (*_objectives(), *_release(m), *_trust(m), *_platform(m))


def judged(bad: str, good: str) -> str:
    """0 where anything is bad, 1 where `good` has a value, and nothing where neither is known."""
    return f"min(0 * count({bad}) or clamp({good}, 1, 1))"


def young(timestamp: str, age: Duration, by: str) -> str:
    """What was last judged no longer ago than an age, by the labels named."""
    return f"time() - max by ({by}) ({timestamp}) <= {seconds(age)}"


def verdicts(verdict: str, timestamp: str, age: Duration, by: str) -> tuple[str, str]:
    """Of gauges of 1 and 0 that hold their last value: which are bad, and how many good when all are young."""
    last = f"min by ({by}) ({verdict})"
    old = f"({last} unless on ({by}) ({young(timestamp, age, by)}))"
    return f"{last} == 0", f"(count({last} == 1) unless count({old}))"


def _objectives() -> Iterator[Check]:
    budget = sel(names.BUDGET, **RULES, tier=f"~{GATING}")
    left = f"({sel(names.REMAINING, **RULES)} and on (slo) {budget})"
    unseen = f"({budget} unless on (slo) {sel(names.REMAINING, **RULES)})"
    blind = f"({budget} and on (slo) {sel('ALERTS', **RULES, alertname=names.NO_DATA, alertstate='firing')})"
    yield Check(
        name="budgets-left",
        title="Error budgets are left",
        query=judged(f"{left} <= 0", f"count({left} > 0) unless count({unseen} or {blind})"),
        description="Every objective of tier 0 and 1 has budget left in its period, and an indicator with data.",
        remedy="See the SLO overview. A spent budget asks for a release that mends, not for one that adds.",
        evidence=f"min({left})",
        measures="lowest budget left",
        unit="percentunit",
        decimals=1,
    )
    firing = sel("ALERTS", **RULES, alertstate="firing", severity=SEVERITIES["page"])
    running = f"count({sel(names.CLOCK, **RULES)})"
    yield Check(
        name="alerts-quiet",
        title="No page is open",
        query=judged(firing, running),
        description="No alert that wakes somebody fires, and the rules that would raise one are evaluated now.",
        remedy="Settle what pages first; its runbook says how.",
        evidence=f"sum(count({firing}) or 0 * {running})",
        measures="open pages",
        unit="none",
        decimals=0,
    )


def _release(m: Metrics) -> Iterator[Check]:
    r = m.releases
    edge, stable = (f"min by (version) ({match(r.first_seen, channel=c)})" for c in (r.edge, r.stable))
    # Candidates came to edge after the newest version that is stable. Older ones were left out on purpose.
    last = f"on () group_left () (max({edge} and on (version) {stable}) or vector(0))"
    soaked = f"time() - min(({edge} unless on (version) {stable}) > {last})"
    yield Check(
        name="edge-soak",
        title="A version has soaked on edge",
        query=f"min({soaked} >= bool {seconds(r.soak)} or 0 * count({edge}))",
        description=f"A version that is newer than stable's has been on channel {r.edge} for {r.soak}.",
        remedy="Wait, or release a fix that cannot wait through the hotfix lane.",
        evidence=f"min({soaked})",
        measures=f"time on {r.edge}",
        unit="dtdurations",
    )
    yield Check(
        name="manifest-valid",
        title="Release manifests are signed",
        query=judged(*verdicts(r.manifest, r.manifest_check, r.unknown_age, "channel")),
        description=f"Signature and checksum of every channel's manifest hold, judged within {r.unknown_age}.",
        remedy="Do not deploy from a channel whose manifest fails. See the runbook of StellaManifestInvalid.",
        evidence=f"max(time() - max by (channel) ({r.manifest_check}))",
        measures="age of the oldest manifest verdict",
        unit="dtdurations",
    )
    broken = f"(min by (channel, component, kind) ({r.digest}) == 0 or min by (channel, component, kind) ({r.reference}) == 0)"
    whole = f"min by (channel, component, kind) ({r.digest}) == 1"
    channels = f"max by (channel) ({r.info})"
    known = young(r.references_check, r.unknown_age, "channel")
    yield Check(
        name="references-match",
        title="References resolve to their digests",
        query=judged(broken, f"count({whole}) unless count({channels} unless on (channel) ({known}))"),
        description="Whatever the manifests name is in the registry, under the digest that they name.",
        remedy="Do not deploy a component whose digest differs. See the runbook of StellaReleaseDigestMismatch.",
        evidence=f"sum(count({broken}) or 0 * count({whole}))",
        measures="wrong references",
        unit="none",
        decimals=0,
    )
    yield Check(
        name="kit-valid",
        title="Offline kits are valid",
        query=judged(*verdicts(r.kit, r.kit_check, r.unknown_age, "kit")),
        description=f"Checksums and signatures of every offline kit hold, judged within {r.unknown_age}.",
        remedy="Build the kit anew; do not import the one that fails. See the runbook of StellaOfflineKitInvalid.",
        evidence=f"max(time() - max by (kit) ({r.kit_check}))",
        measures="age of the oldest kit verdict",
        unit="dtdurations",
    )


def _trust(m: Metrics) -> Iterator[Check]:
    c, k = m.cosign, m.rekor
    by = "component, check"
    last = f"min by ({by}) ({c.verified})"
    good = (
        f"count(min by ({by}) ({c.required}) == 1 and on ({by}) ({young(c.last_check, c.unknown_age, by)}))"
    )
    wanted = f"({c.kinds} * count(count by (component) ({c.info})))"
    yield Check(
        name="images-verified",
        title="Images are verified",
        query=judged(f"{last} == 0", f"{good} >= {wanted}"),
        description=f"Signature, SBOM and provenance of every image are good, judged within {c.unknown_age}.",
        remedy="Do not deploy an image that fails. See the runbook of StellaImageVerificationFailed.",
        evidence=f"sum(({good} or 0 * {wanted}) / {wanted})",
        measures="good and fresh verdicts",
        unit="percentunit",
        decimals=0,
    )
    compared = f"time() - max({c.root_compared}) <= {seconds(c.unknown_age)}"
    yield Check(
        name="roots-unchanged",
        title="Trusted roots equal their mirror",
        query=judged(f"{c.root_drift} > 0", f"count({c.root_drift} == 0) and count({compared})"),
        description=f"The pinned trusted root is the mirror's, compared within {c.unknown_age}.",
        remedy="Compare both by hand before either is replaced. See the runbook of StellaTrustedRootDrift.",
        evidence=f"min(time() - max({c.root_compared}))",
        measures="age of the comparison",
        unit="dtdurations",
    )
    broken = f"(min by (log) ({k.consistent}) == 0 or min by (log) ({k.checkpoint}) == 0)"
    _, held = verdicts(k.consistent, k.last_check, k.unknown_age, "log")
    yield Check(
        name="log-consistent",
        title="The transparency log is consistent",
        query=judged(broken, held),
        description=f"Each checkpoint extends the last and is signed by the log's key, judged within {k.unknown_age}.",
        remedy="Stop releasing, and keep the evidence. See the runbook of StellaRekorInconsistent.",
        evidence=f"max(time() - max by (log) ({k.last_check}))",
        measures="age of the oldest log verdict",
        unit="dtdurations",
    )


def _platform(m: Metrics) -> Iterator[Check]:
    for name, title, rules, wanted, text, where in (
        ("skew-services", "Web UI and Scanner are within their skew", "web_ui|scanner", 2,
         "No pair of running components is more than one minor version apart.", "Web UI and Scanner"),
        ("skew-triangle", "Authority, Signer, Attestor run one minor", "triangle", 1,
         "Authority, Signer and Attestor run the same minor version.", "the triangle"),
    ):  # fmt: skip
        yield _skew(m, name, title, rules, wanted, text, where)
    d = m.database
    age = f"time() - max({d.backup})"
    yield Check(
        name="backup-fresh",
        title="The database is backed up",
        query=f"min({age} <= bool {seconds(d.backup_age)})",
        description=f"The last snapshot that succeeded is younger than {d.backup_age}.",
        remedy="Take a snapshot before the upgrade. See the runbook of StellaBackupStale.",
        evidence=f"min({age})",
        measures="age of the last snapshot",
        unit="dtdurations",
    )
    yield _retention(m)
    if d.mode == "mongo":
        yield Check(
            name="mongo-fcv",
            title="MongoDB's compatibility version suffices",
            query=f"min({d.mongo.fcv} >= bool {d.mongo.fcv_floor})",
            description=f"Every replica set is at feature compatibility version {d.mongo.fcv_floor} or above.",
            remedy="Raise it before the binaries are swapped. See the runbook of StellaMongoFcvTooOld.",
            evidence=f"min({d.mongo.fcv})",
            measures="lowest compatibility version",
            unit="none",
            decimals=1,
        )


def _skew(m: Metrics, name: str, title: str, rules: str, wanted: int, description: str, where: str) -> Check:
    r = m.releases
    chosen = match(r.skew, rule=f"~{rules}")
    at = match(r.skew_check, rule=f"~{rules}")
    good = f"max by (rule) ({chosen}) == 0 and on (rule) ({young(at, r.unknown_age, 'rule')})"
    return Check(
        name=name,
        title=title,
        query=judged(f"{chosen} > 0", f"count({good}) >= {wanted}"),
        description=description,
        remedy="Roll the component that lags. See the runbook of StellaVersionSkew.",
        evidence=f"sum(max by (rule) ({chosen}))",
        measures=f"pairs out of skew in {where}",
        unit="none",
        decimals=0,
    )


def _retention(m: Metrics) -> Check:
    i = m.ilm
    upcoming, purged = (match(s, **{i.class_label: i.compliance}) for s in (i.upcoming, i.purged))
    ran = f"time() - max({i.last_run}) <= {seconds(i.run_age)}"
    return Check(
        name="compliance-kept",
        title="No compliance artefact is purged",
        query=judged(
            f"({upcoming} > 0 or increase({purged}[1h]) > 0)", f"count({upcoming} == 0) and count({ran})"
        ),
        description="The lifecycle controller neither purged one within an hour nor is about to within a day, and it ran "
        f"within {i.run_age}.",
        remedy="Stop the controller and place the holds. See the runbook of StellaCompliancePurgeUpcoming.",
        evidence=f"sum({upcoming})",
        measures="due purges",
        unit="none",
        decimals=0,
    )
