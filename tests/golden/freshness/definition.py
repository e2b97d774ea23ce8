"""A backup no older than a day."""

from slo import SLO, Freshness, Service, Stack

api = Service(name="api", owner="team-api", selector={"job": "api"})
stack = Stack(
    name="golden",
    slos=[
        SLO(
            service=api,
            name="backup",
            objective="99.9%",
            window="30d",
            sli=Freshness(timestamp="backup_last_success_timestamp_seconds", within="24h"),
            description="The last backup is younger than a day.",
        )
    ],
)
