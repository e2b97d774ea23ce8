"""The SLOs of Stella Ops. Uptime targets are the blueprint's; budgets are tracked per calendar month."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slo import SLO, AlertPolicy, Composite, Duration, Freshness, Latency, Ratio, Service, Uptime
from slo.catalog.fields import Reading, Timing, match, objective_of, sli_of
from slo.catalog.http import ServiceName
from slo.catalog.metrics import Metrics
from slo.catalog.queries import timed
from slo.catalog.services import Services

# A summary without traffic is NaN: a quiet day is no missing data.
RARE = AlertPolicy(off=("page",), no_data="1d")
TICKETS = AlertPolicy(off=("page",))  # worth mending, not worth a night

# service, uptime, availability of requests, description
PROMISES: tuple[tuple[ServiceName, str, str, str], ...] = (
    ("authority", "99.9%", "99.9%", "Authority"),
    ("signer", "99.9%", "99.9%", "Signer"),
    ("attestor", "99.9%", "99.9%", "Attestor"),
    ("scanner", "99.5%", "99.5%", "Scanner WebService"),
    ("excititor", "99%", "99%", "Excititor"),
    ("concelier", "99%", "99%", "Concelier"),
    ("policy", "", "99.5%", "The policy engine"),
    ("web_ui", "", "99.5%", "The Web UI"),
)


def slos(m: Metrics, s: Services) -> tuple[SLO, ...]:
    return (*_promises(m, s), *_latencies(m, s), *_rest(m, s), _journey(m, s))


def _slo(service: Service, name: str, objective: Any, sli: Any, description: str, **more: Any) -> SLO:
    return SLO(service=service, name=name, objective=objective, sli=sli, description=description, **more)


def _promises(m: Metrics, s: Services) -> Iterator[SLO]:
    for key, uptime, availability, title in PROMISES:
        service = getattr(s, key)
        if uptime:
            yield _slo(service, "uptime", uptime, Uptime(gauge=m.http.up(key)), f"{title} answers its probe.")
        yield _slo(
            service,
            "availability",
            availability,
            Ratio(bad=m.http.errors(key), total=m.http.of(key)),
            f"{title} answers requests without a server error; a refusal such as a PoE denial is no error.",
        )


def _timing(
    m: Metrics, service: Service, key: ServiceName, name: str, timing: Timing, text: str, **more: Any
) -> SLO:
    """An SLO on a latency of the map, whose objective follows from how it is read."""
    sli = sli_of(timing, timed(m, timing, key), timing.below)
    return _slo(service, name, objective_of(timing), sli, text, **more)


def _latencies(m: Metrics, s: Services) -> Iterator[SLO]:
    yield _timing(m, s.authority, "authority", "token-latency", m.authority.token, "Tokens are issued fast.")
    yield _timing(m, s.signer, "signer", "sign-latency", m.signer.sign, "Attestations are signed fast.")
    yield _timing(
        m,
        s.attestor,
        "attestor",
        "submit-latency",
        m.attestor.submit,
        "Signed bundles are attested fast.",
        alerts=AlertPolicy(no_data="6h"),
    )
    for size in ("small", "medium", "large"):
        yield _scan(m, s, m.scanner.scan, size, getattr(m.scanner, size))
    yield _timing(
        m,
        s.scanner,
        "scanner",
        "sbom-compose",
        m.scanner.compose,
        "SBOMs are composed in time.",
        alerts=TICKETS,
    )
    yield _timing(
        m, s.scanner, "scanner", "sbom-diff", m.scanner.diff, "SBOMs are compared in time.", alerts=TICKETS
    )
    yield _timing(
        m, s.concelier, "concelier", "export-latency", m.concelier.export, "Exports are built in time.",
        alerts=TICKETS,
    )  # fmt: skip
    yield _timing(
        m, s.web_ui, "web_ui", "render-latency", m.web_ui.render, "Pages are rendered fast.", alerts=TICKETS
    )
    yield _timing(
        m, s.zastava, "zastava", "admission-latency", m.zastava.latency, "Workloads are admitted fast."
    )
    probe = Latency(histogram=m.rekor.duration, below=m.rekor.below)
    yield _slo(s.rekor, "probe-latency", "95%", probe, "The transparency log answers fast.", alerts=TICKETS)


def _scan(m: Metrics, s: Services, scan: Reading, size: str, below: Duration) -> SLO:
    metric = match(timed(m, scan, "scanner"), **{m.scanner.size_label: size})
    return _slo(
        s.scanner, f"scan-latency-{size}", objective_of(scan), sli_of(scan, metric, below),
        f"Scans of {size} images go from enqueue to emit in time.", alerts=RARE,
    )  # fmt: skip


def _rest(m: Metrics, s: Services) -> Iterator[SLO]:
    yield _slo(s.scanner, "scan-success", "99%", _scans(m), "Scan jobs complete.")
    store = m.storage.store
    yield _slo(
        s.storage, "availability", "99.9%", Ratio(bad=store.errors, total=store.requests),
        "The object store serves requests.",
    )  # fmt: skip
    yield _slo(
        s.database, "backup-freshness", "99%",
        Freshness(timestamp=m.database.backup, within=m.database.backup_age),
        "A recent snapshot of the database exists.", alerts=TICKETS,
    )  # fmt: skip
    yield _slo(
        s.cosign, "verdicts", "99%", Ratio(bad=m.cosign.errors, total=m.cosign.checks),
        "Checks of the release's images reach a verdict, whichever it is.", alerts=TICKETS,
    )  # fmt: skip
    yield _slo(
        s.rekor, "availability", "99.5%", Ratio(bad=m.rekor.failures, total=m.rekor.probes),
        "The transparency log answers our probes.", alerts=TICKETS,
    )  # fmt: skip


def _scans(m: Metrics) -> Ratio:
    """Failed jobs of all that ended."""
    return Ratio(bad=m.scanner.failed, good=m.scanner.completed)


def _journey(m: Metrics, s: Services) -> SLO:
    parts: dict[str, Any] = {"scan": _scans(m)}
    steps: tuple[tuple[str, ServiceName], ...] = (
        ("policy", "policy"),
        ("sign", "signer"),
        ("attest", "attestor"),
    )
    for part, key in steps:
        parts[part] = Ratio(bad=m.http.errors(key), total=m.http.of(key))
    return _slo(
        s.platform, "journey", "99%", Composite(parts=parts),
        "An image goes from scan through policy and signature to attestation.",
    )  # fmt: skip
