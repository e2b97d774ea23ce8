"""What a proxy that breaks answers makes of them, as the exporters' client sees it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck
from tools.faults.injector import KINDS, Fault, Injector

BODY = bytes(range(200))


class _Bytes(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def injector() -> Iterator[Injector]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Bytes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = Injector(f"127.0.0.1:{server.server_port}", lambda path: path == "/once")
    yield made
    made.close()
    server.shutdown()
    server.server_close()


def get(injector: Injector, path: str = "/always") -> str:
    """ "whole", "other", a status, or why there is no answer."""
    fetcher = Fetcher(timeout=0.5, attempts=1)
    try:
        answer = fetcher.get(f"http://{injector.address}{path}", max_bytes=10_000)
    except CouldNotCheck as error:
        return error.reason
    finally:
        fetcher.close()
    return ("whole" if answer.body == BODY else "other") if answer.status == 200 else str(answer.status)


EXPECTED = {
    "refused": "unreachable", "reset": "unreachable", "hung": "timeout", "500": "bad_response", "503": "bad_response",
    "429": "rate_limited", "403": "403", "page": "other", "garbage": "bad_response", "endless": "too_large",
    "slow": "whole", "drip": "timeout", "corrupt": "other", "truncate": "bad_response", "cut": "other",
}  # fmt: skip


def test_every_kind_of_fault_is_looked_at() -> None:
    """None is missing below."""
    assert set(EXPECTED) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_begins_and_ends(injector: Injector, kind: str) -> None:
    """Before and after it the answer is the server's own."""
    assert get(injector) == "whole"
    injector.inject(Fault(kind, 1))
    assert get(injector) == EXPECTED[kind]
    injector.clear()
    assert get(injector) == "whole"


@pytest.mark.parametrize(("path", "second"), [("/once", "whole"), ("/always", "other")])
def test_some_addresses_are_damaged_once_in_a_fault(injector: Injector, path: str, second: str) -> None:
    """Those whose refusal is a verdict after two looks."""
    injector.inject(Fault("corrupt", 1))
    assert [get(injector, path), get(injector, path)] == ["other", second]
