"""Links and sentences that alerts carry, and the alerts about the measuring itself."""

from __future__ import annotations

import pytest
from given import API, monitor, slo, stack

from alerts import health
from alerts.monitors import alert
from slo import Composite, Ratio, Uptime, links
from slo.burn import resolve


@pytest.mark.parametrize(
    ("runbooks", "base", "page", "url"),
    [
        ("", "", "", "runbooks/A.md"),
        ("https://docs.example.org/runbooks/", "", "", "https://docs.example.org/runbooks/A.md"),
        ("https://docs.example.org", "https://team.example.org", "", "https://team.example.org/A.md"),
        ("https://docs.example.org/{alert}/", "", "", "https://docs.example.org/A/"),
        ("https://docs.example.org", "", "Other", "https://docs.example.org/Other.md"),
        ("https://docs.example.org", "", "https://wiki.example.org/x", "https://wiki.example.org/x"),
    ],
)
def test_a_runbook_is_found_by_the_alerts_name(runbooks: str, base: str, page: str, url: str) -> None:
    """The service's base before the stack's; a page or a URL of its own before the name."""
    assert links.runbook_url(stack(runbooks=runbooks), "A", base, page) == url


def test_a_monitors_alert_carries_labels_and_links() -> None:
    """And the monitor's own labels."""
    s = stack(dashboards="https://grafana.example.org/", runbooks="https://docs.example.org")
    rule = alert(s, monitor(labels={"feeds": "api"}, severity="page"))
    assert rule.labels == {
        "severity": "critical", "stack": "demo", "service": "api", "owner": "team-api", "feeds": "api",
    }  # fmt: skip
    assert rule.annotations["runbook_url"] == "https://docs.example.org/RootsDrift.md"
    assert rule.annotations["dashboard_url"].startswith("https://grafana.example.org/d/")


def test_a_monitor_without_a_description_tells_its_value() -> None:
    """Better than nothing; one of its own is kept as it is."""
    assert alert(stack(), monitor()).annotations["description"] == (
        "The roots drifted. The value is {{ $value | humanize }}."
    )
    assert alert(stack(), monitor(description="Look.")).annotations["description"] == "Look."


def test_a_monitors_window_is_five_minutes() -> None:
    """What $window means there."""
    rule = alert(stack(), monitor(condition="rate(a_total[$window]) > 0"))
    assert rule.expr == "rate(a_total[5m]) > 0"


def test_a_monitor_reads_the_services_series() -> None:
    """Its selector is added."""
    mine = API.model_copy(update={"selector": {"job": "api"}})
    assert alert(stack(), monitor(service=mine)).expr == 'roots_drift{job="api"} > 0'


def test_blindness_is_told_for_each_series_once() -> None:
    """Two selectors, three reads, two questions."""
    rule = health.monitor_no_data(stack(), monitor(condition="a > 0 and b > 0 unless a > 5", no_data="1h"))
    assert rule is not None
    assert rule.expr == "sum(absent(a))\nor\nsum(absent(b))"
    assert rule.lasting == "1h"


def test_a_journey_knows_how_many_parts_it_should_have() -> None:
    """One that is missing is told, though the others report."""
    parts = {"a": Ratio(bad="e_total", total="t_total"), "b": Uptime(gauge="up"), "c": Uptime(gauge="x")}
    journey = slo(sli=Composite(parts=parts))
    rule = health.no_data(stack(journey), resolve(journey, 30), (journey,))
    assert "< 3)" in rule.expr
