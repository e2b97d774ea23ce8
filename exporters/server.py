"""The HTTP server: metrics, health, probes and a landing page. Hostile clients cost it bounded time and threads."""

from __future__ import annotations

import io
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs

from exporters import page, probe
from exporters.config import split_address
from exporters.exposition import Exposition, accepts_gzip
from exporters.loop import Loop
from exporters.webconfig import Guard

log = logging.getLogger(__name__)

CONNECTIONS = 128  # open at once; when they are used up, the one that idles longest is closed
IDLE = 120.0  # seconds a connection may wait between two requests; scrapes keep theirs open
HEAD = 5.0  # seconds for a TLS handshake, and from a request's first byte to the end of its head
SEND = 30.0  # seconds for a client to take an answer

PLAIN = "text/plain; charset=utf-8"
OPEN = ("/-/healthy", "/-/ready")  # need no password: a kubelet has none, and they tell nothing


@dataclass(frozen=True, slots=True)
class Site:
    """What is served."""

    loop: Loop
    exposition: Exposition
    guard: Guard
    state: Callable[[], page.State]
    clock: Callable[[], float] = time.time
    probes: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(8))


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def _text(status: HTTPStatus, sentence: str, **headers: str) -> Answer:
    return Answer(
        status, PLAIN, f"{sentence}\n".encode(), {k.replace("_", "-"): v for k, v in headers.items()}
    )


