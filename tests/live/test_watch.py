"""Rollouts under watch on real Prometheus servers, which scrape, evaluate, crash and come back.

Eight watches run at once, over three servers that scrape the same platform every second; one test a watch. Seconds
after the watches began:

     5   a component that was not measured before is scraped for the first time
    30   another one is not scraped any more
    80   two servers are killed; one stays dead
    85   a component begins to burn four times its budget: worse, and below what pages
   100   one server is back
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slo.compile import Config, compile_stack
from slo.load import load
from slo.model import Stack
from slo.quantity import Duration
from tools.demo import rules, servers
from tools.demo.simulator import Simulator
from tools.demo.world import World

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.xdist_group("watch")]

SLO = Path(sys.executable).with_name("slo")
RATE = 100.0  # events per second
SCRAPE, COMPRESS = "1s", 120  # the slowest rules (2m) and the fastest (30s) are evaluated every second
BASE = 60  # seconds of the rules' base window
BEFORE = 75.0  # seconds that the platform runs before the watches; at least half of the short ones
LATE, GONE, KILLED, WORSE, BACK = 5.0, 30.0, 80.0, 85.0, 100.0
SHORT, LONG = 120, 600  # seconds of a watch
PATIENCE = 120  # seconds, as docs/gate.md says
SLACK = 15.0  # seconds for a look, a start, and a loaded machine
DEFINITIONS = """
from slo import SLO, Ratio, Service, Stack

def availability(name):
    return SLO(
        service=Service(name=name, owner="web"), name="availability", objective="99%", window="7d",
        sli=Ratio(bad=f'{name}_requests_total{{code=~"5.."}}', total=f"{name}_requests_total"),
        description="Requests are answered without a server error.",
    )

stack = Stack(name="watched", slos=[availability(n) for n in ("steady", "signer", "vanishing", "late", "ghost")])
"""


@dataclass(frozen=True)
class Ended:
    """How a watch ended: its exit code, what it found by check, its looks, and how many seconds it took."""

    code: int
    summary: str
    results: Mapping[str, Mapping[str, Any]]
    looks: tuple[str, ...]
    took: float

    def sentence(self, check: str) -> str:
        return str(self.results[check]["sentence"])

    def __str__(self) -> str:
        said = [f"{r['outcome']} {c}: {r['sentence']}" for c, r in self.results.items()]
        return "\n".join([f"exit {self.code} after {self.took:.0f}s: {self.summary}", *said])


@dataclass
class Story:
    """What happened, once everything is over. `truth` is (bad, all) events of signer and steady as the watches began."""

    watches: Mapping[str, Ended]
    truth: Mapping[str, tuple[int, int]]

    def __getitem__(self, name: str) -> Ended:
        return self.watches[name]


def prometheus(folder: Path, ports: Mapping[str, int], stack: Stack) -> servers.Server:
    """A server that scrapes each simulator and evaluates the stack's generated rules."""
    rules.write_rules(compile_stack(stack, Config(Duration.parse(SCRAPE))), folder / "rules", COMPRESS, "10s")
    jobs = servers.scrape_jobs(ports, {}, 0)
    config = servers.prometheus_config(SCRAPE, folder / "rules", jobs, servers.free_port())
    servers.write_yaml(folder / "prometheus.yaml", config)
    return servers.prometheus(folder, servers.free_port())


