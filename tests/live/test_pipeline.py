"""One outage, from the raw counters of a service to the webhook of its owner, through real servers.

The tests of this file are the acts of one story, in order; each waits only as long as it says.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from slo import SLO, AlertPolicy, Ratio, Service, Stack, names
from slo.compile import Config, compile_stack
from slo.errors import QueryError
from slo.prometheus import Prometheus, Sample
from slo.quantity import Duration
from tools.demo import rules, servers
from tools.demo.servers import DemoError, Server
from tools.demo.simulator import Simulator
from tools.demo.webhook import Delivery, Webhook
from tools.demo.world import World

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.xdist_group("pipeline")]
T = TypeVar("T")

RATE = 20.0  # events per second at the busiest time
SCRAPE = "1s"
COMPRESS = 120  # the slowest group (2m) and the fastest (30s) are both evaluated every second
TICK = 1.0  # seconds between evaluations, therefore
BASE = 60.0  # seconds of the base window: four scrapes, rounded up to a minute
KEEP_FIRING = "10s"  # instead of 5m and 30m
HEALTHY = 45.0  # seconds before the outage
PAGES_WITHIN = 120.0
TICKETS_WITHIN = 180.0
RETURNS_WITHIN = 60.0  # after a restart
RESOLVES_WITHIN = 420.0  # the short window (5m) has to forget, then KEEP_FIRING, then a group interval
DOWN = 15.0  # seconds without Prometheus

service = Service(name="signer", owner="supply-chain", tier=0)
availability = SLO(
    service=service,
    name="availability",
    # A 7-day budget of 181 seconds: 7 of them bad are a page, 39 a ticket. The 6h page would outlast the test.
    objective="99.97%",
    window="7d",
    sli=Ratio(bad='signer_requests_total{code=~"5.."}', total="signer_requests_total"),
    alerts=AlertPolicy(off=("page-6h",)),
    description="The signer answers without a server error.",
    labels={"team": "red"},
)
STACK = Stack(
    name="pipeline",
    slos=[availability],
    runbooks="https://runbooks.example",
    dashboards="https://grafana.example",
)
EVERYWHERE = {
    "slo": availability.id,
    "service": "signer",
    "owner": "supply-chain",
    "stack": "pipeline",
    "tier": "0",
    "window": "7d",
    "team": "red",
}


@dataclass
class Story:
    """The running pipeline, and what earlier acts found out."""

    folder: Path
    world: World
    webhook: Webhook
    prometheus: Server
    alertmanager: Server
    client: Prometheus
    began: float = 0.0
    outage: float = 0.0
    recovery: float = 0.0
    killed: tuple[float, float] = (0.0, 0.0)
    healthy: tuple[int, int] = (0, 0)
    measured: dict[str, float] = field(default_factory=dict)

    def query(self, expr: str, at: float | None = None) -> list[Sample]:
        return self.client.query(expr, at)

    def number(self, expr: str, at: float | None = None) -> float | None:
        found = self.query(expr, at)
        return float(found[0].value) if found else None

    def alerts(self) -> list[dict[str, Any]]:
        """What Alertmanager holds, inhibited ones included."""
        answer = httpx.get(f"{self.alertmanager.url}/api/v2/alerts", timeout=10, trust_env=False)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def alert(self, name: str) -> dict[str, Any] | None:
        return next((a for a in self.alerts() if a["labels"]["alertname"] == name), None)

    def firing(self, name: str) -> bool:
        """What the running Prometheus holds; a query of ALERTS would still find samples from before a crash."""
        return any(
            a["labels"]["alertname"] == name and a["state"] == "firing"
            for a in self.client.get("alerts")["alerts"]
        )

    def state(self) -> str:
        """What a failure needs to be understood."""
        try:
            alerts = self.query("ALERTS")
            ratios = self.query(names.sel(names.error_ratio("5m"), stack="pipeline"))
            said = [(a["labels"]["alertname"], a["status"]["state"]) for a in self.alerts()]
        except (QueryError, httpx.HTTPError) as error:
            return f"and it does not answer: {error}"
        bad, total = self.world.truth(availability.id)
        return (
            f"truth {bad} of {total}; ratio 5m {[s.value for s in ratios]}; Prometheus "
            f"{[(s.labels['alertname'], s.labels['alertstate']) for s in alerts]}; Alertmanager {said}; webhook "
            f"{[(d.title, d.status) for d in self.webhook.deliveries()]}; logs in {self.folder / 'log'}"
        )


def _until(what: str, timeout: float, story: Story, found: Callable[[], T | None]) -> T:
    """The first answer that is not None or False, within the time; a failure says what was missing."""
    __tracebackhide__ = True
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            answer = found()
        except (QueryError, httpx.HTTPError):
            answer = None
        if answer is not None and answer is not False:
            return answer
        time.sleep(0.5)
    pytest.fail(f"{what} did not happen within {timeout:.0f}s: {story.state()}", pytrace=False)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Simulator, Prometheus, Alertmanager and webhook, ready, and ended afterwards whatever happened."""
    folder = tmp_path_factory.mktemp("pipeline")
    try:
        prometheus = servers.prometheus(folder, servers.free_port())
        alertmanager = servers.alertmanager(folder, servers.free_port())
    except DemoError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    outputs = compile_stack(STACK, Config(Duration.parse(SCRAPE)))
    webhook = Webhook(file=folder / "webhook.jsonl")
    rules.write_rules(outputs, folder / "rules", COMPRESS, KEEP_FIRING)
    # Waits of seconds; 10s of a page's group_wait become 1s, 5m of group_interval 3s.
    config = rules.alertmanager_config([rules.alertmanager_text(outputs)], webhook.url, 100)
    servers.write_yaml(folder / "alertmanager.yaml", config)
    simulator = Simulator(World(STACK, rate=RATE))
    jobs = servers.scrape_jobs({"simulator": simulator.port}, {}, 0)
    servers.write_yaml(
        folder / "prometheus.yaml",
        servers.prometheus_config(SCRAPE, folder / "rules", jobs, alertmanager.port),
    )
    started = (alertmanager, prometheus)
    try:
        simulator.start()
        webhook.start()
        for server in started:
            server.start()
        for server in started:
            server.wait_ready()
        with Prometheus(prometheus.url, timeout=10) as client:
            yield Story(folder, simulator.world, webhook, prometheus, alertmanager, client, time.time())
    finally:
        servers.stop_all(started)
        webhook.stop()
        simulator.stop()


