"""Release trust: is what we release what we built and signed, and can everybody check it?"""

from __future__ import annotations

from typing import Any

from exporters.metrics import CHECKS
from slo import Board, Column, Panel, Query, Section, Step, Value, promql
from slo.catalog.boards.words import (
    COSIGN,
    JUDGED,
    REKOR,
    RELEASES,
    SOME_BAD,
    SOME_UNKNOWN,
    TO_READINESS,
    TRUST,
)
from slo.catalog.fields import match, series_of
from slo.catalog.metrics import Metrics
from slo.catalog.readiness import young
from slo.catalog.shapes import seconds
from slo.quantity import Duration

WINDOW = promql.WINDOW


def trust(m: Metrics) -> Board:
    return Board(
        name=TRUST,
        title="Release trust",
        question="Is what we release what we built and signed, and can everybody check it?",
        sections=[
            Section(panels=_trusted(m)),
            Section(title="Images", panels=[_images(m), _outcomes(m), *_reasons(m)]),
            Section(title="Transparency log", panels=_log(m)),
            Section(title="Release bundles", panels=_bundles(m)),
            Section(title="Keys and roots", panels=_keys(m)),
        ],
    )


ROOT = (
    Value(of="1", text="✔ as mirrored", colour="good"),
    Value(of="0", text="✘ drifted", colour="bad"),
    Value(of="-1", text="? too old", colour="unknown"),
    Value(of="absent", text="? unknown", colour="unknown"),
)
TOO_OLD = (
    Value(of="-1", text="? too old", colour="unknown"),
    Value(of="absent", text="? unknown", colour="unknown"),
)


def state(verdict: str, timestamp: str, age: Duration, by: str) -> str:
    """1 verified, 0 failed, -1 verified too long ago to be a word on now; absent without a verdict."""
    last = f"min by ({by}) ({verdict})"
    return f"{last} == 0 or ({last} == 1 and on ({by}) {young(timestamp, age, by)}) or -1 * {last}"


def _trusted(m: Metrics) -> list[Panel]:
    c, k, r = m.cosign, m.rekor, m.releases
    by = "component, check"
    verdicts, needed = (state(v, c.last_check, c.unknown_age, by) for v in (c.verified, c.required))
    wanted = f"{c.kinds} * count(count by (component) ({c.info}))"
    worst = (
        ("Log", state(k.consistent, k.last_check, k.unknown_age, "log"), REKOR,
         "The worst log: does each checkpoint extend the last one?"),
        ("Manifests", state(r.manifest, r.manifest_check, r.unknown_age, "channel"), RELEASES,
         "The worst channel: signature and checksum of its manifest."),
    )  # fmt: skip
    root = f"(1 - max({c.root_drift}))"
    compared = f"{root} == 1 and (time() - max({c.root_compared}) <= {seconds(c.unknown_age)})"
    count: dict[str, Any] = {"kind": "stat", "width": 4, "height": 4, "unit": "none", "decimals": 0}
    return [
        Panel(
            title="Images verified", queries=[Query(expr=f"(count(({needed}) == 1) or 0 * {wanted}) / ({wanted})")],
            steps=(Step(at="-inf", colour="warning"), Step(at="1", colour="good")), links=[COSIGN, TO_READINESS],
            description="Of all checks that all images need: verified, and not too long ago.",
            **count | {"unit": "percentunit"},
        ),
        Panel(
            title="Images failed", queries=[Query(expr=f"count(({verdicts}) == 0) or 0 * {wanted}")], steps=SOME_BAD,
            description="Checks whose verdict is no. Do not deploy these images.", links=[COSIGN], **count,
        ),
        Panel(
            title="Without a verdict", steps=SOME_UNKNOWN, links=[COSIGN],
            queries=[Query(expr=f"{wanted} - (count(({needed}) >= 0) or 0 * {wanted})")],
            description="Checks that are needed and never had a verdict, or whose last one is too old.", **count,
        ),
        *(
            Panel(
                title=title, queries=[Query(expr=f"min({expr})")], values=JUDGED, links=[link], description=text, **count
            )
            for title, expr, link, text in worst
        ),
        Panel(
            title="Trusted root", queries=[Query(expr=f"min({root} == 0 or {compared} or -1 * {root})")], links=[COSIGN],
            values=ROOT, **count,
            description="Whether the pinned trusted root equals its mirror, as compared not too long ago.",
        ),
    ]  # fmt: skip


