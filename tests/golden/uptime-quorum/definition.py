"""Two replicas must be up."""

from slo import SLO, Service, Stack, Uptime

api = Service(name="api", owner="team-api", selector={"job": "api"})
stack = Stack(
    name="golden",
    slos=[
        SLO(
            service=api,
            name="uptime",
            objective="99.9%",
            window="30d",
            sli=Uptime(gauge="up", quorum=2),
            description="Two replicas are up.",
        )
    ],
)
