"""The one HTTP client of the exporters. Whatever a server does ends in time, in bounds, and with a reason."""

from __future__ import annotations

import copy
import hashlib
import math
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import BinaryIO

import httpx

from exporters.backoff import Backoff, retry_after
from exporters.outcome import CouldNotCheck
from exporters.transport import TLSFailed, Transport

REDIRECTS = 5
# What another origin may learn of a request that was redirected there. Everything else may be a credential.
HARMLESS = ("accept", "accept-encoding", "host", "range", "user-agent")
SAFE = ("GET", "HEAD")  # may be sent again when it is not known whether they arrived


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of status 2xx to 4xx, but 429. `url` is where it came from, after redirects."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: str


class UnexpectedStatus(CouldNotCheck):
    """A blob was answered with another status than 200; a registry client judges 401 and 404 itself."""

    def __init__(self, shown: str, status: int, headers: httpx.Headers) -> None:
        super().__init__("bad_response", f"{shown} answered {status}")
        self.status = status
        self.headers = headers


class _Retry(Exception):
    """An attempt failed in a way that another one may mend."""

    def __init__(self, failure: CouldNotCheck, again: bool = True, wish: float | None = None) -> None:
        super().__init__(failure.detail)
        self.failure = failure
        self.again = again
        self.wish = wish


