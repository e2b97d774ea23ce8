"""Options and fixtures of the whole suite."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import settings

# No deadline: on a busy machine it fails tests for being slow once. Few examples: every run tries others.
settings.register_profile("suite", deadline=None, max_examples=60)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regenerate-goldens",
        action="store_true",
        help="write tests/golden/*/expected anew; review the difference as text, for sense",
    )


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that is not marked live reaches this machine only."""
    if request.node.get_closest_marker("live") is not None:
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            pytest.fail(f"this test asks {address[0]}: mark it live, or give it a transport")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
