"""Who is told, and what keeps quiet: the structure of Alertmanager's configuration."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from given import API, monitor, slo, stack

from alerts import alertmanager
from slo import Stack


def config(s: Stack) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(alertmanager.config(s))
    return loaded


def owned_by(*owners: str) -> Stack:
    services = [API.model_copy(update={"name": f"s{n}", "owner": o}) for n, o in enumerate(owners)]
    return stack(*(slo(service=s) for s in services))


def test_every_owner_has_a_route_for_pages_and_one_for_tickets() -> None:
    """By owner first, then by severity."""
    routes = config(owned_by("team-a", "team-b"))["route"]["routes"]
    assert [r["matchers"] for r in routes] == [['owner="team-a"'], ['owner="team-b"']]
    assert [(x["matchers"], x["receiver"]) for x in routes[0]["routes"]] == [
        (['severity="critical"'], "page-team-a"),
        (['severity="warning"'], "ticket-team-a"),
    ]


def test_routes_match_the_stacks_severities() -> None:
    """Where the stack renames them, the routes follow."""
    s = stack(severities={"page": "sev1", "ticket": "sev3", "info": "sev5"})
    (owner,) = config(s)["route"]["routes"]
    assert [r["matchers"] for r in owner["routes"]] == [['severity="sev1"'], ['severity="sev3"']]


def receivers_used(route: dict[str, Any]) -> set[str]:
    own = {route["receiver"]} if "receiver" in route else set()
    return own.union(*(receivers_used(r) for r in route.get("routes", [])))


@pytest.mark.parametrize(
    "owners",
    [
        ("team-a",),
        ("Team A", "team-a", "team_a"),
        ("it's", 'the "best"'),
        ("équipe", "équipf"),
        ("...",),
        ("a\\b",),
    ],
    ids=str,
)
def test_any_owner_has_receivers_of_its_own(owners: tuple[str, ...]) -> None:
    """Names that look alike once shortened do not share one, and quotes break nothing."""
    loaded = config(owned_by(*owners))
    names = [r["name"] for r in loaded["receivers"]]
    assert len(names) == len(set(names)) == 1 + 2 * len(owners)
    assert receivers_used(loaded["route"]) == set(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", n) for n in names)


def rule(s: Stack, source: str) -> dict[str, Any]:
    (found,) = [r for r in config(s)["inhibit_rules"] if f'alertname="{source}"' in r["source_matchers"]]
    return found  # type: ignore[no-any-return]


def test_a_page_silences_the_ticket_of_the_same_slo() -> None:
    """Both sides must carry `slo`: Alertmanager takes two missing labels for equal."""
    inhibition = rule(stack(), "SLOErrorBudgetBurnFast")
    assert 'slo=~".+"' in inhibition["source_matchers"]
    assert inhibition["target_matchers"] == ['alertname="SLOErrorBudgetBurnSlow"', 'slo=~".+"']
    assert inhibition["equal"] == ["stack", "slo"]


def test_a_page_of_one_tenant_leaves_the_others_tickets_alone() -> None:
    """Grouping labels of every SLO are compared too."""
    s = stack(slo(by=["tenant"]), slo("b", by=["zone"]))
    assert rule(s, "SLOErrorBudgetBurnFast")["equal"] == ["stack", "slo", "tenant", "zone"]


def test_failing_rules_silence_missing_data_of_their_stack() -> None:
    """One cause, one alert."""
    inhibition = rule(stack(), "SLORulesFailing")
    assert inhibition["target_matchers"] == ['alertname="SLONoData"', 'stack=~".+"']
    assert inhibition["equal"] == ["stack"]


def test_a_dead_exporter_silences_what_it_feeds() -> None:
    """A monitor labelled `feeds` explains that service's tickets; its pages still wake, and so does the monitor."""
    s = stack(monitors=[monitor("ExporterDown", labels={"feeds": "api"})])
    inhibition = rule(s, "ExporterDown")
    assert inhibition["source_matchers"] == ['alertname="ExporterDown"', 'feeds="api"']
    assert set(inhibition["target_matchers"]) == {
        'alertname!="ExporterDown"',
        'service="api"',
        'severity="warning"',
    }
    assert inhibition["equal"] == ["stack"]


def test_alerts_are_grouped_by_slo() -> None:
    """Many group values of one SLO make one notification."""
    assert config(stack())["route"]["group_by"] == ["alertname", "stack", "service", "slo"]
