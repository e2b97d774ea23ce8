"""A rollout under watch: aborted as soon as it is worse, never for what was bad before, unknown when blind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import httpx
import pytest

from slo import SLO, Composite, Ratio, Service, Stack, Uptime, names
from slo.errors import DefinitionError
from slo.gate.look import PATIENCE, Rollout
from slo.gate.verdict import Decision, Outcome, Verdict
from slo.gate.watch import duration, watch
from slo.prometheus import Prometheus

START = 1_795_000_000.0
TICK = 30
api = Service(name="api", owner="web")
answers = Ratio(bad="bad_total", total="all_total")
STACK = Stack(
    name="web",
    slos=[
        SLO(service=api, name="reads", objective="99.9%", window="month", description="Answers.", sli=answers),
        SLO(service=api, name="uptime", objective="99.9%", window="month", description="Is up.",
            sli=Uptime(gauge="up")),
    ],
)  # fmt: skip
ROLLOUT = Rollout("api", seconds=1800, every=30)
END = 1800 + PATIENCE


def never(t: float) -> bool:
    return False


@dataclass
class World:
    """100 events a second; `bad` says which share is bad so many seconds after the start (below 0: before).

    Nothing is recorded where nothing is measured, nor while Prometheus is gone.
    """

    bad: Callable[[float], float] = lambda t: 0.0001
    down: Callable[[float], float] = lambda t: 0.0
    pages: Callable[[float], bool] = never
    gone: Callable[[float], bool] = never
    unmeasured: Callable[[float], bool] = never
    traffic: Callable[[float], float] = lambda t: 100.0
    warns: Callable[[float], bool] = never
    base: str = "2m"
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
        warned = ["a store is missing"] if self.warns(self.now - START) else []
        if query.startswith("ALERTS"):
            page = {"alertname": names.PAGE, "severity": "critical", "slo": "api-reads"}
            return answer([(page, "1")] if self.pages(at) else [], warned)
        if query.startswith("last_over_time"):
            return answer([({"slo": "api-reads", "base": self.base}, "0.001")])
        rows = [({"stack": "web", "of": "tick"}, str(TICK))]
        events = (self.traffic, lambda t: self.bad(t) * self.traffic(t))
        clock = (lambda t: 1.0, self.down)
        for slo, part, (good, bad) in (
            ("api-reads", "", events), ("api-uptime", "", clock),
            ("api-journey", "reads", events), ("api-journey", "up", clock),
        ):  # fmt: skip
            if slo not in query:
                continue
            labels = {"stack": "web", "slo": slo} | ({"component": part} if part else {})
            times = [at - TICK * n for n in range(self._seconds(query, names.TOTAL) // TICK)]
            seen = [t for t in times if not self.gone(t) and not self.unmeasured(t)]
            newest = [START + t for t in seen[:1] if t > at - 300 and not self.unmeasured(at)]
            values = {
                "total": sum(map(good, seen)),
                "bad": sum(map(bad, seen)),
                "samples": len(seen),
                **({"newest": newest[0]} if newest else {}),
            }
            if seen:
                rows += [({**labels, "of": of}, f"{v:.9f}") for of, v in values.items()]
        return answer(rows, warned)

    def _seconds(self, query: str, name: str) -> int:
        found = re.search(rf"sum_over_time\({name}[^[]*\[(\d+)s\]", query)
        assert found is not None
        return int(found[1])


def answer(rows: list[tuple[dict[str, str], str]], warnings: list[str] | None = None) -> httpx.Response:
    result = [{"metric": labels, "value": [0, value]} for labels, value in rows]
    body = {
        "status": "success",
        "data": {"resultType": "vector", "result": result},
        "warnings": warnings or [],
    }
    return httpx.Response(200, text=json.dumps(body))


def watched(world: World, stack: Stack = STACK) -> tuple[Verdict, float]:
    """The verdict, and how many seconds it took."""
    with Prometheus("http://prometheus", httpx.MockTransport(world), sleep=lambda s: None) as prometheus:
        verdict = watch(prometheus, stack, ROLLOUT, clock=lambda: world.now, sleep=world.sleep)
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
    (failed,) = verdict.of(Outcome.FAILED)
    assert (failed.check, took <= 180) == ("slo/api-reads", True)
    assert re.fullmatch(
        r"api-reads: 10% of \d+ bad now, 0\.01% of 360000 before: significantly worse \(p < 1e-300, "
        r"which aborts below \S+\), and its budget burns 100x as fast as it may\.",
        failed.sentence,
    ), failed.sentence


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


def test_a_part_of_a_composite_is_judged_by_what_it_measures() -> None:
    """Requests by requests, a replica's time by slices."""
    parts = Composite(parts={"reads": answers, "up": Uptime(gauge="up")})
    journey = SLO(
        service=api, name="journey", objective="99.9%", window="30d", description="Both.", sli=parts
    )
    verdict, _ = watched(World(), Stack(name="web", slos=[journey]))
    assert [r.sentence for r in verdict.of(Outcome.PASSED)][:2] == [
        "api-journey [component=reads]: 0.01% of 168000 bad now, 0.01% of 360000 before.",
        "api-journey [component=up]: 0% of 56 bad now, 0% of 120 before.",
    ]


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


@pytest.mark.parametrize("since", [0, 1200, 1799])
def test_a_server_that_does_not_come_back_leaves_it_unknown(since: int) -> None:
    """Never "go on" for what nobody saw, were it the last second only."""
    verdict, took = watched(World(gone=lambda t: t >= since))
    assert verdict.decision is Decision.UNKNOWN
    assert verdict.of(Outcome.UNKNOWN)[-1].check == "prometheus"
    assert took == END


