"""HTTP/1.1 over http.client with one deadline for a whole exchange.

httpx bounds each read, so a server that sends a byte now and then holds a caller for ever. Here the connect, the
handshake, every read and every write of a thread get what is left until the thread's deadline. It costs about two
thirds of httpx's own transport, which a cycle over a thousand images pays seven times an image.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import math
import queue
import select
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

IDLE = 32  # connections that are kept, over all hosts
IDLE_SECONDS = 30.0
PIECE = 1 << 16  # bytes of a body that are read at once

Origin = tuple[str, str, int]  # scheme, host, port


class TLSFailed(httpx.NetworkError):
    """The other side has no certificate that we trust, or speaks no TLS that we do."""


class Deadline(threading.local):
    """When the exchange of the calling thread must have ended, on `clock`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.ends = math.inf

    def left(self) -> float:
        """Seconds that are left. Raises TimeoutError when there are none."""
        left = self.ends - self._clock()
        if left <= 0:
            raise TimeoutError("the time for the whole exchange is over")
        return min(left, 86_400.0)  # no larger number fits a socket's timeout


# ---- connections ------------------------------------------------------------------------------


class _Bounded(io.RawIOBase):
    """A socket's bytes, each read within the deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        self._sock.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Buffer(io.BufferedReader):
    """Closed, it knows whether the server had sent more than the answer."""

    over = False

    def __init__(self, source: _Bounded) -> None:
        super().__init__(source, PIECE)
        self._source = source

    def close(self) -> None:
        if not self.closed:
            self._source.ended = True  # peek would wait for more
            self.over = bool(self.peek())
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, deadline: Deadline, sock: socket.socket, **how: Any) -> None:
        super().__init__(sock, **how)
        self.fp = self.buffer = _Buffer(_Bounded(self.fp.detach(), sock, deadline))

    @property
    def at_rest(self) -> bool:
        """Closed, and the connection is good for another exchange."""
        return not self.will_close and not self.buffer.over


class _Connection(http.client.HTTPConnection):
    def __init__(self, origin: Origin, context: ssl.SSLContext, deadline: Deadline) -> None:
        scheme, host, port = origin
        super().__init__(host, port)
        self.origin = origin
        self.idle_since = 0.0
        self.response_class = functools.partial(_Answer, deadline)  # type: ignore[assignment] # called as the class is
        self._context = context if scheme == "https" else None
        self._deadline = deadline

    def connect(self) -> None:
        sock = _connected(self.host, self.port, self._deadline)
        if self._context is not None:
            try:
                sock.settimeout(self._deadline.left())
                sock = self._context.wrap_socket(sock, server_hostname=self.host)
            except BaseException as error:
                sock.close()
                if isinstance(error, ssl.SSLError):
                    raise TLSFailed(str(error)) from error
                raise
        self.sock = sock

    @property
    def usable(self) -> bool:
        """Nothing came while it was idle: neither an end, nor what nobody asked for."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def send_request(self, request: httpx.Request, body: bytes) -> _Answer:
        self.putrequest(request.method, request.url.raw_path.decode("ascii"), True, True)
        for name, value in request.headers.raw:
            self.putheader(name, value)
        if self.sock is None:
            self.connect()
        self.sock.settimeout(self._deadline.left())
        self.endheaders(body or None)
        answer = self.getresponse()
        assert isinstance(answer, _Answer)
        return answer


def _connected(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Every address of the host in turn, within the deadline; a name with many dead addresses ends with it."""
    found = _resolved(host, port, deadline.left())
    failure: OSError = OSError("the name has no address")
    for number, (family, kind, protocol, _, address) in enumerate(found, 1):
        # Half of what is left, so that an address that swallows packets leaves time for the next one.
        seconds = deadline.left() / (1 if number == len(found) else 2)
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # IPv6 on a machine that has none
            failure = error
            continue
        try:
            sock.settimeout(seconds)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
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
        raise TimeoutError(f"{host} was not resolved in time") from None
    if isinstance(found, Exception):
        raise OSError(f"the name cannot be resolved ({found})") from found
    return found


# ---- exchanges --------------------------------------------------------------------------------


@contextmanager
def _translated() -> Iterator[None]:
    """The errors of httpx for those of sockets and http.client."""
    try:
        yield
    except http.client.HTTPException as error:
        raise httpx.RemoteProtocolError(str(error) or type(error).__name__) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except OSError as error:
        raise httpx.NetworkError(str(error)) from error


def _framed(answer: http.client.HTTPResponse) -> None:
    """Refuse what http.client would guess about: two readers of such an answer see two different ones."""
    if answer.headers.defects:
        raise httpx.RemoteProtocolError("its header has a line that is none")
    codings = answer.headers.get_all("transfer-encoding", [])
    lengths = set(answer.headers.get_all("content-length", []))
    if codings and (lengths or [c.strip().lower() for c in codings] != ["chunked"]):
        raise httpx.RemoteProtocolError("its transfer encoding is not only chunked")
    if len(lengths) > 1 or not all(n.isascii() and n.isdigit() and len(n) < 20 for n in lengths):
        raise httpx.RemoteProtocolError("its Content-Length is no number of bytes")


class _Body(httpx.SyncByteStream):
    """What comes after the head. Read to its end, it leaves the connection for the next exchange."""

    def __init__(self, answer: _Answer, connection: _Connection, keep: Callable[[_Connection], None]) -> None:
        self._answer, self._connection, self._keep = answer, connection, keep
        self._ended = answer.length == 0  # also after a HEAD

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            while piece := self._answer.read(PIECE):
                yield piece
        if self._answer.length:
            raise httpx.RemoteProtocolError(f"the last {self._answer.length} bytes are missing")
        self._ended = True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._answer.close()
        if self._ended and self._answer.at_rest:
            self._keep(self._connection)
        else:
            self._connection.close()


class Transport(httpx.BaseTransport):
    """Connections whose every step ends with `deadline`, kept for the next exchange. Thread-safe."""

    def __init__(self, context: ssl.SSLContext, clock: Callable[[], float] = time.monotonic) -> None:
        self.deadline = Deadline(clock)
        context.set_alpn_protocols(["http/1.1"])
        self._context = context
        self._idle: deque[_Connection] = deque()  # the one that was used last is last
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        port = url.port or {"http": 80, "https": 443}[url.scheme]
        connection = self._connection((url.scheme, url.raw_host.decode("ascii"), port))
        try:
            with _translated():
                answer = connection.send_request(request, request.read())
                _framed(answer)
        except ValueError as error:  # a header that would end its line
            connection.close()
            raise httpx.LocalProtocolError(str(error)) from error
        except BaseException:
            connection.close()
            raise
        headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer, connection, self._keep))

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.close()

    def _connection(self, origin: Origin) -> _Connection:
        """One that is kept and still good, else a new one, not yet connected."""
        while (connection := self._kept(origin)) is not None:
            if time.monotonic() - connection.idle_since < IDLE_SECONDS and connection.usable:
                return connection
            connection.close()
        return _Connection(origin, self._context, self.deadline)

    def _kept(self, origin: Origin) -> _Connection | None:
        with self._lock:
            for connection in reversed(self._idle):
                if connection.origin == origin:
                    self._idle.remove(connection)
                    return connection
        return None

    def _keep(self, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            self._idle.append(connection)
            over = self._idle.popleft() if len(self._idle) > IDLE else None
        if over is not None:
            over.close()
