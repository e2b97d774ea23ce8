"""Mistakes a type checker finds before anything runs; each line marked `# error` must be reported."""

from slo import SLO, GoldenSignals, Latency, Monitor, NotMeasured, Ratio, Service, Stack, Uptime

api = Service(name="api", owner="team-api")
up = Uptime(gauge="up")
why = NotMeasured("nobody publishes it yet")

SLO(service=api, name="a", objective=99.9, sli=up, description="d")  # error
SLO(service=api, name="a", objectiv="99.9%", sli=up, description="d")  # error
SLO(service=api, name="a", objective="99.9%", description="d")  # error
SLO(service="api", name="a", objective="99.9%", sli=up, description="d")  # error
SLO(service=api, name="a", objective="99.9%", sli="up", description="d")  # error
Ratio(bda="errors_total", total="requests_total")  # error
Latency(histogram="request_seconds", below=0.3)  # error
Latency(histogram="request_seconds", below="1s", unit="minutes")  # error
Monitor(name="A", service=api, condition="a > 0", summary="A.", severity="sev1")  # error
GoldenSignals(latency=why, traffic=why, errors=why)  # error
Stack(name="team", slos=[up])  # error