class Fetcher:
    """Thread-safe. `timeout`, in seconds, bounds one whole call: retries, redirects, waits and the last byte.

    Every failure is a CouldNotCheck: unreachable (DNS, connection, TLS), timeout, rate_limited (429), too_large
    (a body over `max_bytes` once decompressed), bad_response (5xx, a redirect that is not followed, broken HTTP).
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        max_bytes: int = 4 << 20,
        attempts: int = 3,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        wall: Callable[[], float] = time.time,
        backoff: Backoff | None = None,
    ) -> None:
        self.timeout = timeout
        self.max_bytes = max_bytes
        self._attempts = attempts
        self._clock, self._sleep, self._wall = clock, sleep, wall
        self._backoff = Backoff(clock) if backoff is None else backoff
        context = verify if isinstance(verify, ssl.SSLContext) else httpx.create_ssl_context(verify=verify)
        self._transport = Transport(context, clock) if transport is None else transport
        self._agent = f"stella-slo-exporter/{version('stella-slo')}"

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        redirects: bool = True,
    ) -> Response:
        """GET. With `redirects` another host is followed, without credentials; else only the same host is."""
        return self.request("GET", url, headers=headers, max_bytes=max_bytes, redirects=redirects)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        max_bytes: int | None = None,
        redirects: bool = False,
    ) -> Response:
        """Any method. What is not GET or HEAD is sent again only when the server said it did not take it."""
        body = bytearray()

        def keep(chunks: Iterator[bytes]) -> None:
            body.clear()
            for chunk in chunks:
                body.extend(chunk)

        limit = self.max_bytes if max_bytes is None else max_bytes
        try:
            status, found, final = self._call(method, url, headers, content, limit, redirects, keep)
        except BaseException:
            body.clear()  # the traceback, which holds it, lives until the next collection of cycles
            raise
        return Response(status, found, bytes(body), final)

    def stream_to(
        self, url: str, file: BinaryIO, *, headers: Mapping[str, str] | None = None, max_bytes: int
    ) -> str:
        """GET a blob into an open, seekable file; returns the sha256 of what was written, in hex.

        A status other than 200 raises UnexpectedStatus. After a failure the file is back at its former end.
        """
        start = file.tell()
        digest = hashlib.sha256()

        def keep(chunks: Iterator[bytes]) -> None:
            nonlocal digest
            digest = hashlib.sha256()
            file.seek(start)
            file.truncate()
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)

        try:
            status, found, _ = self._call("GET", url, headers, None, max_bytes, True, keep)
            if status != 200:
                raise UnexpectedStatus(_shown(url), status, found)
        except BaseException:
            file.seek(start)
            file.truncate()
            raise
        return digest.hexdigest()

    def alike(self, *, timeout: float | None = None, attempts: int | None = None) -> Fetcher:
        """The same client, with the same connections and backoff, for calls that may take longer or are made once."""
        other = copy.copy(self)
        other.timeout = self.timeout if timeout is None else timeout
        other._attempts = self._attempts if attempts is None else attempts
        return other

    def close(self) -> None:
        self._transport.close()

    # ---- one call: attempts, waits, redirects ----------------------------------------------

    def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        limit: int,
        redirects: bool,
        keep: Callable[[Iterator[bytes]], None],
    ) -> tuple[int, httpx.Headers, str]:
        ends = self._clock() + self.timeout
        here = _parse(url)
        try:
            sent = httpx.Headers(
                {"User-Agent": self._agent, "Accept-Encoding": "identity", **(headers or {})}
            )
        except UnicodeError:  # a token from a hostile token service
            raise CouldNotCheck("bad_response", f"{_shown(url)}: a header to send is not ASCII") from None
        for _ in range(REDIRECTS + 1):
            answer = self._persistently(
                httpx.Request(method, here, headers=sent, content=content), limit, keep, ends
            )
            status, found = answer
            if status not in (301, 302, 303, 307, 308) or "location" not in found:
                return status, found, str(here)
            there = _parse(found["location"], here)
            _judge_redirect(method, here, there, redirects)
            if not _same_origin(here, there):
                sent = httpx.Headers({k: v for k, v in sent.items() if k in HARMLESS})
            here = there
        raise CouldNotCheck("bad_response", f"{_shown(url)} redirects more than {REDIRECTS} times")

    def _persistently(
        self, request: httpx.Request, limit: int, keep: Callable[[Iterator[bytes]], None], ends: float
    ) -> tuple[int, httpx.Headers]:
        host = request.url.netloc.decode("ascii")
        for attempt in range(1, self._attempts + 1):
            self._wait(host, ends)
            began = self._clock()
            try:
                answer = self._attempt(request, limit, keep, ends)
            except _Retry as retry:
                failure = retry.failure
                self._backoff.failed(host, began, failure.reason, failure.detail, retry.wish)
                if attempt == self._attempts or not retry.again:
                    raise failure from retry.__cause__
            else:
                self._backoff.succeeded(host)
                return answer
        raise AssertionError("attempts is at least 1")

    def _wait(self, host: str, ends: float) -> None:
        """Wait until the host may be asked; for half of the time that is left at most, then give up."""
        seconds, reason, detail = self._backoff.wait(host)
        if seconds <= 0:
            return
        if seconds > (ends - self._clock()) / 2:
            raise CouldNotCheck(
                reason, f"{host} is not asked for another {math.ceil(seconds)} s, because it failed: {detail}"
            )
        self._sleep(seconds)

    def _attempt(
        self, request: httpx.Request, limit: int, keep: Callable[[Iterator[bytes]], None], ends: float
    ) -> tuple[int, httpx.Headers]:
        shown, safe = _shown(str(request.url)), request.method in SAFE
        if isinstance(self._transport, Transport):
            self._transport.deadline.ends = ends
        try:
            response = self._transport.handle_request(request)
            try:
                status = response.status_code
                if status == 429 or status >= 500:
                    raise self._pushed_back(response, shown, safe)
                if status < 200:
                    raise CouldNotCheck("bad_response", f"{shown} answered {status}")
                keep(self._body(request, response, limit, shown, ends))
                return status, response.headers
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise _Retry(
                CouldNotCheck("timeout", f"{shown} did not answer in full within {self.timeout:g} s"), False
            ) from error
        except httpx.NetworkError as error:
            tls = isinstance(error, TLSFailed)
            what = "TLS failed" if tls else "the connection failed"
            raise _Retry(
                CouldNotCheck("unreachable", f"{shown}: {what} ({error})"), safe and not tls
            ) from error
        except httpx.TransportError as error:
            raise _Retry(
                CouldNotCheck("bad_response", f"{shown} broke off or broke HTTP ({error})"), safe
            ) from error

    def _pushed_back(self, response: httpx.Response, shown: str, safe: bool) -> _Retry:
        status = response.status_code
        wish = (
            retry_after(response.headers.get("retry-after"), self._wall()) if status in (429, 503) else None
        )
        reason = "rate_limited" if status == 429 else "bad_response"
        asked = "" if wish is None else f" and asks to wait {wish:.0f} s"
        # 429 and 503 say that the request was not taken: any method may be sent again.
        return _Retry(
            CouldNotCheck(reason, f"{shown} answered {status}{asked}"), safe or status in (429, 503), wish
        )

    def _body(
        self, request: httpx.Request, response: httpx.Response, limit: int, shown: str, ends: float
    ) -> Iterator[bytes]:
        """The body in pieces, decompressed, up to `limit` bytes."""
        if request.method == "HEAD":
            return
        size = 0
        for chunk in _decoded(response, limit, shown):
            size += len(chunk)
            if size > limit:
                raise _too_large(shown, limit)
            if self._clock() > ends:
                raise httpx.ReadTimeout("the time for the whole exchange is over")
            yield chunk


def _too_large(shown: str, limit: int) -> CouldNotCheck:
    return CouldNotCheck("too_large", f"{shown} is larger than the {limit} bytes that are read")


def _decoded(response: httpx.Response, limit: int, shown: str) -> Iterator[bytes]:
    """httpx would inflate a whole piece at once, a thousandfold; this inflates 64 KiB at a time."""
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > limit:
        raise _too_large(shown, limit)
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        yield from response.stream  # type: ignore[misc] # a synchronous transport's
        return
    if coding not in ("gzip", "x-gzip"):
        raise CouldNotCheck("bad_response", f"{shown} is encoded as {coding!r}, which was not asked for")
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        for piece in response.stream:  # type: ignore[union-attr] # as above
            data = piece
            while data and not inflate.eof:
                yield inflate.decompress(data, 1 << 16)
                data = inflate.unconsumed_tail
    except zlib.error as error:
        raise CouldNotCheck("bad_response", f"{shown} says it is gzip and is not ({error})") from error
    if not inflate.eof:
        raise CouldNotCheck("bad_response", f"{shown} is gzip that breaks off")


# ---- URLs ------------------------------------------------------------------------------------


def _parse(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        found = httpx.URL(url) if base is None else base.join(url)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise CouldNotCheck("bad_response", f"{_shown(url)!r} is no URL ({error})") from None
    if found.scheme not in ("http", "https") or not found.host:
        raise CouldNotCheck("bad_response", f"{_shown(url)!r} is no http or https URL")
    if found.userinfo:
        raise CouldNotCheck("bad_response", f"{_shown(str(found))} carries a user in its URL: refused")
    return found.copy_with(fragment=None) if found.fragment else found  # a copy costs as much as the parsing


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, _port(one)) == (other.scheme, other.host, _port(other))


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else {"http": 80, "https": 443}[url.scheme]


def _judge_redirect(method: str, here: httpx.URL, there: httpx.URL, elsewhere: bool) -> None:
    """Raises unless the redirect may be followed."""
    sentence = f"{_shown(str(here))} redirects to {_shown(str(there))}"
    if method not in SAFE:
        raise CouldNotCheck("bad_response", f"{sentence}: a {method} follows no redirect")
    upgrade = (here.scheme, there.scheme) == ("http", "https") and here.host == there.host
    if not elsewhere and not upgrade and not _same_origin(here, there):
        raise CouldNotCheck("bad_response", f"{sentence}, another host: not followed")


def _shown(url: str) -> str:
    """A URL for a sentence: without user, query and fragment, which may hold secrets, and not too long."""
    bare = url.split("?", 1)[0].split("#", 1)[0]
    scheme, mark, rest = bare.partition("://")
    if mark:
        host, slash, path = rest.partition("/")
        bare = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    return bare if len(bare) <= 200 else f"{bare[:200]}…"
