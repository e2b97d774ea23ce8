"""SLOs of the release signing path."""

from slo import (
    SLO,
    Composite,
    Freshness,
    GoldenSignals,
    Latency,
    Monitor,
    NotMeasured,
    Ratio,
    Service,
    Stack,
    TimeSlice,
    Uptime,
)

rekor = Service(
    name="rekor",
    owner="supply-chain",
    signals=GoldenSignals(
        traffic="rekor_probes_total",
        errors="rekor_probe_failures_total",
        latency="rekor_probe_duration_seconds_bucket",
        saturation=NotMeasured("Rekor publishes no queue depth"),
    ),
)
availability = SLO(
    service=rekor,
    name="availability",
    objective="99.9%",
    window="30d",
    sli=Ratio(bad="rekor_probe_failures_total", total="rekor_probes_total"),
    description="Rekor answers log lookups.",
)
month = SLO(
    service=rekor,
    name="month",
    objective="99.9%",
    sli=Ratio(bad='x_total{code=~"5.."}', total='x_total{code!~"4.."}'),
    description="d",
    by=["g"],
)
lat = SLO(
    service=rekor,
    name="lat",
    objective="99%",
    window="quarter",
    sli=Latency(histogram='h_seconds{job="a"}', below="300ms"),
    description="d",
)
up = SLO(
    service=rekor,
    name="up",
    objective="99.9%",
    sli=Uptime(gauge='up{job="rekor"}', quorum="50%"),
    description="d",
)
sl = SLO(
    service=rekor,
    name="slice",
    objective="99%",
    window="7d",
    sli=TimeSlice(condition='l{quantile="0.95"} < 0.3'),
    description="d",
)
fr = SLO(
    service=rekor,
    name="fresh",
    objective="99%",
    sli=Freshness(timestamp="backup_ts", within="24h"),
    description="d",
)
co = SLO(
    service=rekor,
    name="journey",
    objective="99%",
    sli=Composite(parts={"scan": availability.sli, "sign": lat.sli, "up": up.sli}),
    description="d",
)
cw = SLO(
    service=rekor,
    name="weighted",
    objective="99%",
    sli=Composite(parts={"scan": availability.sli, "sign": lat.sli}, weights={"scan": "0.4", "sign": "0.6"}),
    description="d",
)
stack = Stack(
    name="supply-chain",
    slos=[availability, month, lat, up, sl, fr, co, cw],
    monitors=[
        Monitor(
            name="RootsDrift",
            service=rekor,
            condition="cosign_trusted_root_drift > 0",
            summary="The root drifted.",
            severity="page",
        )
    ],
)