def _images(m: Metrics) -> Panel:
    c = m.cosign
    columns = [
        Query(
            expr=state(match(c.verified, check=check), match(c.last_check, check=check), c.unknown_age, "component"),
            name=check.capitalize() if check != "sbom" else "SBOM",
            unit="none",
            width=97,
            values=JUDGED,
        )
        for check in CHECKS
    ]  # fmt: skip
    return Panel(
        title="Images by component and check",
        kind="table",
        description=f"The last verdict of each check. Too old: verified, but more than {c.unknown_age} ago. Unknown: never "
        "judged. The age is that of the oldest verdict of the component.",
        unit="none",
        height=9,
        columns=[
            Column(label="component", title="Component", least=144),
            Column(label="Value #A", hidden=True),
        ],
        queries=[
            Query(expr=f"max by (component) ({c.info})"),
            *columns,
            Query(
                expr=f"time() - min by (component) ({c.last_check})",
                name="Oldest",
                unit="dtdurations",
                width=95,
            ),
        ],
        links=[COSIGN],
    )


def _outcomes(m: Metrics) -> Panel:
    c = m.cosign
    made, failed, unknown = (
        f"(sum(rate({s}[{WINDOW}])) or 0 * sum(rate({c.checks}[{WINDOW}])))"
        for s in (c.checks, c.failures, c.errors)
    )
    return Panel(
        title="Outcomes of checks",
        description="Checks a minute by outcome: verified, failed (an answer, and it is no), unknown (no answer).",
        unit="cpm",
        stacked=True,
        low="0",
        height=9,
        queries=[
            Query(expr=f"60 * {failed}", name="Failed", colour="bad"),
            Query(expr=f"60 * {unknown}", name="Unknown", colour="unknown"),
            Query(expr=f"60 * clamp_min({made} - {failed} - {unknown}, 0)", name="Verified", colour="good"),
        ],
        links=[COSIGN],
    )


def _reasons(m: Metrics) -> list[Panel]:
    return [
        Panel(
            title=title, kind="events", unit="cpm", low="0", height=10, description=text, links=[COSIGN], empty=empty,
            queries=[Query(expr=f"60 * sum by (check, reason) (rate({s}[{WINDOW}])) > 0", name="{{check}}: {{reason}}")],
        )
        for title, s, text, empty in (
            ("Why checks fail", m.cosign.failures, "Failed checks a minute by reason. Each is a reason not to deploy.",
             "No check fails."),
            ("Why checks have no answer", m.cosign.errors,
             "Checks a minute that could not be made, by reason: the verdicts grow old.", "Every check has an answer."),
        )
    ]  # fmt: skip


def _log(m: Metrics) -> list[Panel]:
    k = m.rekor
    buckets = series_of(k.duration, "_bucket")
    latency = f"histogram_quantile(0.95, sum by (le, operation) (rate({buckets}[{WINDOW}])))"
    failed = f"60 * sum by (operation, reason) (rate({k.failures}[{WINDOW}])) > 0"
    return [
        Panel(
            title="Latency by operation, p95", unit="s", low="0", height=8, links=[REKOR],
            steps=(Step(at=seconds(k.below), colour="bad"),),
            queries=[Query(expr=latency, name="{{operation}}")],
            description=f"How long the log takes to answer our probes. Dashed: the bound of its objective, {k.below}.",
        ),
        Panel(
            title="Failed probes", kind="events", unit="cpm", low="0", height=10, links=[REKOR], empty="No probe fails.",
            queries=[Query(expr=failed, name="{{operation}}: {{reason}}")],
            description="Probes a minute that failed, by operation and reason.",
        ),
        Panel(
            title="Entries of the log", unit="short", links=[REKOR], width=8,
            queries=[Query(expr=f"sum by (log) ({k.tree_size})", name="{{log}}")],
            description="The size of the tree at its last verified checkpoint. It never shrinks.",
        ),
        Panel(
            title="Verdicts on the log", kind="timeline", unit="none", values=JUDGED, links=[REKOR], width=8,
            queries=[
                Query(expr=state(k.consistent, k.last_check, k.unknown_age, "log"), name="{{log}} consistent"),
                Query(expr=state(k.checkpoint, k.last_check, k.unknown_age, "log"), name="{{log}} checkpoint"),
            ],
            description="Consistent: each checkpoint extends the last. Checkpoint: it is signed by the log's key.",
        ),
        Panel(
            title="The log in numbers", kind="lines", unit="none", decimals=0, links=[REKOR], width=8,
            queries=[
                Query(expr=f"max(time() - max by (log) ({k.last_growth}))", name="Last growth", unit="dtdurations"),
                Query(expr=f"max(time() - max by (log) ({k.last_check}))", name="Last verdict", unit="dtdurations"),
                Query(expr=f"sum(increase({k.rollbacks}[1d]))", name="Rollbacks, 1d", steps=SOME_BAD),
                Query(expr=f"sum(increase({k.split_views}[1d]))", name="Split views, 1d", steps=SOME_BAD),
            ],
            description="Of the log that is worst off. A quiet log is not a stale log: growth depends on who writes.",
        ),
    ]  # fmt: skip


