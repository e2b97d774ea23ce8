"""A rollout under watch: aborted as soon as it is worse, never for what was bad before, unknown when blind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx
import pytest

from slo import SLO, Ratio, Service, Stack, Uptime, names
from slo.errors import DefinitionError
from slo.gate.verdict import Decision, Outcome, Verdict
from slo.gate.watch import Rollout, duration, watch
from slo.prometheus import Prometheus

START = 1_795_000_000.0
api = Service(name="api", owner="web")
STACK = Stack(
    name="web",
    slos=[
        SLO(service=api, name="reads", objective="99.9%", window="month", description="Answers.",
            sli=Ratio(bad="bad_total", total="all_total")),
        SLO(service=api, name="uptime", objective="99.9%", window="month", description="Is up.",
            sli=Uptime(gauge="up")),
    ],
)  # fmt: skip
ROLLOUT = Rollout("api", seconds=1800, every=30, base=120, interval=30)


@dataclass
class World:
    """100 events a second; `bad` says which share is bad so many seconds after the start (below 0: before)."""

    bad: Callable[[float], float] = lambda t: 0.0001
    down: Callable[[float], float] = lambda t: 0.0
    pages: Callable[[float], bool] = lambda t: False
    gone: Callable[[float], bool] = lambda t: False
    traffic: Callable[[float], float] = lambda t: 100.0
    now: float = START
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.gone(self.now - START):
            raise httpx.ConnectError("Connection refused")
        form = parse_qs(request.content.decode())
        query, at = form["query"][0], float(form["time"][0]) - START
        if query.startswith("ALERTS"):
            rows = (
                [{"alertname": names.PAGE, "severity": "critical", "slo": "api-reads"}]
                if self.pages(at)
                else []
            )
            return answer([(labels, "1") for labels in rows])
        seconds = int(query.split("[")[1].split("s]")[0])
        times = [at - seconds + 30 * i for i in range(seconds // 30)] or [at]
        mean = [sum(f(t) * self.traffic(t) for t in times) / len(times) for f in (self.bad, lambda t: 1.0)]
        down = sum(self.down(t) for t in times) / len(times)
        rows2 = [("api-reads", "bad", mean[0]), ("api-reads", "total", mean[1]),
                 ("api-uptime", "bad", down), ("api-uptime", "total", 1.0)]  # fmt: skip
        return answer([({"stack": "web", "slo": s, "of": of}, f"{v:.9f}") for s, of, v in rows2])


def answer(rows: list[tuple[dict[str, str], str]]) -> httpx.Response:
    result = [{"metric": labels, "value": [0, value]} for labels, value in rows]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return httpx.Response(200, text=json.dumps(body))


def watched(world: World) -> tuple[Verdict, float]:
    """The verdict, and how many seconds it took."""
    with Prometheus("http://prometheus", httpx.MockTransport(world), sleep=lambda s: None) as prometheus:
        verdict = watch(prometheus, STACK, ROLLOUT, clock=lambda: world.now, sleep=world.sleep)
    return verdict, world.now - START


def test_a_harmless_rollout_goes_on_after_the_whole_time() -> None:
    """Nothing is concluded early from good news."""
    verdict, took = watched(World())
    assert verdict.decision is Decision.PROMOTE
    assert took == 1800


def test_a_bad_rollout_is_aborted_soon() -> None:
    """Ten per cent of errors are seen at the first look after the base window."""
    verdict, took = watched(World(bad=lambda t: 0.1 if t > 0 else 0.0001))
    assert verdict.decision is Decision.BLOCK
    assert [r.check for r in verdict.of(Outcome.FAILED)] == ["slo/api-reads"]
    assert took <= 180


def test_what_was_bad_before_is_no_regression() -> None:
    """A service that always fails 1 % of its requests is not the rollout's fault."""
    assert watched(World(bad=lambda t: 0.01))[0].decision is Decision.PROMOTE


def test_a_change_that_does_no_harm_is_let_through() -> None:
    """From 0.001 % to 0.05 % of errors: real, and within the budget of 0.1 %."""
    assert watched(World(bad=lambda t: 0.0005 if t > 0 else 0.00001))[0].decision is Decision.PROMOTE


def test_a_replica_that_is_down_is_judged_by_slices_not_by_seconds() -> None:
    """One bad slice of 30 s is not thirty independent bad events; ten in a row are no chance."""
    assert watched(World(down=lambda t: 1.0 if 300 < t <= 330 else 0.0))[0].decision is Decision.PROMOTE
    verdict, took = watched(World(down=lambda t: 1.0 if t > 300 else 0.0))
    assert [r.check for r in verdict.of(Outcome.FAILED)] == ["slo/api-uptime"]
    assert took < 900


def test_a_page_that_is_new_aborts_at_once() -> None:
    """Whatever the counts say."""
    verdict, took = watched(World(pages=lambda t: t >= 60))
    assert [r.check for r in verdict.of(Outcome.FAILED)] == [f"page/{names.PAGE}/api-reads"]
    assert took == 60


def test_a_page_from_before_does_not_abort() -> None:
    """It fires already; the rollout may be what mends it."""
    assert watched(World(pages=lambda t: True))[0].decision is Decision.PROMOTE


def test_a_server_that_restarts_in_the_middle_is_waited_for() -> None:
    """The verdict is the one it would have been."""
    verdict, took = watched(World(gone=lambda t: 300 <= t < 900))
    assert (verdict.decision, took) == (Decision.PROMOTE, 1800)
    worse = World(gone=lambda t: 300 <= t < 900, bad=lambda t: 0.1 if t > 200 else 0.0001)
    verdict, took = watched(worse)
    assert verdict.decision is Decision.BLOCK


@pytest.mark.parametrize("since", [0, 1200])
def test_a_server_that_does_not_come_back_leaves_it_unknown(since: int) -> None:
    """Never "go on" for what nobody saw."""
    verdict, took = watched(World(gone=lambda t: t >= since))
    assert verdict.decision is Decision.UNKNOWN
    assert verdict.of(Outcome.UNKNOWN)[-1].check == "prometheus"
    assert took == 1800


def test_a_rollout_without_traffic_is_unknown() -> None:
    """Nothing happened, so nothing was shown."""
    verdict, _ = watched(World(traffic=lambda t: 0.0 if t > 0 else 100.0))
    assert verdict.decision is Decision.UNKNOWN
    assert "no events since the rollout began" in verdict.of(Outcome.UNKNOWN)[0].sentence


def test_a_component_without_slos_names_those_that_have_some() -> None:
    """The remedy."""
    with (
        Prometheus("http://prometheus", httpx.MockTransport(World())) as prometheus,
        pytest.raises(DefinitionError, match="choose one of api"),
    ):
        watch(prometheus, STACK, Rollout("apo", 1800, 30, 120, 30))


def test_too_short_a_watch_is_refused() -> None:
    """With the least that makes sense."""
    assert duration("30m", 300) == 1800
    with pytest.raises(DefinitionError, match="take 5m at least"):
        duration("1m", 300)
