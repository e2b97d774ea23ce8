"""Cycles: nothing that a check does holds up the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from exporterkit import Fake, fake

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.loop import WHOLE, Loop, own
from exporters.outcome import CouldNotCheck, Verdict


def looped(targets: dict[str, str], **settings: object) -> tuple[Loop, Fake, Instruments]:
    instruments = Instruments(m.COSIGN)
    subject = fake(targets, instruments, **settings)
    return Loop(subject, instruments, subject.config), subject, instruments


def verdicts(loop: Loop) -> dict[tuple[str, str], Verdict]:
    return {(f.target, f.check): f.outcome.verdict for f in loop.findings()}


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.01)


def test_a_cycle_checks_every_target_and_says_what_it_did() -> None:
    """When it ended, how long it took, and that nothing of the exporter's own went wrong."""
    loop, subject, instruments = looped({"a": "verified", "b": "failed", "c": "unknown"})
    assert not loop.ready.is_set()
    before = time.time()
    loop.cycle()
    assert loop.ready.is_set()
    assert sorted(subject.checked) == ["a", "b", "c"]
    assert verdicts(loop) == {
        ("a", "signature"): Verdict.VERIFIED,
        ("b", "signature"): Verdict.FAILED,
        ("c", "signature"): Verdict.UNKNOWN,
    }
    ended = instruments.value(own("cosign", "last_cycle_timestamp_seconds"))
    assert ended is not None
    assert before <= ended <= time.time()
    assert instruments.value(own("cosign", "cycle_duration_seconds")) is not None
    assert instruments.value(own("cosign", "cycle_failures_total")) == 0


def test_no_more_checks_than_allowed_run_at_once() -> None:
    """And that many do."""
    loop, subject, _ = looped({f"t{n}": "burns" for n in range(12)}, concurrency=3)
    loop.cycle()
    assert (subject.most, len(subject.checked)) == (3, 12)


def test_a_check_that_raises_is_counted_and_leaves_its_verdict() -> None:
    """The others go on; the verdict of before stays, beside an unknown for the whole target."""
    loop, subject, instruments = looped({"a": "verified", "b": "verified"})
    loop.cycle()
    subject.config.targets["a"] = "raises"
    loop.cycle()
    assert instruments.value(m.IMAGE_VERIFIED, component="a", check="signature") == 1
    assert instruments.value(own("cosign", "cycle_failures_total")) == 1
    assert verdicts(loop) == {
        ("a", "signature"): Verdict.VERIFIED,
        ("a", WHOLE): Verdict.UNKNOWN,
        ("b", "signature"): Verdict.VERIFIED,
    }
    subject.config.targets["a"] = "verified"
    loop.cycle()
    assert ("a", WHOLE) not in verdicts(loop)
    assert instruments.value(own("cosign", "cycle_failures_total")) == 1


def test_a_check_that_hangs_is_given_up() -> None:
    """The cycle ends, the target is unknown, and what it finds in the end still counts."""
    loop, subject, instruments = looped({"a": "hangs", "b": "verified"}, check_timeout="200ms")
    began = time.monotonic()
    loop.cycle()
    assert time.monotonic() - began < 5
    assert verdicts(loop) == {("a", WHOLE): Verdict.UNKNOWN, ("b", "signature"): Verdict.VERIFIED}
    assert instruments.value(own("cosign", "cycle_failures_total")) == 1
    assert instruments.value(own("cosign", "last_cycle_timestamp_seconds")) is not None
    subject.release.set()
    until(lambda: ("a", "signature") in verdicts(loop))


def test_a_target_that_still_hangs_is_not_checked_twice_at_once() -> None:
    """The next cycle counts it and goes on."""
    loop, subject, instruments = looped({"a": "hangs", "b": "verified"}, check_timeout="100ms")
    loop.cycle()
    loop.cycle()
    assert subject.checked.count("a") == 1
    assert subject.checked.count("b") == 2
    assert instruments.value(own("cosign", "cycle_failures_total")) == 2
    subject.release.set()


