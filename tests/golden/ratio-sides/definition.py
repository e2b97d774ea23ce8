"""Good and bad events; their sum is the total."""

from slo import SLO, Ratio, Service, Stack

api = Service(name="api", owner="team-api", selector={"job": "api"})
stack = Stack(
    name="golden",
    slos=[
        SLO(
            service=api,
            name="availability",
            objective="99.9%",
            window="30d",
            sli=Ratio(good="hits_total", bad="misses_total"),
            description="Requests are answered.",
        )
    ],
)
