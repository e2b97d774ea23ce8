"""What was found about a signature, kept: the same bytes about the same image under the same policy and root."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Generic, TypeVar

from exporters.outcome import Refused

VERIFIER = f"sigstore-python {version('sigstore')}"

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Key:
    """Everything a verdict depends on. A hit under another policy or root would be a hole (Kyverno #17173)."""

    content: str  # digest of the bundle; of a legacy layer, with its annotations
    image: str
    policy: str  # a hash of it and of the key it names
    root: str  # its digest, and which of its windows are open
    verifier: str = VERIFIER


class Kept(Generic[V]):
    """At most `size` values, the least lately used dropped first. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value, made when it is not there. What raises is not kept; two threads may make the same value."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._values)


def verdict(verify: Callable[[], object]) -> Refused | None:
    """None when it verifies, else the refusal, as a value that can be kept. CouldNotCheck passes through."""
    try:
        verify()
    except Refused as refused:
        return Refused(refused.reason, refused.detail)  # without its traceback, which holds the bundle
    return None
