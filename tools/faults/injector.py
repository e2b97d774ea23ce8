"""An HTTP proxy on loopback that stands in front of one server, and does to its answers what networks do."""

from __future__ import annotations

import http.client
import http.server
import os
import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

LONGEST = 60.0  # seconds that a hanging exchange is held; every client has given up by then
PAGE = b"<!doctype html><title>Sign in</title><h1>Accept the terms of this network</h1>"


@dataclass
class Fault:
    """One fault while it lasts; `over` is set at its end. `damaged` are the addresses that were damaged in it."""

    kind: str
    seed: int
    over: threading.Event = field(default_factory=threading.Event)
    damaged: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 # faults that can be had again


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said, read to its end."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Injector:
    """Listens at `address`, a port of its own, and asks `upstream` (host:port).

    `once` names addresses of which one fault damages one answer only: those whose refusal is a verdict after two
    looks, as the documentation says. Every other answer is damaged each time.
    """

    def __init__(self, upstream: str, once: Callable[[str], bool] = lambda path: True) -> None:
        self.upstream = upstream
        self.once = once
        self.fault: Fault | None = None
        self.damages = 0
        self._server = _Server(("127.0.0.1", 0), self)
        self.address = f"127.0.0.1:{self._server.server_port}"

    def inject(self, fault: Fault) -> None:
        self.fault = fault
        if fault.kind == "refused":
            self._server.end()

    def clear(self) -> None:
        fault, self.fault = self.fault, None
        if fault is None:
            return
        fault.over.set()
        if fault.kind == "refused":
            self._server = _Server(("127.0.0.1", int(self.address.rpartition(":")[2])), self)

    def close(self) -> None:
        self.clear()
        self._server.end()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, place: tuple[str, int], injector: Injector) -> None:
        super().__init__(place, _Handler)
        self.injector = injector
        self.open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def end(self) -> None:
        """Nobody listens any more, and open connections end."""
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what faults do."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        fault = self.server.injector.fault
        instead = None if fault is None else INSTEAD.get(fault.kind)
        if fault is not None and instead is not None:
            instead(self, fault)
            return
        try:
            answer = self._ask()
        except (OSError, http.client.HTTPException):
            self.reset()
            return
        alter = None if fault is None else ALTERED.get(fault.kind)
        if fault is None or alter is None:
            self.send(answer)
        else:
            alter(self, fault, answer)

    do_HEAD = do_GET

    def _ask(self) -> Answer:
        upstream = http.client.HTTPConnection(self.server.injector.upstream, timeout=LONGEST)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
            upstream.request(self.command, self.path, headers=headers)
            response = upstream.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            upstream.close()

    def head(self, answer: Answer, length: int) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, answer: Answer, body: bytes | None = None) -> None:
        if self.command == "HEAD":
            length = next((v for k, v in answer.headers if k.lower() == "content-length"), "0")
            self.head(answer, int(length))
            return
        body = answer.body if body is None else body
        self.head(answer, len(body))
        self.wfile.write(body)

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send(Answer(status, [(k.replace("_", "-"), v) for k, v in headers.items()], body))

    def reset(self) -> None:
        """End the connection with a RST."""
        self.close_connection = True
        self.server.open.discard(self.connection)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it had ended
        connection.shutdown(socket.SHUT_RDWR)


# ---- in place of an answer -------------------------------------------------------------------------


def _hang(to: _Handler, fault: Fault) -> None:
    fault.over.wait(LONGEST)
    to.reset()


def _garbage(to: _Handler, fault: Fault) -> None:
    to.close_connection = True
    to.wfile.write(fault.chance.randbytes(2000))


def _endless(to: _Handler, fault: Fault) -> None:
    to.close_connection = True
    to.send_response_only(200)
    to.end_headers()
    while not fault.over.is_set():
        to.wfile.write(bytes(1 << 16))


INSTEAD: dict[str, Callable[[_Handler, Fault], None]] = {
    "reset": lambda to, fault: to.reset(),
    "hung": _hang,
    "500": lambda to, fault: to.say(500, b"internal error"),
    "503": lambda to, fault: to.say(503, b"try later", Retry_After="1"),
    "429": lambda to, fault: to.say(429, b"too many requests", Retry_After="1"),
    "403": lambda to, fault: to.say(403, b"forbidden"),
    "page": lambda to, fault: to.say(200, PAGE, Content_Type="text/html"),
    "garbage": _garbage,
    "endless": _endless,
}

# ---- the answer, and something done to it ------------------------------------------------------------


def _slow(to: _Handler, fault: Fault, answer: Answer) -> None:
    fault.over.wait(fault.chance.uniform(0.02, 0.3))
    to.send(answer)


def _drip(to: _Handler, fault: Fault, answer: Answer) -> None:
    """A byte now and then."""
    to.close_connection = True
    if to.command == "HEAD":  # it has no body to drip
        _hang(to, fault)
        return
    to.head(answer, len(answer.body))
    for n in range(len(answer.body)):
        if fault.over.wait(0.2):
            return
        to.wfile.write(answer.body[n : n + 1])


def _corrupt(to: _Handler, fault: Fault, answer: Answer) -> None:
    """Some flipped bits in what was found."""
    injector = to.server.injector
    spared = answer.status != 200 or not answer.body or to.command == "HEAD"
    if spared or (injector.once(to.path) and to.path in fault.damaged):
        to.send(answer)
        return
    fault.damaged.add(to.path)
    injector.damages += 1
    body = bytearray(answer.body)
    for _ in range(fault.chance.randint(1, 3)):
        body[fault.chance.randrange(len(body))] ^= 1 << fault.chance.randrange(8)
    to.send(answer, bytes(body))


def _truncate(to: _Handler, fault: Fault, answer: Answer) -> None:
    """Half of the body, and the end of the connection."""
    to.close_connection = True
    if to.command == "HEAD" or not answer.body:
        to.reset()
        return
    to.head(answer, len(answer.body))
    to.wfile.write(answer.body[: len(answer.body) // 2])


def _cut(to: _Handler, fault: Fault, answer: Answer) -> None:
    """Half of the body as if it were the whole, as a broken cache does; of a HEAD, nothing at all."""
    injector = to.server.injector
    if answer.status != 200 or to.command == "HEAD" or (injector.once(to.path) and to.path in fault.damaged):
        to.send(answer)
        return
    fault.damaged.add(to.path)
    injector.damages += 1
    to.send(answer, answer.body[: len(answer.body) // 2])


ALTERED: dict[str, Callable[[_Handler, Fault, Answer], None]] = {
    "slow": _slow,
    "drip": _drip,
    "corrupt": _corrupt,
    "truncate": _truncate,
    "cut": _cut,
}
KINDS = ("refused", *INSTEAD, *ALTERED)
PARTIAL = ("slow", "corrupt", "cut")  # faults in which some checks still reach a verdict
