"""PromQL with $window: the service's labels reach every selector, offsets stay."""

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
            sli=Ratio(
                bad="sum(rate(requests_total{code=~`5\\d\\d`}[$window])) - sum(rate(drills_total[$window] offset 1h))",
                total="sum(rate(requests_total[$window]))",
            ),
            description="Requests are answered.",
        )
    ],
)