class Watch:
    """`slo gate --watch`, as a pipeline runs it; its looks go to a file as they are made."""

    def __init__(
        self, server: servers.Server, definitions: Path, component: str, seconds: int, looks: Path
    ) -> None:
        self._command = [SLO, "gate", "--watch", f"{seconds}s", "--every", "5s", "--component", component,
                         "--definitions", definitions, "--prometheus", server.url, "--output", "json"]  # fmt: skip
        self._looks = looks

    def run(self) -> Ended:
        began = time.monotonic()
        with self._looks.open("w") as stderr:
            done = subprocess.run(self._command, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False,
                                  timeout=600, env={"PATH": os.environ["PATH"]})  # fmt: skip
        took = time.monotonic() - began
        assert done.returncode in (0, 1, 3), self._looks.read_text()
        said = json.loads(done.stdout)
        found = {r["check"]: r for r in said["results"]}
        looks = tuple(self._looks.read_text().splitlines())
        return Ended(done.returncode, said["summary"], found, looks, took)

    def looked(self) -> bool:
        """Whether it has begun."""
        return self._looks.exists() and self._looks.stat().st_size > 0


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Everything that happens, which takes a little more than five minutes."""
    folder = tmp_path_factory.mktemp("watch")
    definitions = folder / "slos.py"
    definitions.write_text(DEFINITIONS)
    stack = load(definitions)
    ports = dict(zip(("main", "vanishing", "late"), servers.free_ports(3), strict=True))
    worlds = {name: _only(stack, name) for name in ports}
    main = Simulator(World(worlds["main"], rate=RATE), ports["main"])
    simulators = [main, Simulator(World(worlds["vanishing"], rate=RATE), ports["vanishing"])]
    stays, restarts, dies = (prometheus(folder / n, ports, stack) for n in ("stays", "restarts", "dies"))
    try:
        for thing in (*simulators, stays, restarts, dies):
            thing.start()
        for server in (stays, restarts, dies):
            server.wait_ready()
        time.sleep(BEFORE)
        watches = {
            name: Watch(server, definitions, component, seconds, folder / f"{name}.looks")
            for name, server, component, seconds in (
                ("healthy", stays, "steady", SHORT), ("worse", stays, "signer", LONG),
                ("vanishing", stays, "vanishing", SHORT), ("late", stays, "late", SHORT),
                ("ghost", stays, "ghost", SHORT),
                ("healthy, restarted", restarts, "steady", SHORT), ("worse, restarted", restarts, "signer", LONG),
                ("dead", dies, "steady", SHORT),
            )
        }  # fmt: skip
        with ThreadPoolExecutor(max_workers=len(watches)) as pool:
            running = {name: pool.submit(watch.run) for name, watch in watches.items()}
            while not all(watch.looked() for watch in watches.values()):
                _at(time.monotonic() + 0.1)
            truth = {n: main.world.truth(f"{n}-availability") for n in ("steady", "signer")}
            began = time.monotonic()
            _at(began + LATE)
            simulators.append(Simulator(World(worlds["late"], rate=RATE), ports["late"]))
            simulators[-1].start()
            _at(began + GONE)
            simulators.pop(1).stop()
            _at(began + KILLED)
            restarts.kill()
            dies.kill()
            _at(began + WORSE)
            main.world.switch("slow-burn", "signer")
            _at(began + BACK)
            restarts.start()
            ended = {name: future.result() for name, future in running.items()}
        for name, result in ended.items():
            sys.stdout.write(f"{name}: {result}\n")
        yield Story(ended, truth)
    finally:
        servers.stop_all((stays, restarts, dies))
        for simulator in simulators:
            simulator.stop()


def _only(stack: Stack, name: str) -> Stack:
    """The part of the stack that a simulator publishes: one component, or those that are always there."""
    names = ("steady", "signer") if name == "main" else (name,)
    return Stack(name=stack.name, slos=[s for s in stack.slos if s.service.name in names])


def _at(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def recorded(truth: tuple[int, int]) -> float:
    """An event enters the records over the base window after it: half of the newest have not."""
    return truth[1] - BASE / 2 * RATE


def test_a_healthy_rollout_goes_on_when_the_time_is_over(story: Story) -> None:
    """Exit code 0, not before the end and soon after it."""
    ended = story["healthy"]
    assert ended.code == 0, ended
    assert SHORT <= ended.took <= SHORT + SLACK
    assert ended.summary == "Go on with the rollout of steady: 2 checks, none failed."
    assert ended.sentence("page") == "No alert pages that did not before."


def test_what_was_before_is_counted_as_often_as_it_happened(story: Story) -> None:
    """The minute that was recorded of the hour before is no hour of events."""
    found = re.search(r" of (\d+) before\.$", story["healthy"].sentence("slo/steady-availability"))
    assert found is not None
    assert int(found[1]) == pytest.approx(recorded(story.truth["steady"]), rel=0.15)


@pytest.mark.parametrize("name", ["worse", "worse, restarted"])
def test_a_rollout_that_becomes_worse_is_aborted_long_before_the_end(story: Story, name: str) -> None:
    """With the SLO, the numbers, the test and the burn in one sentence; a server that was away as it began or not."""
    ended = story[name]
    assert ended.code == 1, ended
    assert WORSE < ended.took < LONG / 3
    assert ended.summary == "Abort the rollout of signer: 1 check failed."
    assert {c for c, r in ended.results.items() if r["outcome"] == "failed"} == {"slo/signer-availability"}
    sentence = ended.sentence("slo/signer-availability")
    found = re.fullmatch(
        r"signer-availability: ([\d.]+)% of (\d+) bad now, ([\d.]+)% of (\d+) before: significantly worse "
        r"\(p = (\S+), which aborts below (\S+)\), and its budget burns ([\d.]+)x as fast as it may\.",
        sentence,
    )
    assert found is not None, sentence
    bad, total, bad_before, total_before, p, level, burn = map(float, found.groups())
    assert bad > 1 > bad_before
    assert (
        0.3 < total / ((ended.took - BASE) * RATE) < 1.1
    )  # what a dead server did not record is not made up
    assert total_before == pytest.approx(recorded(story.truth["signer"]), rel=0.15)
    assert p < level < 0.01
    assert 1 <= burn < 4.5
    assert burn == pytest.approx(bad, rel=0.1)  # the budget is 1 %


def test_a_server_that_restarts_does_not_change_a_healthy_verdict(story: Story) -> None:
    """Killed and back after twenty seconds: looks in between have no answer, and the end is known."""
    ended = story["healthy, restarted"]
    assert any("cannot ask" in look for look in ended.looks), ended.looks
    assert ended.code == 0, ended
    assert SHORT <= ended.took <= SHORT + SLACK


def test_the_restarted_server_was_away_when_it_became_worse(story: Story) -> None:
    """Its looks say so: the regression began behind its back, and it found it nevertheless."""
    looks = story["worse, restarted"].looks
    blind = [n for n, look in enumerate(looks) if "cannot ask" in look]
    assert blind != []
    assert "1 series measured" in looks[blind[-1] + 1 :][-1]


def test_a_server_that_stays_dead_leaves_it_unknown(story: Story) -> None:
    """All was well until it was killed; nobody knows of the rest. It is given two minutes more to come back."""
    ended = story["dead"]
    assert ended.code == 3, ended
    assert ended.results["slo/steady-availability"]["outcome"] == "passed"
    assert ended.sentence("prometheus").startswith(
        "Prometheus gave no answer at the end of the watch, nor within 2m after it: cannot ask "
    )
    assert SHORT + PATIENCE <= ended.took <= SHORT + PATIENCE + SLACK


def test_a_component_that_is_not_measured_any_more_is_unknown(story: Story) -> None:
    """Prometheus answers, and its last record is good; but it is a record of some time ago."""
    ended = story["vanishing"]
    assert ended.code == 3, ended
    assert ended.sentence("slo/vanishing-availability").endswith("; not measured any more.")


def test_a_component_that_was_not_measured_before_is_unknown(story: Story) -> None:
    """The period before is required: without it there is nothing to compare with."""
    ended = story["late"]
    assert ended.code == 3, ended
    assert re.fullmatch(
        r"late-availability: [\d.]+% of \d+ bad now, nothing of 0 before; nothing to compare with\.",
        ended.sentence("slo/late-availability"),
    ), ended


def test_a_component_that_was_never_measured_is_unknown(story: Story) -> None:
    """Its rules run; there is nothing that they could record."""
    ended = story["ghost"]
    assert ended.code == 3, ended
    assert ended.sentence("slo/ghost-availability") == (
        "ghost-availability was measured neither before nor during the rollout."
    )
