"""The simulated platform: what its exporters publish, and how that follows what the platform does."""

from __future__ import annotations

import pytest

from exporters import metrics as exported
from slo import catalog
from slo.promql import Selector, as_selector
from tests import given
from tools.demo import pods
from tools.demo.world import World

START = 1_795_000_000.0


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def _samples(world: World) -> list[tuple[Selector, float]]:
    found = []
    for line in world.text().splitlines():
        series, value = line.rsplit(" ", 1)
        selector = as_selector(series)
        assert selector is not None, line
        found.append((selector, float(value)))
    return found


def _values(world: World, name: str) -> list[float]:
    return [value for selector, value in _samples(world) if selector.metric == name]


def test_every_metric_of_the_exporters_is_published_with_its_labels() -> None:
    """No family is missing, and none has a label less than exporters.metrics says."""
    world = World(catalog.stack(), clock=Clock(), step=60)
    labels = {s.metric: {m.name for m in s.matchers} for s, _ in _samples(world)}
    for metric in exported.ALL:
        name = metric.name + ("_bucket" if metric.type == "histogram" else "")
        assert set(metric.labels) <= labels.get(name, set()), metric.name
        assert name in labels, metric.name


def test_something_tampered_with_fails_one_check_and_leaves_another_without_a_verdict() -> None:
    """A verdict turns to 0, others stand still and grow old; on a normal day all are 1 and fresh."""
    clock = Clock()
    world = World(catalog.stack(), clock=clock, step=60)
    verdicts, checked = exported.IMAGE_VERIFIED.name, exported.IMAGE_LAST_CHECK.name
    assert set(_values(world, verdicts)) == {1.0}
    world.switch("tampered")
    clock.now += 4 * 3600
    assert _values(world, verdicts).count(0.0) == 1
    ages = {clock.now - at for at in _values(world, checked)}
    assert len(ages) == 2, ages
    assert max(ages) >= 4 * 3600
    world.switch("normal")
    clock.now += 1
    assert set(_values(world, verdicts)) == {1.0}
    assert max(clock.now - at for at in _values(world, checked)) < 3600


def test_an_outage_leaves_verdicts_as_they_are_and_old() -> None:
    """Nobody could check anything: nothing became bad, nothing was judged."""
    clock = Clock()
    world = World(catalog.stack(), clock=clock, step=60)
    world.switch("outage", "cosign")
    clock.now += 7200
    assert set(_values(world, exported.IMAGE_VERIFIED.name)) == {1.0}
    assert min(clock.now - at for at in _values(world, exported.IMAGE_LAST_CHECK.name)) >= 7200
    assert max(clock.now - at for at in _values(world, exported.REKOR_LAST_CHECK.name)) < 3600


def test_a_stack_that_does_not_watch_exporters_has_none() -> None:
    """A team's own definitions are simulated alone."""
    names = {s.metric for s, _ in _samples(World(given.stack(), clock=Clock()))}
    assert names == {"requests_total", "errors_total"}


def test_real_exporters_are_not_simulated_as_well() -> None:
    """Their series and their scrapes are left out, and nothing else is."""
    both, alone = (World(catalog.stack(), clock=Clock(), exporters=simulated) for simulated in (True, False))
    assert both.unsolved == alone.unsolved == []

    def series(world: World) -> set[tuple[str, str]]:
        return {(s.metric, str(sorted(s.matchers, key=lambda m: m.name))) for s, _ in _samples(world)}

    gone = {name for name, _ in series(both) - series(alone)}
    exported_names = {m.name for m in exported.ALL}
    assert {n.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for n in gone} == {
        *exported_names,
        "up",
    }
    assert not {name for name, _ in series(alone)} & exported_names
    assert series(alone) < series(both)
    assert not any(
        pods.ours(("up", tuple((m.name, m.value) for m in s.matchers)))
        for s, _ in _samples(alone)
        if s.metric == "up"
    )


def test_real_exporters_cannot_be_told_to_find_something() -> None:
    """The mode that changes what exporters find is refused with what to do instead."""
    with pytest.raises(
        ValueError, match=r"these are real: start with --release bad, or with --simulate-exporters"
    ):
        World(catalog.stack(), clock=Clock(), exporters=False).switch("tampered")
