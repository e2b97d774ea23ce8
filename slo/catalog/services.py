"""The services of Stella Ops and their golden signals."""

from __future__ import annotations

from dataclasses import dataclass, fields

from slo import NotExploding, NotMeasured, Service, WhileDemand
from slo.catalog import infrastructure
from slo.catalog.fields import drawn, match, p95
from slo.catalog.metrics import Metrics
from slo.catalog.queries import (
    counter,
    denied,
    errors,
    events,
    golden,
    latency,
    rate,
    ratio,
    signal,
    signed,
    surging,
    timed,
    tokens,
    traffic,
)
from slo.catalog.shapes import example, rising

NO_QUEUE = "it queues nothing: overload shows as latency and errors"


@dataclass(frozen=True, slots=True)
class Services:
    """Every service by name."""

    authority: Service
    signer: Service
    attestor: Service
    scanner: Service
    policy: Service
    concelier: Service
    excititor: Service
    web_ui: Service
    zastava: Service
    storage: Service
    database: Service
    registry: Service
    licensing: Service
    cosign: Service
    rekor: Service
    releases: Service
    platform: Service

    def all(self) -> tuple[Service, ...]:
        return tuple(getattr(self, f.name) for f in fields(self))


def services(m: Metrics) -> Services:
    return Services(
        authority=_authority(m),
        signer=_signer(m),
        attestor=_attestor(m),
        scanner=_scanner(m),
        policy=_policy(m),
        concelier=_concelier(m),
        excititor=_excititor(m),
        web_ui=_web_ui(m),
        zastava=_zastava(m),
        storage=infrastructure.storage(m),
        database=infrastructure.database(m),
        registry=Service(
            name="registry", owner="release-engineering", tier=2, description="Where images are pulled from."
        ),
        licensing=Service(name="licensing", owner="licensing", tier=2, description="Proofs of entitlement."),
        cosign=infrastructure.cosign(m),
        rekor=infrastructure.rekor(m),
        releases=Service(
            name="releases",
            owner="release-engineering",
            tier=1,
            description="Release bundles and their channels.",
        ),
        platform=Service(
            name="platform",
            owner="operations",
            tier=2,
            description="What concerns every service: retention, FIPS.",
        ),
    )


def _authority(m: Metrics) -> Service:
    issued = tokens(m)
    return Service(
        name="authority",
        owner="identity",
        tier=0,
        description="Issues the tokens every other service asks for.",
        signals=golden(
            latency=latency(m, m.authority.token, "authority", "Token issuance, p95"),
            traffic=[
                signal(
                    rate(issued),
                    title="Tokens issued",
                    unit="reqps",
                    alert="StellaTokensSurging",
                    when=NotExploding(factor="4", floor="1"),
                    lasting="15m",
                    summary="Authority issues far more tokens than it usually does.",
                    description="{{ $value | humanize }} tokens a second, over four times the average of the last day. "
                    "Look for a client that does not keep its token.",
                    **surging(issued),
                ),
                traffic(m, "authority"),
            ],
            errors=errors(m, "authority"),
            saturation=NotMeasured(NO_QUEUE),
        ),
    )


def _signer(m: Metrics) -> Service:
    demand = example(counter(m, m.scanner.scan, "scanner"))
    return Service(
        name="signer",
        owner="supply-chain",
        tier=0,
        description="Signs attestations for entitled customers.",
        signals=golden(
            latency=latency(m, m.signer.sign, "signer", "Signing, p95"),
            traffic=[
                signal(
                    signed(m),
                    title="Requests signed",
                    unit="reqps",
                    alert="StellaSignerSilent",
                    when=WhileDemand(demand=events(m, m.scanner.scan, "scanner")),
                    severity="page",
                    lasting="30m",
                    summary="Scans occur, but the Signer has signed nothing.",
                    description="{{ $value | humanize }} scans a second and not one signature for half an hour. Look for "
                    "denied entitlements first.",
                    fires={demand: rising(60, 120)},
                    silent={demand: rising(60, 120), example(signed(m)): rising(60, 120)},
                ),
                traffic(m, "signer"),
            ],
            errors=[
                errors(m, "signer"),
                signal(denied(m), title="Entitlement denials", unit="reqps"),
            ],
            saturation=NotMeasured("no metric of its quotas (rate, concurrency, size) is documented"),
        ),
    )


