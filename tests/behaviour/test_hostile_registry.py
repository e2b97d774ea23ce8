"""A registry that is slow or endless, over a real socket: the check ends in time, without verdict, and is counted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from exporters import metrics as m
from tests.loopback import HEAD, endless, gigabyte, slow_drip
from tests.trustkit.exporter import Exporter, images
from tests.trustkit.images import Attached
from tests.trustkit.kit import TrustKit


def slow_head(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"H")
        time.sleep(0.05)


def silent(connection: socket.socket) -> None:
    time.sleep(30)


def cut_off(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"manifests": [')


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example.org ESMTP\r\n")


@contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Every connection gets this."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            behave(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (slow_drip, "timeout"),
        (slow_head, "timeout"),
        (silent, "timeout"),
        (gigabyte, "too_large"),
        (endless, "too_large"),
        (cut_off, "bad_response"),
        (no_http, "bad_response"),
    ],
)
def test_a_hostile_registry_leaves_the_check_without_verdict(
    behave: Callable[[socket.socket], None], reason: str, tmp_path: Path
) -> None:
    """Within its time-out, and with the reason in the metric."""
    TrustKit().write_root(tmp_path / "trusted_root.json")
    with serving(behave) as address:
        on = Attached(None, "stellaops/scanner", "sha256:" + "0" * 64, False)  # type: ignore[arg-type]
        config = images(address, plain_http=True, scanner=on) | {"checks": ["signature"]}
        exporter = Exporter(tmp_path, config, timeout=1.0)
        began = time.monotonic()
        found = exporter.cycle()
    assert found["scanner", "signature"] == reason
    assert time.monotonic() - began < 6
    assert exporter.value(m.CHECK_ERRORS, check="signature", reason=reason) == 1
    assert exporter.verified("scanner", "signature") is None
