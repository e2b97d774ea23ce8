"""A native histogram."""

from slo import SLO, Latency, Service, Stack

api = Service(name="api", owner="team-api", selector={"job": "api"})
stack = Stack(
    name="golden",
    slos=[
        SLO(
            service=api,
            name="latency",
            objective="99.9%",
            window="30d",
            sli=Latency(histogram="request_duration_seconds", below="300ms", native=True),
            description="Requests are answered within 300 ms.",
        )
    ],
)