def test_threads_that_hang_are_bounded() -> None:
    """When nothing ever ends, no more are started, and the cycle does not claim to be over all targets."""
    loop, subject, instruments = looped(
        {f"t{n:02}": "hangs" for n in range(40)}, concurrency=2, check_timeout="50ms"
    )
    for _ in range(3):
        loop.cycle()
    assert len(subject.checked) <= 2 * 4 + 2
    assert instruments.value(own("cosign", "last_cycle_timestamp_seconds")) is None
    subject.release.set()


class Unlisted(Fake):
    """Its targets cannot be listed."""

    error: Exception = CouldNotCheck("unreachable", "the manifest cannot be had")

    def targets(self) -> Sequence[str]:
        raise self.error


@pytest.mark.parametrize("error", [CouldNotCheck("unreachable", "no manifest"), RuntimeError("a bug")])
def test_targets_that_cannot_be_listed_end_the_cycle(error: Exception) -> None:
    """It is counted, the exporter becomes ready, and the cycle's age grows."""
    instruments = Instruments(m.COSIGN)
    subject = Unlisted(fake({}).config, instruments, None, time.time)
    subject.error = error
    loop = Loop(subject, instruments, subject.config)
    loop.cycle()
    assert loop.ready.is_set()
    assert instruments.value(own("cosign", "cycle_failures_total")) == 1
    assert instruments.value(own("cosign", "last_cycle_timestamp_seconds")) is None


def test_a_target_that_is_gone_is_forgotten() -> None:
    """Its findings and its series."""
    loop, subject, instruments = looped({"a": "verified", "b": "verified"})
    loop.cycle()
    del subject.config.targets["a"]
    assert loop.knows("a")
    loop.cycle()
    assert not loop.knows("a")
    assert verdicts(loop) == {("b", "signature"): Verdict.VERIFIED}
    assert instruments.value(m.IMAGE_VERIFIED, component="a", check="signature") is None
    assert instruments.value(m.IMAGE_VERIFIED, component="b", check="signature") == 1


def test_who_waits_longest_for_a_verdict_goes_first() -> None:
    """A registry that serves only so many requests a cycle cannot starve the end of the list."""
    loop, subject, _ = looped({"a": "verified", "b": "unknown", "c": "verified"}, concurrency=1)
    loop.cycle()
    loop.cycle()
    assert subject.checked == ["a", "b", "c", "b", "a", "c"]


def test_time_that_runs_backwards_breaks_nothing() -> None:
    """The clock of the timestamps may jump; waits do not use it."""
    instruments = Instruments(m.COSIGN)
    subject = fake({"a": "verified"}, instruments)
    times = iter([2e9, 1e9, 5e8, 4e8, 3e8, 2e8])
    loop = Loop(subject, instruments, subject.config, clock=lambda: next(times))
    loop.cycle()
    loop.cycle()
    assert instruments.value(own("cosign", "last_cycle_timestamp_seconds")) == 1e9
    assert len(subject.checked) == 2


# ---- probes ----------------------------------------------------------------------------------


def test_a_probe_joins_the_check_under_way() -> None:
    """Two who ask for one target at once cost one check."""
    loop, subject, _ = looped({"a": "hangs"})
    answers: list[object] = []
    askers = [threading.Thread(target=lambda: answers.append(loop.check_now("a", 5))) for _ in range(3)]
    for asker in askers:
        asker.start()
    until(lambda: subject.checked == ["a"])
    time.sleep(0.05)
    subject.release.set()
    for asker in askers:
        asker.join()
    assert subject.checked == ["a"]
    assert len(answers) == 3
    assert answers[0]
    assert answers.count(answers[0]) == 3


def test_a_probe_that_takes_too_long_is_no_finding() -> None:
    """It comes back in its time; the check goes on."""
    loop, subject, _ = looped({"a": "hangs"})
    began = time.monotonic()
    assert loop.check_now("a", 0.1) is None
    assert time.monotonic() - began < 2
    subject.release.set()
    until(lambda: verdicts(loop) == {("a", "signature"): Verdict.VERIFIED})