def test_a_server_that_restarts_at_the_end_is_given_time() -> None:
    """As soon as it is back, it is known."""
    verdict, took = watched(World(gone=lambda t: 1790 <= t < 1850))
    assert (verdict.decision, took) == (Decision.PROMOTE, 1860)


def test_a_server_that_is_away_when_the_rollout_begins_is_asked_for_the_time_before_later() -> None:
    """A page of before is none of the rollout's, although nobody could ask about it then."""
    world = World(gone=lambda t: 0 <= t < 100, pages=lambda t: True)
    assert watched(world)[0].decision is Decision.PROMOTE


@pytest.mark.parametrize("since", [300, 1500])
def test_a_component_that_is_not_measured_any_more_is_unknown(since: int) -> None:
    """However good it was until then."""
    verdict, took = watched(World(unmeasured=lambda t: t >= since))
    assert verdict.decision is Decision.UNKNOWN
    assert {r.check for r in verdict.of(Outcome.UNKNOWN)} == {"slo/api-reads", "slo/api-uptime"}
    assert "not measured any more" in verdict.of(Outcome.UNKNOWN)[0].sentence
    assert took == END


def test_a_rollout_of_which_most_was_not_measured_is_unknown() -> None:
    """A server that was away for most of it cannot say how it was."""
    verdict, _ = watched(World(gone=lambda t: 150 <= t < 1200))
    assert verdict.decision is Decision.UNKNOWN
    assert "measured for only 10m30s of 28m" in verdict.of(Outcome.UNKNOWN)[0].sentence


def test_a_component_that_was_not_measured_before_is_unknown() -> None:
    """There is nothing to compare with, however good it is."""
    verdict, _ = watched(World(unmeasured=lambda t: t <= 0))
    assert verdict.decision is Decision.UNKNOWN
    assert verdict.of(Outcome.UNKNOWN)[0].sentence == (
        "api-reads: 0.01% of 168000 bad now, nothing of 0 before; nothing to compare with."
    )


def test_what_was_not_recorded_before_is_not_made_up() -> None:
    """Twenty minutes of the hour before are twenty minutes of events, not an hour of them."""
    verdict, _ = watched(World(unmeasured=lambda t: t <= -1200))
    assert ", 0.01% of 120000 before." in verdict.of(Outcome.PASSED)[0].sentence


def test_a_component_that_was_measured_for_too_short_a_time_before_is_unknown() -> None:
    """A minute before is no measure for half an hour; but what is bad by it is bad."""
    new = World(unmeasured=lambda t: t <= -60)
    verdict, _ = watched(new)
    assert verdict.decision is Decision.UNKNOWN
    assert verdict.of(Outcome.UNKNOWN)[0].sentence.endswith("; measured for only 1m before the rollout.")
    worse = World(unmeasured=lambda t: t <= -60, bad=lambda t: 0.5 if t > 0 else 0.0)
    assert watched(worse)[0].decision is Decision.BLOCK


def test_two_slow_events_say_nothing() -> None:
    """Had both failed, nothing would have been significant: that they did not is no good news."""
    verdict, _ = watched(World(traffic=lambda t: 0.001))
    assert verdict.decision is Decision.UNKNOWN
    assert "too few to tell" in verdict.of(Outcome.UNKNOWN)[0].sentence


def test_the_first_base_window_of_the_rules_is_no_word_on_the_rollout() -> None:
    """Its samples still hold what was before; how long it is, the rules themselves say."""
    before = World(bad=lambda t: 0.5 if -600 < t <= 280 else 0.0, base="5m")
    assert watched(before)[0].decision is Decision.PROMOTE


def test_an_answer_that_may_be_partial_is_no_good_news() -> None:
    """Of the last look; a warning in the middle is forgotten when the next answer is whole."""
    verdict, _ = watched(World(warns=lambda t: t > 1700))
    assert (verdict.decision, verdict.warnings) == (Decision.UNKNOWN, ("a store is missing",))
    assert watched(World(warns=lambda t: t < 1000))[0].decision is Decision.PROMOTE
    bad = World(warns=lambda t: True, bad=lambda t: 0.1 if t > 0 else 0.0001)
    assert watched(bad)[0].decision is Decision.BLOCK


def test_a_rollout_without_traffic_is_unknown() -> None:
    """Nothing happened, so nothing was shown."""
    verdict, _ = watched(World(traffic=lambda t: 0.0 if t > 0 else 100.0))
    assert verdict.decision is Decision.UNKNOWN
    assert "no events since the rollout began" in verdict.of(Outcome.UNKNOWN)[0].sentence


def test_a_component_that_never_has_traffic_is_unknown_only_when_it_is_all_there_is() -> None:
    """Nothing can be lost where nothing happens; but silence alone shows no rollout to be good."""
    silent = World(traffic=lambda t: 0.0)
    verdict, _ = watched(silent)
    assert verdict.decision is Decision.PROMOTE
    assert verdict.of(Outcome.PASSED)[0].sentence == "api-reads: no events before, and none now."
    alone = Stack(name="web", slos=STACK.slos[:1])
    assert watched(World(traffic=lambda t: 0.0), alone)[0].decision is Decision.UNKNOWN


def test_a_component_without_slos_names_those_that_have_some() -> None:
    """The remedy."""
    with (
        Prometheus("http://prometheus", httpx.MockTransport(World())) as prometheus,
        pytest.raises(DefinitionError, match="choose one of api"),
    ):
        watch(prometheus, STACK, Rollout("apo", 1800, 30))


def test_too_short_a_watch_is_refused() -> None:
    """With the least that makes sense."""
    assert duration("30m", 300) == 1800
    with pytest.raises(DefinitionError, match="take 5m at least"):
        duration("1m", 300)
