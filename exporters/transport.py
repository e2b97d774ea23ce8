"""HTTP/1.1 over httpcore with one deadline for a whole exchange.

httpx bounds each read, so a server that sends a byte now and then holds a caller for ever. Here every connect,
handshake, read and write of a thread gets what is left until the thread's deadline.
"""

from __future__ import annotations

import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

CONNECTIONS = 64  # open at once, over all hosts


class Deadline(threading.local):
    """When the exchange of the calling thread must have ended, on `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.ends = math.inf

    def left(self) -> float:
        """Seconds that are left. Raises httpcore.ReadTimeout when there are none."""
        left = self.ends - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for the whole exchange is over")
        return min(left, 86_400.0)  # no larger number fits a socket's timeout


class TLSFailed(httpx.NetworkError):
    """The other side has no certificate that we trust, or speaks no TLS that we do."""


class _TLSError(httpcore.ConnectError):
    pass


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left())

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            stream = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left())
        except httpcore.ConnectError as error:
            raise _TLSError(str(error)) from error
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Every address of the host in turn, within the deadline; a name with many dead addresses ends with it."""
        found = _resolved(host, port, self._deadline.left())
        failure: Exception = httpcore.ConnectError("the name has no address")
        for number, (*_, address) in enumerate(found, 1):
            # Half of what is left, so that an address that swallows packets leaves time for the next one.
            seconds = self._deadline.left() / (1 if number == len(found) else 2)
            try:
                stream = self._inner.connect_tcp(
                    str(address[0]), port, seconds, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


def _resolved(host: str, port: int, seconds: float) -> list[Any]:
    """Addresses, in time: the system's resolver has time-outs of its own, which may be a minute."""
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label longer than DNS allows
            answers.put(error)

    threading.Thread(target=ask, name=f"resolve {host}", daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from None
    if isinstance(found, Exception):
        raise httpcore.ConnectError(f"the name cannot be resolved ({found})") from found
    return found


# What httpcore raises, and the httpx error that says the same.
_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (_TLSError, TLSFailed),
    (httpcore.TimeoutException, httpx.ReadTimeout),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.ProxyError, httpx.ProxyError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.ProtocolError, httpx.ProtocolError),
)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except tuple(ours for ours, _ in _ERRORS) as error:
        raise next(theirs for ours, theirs in _ERRORS if isinstance(error, ours))(str(error)) from error


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            with _translated():
                close()


class Transport(httpx.BaseTransport):
    """A pool of connections whose every step ends with `deadline`."""

    def __init__(self, context: ssl.SSLContext, clock: Callable[[], float] = time.monotonic) -> None:
        self.deadline = Deadline(clock)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS // 2,
            keepalive_expiry=30.0,
            network_backend=_Backend(self.deadline),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.SyncByteStream)
        with _translated():
            answer = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": {"pool": self.deadline.left()}},
                )
            )
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    def close(self) -> None:
        self._pool.close()
