"""The client of Prometheus: every failure is a QueryError with a sentence, never a verdict, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from slo.errors import QueryError
from slo.prometheus import LARGEST, Prometheus

URL = "http://prometheus.example.org:9090"


def client(answer: Callable[[httpx.Request], httpx.Response]) -> Prometheus:
    return Prometheus(URL, httpx.MockTransport(answer), sleep=lambda seconds: None)


def data(value: object) -> httpx.Response:
    return httpx.Response(200, json={"status": "success", "data": value})


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return answer


def test_a_query_is_posted_and_read() -> None:
    """A long query does not fit into a URL."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return data({"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1.5, "0.25"]}]})

    with client(answer) as prometheus:
        (sample,) = prometheus.query("up", at=2)
    assert (sample.labels, sample.value, sample.time) == ({"a": "b"}, "0.25", 1.5)
    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/api/v1/query")
    assert request.content == b"query=up&time=2.000"


def test_a_slash_at_the_end_of_the_address_does_not_matter() -> None:
    """Nor a path before the API's."""
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return data([])

    Prometheus("http://host/prom/", httpx.MockTransport(answer)).get("metadata")
    assert paths == ["/prom/api/v1/metadata"]


DEEP = "[" * 200_000 + "]" * 200_000
FAILURES: dict[str, tuple[Callable[[httpx.Request], httpx.Response], str]] = {
    "refused": (raising(httpx.ConnectError("Connection refused")), "cannot ask .*: Connection refused"),
    "too slow": (raising(httpx.ReadTimeout("")), "cannot ask .*: ReadTimeout"),
    "cut off": (raising(httpx.RemoteProtocolError("peer closed")), "cannot ask .*: peer closed"),
    "HTML": (lambda r: httpx.Response(200, html="<html>login</html>"), r"did not answer in JSON \(HTTP 200\): is it a Prometheus\?"),
    "redirect": (lambda r: httpx.Response(302, headers={"location": "/login"}), r"did not answer in JSON \(HTTP 302\)"),
    "empty": (lambda r: httpx.Response(204), r"did not answer in JSON \(HTTP 204\)"),
    "gateway": (lambda r: httpx.Response(502, text="bad gateway"), r"did not answer in JSON \(HTTP 502\)"),
    "binary": (lambda r: httpx.Response(200, content=b"\xff\xfe\x00"), "did not answer in JSON"),
    "deep": (lambda r: httpx.Response(200, text=DEEP), "did not answer in JSON"),
    "huge": (lambda r: httpx.Response(200, content=b" " * (LARGEST + 1)), "more than 32 MiB: narrow the query"),
    "its error": (
        lambda r: httpx.Response(400, json={"status": "error", "errorType": "bad_data", "error": "parse error"}),
        "refused .*: parse error",
    ),
    "no reason": (lambda r: httpx.Response(500, json={"status": "error"}), "refused .*: no reason given"),
    "a list": (lambda r: httpx.Response(200, json=[1]), "refused .*: no object"),
    "no data": (lambda r: httpx.Response(200, json={"status": "success"}), "refused"),
    "bad gzip": (
        lambda r: httpx.Response(200, content=b"nonsense", headers={"content-encoding": "gzip"}),
        "cannot ask",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_one_sentence(name: str) -> None:
    """Whatever answers, and however, it is a QueryError that names the server."""
    answer, message = FAILURES[name]
    with pytest.raises(QueryError, match=message) as caught:
        client(answer).query("up")
    assert URL in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "shape",
    [
        {"resultType": "matrix", "result": []},
        {"resultType": "vector"},
        {"resultType": "vector", "result": [{"metric": {}}]},
        {"resultType": "vector", "result": [{"metric": {}, "value": ["soon", "1"]}]},
        {"resultType": "vector", "result": [5]},
        [],
        None,
        "vector",
    ],
    ids=json.dumps,
)
def test_an_answer_in_another_shape_is_refused(shape: object) -> None:
    """Valid JSON is not yet an answer."""
    with pytest.raises(QueryError, match=r"in a shape that is not Prometheus'|not a vector"):
        client(lambda r: data(shape)).query("up")


@pytest.mark.parametrize("value", [None, "text", 5, {}])
def test_metadata_in_another_shape_is_refused(value: object) -> None:
    """Whoever asks for a list gets one or a QueryError."""
    with pytest.raises(QueryError, match="in a shape that is not Prometheus'"):
        client(lambda r: data(value)).get("label/__name__/values", list)


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://host", "", "localhost"])
def test_an_address_without_a_scheme_is_refused(url: str) -> None:
    """With the remedy."""
    with pytest.raises(QueryError, match="write it with http:// or https://"):
        Prometheus(url)


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://host:port", "http://" + "a" * 70 + ".example"]
)
def test_an_address_that_cannot_be_asked_is_one_sentence(url: str) -> None:
    """Refused by the client or by the resolver, before any server is reached."""
    with pytest.raises(QueryError, match=r"cannot ask|did not answer"):
        Prometheus(url, timeout=2).query("up")


