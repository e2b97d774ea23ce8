"""The public names as a team uses them. Checked by mypy --strict as a user's project would be, never run."""

from __future__ import annotations

from decimal import Decimal

from slo import (
    SLO,
    Above,
    AlertPolicy,
    Below,
    Board,
    Check,
    Column,
    Composite,
    DefinitionError,
    Duration,
    Freshness,
    GoldenSignals,
    Latency,
    Link,
    Mark,
    Monitor,
    NearZero,
    NotExploding,
    NotMeasured,
    Objective,
    Panel,
    Query,
    Ratio,
    Section,
    Service,
    Signal,
    SLOError,
    Stack,
    Step,
    TimeSlice,
    Uptime,
    Value,
    Variable,
    WhileDemand,
    Window,
)

traffic = Signal(query="requests_total", unit="reqps")
signals = GoldenSignals(
    latency="request_seconds_bucket",
    traffic=traffic,
    errors=[
        Signal(query="errors_total", alert="ApiErrors", when=NearZero()),
        Signal(query="scans_failed_total", alert="ApiScansFailing", when=NotExploding(factor="5", past="7d")),
    ],
    saturation=NotMeasured("the api publishes no queue depth"),
)
api = Service(name="api", owner="team-api", tier=1, selector={"job": "api"}, signals=signals)

availability = SLO(
    service=api,
    name="availability",
    objective="99.9%",
    window="28d",
    sli=Ratio(bad='requests_total{code=~"5.."}', total=traffic),
    description="Requests are answered.",
    alerts=AlertPolicy(off=["ticket-3d"], min_events=10, no_data="1h"),
    labels={"journey": "checkout"},
    by=["tenant"],
)
latency = SLO(
    service=api,
    name="latency",
    objective=Objective.parse("99%"),
    window=Window.parse("quarter"),
    sli=Latency(histogram="request_seconds", below=Duration.parse("300ms")),
    description="Requests are answered within 300 ms.",
)
journey = SLO(
    service=api,
    name="journey",
    objective="99%",
    sli=Composite(
        parts={
            "up": Uptime(gauge="up", quorum="50%"),
            "fast": TimeSlice(condition="request_seconds{quantile='0.95'} < 0.3"),
            "saved": Freshness(timestamp="backup_timestamp_seconds", within="24h"),
        },
        weights={"up": "0.5", "fast": "0.3", "saved": "0.2"},
    ),
    description="The whole journey.",
)
quiet = Signal(query="signed_total", alert="SignerSilent", when=WhileDemand(demand="scans_total"))
deep = Signal(query="queue_depth", alert="QueueDeep", when=Above("100"), severity="page")
shallow = Signal(query="workers", alert="WorkersGone", when=Below("1"), lasting="5m")
drift = Monitor(name="RootsDrift", service=api, condition="roots_drift > 0", summary="The roots drifted.")
fresh = Check(
    name="backup-fresh",
    title="A backup exists",
    query="min(time() - max(backup_timestamp_seconds) <= bool 86400)",
    description="It is younger than a day.",
    remedy="Take one before the upgrade.",
    evidence="min(time() - max(backup_timestamp_seconds))",
    measures="age of the last backup",
    unit="dtdurations",
)
releases = Board(
    name="releases",
    title="Releases",
    question="May this release go on?",
    sections=[
        Section(
            title="Now",
            panels=[
                Panel(
                    title="Queue",
                    queries=[
                        Query(expr=quiet, name="{{queue}}"),
                        Query(expr="workers", colour="blue", dashed=True),
                    ],
                    description="What waits, and who works.",
                    steps=[Step(at="100", colour="bad")],
                    links=[Link(title="All objectives", to="slo-overview")],
                ),
                Panel(
                    title="Backups",
                    kind="table",
                    queries=[Query(expr=fresh.query, values=[Value(of="1", text="fresh", colour="good")])],
                    columns=[Column(label="database", title="Database", width=200)],
                    description="Each database and its backup.",
                    empty="There is no database.",
                ),
            ],
        )
    ],
    variables=[
        Variable(name="queue", title="Queue", of="queue_depth", label="queue", several=True, all=True)
    ],
    marks=[Mark(title="Deployment", expr="changes(version_info[5m]) > 0", colour="blue")],
)
stack = Stack(
    name="team",
    slos=[availability, latency, journey],
    monitors=[drift],
    services=(api,),
    boards=[releases],
    checks=[fresh],
)


def budgets(team: Stack) -> dict[str, Decimal]:
    """What a user's own tooling may read."""
    return {s.id: s.objective.budget for s in team.slos}


def parsed(text: str) -> Objective | None:
    """Errors of ours have one base."""
    try:
        return Objective.parse(text)
    except DefinitionError as error:
        base: SLOError = error
        print(base)
        return None