def test_a_cycle_passes_a_target_that_is_being_probed() -> None:
    """It is no failure, and the cycle does not wait for it."""
    loop, subject, instruments = looped({"a": "hangs", "b": "verified"})
    loop.check_now("a", 0)
    loop.cycle()
    assert subject.checked == ["a", "b"]
    assert instruments.value(own("cosign", "cycle_failures_total")) == 0
    subject.release.set()


# ---- run, replace, halt ----------------------------------------------------------------------


def started(loop: Loop) -> threading.Thread:
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    return thread


def test_halting_does_not_wait_for_checks_that_hang() -> None:
    """`run` returns at once; the grace is for checks that end."""
    loop, subject, _ = looped({"a": "hangs", "b": "verified"})
    thread = started(loop)
    until(lambda: "a" in subject.checked)
    began = time.monotonic()
    assert loop.halt(0.2) is False
    thread.join(2)
    assert not thread.is_alive()
    assert time.monotonic() - began < 2
    subject.release.set()


def test_halting_lets_checks_end() -> None:
    """In their grace."""
    loop, subject, _ = looped({"a": "burns"})
    started(loop)
    until(lambda: subject.checked)
    assert loop.halt(5) is True
    assert verdicts(loop) == {("a", "signature"): Verdict.VERIFIED}


def test_a_new_configuration_takes_over_at_once() -> None:
    """The running cycle starts no more checks; the former subject is closed; gone targets are forgotten."""
    instruments = Instruments(m.COSIGN)
    before = fake({f"old{n}": "burns" for n in range(200)}, instruments, interval="1h", concurrency=1)
    after = fake({"new": "verified"}, instruments, interval="1h")
    loop = Loop(before, instruments, before.config)
    started(loop)
    until(lambda: len(before.checked) >= 2)
    loop.replace(after, after.config)
    until(lambda: verdicts(loop) == {("new", "signature"): Verdict.VERIFIED})
    assert len(before.checked) < 10
    assert before.closed
    assert not after.closed
    assert instruments.value(m.IMAGE_VERIFIED, component="old0", check="signature") is None
    loop.halt(0)


def test_a_configuration_that_never_began_is_closed() -> None:
    """Two reloads in one cycle: the first of them lets go of its connections."""
    loop, _, instruments = looped({"a": "verified"})
    first, second = fake({}, instruments), fake({}, instruments)
    loop.replace(first, first.config)
    loop.replace(second, second.config)
    assert (first.closed, second.closed) == (True, False)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 5.0), (0.5, 10.0), (1.0, 15.0)])
def test_cycles_are_spread_by_chance(chance: float, seconds: float) -> None:
    """From start to start, the interval and at most `jitter` of it more or less."""
    instruments = Instruments(m.COSIGN)
    subject = fake({}, instruments, interval=10, jitter=0.5)
    loop = Loop(subject, instruments, subject.config, monotonic=lambda: 100.0, chance=lambda: chance)
    waited: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waited.append(timeout)
            loop.stop.set()
            return True

    loop._wake = Stopping()
    loop.run()
    assert waited == [pytest.approx(seconds)]


# ---- logs ------------------------------------------------------------------------------------


def test_an_outcome_is_logged_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    """Not each time: a failed image is one line until it is verified again, which is another."""
    loop, subject, _ = looped({"a": "failed"})
    caplog.set_level(logging.INFO, "exporters")
    said = lambda: [r.getMessage() for r in caplog.records if "cycle" not in r.getMessage()]  # noqa: E731
    loop.cycle()
    loop.cycle()
    assert said() == ["signature of a: failed (bad_signature): the signature is not of this image"]
    subject.config.targets["a"] = "verified"
    loop.cycle()
    loop.cycle()
    assert said()[1:] == ["signature of a: verified"]