def test_a_server_that_starts_is_asked_again_and_not_for_ever() -> None:
    """Three attempts, with growing pauses; the third answer counts."""
    asked: list[int] = []
    slept: list[float] = []

    def starting(request: httpx.Request) -> httpx.Response:
        asked.append(1)
        return data({"resultType": "vector", "result": []}) if len(asked) == 3 else httpx.Response(503)

    with Prometheus(URL, httpx.MockTransport(starting), sleep=slept.append) as prometheus:
        assert prometheus.query("up") == []
    assert (len(asked), len(slept)) == (3, 2)
    assert slept == sorted(slept)


def test_an_error_of_the_query_is_not_asked_again() -> None:
    """It would be the same error."""
    asked: list[int] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(1)
        return httpx.Response(400, json={"status": "error", "error": "parse error"})

    with pytest.raises(QueryError, match="parse error"):
        client(refuse).query("up(")
    assert len(asked) == 1


def test_a_password_in_the_address_is_used_and_never_shown() -> None:
    """Neither in a message nor as `url`."""
    url = "http://me:hunter2@prometheus.example.org/prom"
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(500, text="oops")

    with pytest.raises(QueryError) as caught:
        Prometheus(url, httpx.MockTransport(answer)).query("up")
    assert seen[0].startswith("Basic ")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_an_unauthorized_answer_names_the_option(status: int) -> None:
    """With the remedy."""
    with pytest.raises(QueryError, match=r"lets nobody in .*--http-config"):
        client(lambda r: httpx.Response(status, text="no")).query("up")


def test_warnings_of_the_server_are_kept() -> None:
    """An answer with warnings may be partial, and whoever judges by it must know."""
    body = {
        "status": "success",
        "warnings": ["store-2 is down", "store-2 is down"],
        "data": {"resultType": "vector", "result": []},
    }
    with client(lambda r: httpx.Response(200, json=body)) as prometheus:
        prometheus.query("up")
    assert prometheus.warnings == ["store-2 is down"]


def test_the_skew_of_the_clocks_is_told_by_the_date_header() -> None:
    """Positive when the server is ahead."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = {"status": "success", "data": {"resultType": "vector", "result": []}}
        return httpx.Response(200, json=body, headers={"date": "Thu, 01 Jan 1970 00:10:00 GMT"})

    with Prometheus(URL, httpx.MockTransport(answer), clock=lambda: 0.0) as prometheus:
        prometheus.query("up")
    assert prometheus.skew == 600


def test_a_range_is_asked_with_its_step_and_read_in_order() -> None:
    """Times as numbers, values as printed."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.content == b"query=up&start=0.000&end=60.000&step=30.000"
        return data(
            {"resultType": "matrix", "result": [{"metric": {"a": "b"}, "values": [[0, "1"], [30, "NaN"]]}]}
        )

    with client(answer) as prometheus:
        (series,) = prometheus.range("up", 0, 60, 30)
    assert series.points == ((0.0, "1"), (30.0, "NaN"))


def test_a_timeout_is_mandatory() -> None:
    """A server that never answers does not hold us."""
    assert Prometheus(URL)._client.timeout == httpx.Timeout(15.0)


def test_closing_closes() -> None:
    """Connections are given back."""
    with client(lambda r: data([])) as prometheus:
        pass
    assert prometheus._client.is_closed
