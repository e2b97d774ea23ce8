"""How long a host is left alone after it failed, shared by all threads that ask it."""

from __future__ import annotations

import email.utils
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

FIRST = 0.25  # seconds after a first failure; doubled with each one that follows
LONGEST = 30.0  # seconds between two volleys at a host that keeps failing
LONGEST_ASKED = 120.0  # seconds of a Retry-After that are granted
HOSTS = 1024  # hosts remembered; names come from redirects too, so their number is bounded


@dataclass(slots=True)
class _Host:
    failures: int = 0  # volleys in a row: threads that failed at once count as one
    since: float = 0.0  # when the last volley was counted
    until: float = 0.0  # nobody asks before
    reason: str = ""  # of the last failure, one of ERROR_REASONS
    detail: str = ""


class Backoff:
    """Exponential, with jitter, per host. `clock` is monotonic; `jitter` yields numbers from 0 to 1.

    `longest`, in seconds, bounds what is not the server's own wish.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
        longest: float = LONGEST,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._longest = longest
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def wait(self, host: str) -> tuple[float, str, str]:
        """Seconds to wait before the host is asked, and reason and sentence of its last failure."""
        with self._lock:
            state = self._hosts.get(host)
            if state is None:
                return 0.0, "", ""
            return max(0.0, state.until - self._clock()), state.reason, state.detail

    def failed(
        self, host: str, began: float, reason: str, detail: str, retry_after: float | None = None
    ) -> None:
        """An attempt that began at `began` failed. `retry_after` is the server's own wish, in seconds."""
        with self._lock:
            now = self._clock()
            if host not in self._hosts and len(self._hosts) >= HOSTS:
                del self._hosts[min(self._hosts, key=lambda h: self._hosts[h].until)]
            state = self._hosts.setdefault(host, _Host())
            if began >= state.since:
                state.failures += 1
                state.since = now
            state.reason, state.detail = reason, detail
            delay = min(self._longest, FIRST * 2.0 ** min(state.failures - 1, 16)) * (
                0.5 + self._jitter() / 2
            )
            if retry_after is not None:
                # Not sooner than asked, and not all threads at the same moment.
                delay = max(delay, min(retry_after, LONGEST_ASKED) + self._jitter() * 0.5)
            state.until = max(state.until, now + delay)

    def succeeded(self, host: str) -> None:
        with self._lock:
            self._hosts.pop(host, None)


def retry_after(value: str | None, wall: float) -> float | None:
    """Seconds of a Retry-After header (a number or a date, RFC 9110 §10.2.3); None when there is none to read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_ASKED)
    try:
        when = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(0.0, when - wall), LONGEST_ASKED)
