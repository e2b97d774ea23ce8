"""What the fault run calls a broken promise: a checker that could not fail would prove nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from exporters import metrics as m
from exporters.loop import own
from exporters.metrics import Metric
from tools.faults.exporter import Exporter, Labels, Scrape
from tools.faults.site import BAD
from tools.faults.watch import Figures, Watch

CYCLE, SECONDS = (own("cosign", f"{name}_seconds") for name in ("last_cycle_timestamp", "cycle_duration"))


def of(component: str, check: str = "signature") -> Labels:
    return frozenset({("component", component), ("check", check)})


class Seen:
    """A watch over a cosign exporter that is not started; `looks` gives it what a scrape would."""

    def __init__(self, folder: Path) -> None:
        self.broken: list[str] = []
        self.watch = Watch(Exporter("cosign", folder / "cosign", {}), Figures(), self.broken)

    def looks(self, *samples: tuple[Metric, Labels, float], seconds: float = 0.01) -> str:
        """What it says about this scrape."""
        found = {(metric.name, labels): value for metric, labels, value in samples}
        counters = frozenset(
            (metric.name, labels) for metric, labels, _ in samples if metric.type == "counter"
        )
        self.broken.clear()
        self.watch._judge(Scrape(time.time(), seconds, found, counters))
        return " ".join(self.broken)

    def cycle(self, began: float, checked: float, check: str = "signature") -> str:
        """One that began then and took a second; its verdict is from `checked`."""
        return self.looks(
            (CYCLE, frozenset(), began + 1), (SECONDS, frozenset(), 1.0), (m.IMAGE_LAST_CHECK, of("signer", check), checked)
        )  # fmt: skip


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


@pytest.mark.parametrize(
    ("component", "value", "says"),
    [(BAD, 1.0, "FALSE VERIFIED"), (BAD, 0.0, ""), ("signer", 0.0, "FALSE FAILED"), ("signer", 1.0, "")],
)
def test_a_verdict_against_the_truth_is_said(seen: Seen, component: str, value: float, says: str) -> None:
    """Of the bad image 1, of a good one 0."""
    said = seen.looks((m.IMAGE_VERIFIED, of(component), value))
    assert said.partition(" cosign: ")[2].partition(":")[0] == says


def test_a_counter_that_falls_is_said(seen: Seen) -> None:
    """Within one life of the process."""
    labels = frozenset({("check", "signature")})
    assert seen.looks((m.CHECKS_TOTAL, labels, 5.0)) == ""
    assert "fell from 5 to 4" in seen.looks((m.CHECKS_TOTAL, labels, 4.0))


def test_a_slow_scrape_is_said(seen: Seen) -> None:
    """A second is too long."""
    assert "a scrape took 1.50 s" in seen.looks(seconds=1.5)


@pytest.mark.parametrize(
    ("check", "says"), [("signature", "moved while the registry was hung"), ("labels", "")]
)
def test_a_verdict_from_nothing_is_said(seen: Seen, check: str, says: str) -> None:
    """Its time moved in a cycle in which nothing answered; labels need no answer twice."""
    seen.watch.trouble("registry", "hung")
    now = time.time()
    said = seen.cycle(began=now + 1, checked=now + 1.5, check=check)
    assert said.endswith(says)
    assert bool(said) == bool(says)


@pytest.mark.parametrize(
    ("began", "checked", "says"),
    [(1, 1.5, ""), (1, -5, "not recovered in the first cycle after hung"), (-1, -5, "")],
    ids=["recovered", "one verdict is old", "a cycle that began before counts for nothing"],
)
def test_recovery_is_a_matter_of_one_cycle(seen: Seen, began: float, checked: float, says: str) -> None:
    """The first one that begins after the fault's end."""
    seen.watch.calm("hung")
    now = time.time()
    said = seen.cycle(began=now + began, checked=now + checked)
    assert says in said
    assert bool(said) == bool(says)