def _page(delivery: Delivery) -> bool:
    return delivery.labels.get("alertname") == names.PAGE and delivery.status == "firing"


def test_a_healthy_service_alerts_nobody(story: Story) -> None:
    """With events that are recorded and almost all good, nothing fires and nothing is delivered."""
    ratio = names.sel(names.error_ratio("5m"), slo=availability.id)
    _until("the 5m error ratio being recorded", 90, story, lambda: story.number(ratio))
    time.sleep(max(0.0, story.began + HEALTHY - time.time()))
    assert story.query("ALERTS") == [], story.state()
    assert story.webhook.deliveries() == []
    story.healthy = story.world.truth(availability.id)
    assert story.healthy[1] > HEALTHY * RATE / 2


def test_an_outage_arrives_at_the_webhook(story: Story) -> None:
    """From the first failed request to the owner's page, through rule, alert and Alertmanager, in bounded time."""
    story.world.switch("outage", "signer")
    story.outage = time.time()
    page = story.webhook.wait_for(_page, PAGES_WITHIN)
    assert page is not None, f"no page within {PAGES_WITHIN:.0f}s: {story.state()}"
    story.measured["outage to webhook"] = page.time - story.outage
    assert page.receiver == "page-supply-chain"


def test_the_page_carries_its_labels(story: Story) -> None:
    """The delivered page says which SLO of which stack it is, whose, and how severe."""
    page = next(d for d in story.webhook.deliveries() if _page(d))
    expected = {**EVERYWHERE, "severity": "critical", "alertname": names.PAGE}
    assert {k: page.labels.get(k) for k in expected} == expected


def test_the_page_carries_its_annotations(story: Story) -> None:
    """Summary, a description whose every number is known, and links to runbook and dashboard have arrived."""
    page = next(d for d in story.webhook.deliveries() if _page(d))
    said = page.annotations
    assert set(said) >= {"summary", "description", "runbook_url", "dashboard_url"}
    assert said["summary"].endswith(".")
    assert "{{" not in "".join(said.values())
    assert said["runbook_url"] == f"https://runbooks.example/{names.PAGE}.md"
    assert (
        said["dashboard_url"]
        == f"https://grafana.example/d/slo-detail?var-stack=pipeline&var-slo={availability.id}"
    )
    description = said["description"]
    assert "unknown" not in description
    assert "NaN" not in description
    assert "<no value>" not in description
    assert re.search(
        r"signer-availability burns its error budget [\d.]+k? times as fast as it may\. "
        r"Bad: [\d.]+k? of [\d.]+k? events \([\d.]+%\) over the last hour\. "
        r"Budget left in this 7d window: (-?[\d.]+%|overspent more than twice); ",
        description,
    ), description


def test_the_page_keeps_the_ticket_of_its_slo_quiet(story: Story) -> None:
    """The ticket of the same SLO fires too; Alertmanager holds it inhibited by the page, and delivers none."""
    left = story.outage + TICKETS_WITHIN - time.time()
    ticket = _until("the ticket reaching Alertmanager", left, story, lambda: story.alert(names.TICKET))
    story.measured["outage to ticket"] = time.time() - story.outage
    page = story.alert(names.PAGE)
    assert page is not None, story.state()
    assert page["status"]["state"] == "active"
    assert ticket["labels"]["slo"] == availability.id

    def inhibited() -> bool:
        found = story.alert(names.TICKET)
        return found is not None and page["fingerprint"] in found["status"]["inhibitedBy"]

    _until("the ticket being inhibited by the page", 30, story, inhibited)
    delivered = [d for d in story.webhook.deliveries() if d.labels["alertname"] == names.TICKET]
    assert delivered == [], "the ticket was delivered although its page is active"


