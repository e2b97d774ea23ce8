"""How long a host is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.backoff import HOSTS, LONGEST, LONGEST_ASKED, Backoff, retry_after


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def waits(failures: int, jitter: float = 1.0) -> list[float]:
    """The wait after each of some failures, one after another."""
    clock = Clock()
    backoff = Backoff(clock, lambda: jitter)
    found = []
    for _ in range(failures):
        backoff.failed("host", clock(), "timeout", "slow")
        found.append(backoff.wait("host")[0])
        clock.now += found[-1]
    return found


def test_waits_double_up_to_a_limit() -> None:
    """A quarter of a second, a half, one, two ... half a minute."""
    found = waits(40)
    assert found[:4] == pytest.approx([0.25, 0.5, 1.0, 2.0])
    assert found[-1] == pytest.approx(LONGEST)


def test_jitter_shortens_a_wait_by_up_to_half() -> None:
    """So that threads and replicas do not come back together."""
    assert waits(3, jitter=0.0) == pytest.approx([0.125, 0.25, 0.5])


def test_the_limit_can_be_lower() -> None:
    """With short cycles, so that the one after a recovery asks again."""
    clock = Clock()
    backoff = Backoff(clock, lambda: 1.0, longest=2.0)
    for _ in range(10):
        backoff.failed("host", clock(), "timeout", "slow")
    assert backoff.wait("host")[0] == pytest.approx(2.0)


def test_threads_that_fail_at_once_count_once() -> None:
    """Eight workers on one dead host are one volley."""
    clock = Clock()
    backoff = Backoff(clock, lambda: 1.0)
    began = clock()
    clock.now += 1
    for _ in range(8):
        backoff.failed("host", began, "timeout", "slow")
    assert backoff.wait("host")[0] == pytest.approx(0.25)


def test_a_success_forgets_the_failures() -> None:
    """The next failure is a first one."""
    clock = Clock()
    backoff = Backoff(clock, lambda: 1.0)
    for _ in range(5):
        backoff.failed("host", clock(), "timeout", "slow")
    backoff.succeeded("host")
    assert backoff.wait("host") == (0.0, "", "")


def test_a_wait_says_why() -> None:
    """The reason and sentence of the last failure."""
    backoff = Backoff(Clock(), lambda: 1.0)
    backoff.failed("host", 100.0, "rate_limited", "answered 429", 7.0)
    assert backoff.wait("host") == (pytest.approx(7.5), "rate_limited", "answered 429")


def test_hosts_are_remembered_up_to_a_number() -> None:
    """Redirects choose names: they cannot fill the memory."""
    backoff = Backoff(Clock())
    for number in range(HOSTS * 2):
        backoff.failed(f"host-{number}", 100.0, "timeout", "slow")
    remembered = sum(backoff.wait(f"host-{number}")[0] > 0 for number in range(HOSTS * 2))
    assert remembered == HOSTS


@given(st.text(max_size=40))
def test_no_retry_after_is_a_crash_or_an_age(value: str) -> None:
    """Whatever a server writes."""
    found = retry_after(value, 1.8e9)
    assert found is None or 0 <= found <= LONGEST_ASKED


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("99999999999999999999", LONGEST_ASKED), (None, None), ("", None), ("7.5", None),
     ("Tue, 24 Nov 2026 10:00:09 GMT", 9), ("Tue, 24 Nov 2099 10:00:00 GMT", LONGEST_ASKED), ("Tue, 99 Nov 2026", None)],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    """RFC 9110; capped."""
    assert retry_after(value, 1795514400.0) == seconds