class _TimedReader(io.RawIOBase):
    """Reads of a socket that end with a deadline: long for the first byte of a request, short for its head."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ends = 0.0
        self._first = True

    def begin(self) -> None:
        self._ends, self._first = time.monotonic() + IDLE, True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        if self._first:
            self._ends, self._first = time.monotonic() + HEAD, False
        return count


class Handler(BaseHTTPRequestHandler):
    """One connection, in a thread of its own."""

    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._reader = _TimedReader(self.connection)
        self.rfile = io.BufferedReader(self._reader, 16384)

    def handle_one_request(self) -> None:
        self._reader.begin()
        self.server.idles(self.connection)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.server.works(self.connection)
        return super().parse_request()

    def do_GET(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # a body that is not read must not be taken for the next request
        try:
            answer = self._route()
        except Exception:
            log.exception("%s could not be answered", self.path.partition("?")[0])
            answer = _text(HTTPStatus.INTERNAL_SERVER_ERROR, "An error of the exporter; its log says more.")
        self._send(answer)

    do_HEAD = do_GET

    def _refuse_method(self) -> None:
        self.close_connection = True
        self._send(_text(HTTPStatus.METHOD_NOT_ALLOWED, "Use GET or HEAD.", Allow="GET, HEAD"))

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = _refuse_method

    def _route(self) -> Answer:
        site = self.server.site
        path, _, query = self.path.partition("?")
        if path not in OPEN:
            if not site.guard.within_rate():
                return _text(HTTPStatus.TOO_MANY_REQUESTS, "More requests than the web configuration allows.")
            if not site.guard.authorized(self.headers.get("Authorization")):
                return _text(
                    HTTPStatus.UNAUTHORIZED, "A user and password are needed.", WWW_Authenticate="Basic"
                )
        match path:
            case "/metrics":
                return self._metrics()
            case "/-/healthy":
                return _text(HTTPStatus.OK, "Healthy.")
            case "/-/ready" if site.loop.ready.is_set():
                return _text(HTTPStatus.OK, "Ready.")
            case "/-/ready":
                return _text(HTTPStatus.SERVICE_UNAVAILABLE, "Not ready: the first cycle has not ended.")
            case "/probe":
                return self._probe(query)
            case "/":
                now = site.clock()
                body = page.render(site.state(), site.loop.findings(), now)
                policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # fmt: skip
                return Answer(
                    HTTPStatus.OK, "text/html; charset=utf-8", body, {"Content-Security-Policy": policy}
                )
            case _:
                return _text(HTTPStatus.NOT_FOUND, "There is /, /metrics, /probe?target=NAME, /-/healthy and /-/ready.")  # fmt: skip

    def _metrics(self) -> Answer:
        body = self.server.site.exposition.get(self.headers.get("Accept", ""))
        vary = {"Vary": "Accept, Accept-Encoding"}
        if accepts_gzip(self.headers.get("Accept-Encoding", "")):
            return Answer(
                HTTPStatus.OK, body.content_type, body.gzipped, {**vary, "Content-Encoding": "gzip"}
            )
        return Answer(HTTPStatus.OK, body.content_type, body.plain, vary)

    def _probe(self, query: str) -> Answer:
        loop, probes = self.server.site.loop, self.server.site.probes
        try:
            names = parse_qs(query, max_num_fields=16).get("target", [])
            limit = probe.time_limit(
                self.headers.get("X-Prometheus-Scrape-Timeout-Seconds"), loop.settings.check_timeout
            )
        except ValueError as error:
            return _text(HTTPStatus.BAD_REQUEST, f"The probe cannot be made: {error}.")
        # The name of a configured target, never a URL: nobody can make this process ask what he likes.
        if len(names) != 1 or not loop.knows(names[0]):
            return _text(HTTPStatus.BAD_REQUEST, "Give one target, by the name it is configured with; the landing page lists them.")  # fmt: skip
        if not probes.acquire(blocking=False):
            return _text(HTTPStatus.SERVICE_UNAVAILABLE, "Too many probes are under way.")
        began = time.monotonic()
        try:
            findings = loop.check_now(names[0], limit)
        finally:
            probes.release()
        return Answer(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", probe.render(findings, time.monotonic() - began))  # fmt: skip

    def _send(self, answer: Answer) -> None:
        """Head and body in one write: one system call, one turn at the interpreter's lock."""
        headers = {
            "Date": self.date_time_string(),
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Connection": "close" if self.close_connection else "keep-alive",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **answer.headers,
            **self.server.site.guard.headers(),
        }
        lines = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "\r\n"]).encode("latin-1")
        self.log_request(answer.status)
        self.connection.settimeout(SEND)
        self.wfile.write(head if self.command == "HEAD" else head + answer.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class says to a request that it cannot read."""
        self.close_connection = True
        self._send(_text(HTTPStatus(code), message or "The request cannot be read."))

    def finish(self) -> None:
        self.server.works(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        log.debug("%s: %s", self.address_string(), format % args)


class Server(socketserver.ThreadingMixIn, HTTPServer):
    """Listens on `address` (HOST:PORT). Raises OSError when it is taken."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: str, site: Site) -> None:
        host, port = split_address(address)
        self.site = site
        self._slots = threading.Semaphore(CONNECTIONS)
        self._idle: dict[socket.socket, None] = {}  # in the order they began to idle
        self._lock = threading.Lock()
        # All interfaces of both families where there is IPv6, else those of IPv4.
        self._dual = host == "" and socket.has_dualstack_ipv6()
        v6 = self._dual or ":" in host
        self.address_family = socket.AF_INET6 if v6 else socket.AF_INET
        super().__init__(("::" if self._dual else host, port), Handler)

    def server_bind(self) -> None:
        if self._dual:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)  # HTTPServer would look up a name in DNS
        self.server_name, self.server_port = "slo-exporter", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            with self._lock:
                oldest = next(iter(self._idle), None)
                if oldest is not None:
                    del self._idle[oldest]
            if oldest is not None:
                _end(oldest)
            if not self._slots.acquire(timeout=1.0):
                self.shutdown_request(request)
                return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's thread: a client that is slow to shake hands holds up nobody."""
        context = self.site.guard.context()
        if context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(HEAD)
        with context.wrap_socket(request, server_side=True) as connection:
            if self.site.guard.admits(connection):
                super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a connection of %s broke off", client_address[0], exc_info=True)

    def idles(self, connection: socket.socket) -> None:
        with self._lock:
            self._idle[connection] = None

    def works(self, connection: socket.socket) -> None:
        with self._lock:
            self._idle.pop(connection, None)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it ended by itself
        log.debug("an idle connection had ended")