def _bundles(m: Metrics) -> list[Panel]:
    r = m.releases
    by = "channel, component, kind"
    skew, judged = f"max by (rule) ({r.skew})", young(r.skew_check, r.unknown_age, "rule")
    wrong = f"min by ({by}) ({r.digest}) == 0 or min by ({by}) ({r.reference}) == 0"
    return [
        Panel(
            title="Manifests by channel", kind="table", unit="none", height=7, links=[RELEASES],
            columns=[Column(label="channel", title="Channel", least=95)],
            queries=[
                Query(expr=state(r.manifest, r.manifest_check, r.unknown_age, "channel"), name="Manifest", width=97,
                      values=JUDGED),
                Query(expr=f"time() - max by (channel) ({r.manifest_check})", name="Verdict", unit="dtdurations", width=100),
                Query(expr=f"time() - max by (channel) ({r.references_check})", name="References", unit="dtdurations", width=100),
                Query(expr=f"time() - max by (channel) ({r.released})", name="Released", unit="dtdurations", width=100),
            ],
            description="Signature and checksum of each channel's manifest; how old the verdicts on it and on all its "
            "references are, and the release itself.",
        ),
        Panel(
            title="References that are wrong", kind="table", unit="none", height=7, links=[RELEASES],
            columns=[
                Column(label="channel", title="Channel", width=95),
                Column(label="component", title="Component", least=144),
                Column(label="kind", title="Kind", least=95),
                Column(label="Value", hidden=True),
            ],
            queries=[Query(expr=wrong)], empty="Every reference resolves, under its digest.",
            description="What a manifest names, and the registry does not have, or has under another digest.",
        ),
        Panel(
            title="Offline kits", kind="table", unit="none", height=7, links=[RELEASES],
            columns=[Column(label="kit", title="Kit", least=120)],
            queries=[
                Query(expr=state(r.kit, r.kit_check, r.unknown_age, "kit"), name="Verdict", width=105, values=JUDGED),
                Query(expr=f"time() - max by (kit) ({r.kit_check})", name="Age", unit="dtdurations", width=105),
            ],
            description="Checksums and signatures within each offline kit, and how old the verdict is.",
        ),
        Panel(
            title="Version skew", kind="lines", unit="none", decimals=0, height=7, links=[RELEASES],
            queries=[Query(expr=f"({skew} and on (rule) {judged}) or {skew} > 0 or 0 * {skew} - 1", name="{{rule}}",
                           steps=SOME_BAD, values=TOO_OLD)],
            description="Pairs of running components out of their skew. triangle: Authority, Signer and Attestor run one "
            "minor version; web_ui and scanner: at most one minor apart.",
        ),
    ]  # fmt: skip


def _keys(m: Metrics) -> list[Panel]:
    c, a, at, li, r = m.cosign, m.authority, m.attestor, m.licensing, m.releases
    ages = (
        ("JWKS key", f"time() - max({a.jwks_activated})", a.jwks_cadence),
        ("Attestor key", f"max({at.key_age})", r.identity_age),
        ("Signing identity", f"time() - max({r.identity_rotated})", r.identity_age),
    )
    ends = (
        ("Proof of entitlement", f"min({li.poe_expiry}) - time()", li.poe_notice),
        ("Offline lease", f"min({li.lease_expiry}) - time()", li.lease_notice),
    )
    return [
        Panel(
            title="Ages of keys", kind="lines", unit="dtdurations", height=7, width=8, links=[TO_READINESS],
            queries=[
                Query(expr=expr, name=name, steps=(Step(at="-inf", colour="good"), Step(at=seconds(most), colour="bad")))
                for name, expr, most in ages
            ],
            description="How long ago each key was rotated. " + " ".join(f"{n}: at most {most}." for n, _, most in ages),
        ),
        Panel(
            title="Entitlement ends in", kind="lines", unit="dtdurations", height=7, width=8, links=[TO_READINESS],
            queries=[Query(expr=expr, name=name, steps=_ending(notice)) for name, expr, notice in ends],
            description="Without a valid proof of entitlement the Signer denies every request.",
        ),
        Panel(
            title="Trusted root ends in", kind="lines", unit="dtdurations", height=7, width=8, links=[COSIGN],
            queries=[Query(expr=f"max by (kind) ({c.root_expiry}) - time()", name="{{kind}}", steps=_ending(c.root_notice))],
            description="When the newest key or certificate of each kind in the trusted root expires. A kind without an "
            "end is not listed.",
        ),
    ]  # fmt: skip


def _ending(notice: Duration) -> tuple[Step, ...]:
    return (
        Step(at="-inf", colour="bad"),
        Step(at="0", colour="warning"),
        Step(at=seconds(notice), colour="good"),
    )
