"""A server on this machine that answers as a test says, or misbehaves on the bare socket, and an exporter over it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from exporters.exposition import Exposition
from exporters.metrics import Metric
from exporters.service import KINDS, Service

Misbehaviour = Callable[[socket.socket], None]
Answer = Callable[[httpx.Request], httpx.Response | Misbehaviour]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def slow_drip(connection: socket.socket) -> None:
    """A byte now and then, each within any time-out of one read."""
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def gigabyte(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n{" % (1 << 30))


def endless(connection: socket.socket) -> None:
    """Chunks without end, and no length."""
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def truncated(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")


class _Handler(BaseHTTPRequestHandler):
    server: Loopback
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def do_GET(self) -> None:
        request = httpx.Request(self.command, f"{self.server.url}{self.path}", headers=dict(self.headers))
        self.server.asked.append(request)
        said = self.server.answer(request)
        if not isinstance(said, httpx.Response):
            self.close_connection = True
            with suppress(OSError):
                said(self.connection)
            return
        self.send_response(said.status_code)
        for name, value in said.headers.multi_items():
            self.send_header(name, value)
        if "content-length" not in said.headers:
            self.send_header("Content-Length", str(len(said.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.content)

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        """`asked` holds what matters."""


class Loopback(ThreadingHTTPServer):
    """For a `with` block. `answer` may be replaced while it serves."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Answer = lambda _: httpx.Response(404)) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"

    def __enter__(self) -> Loopback:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is expected."""


@contextmanager
def kept_logging() -> Iterator[None]:
    """A service sets up logging for its process; here it is one of many."""
    root, ours = logging.getLogger(), logging.getLogger("exporters")
    before = (root.handlers[:], root.level, ours.level)
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])


class Running:
    """An exporter as the command builds it, cycle by cycle, with a clock of its own. Within `kept_logging`."""

    def __init__(self, word: str, folder: Path, config: Mapping[str, Any], now: float) -> None:
        path = folder / f"{word}.yaml"
        quick = {"timeout": "1s", "interval": "1s", "log_level": "error"}
        path.write_text(yaml.safe_dump({**quick, **config}))
        self.now = now
        self.service = Service(KINDS[word], path, {}, clock=lambda: self.now)

    def cycle(self) -> None:
        self.service.loop.cycle()

    def exported(self) -> dict[str, float]:
        """What a scrape would show: the value of each series."""
        body = Exposition(self.service.instruments, self.service.stop).get("text/plain").plain.decode()
        lines = (line.rpartition(" ") for line in body.splitlines() if not line.startswith("#"))
        return {series: float(value) for series, _, value in lines}


def series(metric: Metric, **labels: str) -> str:
    """A series as it is written in an exposition."""
    said = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{metric.name}{{{said}}}" if said else metric.name
