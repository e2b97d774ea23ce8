"""Words, colours and links that both of Stella Ops' dashboards use."""

from __future__ import annotations

from slo import Link, Step, Value, names

READINESS, TRUST = "release-readiness", "release-trust"
OVERVIEW = Link(title="All objectives", to=names.OVERVIEW)
TO_TRUST, TO_READINESS = Link(title="Release trust", to=TRUST), Link(title="Release readiness", to=READINESS)
COSIGN, REKOR, RELEASES = (
    Link(title=f"Golden signals of {service}", to=names.golden_board(service))
    for service in ("cosign", "rekor", "releases")
)

JUDGED = (
    Value(of="1", text="✔ verified", colour="good"),
    Value(of="0", text="✘ failed", colour="bad"),
    Value(of="-1", text="? too old", colour="unknown"),
    Value(of="absent", text="? unknown", colour="unknown"),
)
READY = (
    Value(of="1", text="✔ ready", colour="good"),
    Value(of="0", text="✘ not ready", colour="bad"),
    Value(of="-1", text="? unknown", colour="unknown"),
    Value(of="absent", text="? unknown", colour="unknown"),
)
SOME_BAD = (Step(at="-inf", colour="good"), Step(at="1", colour="bad"))
SOME_UNKNOWN = (Step(at="-inf", colour="good"), Step(at="1", colour="unknown"))
LEFT = (Step(at="-inf", colour="bad"), Step(at="0", colour="warning"), Step(at="0.25", colour="good"))
