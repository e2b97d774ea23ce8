"""A budget for each tenant."""

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
            sli=Ratio(bad='requests_total{code=~"5.."}', total="requests_total"),
            description="Requests are answered.",
            by=["tenant"],
        )
    ],
)
