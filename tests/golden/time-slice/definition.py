"""Slices in which a quantile is below a bound."""

from slo import SLO, Service, Stack, TimeSlice

api = Service(name="api", owner="team-api", selector={"job": "api"})
stack = Stack(
    name="golden",
    slos=[
        SLO(
            service=api,
            name="latency",
            objective="99.9%",
            window="30d",
            sli=TimeSlice(condition='request_duration_seconds{quantile="0.95"} < 0.3'),
            description="The 95th percentile is below 300 ms.",
        )
    ],
)
