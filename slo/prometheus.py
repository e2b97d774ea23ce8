"""A small client of Prometheus' HTTP API: mandatory time-outs, capped answers, failures that say so.

It speaks to whatever serves that API: Prometheus 2 and 3, Mimir, Thanos, VictoriaMetrics.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from slo.errors import QueryError
from slo.http_config import Access

TIMEOUT = 15.0  # seconds for one request
LARGEST = 32 * 1024 * 1024  # bytes of one answer
PAUSES = (0.2, 1.0)  # seconds before the second and the third attempt; there is no fourth
_AGAIN = frozenset({502, 503, 504})  # answers of a proxy or of a server that is starting


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query: labels, and the value as Prometheus printed it."""

    labels: Mapping[str, str]
    value: str
    time: float

    @property
    def name(self) -> str:
        return self.labels.get("__name__", "")

    @property
    def decimal(self) -> Decimal | None:
        """The value, exactly as printed; None for NaN and infinities, which measure nothing."""
        try:
            value = Decimal(self.value)
        except InvalidOperation:
            return None
        return value if value.is_finite() else None


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query: labels, and (time, value as printed) in order of time."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, str], ...]


class Prometheus:
    """Queries of one server. Every failure is a QueryError.

    `queries` counts what was asked, `warnings` keeps what the server warned of: an answer with warnings may be
    partial. `skew` is the server's clock minus ours in seconds, as far as its Date header tells (whole seconds).
    """

    def __init__(
        self,
        url: str,
        transport: httpx.BaseTransport | None = None,
        timeout: float = TIMEOUT,
        access: Access | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise QueryError(
                f"{without_user(url)!r} is no URL of a Prometheus: write it with http:// or https://"
            )
        access = access or Access()
        self._base = url.rstrip("/")
        self.url = without_user(self._base)
        self.queries = 0
        self.warnings: list[str] = []
        self.skew = 0.0
        self._timeout, self._sleep, self._clock = timeout, sleep, clock
        self._extensions = {"sni_hostname": access.server_name} if access.server_name else {}
        self._client = httpx.Client(
            timeout=timeout, transport=transport, follow_redirects=False, verify=access.verify, auth=access.auth,
            headers={"User-Agent": "stella-slo", **access.headers},
        )  # fmt: skip

    def __enter__(self) -> Prometheus:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def query(self, expr: str, at: float | None = None) -> list[Sample]:
        """An instant query that yields a vector."""
        form = {"query": expr} | ({} if at is None else {"time": f"{at:.3f}"})
        with self._shape("a query"):
            rows = self._rows("query", form, expr, "vector")
            return [Sample(r["metric"], str(r["value"][1]), float(r["value"][0])) for r in rows]

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """A range query: `start`, `end` in Unix time, `step` in seconds."""
        form = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        with self._shape("a range query"):
            rows = self._rows("query_range", form, expr, "matrix")
            return [Series(r["metric"], tuple((float(t), str(v)) for t, v in r["values"])) for r in rows]

    def get(self, path: str, shape: type = object, **params: str) -> Any:
        """The `data` of any other API path, such as "metadata" or "status/flags"; `shape` is its type."""
        data = self._api("GET", path, params)
        if not isinstance(data, shape):
            raise QueryError(f"{self.url} answered {path} in a shape that is not Prometheus'")
        return data

    def _rows(self, path: str, form: Mapping[str, str], expr: str, kind: str) -> Iterator[Any]:
        data = self._api("POST", path, form)
        if data["resultType"] != kind:
            raise QueryError(f"{expr} yields a {data['resultType']}, not a {kind}")
        return iter(data["result"])

    def _shape(self, what: str) -> _Shape:
        return _Shape(f"{self.url} answered {what} in a shape that is not Prometheus'")

    def _api(self, method: str, path: str, values: Mapping[str, str]) -> Any:
        self.queries += 1
        sent: dict[str, Any] = {"data": values} if method == "POST" else {"params": values}
        for pause in (*PAUSES, None):
            try:
                status, body = self._once(method, f"{self._base}/api/v1/{path}", sent)
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                if pause is None or not isinstance(error, httpx.TransportError):
                    said = str(error) or type(error).__name__
                    raise QueryError(f"cannot ask {self.url}: {said}") from None
            else:
                if pause is None or status not in _AGAIN:
                    return self._data(status, body, path)
            self._sleep(pause)
        raise AssertionError

    def _once(self, method: str, url: str, sent: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body of one attempt, which ends after the time-out however slowly bytes drip."""
        ends = time.monotonic() + self._timeout
        with self._client.stream(method, url, extensions=self._extensions, **sent) as response:
            self._tell_time(response.headers.get("date", ""))
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise QueryError(
                        f"{self.url} answered with more than {LARGEST >> 20} MiB: narrow the query"
                    )
                if time.monotonic() > ends:
                    raise QueryError(f"cannot ask {self.url}: no whole answer within {self._timeout:g}s")
            return response.status_code, bytes(body)

    def _tell_time(self, date: str) -> None:
        try:
            self.skew = parsedate_to_datetime(date).timestamp() - self._clock()
        except (ValueError, TypeError, OverflowError):
            self.skew = 0.0

    def _data(self, status: int, body: bytes, path: str) -> Any:
        if status in (401, 403):
            raise QueryError(
                f"{self.url} lets nobody in like this (HTTP {status}): see --http-config and --tenant"
            )
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            raise QueryError(
                f"{self.url} did not answer in JSON (HTTP {status}): is it a Prometheus?"
            ) from None
        if not isinstance(answer, dict) or answer.get("status") != "success" or "data" not in answer:
            reason = answer.get("error", "no reason given") if isinstance(answer, dict) else "no object"
            raise QueryError(f"{self.url} refused {path}: {str(reason)[:500]}")
        warned = answer.get("warnings")
        told = [str(w)[:500] for w in warned[:20]] if isinstance(warned, list) else []
        if answer.get("isPartial") is True:  # VictoriaMetrics' word for it
            told.append("the answer is partial")
        self.warnings = list(dict.fromkeys([*self.warnings, *told]))
        return answer["data"]


class _Shape:
    """Whatever is wrong with the shape of an answer, hostile or not, becomes one sentence."""

    def __init__(self, message: str) -> None:
        self._message = message

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyError | TypeError | IndexError | ValueError | AttributeError | OverflowError):
            raise QueryError(self._message) from None


def without_user(url: str) -> str:
    """The URL without a user and password, fit to be shown."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
