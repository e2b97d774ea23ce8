"""The worst part of a journey counts."""

from slo import SLO, Composite, Latency, Ratio, Service, Stack

api = Service(name="api", owner="team-api", selector={"job": "api"})
stack = Stack(
    name="golden",
    slos=[
        SLO(
            service=api,
            name="journey",
            objective="99.9%",
            window="30d",
            sli=Composite(
                parts={
                    "scan": Ratio(bad="scan_errors_total", total="scans_total"),
                    "sign": Latency(histogram="sign_duration_seconds", below="1s"),
                },
            ),
            description="Scan and sign.",
        )
    ],
)
