"""A small client of Prometheus' HTTP API: mandatory time-outs, capped answers, failures that say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from slo.errors import QueryError

TIMEOUT = 15.0  # seconds for one request
LARGEST = 32 * 1024 * 1024  # bytes of one answer


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant query: labels, and the value as Prometheus printed it."""

    labels: Mapping[str, str]
    value: str
    time: float


class Prometheus:
    """Instant queries and metadata of one server. Every failure is a QueryError."""

    def __init__(
        self, url: str, transport: httpx.BaseTransport | None = None, timeout: float = TIMEOUT
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise QueryError(f"{url!r} is no URL of a Prometheus: write it with http:// or https://")
        self.url = url.rstrip("/")
        self._client = httpx.Client(timeout=timeout, transport=transport, follow_redirects=False)

    def __enter__(self) -> Prometheus:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def query(self, expr: str, at: float | None = None) -> list[Sample]:
        """An instant query that yields a vector."""
        form = {"query": expr} | ({} if at is None else {"time": f"{at:.3f}"})
        data = self._api("POST", "query", form)
        try:
            if data["resultType"] != "vector":
                raise QueryError(f"{expr} yields a {data['resultType']}, not a vector")
            return [Sample(r["metric"], r["value"][1], float(r["value"][0])) for r in data["result"]]
        except (KeyError, TypeError, IndexError, ValueError):
            raise QueryError(f"{self.url} answered a query in a shape that is not Prometheus'") from None

    def get(self, path: str, shape: type = object, **params: str) -> Any:
        """The `data` of any other API path, such as "metadata" or "status/flags"; `shape` is its type."""
        data = self._api("GET", path, params)
        if not isinstance(data, shape):
            raise QueryError(f"{self.url} answered {path} in a shape that is not Prometheus'")
        return data

    def _api(self, method: str, path: str, values: Mapping[str, str]) -> Any:
        url = f"{self.url}/api/v1/{path}"
        sent: dict[str, Any] = {"data": values} if method == "POST" else {"params": values}
        status = "no answer"
        try:
            with self._client.stream(method, url, **sent) as response:
                status = f"HTTP {response.status_code}"
                body = b""
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > LARGEST:
                        raise QueryError(
                            f"{self.url} answered with more than {LARGEST >> 20} MiB: narrow the query"
                        )
            answer = json.loads(body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise QueryError(f"cannot ask {self.url}: {str(error) or type(error).__name__}") from None
        except (ValueError, RecursionError):
            raise QueryError(f"{self.url} did not answer in JSON ({status}): is it a Prometheus?") from None
        if not isinstance(answer, dict) or answer.get("status") != "success" or "data" not in answer:
            reason = answer.get("error", "no reason given") if isinstance(answer, dict) else "no object"
            raise QueryError(f"{self.url} refused {path}: {reason}")
        return answer["data"]