def _attestor(m: Metrics) -> Service:
    return Service(
        name="attestor",
        owner="supply-chain",
        tier=0,
        description="Writes attestations to the transparency log.",
        signals=golden(
            latency=latency(m, m.attestor.submit, "attestor", "Sign to attest, p95"),
            traffic=[
                signal(
                    f"60 * {events(m, m.attestor.submit, 'attestor')}",
                    title="Attestations per minute",
                    unit="opm",
                ),
                traffic(m, "attestor"),
            ],
            errors=[
                errors(m, "attestor"),
                signal(rate(m.attestor.verify_failures), title="Verification failures", unit="reqps"),
                signal(
                    rate(m.http.of("attestor", status=m.http.pending)),
                    title="Answered 202 (pending)",
                    unit="reqps",
                ),
            ],
            saturation=[
                signal(f"sum({m.attestor.backlog})", title="Submission queue"),
                signal(f"sum({m.attestor.pending})", title="Entries whose proof is pending"),
                signal(
                    f"sum({match(m.attestor.attestations, status='provisional')})",
                    title="Attestations waiting for endorsement",
                ),
            ],
        ),
    )


def _scanner(m: Metrics) -> Service:
    scan, unit = drawn(m.scanner.scan, timed(m, m.scanner.scan, "scanner"))
    return Service(
        name="scanner",
        owner="scanning",
        tier=1,
        description="Scanner WebService and its workers.",
        signals=golden(
            latency=[
                signal(scan, title="Scan, enqueue to emit, p95", unit=unit),
                latency(m, m.scanner.compose, "scanner", "SBOM compose, p95"),
                latency(m, m.scanner.diff, "scanner", "SBOM diff, p95"),
            ],
            traffic=[
                signal(f"60 * {events(m, m.scanner.scan, 'scanner')}", title="Scans per minute", unit="opm"),
                signal(rate(m.scanner.enqueued), title="Scans enqueued", unit="reqps"),
                traffic(m, "scanner"),
            ],
            errors=[
                errors(m, "scanner"),
                signal(rate(m.scanner.failed), title="Scans failed", unit="reqps"),
            ],
            saturation=signal(f"sum({m.scanner.pending})", title="Queue depth"),
        ),
    )


def _policy(m: Metrics) -> Service:
    return Service(
        name="policy",
        owner="scanning",
        tier=1,
        description="Evaluates policies over scan results.",
        signals=golden(
            latency=signal(p95(m.http.timed("policy")), title="Requests, p95", unit="s"),
            traffic=traffic(m, "policy"),
            errors=errors(m, "policy"),
            saturation=NotMeasured(NO_QUEUE),
        ),
    )


def _concelier(m: Metrics) -> Service:
    return Service(
        name="concelier",
        owner="advisories",
        tier=2,
        description="Ingests advisories and builds exports.",
        signals=golden(
            latency=latency(m, m.concelier.export, "concelier", "Export build, p95"),
            traffic=traffic(m, "concelier"),
            errors=[
                errors(m, "concelier"),
                signal(rate(m.concelier.signatures_failed), title="Bad signatures ingested", unit="reqps"),
            ],
            saturation=signal(f"sum({m.concelier.queue})", title="Ingestion queue"),
        ),
    )


def _excititor(m: Metrics) -> Service:
    conflicts = m.excititor.conflicts
    return Service(
        name="excititor",
        owner="advisories",
        tier=2,
        description="Collects VEX statements and their consensus.",
        signals=golden(
            latency=signal(p95(m.http.timed("excititor")), title="Requests, p95", unit="s"),
            traffic=traffic(m, "excititor"),
            errors=[
                errors(m, "excititor"),
                signal(
                    rate(conflicts),
                    title="Consensus conflicts",
                    unit="cps",
                    alert="StellaConsensusConflictsExploding",
                    when=NotExploding(factor=m.excititor.conflicts_factor, floor="0.1"),
                    lasting="10m",
                    summary="Consensus conflicts are exploding.",
                    description="{{ $value | humanize }} conflicts a second, far above the average of the last day. "
                    "Look for a policy change.",
                    **surging(conflicts),
                ),
            ],
            saturation=signal(f"sum({m.excititor.queue})", title="Conflicts to settle"),
        ),
    )


def _web_ui(m: Metrics) -> Service:
    return Service(
        name="web-ui",
        owner="console",
        tier=2,
        description="The console.",
        signals=golden(
            latency=latency(m, m.web_ui.render, "web_ui", "Route render, p95"),
            traffic=traffic(m, "web_ui"),
            errors=errors(m, "web_ui"),
            saturation=NotMeasured(NO_QUEUE),
        ),
    )


def _zastava(m: Metrics) -> Service:
    decisions = m.zastava.decisions
    return Service(
        name="zastava",
        owner="runtime",
        tier=1,
        description="Admits workloads to a cluster.",
        signals=golden(
            latency=latency(m, m.zastava.latency, "zastava", "Admission, p95"),
            traffic=signal(f"60 * {rate(decisions)}", title="Webhook admits per minute", unit="opm"),
            errors=signal(
                ratio(match(decisions, **{m.zastava.decision_label: m.zastava.deny}), decisions),
                title="Share of refusals",
                unit="percentunit",
            ),
            saturation=NotMeasured(NO_QUEUE),
        ),
    )