def test_history_survives_a_crash(story: Story) -> None:
    """Prometheus is killed in the middle of the outage and started on the same data: records are there unchanged."""
    errors = f"count_over_time({names.sel(names.ERRORS, slo=availability.id)}[10m])"
    total = f"sum(sum_over_time({names.sel(names.ERRORS, slo=availability.id)}[10m]))"
    at = time.time() - 3  # samples a little older than the crash
    before = story.number(errors, at), story.number(total, at)
    assert before[0] is not None
    assert before[0] > HEALTHY / TICK / 2
    killed = time.time()
    story.prometheus.kill()
    time.sleep(DOWN)
    story.prometheus.start()
    story.prometheus.wait_ready()
    story.killed = (killed, time.time())
    story.measured["seconds without Prometheus"] = story.killed[1] - story.killed[0]
    after = story.number(errors, at), story.number(total, at)
    assert after == before


def test_the_page_fires_again_after_the_crash(story: Story) -> None:
    """The alert comes back from the recorded history, and nobody was told in between that it is over."""
    restarted = story.killed[1]
    _until("the page firing again", RETURNS_WITHIN, story, lambda: story.firing(names.PAGE))
    story.measured["ready to firing again"] = time.time() - restarted
    told = [d for d in story.webhook.deliveries() if d.status == "resolved"]
    assert told == [], f"told that it is over: {[d.title for d in told]}"
    page = story.alert(names.PAGE)
    assert page is not None
    assert page["status"]["state"] == "active"


def test_the_page_resolves_after_recovery(story: Story) -> None:
    """Once the service answers again and the short window has forgotten, the owner is told that it is over."""
    story.world.switch("normal")
    story.recovery = time.time()
    resolved = story.webhook.wait_for(
        lambda d: d.labels.get("alertname") == names.PAGE and d.status == "resolved", RESOLVES_WITHIN
    )
    assert resolved is not None, f"not resolved within {RESOLVES_WITHIN:.0f}s: {story.state()}"
    story.measured["recovery to resolved"] = resolved.time - story.recovery
    assert resolved.receiver == "page-supply-chain"
    assert not story.firing(names.PAGE)


def test_the_budget_ledger_is_near_the_truth_after_the_crash(story: Story) -> None:
    """The ledger counts the simulator's own events, but for those of the evaluations that did not happen.

    Stated bound: it misses at most what happened while Prometheus was away (its absence, and two evaluations) at
    the rate of events then, the newest half of a base window, and 3 % of all events for rounding. What it misses
    shrinks over the next hour, as the hourly rule heals it.
    """
    time.sleep(BASE + 10 * TICK)  # the base window has let go of the last change
    tick = f"min_over_time({names.sel(names.TICK, stack='pipeline')}[1h])"

    def counted(record: str) -> float:
        summed = f"sum(sum_over_time({names.sel(record, slo=availability.id)}[1h]))"
        found = story.number(f"{summed} * scalar({tick})")
        assert found is not None, f"{record} holds nothing: {story.state()}"
        return found

    bad, total = counted(names.ERRORS_LEDGER), counted(names.TOTAL_LEDGER)
    true_bad, true_total = story.world.truth(availability.id)
    away = story.killed[1] - story.killed[0] + 2 * TICK
    lost = away * RATE
    story.measured |= {
        "ledger bad": bad, "true bad": true_bad, "ledger total": total, "true total": true_total,
        "away": away, "ledger ratio / true ratio": (bad / total) / (true_bad / true_total),
    }  # fmt: skip
    slack = 0.03
    assert true_bad * (1 - slack) - lost <= bad <= true_bad * (1 + slack), story.measured
    assert true_total * (1 - slack) - lost - BASE / 2 * RATE <= total <= true_total * (1 + slack), (
        story.measured
    )


def test_the_budget_left_follows_from_the_ledger(story: Story) -> None:
    """The budget that is left is stated from the same ledger: one minus the error ratio of the period, in budgets."""
    left = story.number(names.sel(names.REMAINING, slo=availability.id))
    ratio = story.number(names.sel(names.PERIOD_RATIO, slo=availability.id))
    assert left is not None
    assert ratio is not None
    assert left == pytest.approx(1 - ratio / float(availability.objective.budget), rel=0.01)
    true_bad, true_total = story.world.truth(availability.id)
    assert ratio == pytest.approx(true_bad / true_total, rel=0.2), story.measured


def test_measurements_are_reported(story: Story, record_property: Callable[[str, object], None]) -> None:
    """What was measured on the way is kept with the result, and was in bounds."""
    for name, value in story.measured.items():
        record_property(name, value)
        sys.stdout.write(f"{name}: {value:.4g}\n")
    assert story.measured["outage to webhook"] < PAGES_WITHIN
    assert story.measured["recovery to resolved"] < RESOLVES_WITHIN
