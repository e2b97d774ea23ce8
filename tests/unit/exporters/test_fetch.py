"""The HTTP client against servers that mean harm: every call ends in time, in bounds, with a reason."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import ssl
import struct
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from rawserver import Authority, answer, serving

from exporters.backoff import Backoff
from exporters.fetch import Fetcher, UnexpectedStatus
from exporters.outcome import CouldNotCheck


def fetcher(**settings: object) -> Fetcher:
    """No jitter, and waits that are over at once unless the test counts them."""
    quick: dict[str, object] = {"timeout": 5.0, "sleep": lambda seconds: None, **settings}
    clock = quick.get("clock", time.monotonic)
    return Fetcher(backoff=Backoff(clock, jitter=lambda: 0.0), **quick)  # type: ignore[arg-type]


def refusal(call: Callable[[], object]) -> CouldNotCheck:
    with pytest.raises(CouldNotCheck) as caught:
        call()
    return caught.value


def test_an_answer_comes_back_for_the_caller_to_judge() -> None:
    """2xx, 3xx without a place to go, and 4xx are Responses."""
    for status in (200, 204, 304, 401, 404, 418):
        body = b"" if status in (204, 304) else b"hello"
        with serving(answer(status, body, X_Odd="yes")) as server:
            found = fetcher().get(f"{server.url}/v2/")
        assert (found.status, found.headers["x-odd"], found.url) == (status, "yes", f"{server.url}/v2/")
        assert found.body == body


def test_a_head_request_ignores_the_length_it_is_told() -> None:
    """A blob of 5 GB may be asked after by HEAD."""
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n") as server:
        found = fetcher().request("HEAD", server.url)
    assert (found.status, found.body) == (200, b"")


# ---- kept connections ------------------------------------------------------------------------


def test_a_connection_serves_one_exchange_after_another() -> None:
    """Bodies with a length, in chunks, and none."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n"
    whole, bare = answer(200, b"yes"), b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    said = [whole, chunked, bare, answer(404), whole]
    with serving(lambda connection, number: connection.sendall(said[number - 1])) as server:
        client = fetcher()
        bodies = [client.request("HEAD" if one is bare else "GET", server.url).body for one in said]
    assert bodies == [b"yes", b"yes", b"", b"", b"yes"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(200, b"yes", Connection="close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes",
        answer(200, b"yes") + answer(200, b"an answer to the next question"),
        answer(503, b"unread"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
    ],
)
def test_a_connection_that_is_not_at_rest_is_not_used_again(said: bytes) -> None:
    """One that ends, brings what nobody asked for, or was not read to its end."""
    answers = [said, answer(200, b"good")]
    with serving(lambda connection, number: connection.sendall(answers[number - 1])) as server:
        client = fetcher(attempts=1)
        with suppress(CouldNotCheck):
            client.get(server.url)
        assert client.get(server.url).body == b"good"
    assert server.connections == 2


def test_a_kept_connection_that_ended_is_no_failure() -> None:
    """Servers close what is idle: the next exchange opens another, and nothing is asked twice."""
    closed = threading.Event()

    def once(connection: socket.socket, number: int) -> None:
        connection.sendall(answer(200, b"yes"))
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    with serving(once) as server:
        client = fetcher(attempts=1)
        for _ in range(2):
            closed.clear()
            assert client.get(server.url).body == b"yes"
            assert closed.wait(5)
    assert len(server.heads) == 2


# ---- time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["nothing", "head", "body"])
def test_a_server_that_drips_ends_with_the_whole_exchange(where: str) -> None:
    """A byte now and then, in the head or the body, or none at all: the time-out is for all of it."""

    def drip(connection: socket.socket, number: int) -> None:
        if where == "body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        if where == "head":
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(100):
            time.sleep(0.05)
            if where != "nothing":
                connection.sendall(b"x")

    with serving(drip) as server:
        began = time.monotonic()
        found = refusal(lambda: fetcher(timeout=0.4).get(server.url))
        took = time.monotonic() - began
    assert found.reason == "timeout"
    assert 0.3 < took < 2.0
    assert len(server.heads) == 1  # a time-out is not asked for again


def test_a_server_that_never_shakes_hands_ends_with_the_exchange() -> None:
    """TCP is up, TLS never starts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        began = time.monotonic()
        found = refusal(lambda: fetcher(timeout=0.3).get(url))
    assert found.reason == "timeout"
    assert time.monotonic() - began < 2.0


def test_a_resolver_that_hangs_ends_with_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS that does not answer is within the time-out too."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1) or [])
    began = time.monotonic()
    found = refusal(lambda: fetcher(timeout=0.3).get("http://registry.invalid/"))
    assert found.reason == "timeout"
    assert time.monotonic() - began < 2.0


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred that refuse, and one that answers."""
    with serving(answer(200, b"well")) as server:
        six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", server.port, 0, 0))
        four = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
        found = {"registry.invalid": [*[six] * 100, four], "::1": [six], "127.0.0.1": [four]}
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: found[host])
        assert fetcher().get(f"http://registry.invalid:{server.port}/").body == b"well"


# ---- size ------------------------------------------------------------------------------------


def test_a_declared_gigabyte_is_refused_before_it_is_read() -> None:
    """By its Content-Length."""
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n") as server:
        found = refusal(lambda: fetcher(max_bytes=1 << 20).get(server.url))
    assert found.reason == "too_large"
    assert "1048576 bytes" in found.detail


def test_a_body_that_is_refused_is_not_held_by_its_refusal() -> None:
    """An exception and its frames are a cycle, which lives until a collection: megabytes of each endless answer would."""
    with serving(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 1_000_000) as server:
        found = refusal(lambda: fetcher(max_bytes=500_000).get(server.url))
    frames = [frame for frame, _ in traceback.walk_tb(found.__traceback__)]
    held = [v for frame in frames for v in frame.f_locals.values() if isinstance(v, bytearray)]
    assert found.reason == "too_large"
    assert {len(body) for body in held} == {0}


def test_an_undeclared_gigabyte_is_cut_off() -> None:
    """Chunked or until the connection ends: reading stops soon after the limit."""
    sent = 0

    def flood(connection: socket.socket, number: int) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"\0" * 65536 + b"\r\n"
        for _ in range(16384):
            connection.sendall(piece)
            sent += 65536

    with serving(flood) as server:
        found = refusal(lambda: fetcher(max_bytes=1 << 20).get(server.url))
    assert found.reason == "too_large"
    assert sent < 64 << 20  # what fits the buffers of two sockets


def test_a_gzip_bomb_is_cut_off_by_its_inflated_size() -> None:
    """100 kB on the wire, 100 MB inside."""
    bomb = gzip.compress(bytes(100 << 20))
    assert len(bomb) < 200_000
    with serving(answer(200, bomb, Content_Encoding="gzip")) as server:
        found = refusal(lambda: fetcher(max_bytes=1 << 20).get(server.url))
    assert found.reason == "too_large"


def test_a_compressed_answer_is_read_though_none_is_asked_for() -> None:
    """Some servers compress whatever the client says."""
    with serving(answer(200, gzip.compress(b"hello" * 100_000), Content_Encoding="gzip")) as server:
        assert fetcher().get(server.url).body == b"hello" * 100_000
    assert "accept-encoding: identity" in server.heads[0].lower()


@pytest.mark.parametrize(("coding", "body"), [("zstd", b"x"), ("gzip", b"no gzip"), ("gzip", gzip.compress(b"x" * 99, mtime=0)[:-12])])  # fmt: skip
def test_an_encoding_that_cannot_be_undone_is_no_answer(coding: str, body: bytes) -> None:
    """Never asked for, not what it says, or broken off."""
    with serving(answer(200, body, Content_Encoding=coding)) as server:
        assert refusal(lambda: fetcher().get(server.url)).reason == "bad_response"


# ---- broken servers --------------------------------------------------------------------------


def test_a_body_that_breaks_off_is_no_answer() -> None:
    """Fewer bytes than declared, each time it is asked."""

    def short(connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_RDWR)

    with serving(short) as server:
        assert refusal(lambda: fetcher().get(server.url)).reason == "bad_response"
    assert len(server.heads) == 3


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hex\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 99 Odd\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_not_http_is_no_answer(said: bytes) -> None:
    """Another protocol, headers that contradict each other, and headers without end."""

    def speak(connection: socket.socket, number: int) -> None:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_RDWR)

    with serving(speak) as server:
        assert refusal(lambda: fetcher().get(server.url)).reason == "bad_response"


def test_a_reset_connection_is_unreachable() -> None:
    """The other side, or a firewall, sends RST."""

    def reset(connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with serving(reset) as server:
        assert refusal(lambda: fetcher().get(server.url)).reason == "unreachable"
    assert len(server.heads) == 3


def test_a_closed_port_and_a_name_that_does_not_exist_are_unreachable() -> None:
    """And so is a name that DNS cannot even carry."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "nowhere.invalid", f"{'a' * 80}.invalid"):
        assert refusal(lambda host=host: fetcher().get(f"http://{host}/")).reason == "unreachable"  # type: ignore[misc]


def test_a_server_that_recovers_is_heard() -> None:
    """One 502, one break, then the answer."""

    def recover(connection: socket.socket, number: int) -> None:
        if number == 1:
            connection.sendall(answer(502))
        elif number == 2:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(answer(200, b"well"))

    with serving(recover) as server:
        assert fetcher().get(server.url).body == b"well"


def test_what_may_have_been_taken_is_not_sent_again() -> None:
    """A POST after a 500 could write twice; after a 503 it was not taken."""
    for status, times in ((500, 1), (503, 3)):
        with serving(answer(status)) as server:
            assert (
                refusal(lambda: fetcher().request("POST", server.url, content=b"entry")).reason
                == "bad_response"
            )
        assert len(server.heads) == times


# ---- waits -----------------------------------------------------------------------------------


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(
    ("wish", "waits"),
    [
        ("2", 2.0),
        ("Tue, 24 Nov 2026 10:00:02 GMT", 2.0),
        ("Tue, 24 Nov 2020 10:00:00 GMT", 0.125),  # long ago: the first step of the backoff
        ("soon", 0.125),
        ("-5", 0.125),
    ],
)
def test_a_limited_request_waits_as_long_as_it_is_told(wish: str, waits: float) -> None:
    """Retry-After in seconds or as a date; what cannot be read counts as absent."""

    def limited(connection: socket.socket, number: int) -> None:
        connection.sendall(answer(429, Retry_After=wish) if number == 1 else answer(200, b"well"))

    clock = Clock()
    with serving(limited) as server:
        patient = fetcher(timeout=20.0, clock=clock, sleep=clock.sleep, wall=lambda: 1795514400.0)
        assert patient.get(server.url).body == b"well"
    assert clock.slept == [pytest.approx(waits)]


def test_an_absurd_wish_is_capped_and_nobody_waits_for_it() -> None:
    """A year: the call ends at once as rate_limited, others do not ask for two minutes, then they do."""
    clock = Clock()
    with serving(answer(429, Retry_After="31536000")) as server:
        patient = fetcher(clock=clock, sleep=clock.sleep)
        assert refusal(lambda: patient.get(server.url)).reason == "rate_limited"
        asked = len(server.heads)
        found = refusal(lambda: patient.get(f"{server.url}/other"))
        assert (found.reason, len(server.heads)) == ("rate_limited", asked)
        assert "is not asked for another 120 s" in found.detail
        clock.now += 121
        refusal(lambda: patient.get(server.url))
    assert len(server.heads) > asked
    assert clock.slept == []


def test_a_host_that_just_failed_is_left_alone() -> None:
    """By all: a thousand images on a dead registry cost a few requests, not thousands."""
    clock = Clock()
    with serving(answer(500)) as server:
        patient = fetcher(clock=clock, sleep=clock.sleep)
        reasons = {refusal(lambda: patient.get(f"{server.url}/{n}")).reason for n in range(1000)}  # noqa: B023
    assert reasons == {"bad_response"}
    assert len(server.heads) < 10


def test_another_host_is_asked_meanwhile() -> None:
    """Backoff is per host and port."""
    with serving(answer(503, Retry_After="60")) as down, serving(answer(200, b"well")) as up:
        patient = fetcher()
        refusal(lambda: patient.get(down.url))
        assert patient.get(up.url).body == b"well"


# ---- redirects -------------------------------------------------------------------------------

CREDENTIALS = {
    "Authorization": "Bearer hunter2",
    "Cookie": "hunter2",
    "X-Api-Key": "hunter2",
    "DPoP": "hunter2",
}


def test_credentials_stay_with_their_host() -> None:
    """A blob's redirect to another host is followed with what every client sends, and nothing else."""
    with (
        serving(answer(200, b"blob")) as storage,
        serving(answer(307, Location=f"{storage.url}/b")) as registry,
    ):
        found = fetcher().get(f"{registry.url}/blob", headers={**CREDENTIALS, "Accept": "*/*"})
    assert (found.body, found.url) == (b"blob", f"{storage.url}/b")
    assert registry.heads[0].count("hunter2") == 4
    assert "hunter2" not in storage.heads[0]
    assert "accept: */*" in storage.heads[0].lower()


def test_credentials_do_not_come_back_with_a_detour() -> None:
    """Out to another host and back: it chose the path, so the request stays bare."""

    def home(connection: socket.socket, number: int) -> None:
        connection.sendall(answer(302, Location=f"{away.url}/x") if number == 1 else answer(200, b"end"))

    with (
        serving(home) as registry,
        serving(lambda c, n: c.sendall(answer(302, Location=f"{registry.url}/y"))) as away,
    ):
        assert fetcher().get(registry.url, headers=CREDENTIALS).body == b"end"
    assert "hunter2" not in registry.heads[1]


def test_only_blobs_follow_to_another_host() -> None:
    """An API's redirect elsewhere is no answer, and the other host hears nothing."""
    with serving(answer(200)) as other, serving(answer(302, Location=other.url)) as server:
        found = refusal(lambda: fetcher().get(server.url, redirects=False))
    assert (found.reason, other.heads) == ("bad_response", [])
    assert "another host" in found.detail


def test_the_same_host_may_redirect_with_credentials() -> None:
    """/v2 to /v2/."""

    def slash(connection: socket.socket, number: int) -> None:
        connection.sendall(answer(301, Location="/v2/") if number == 1 else answer(200, b"well"))

    with serving(slash) as server:
        assert fetcher().get(f"{server.url}/v2", headers=CREDENTIALS, redirects=False).body == b"well"
    assert server.heads[1].startswith("GET /v2/ ")
    assert "hunter2" in server.heads[1]


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "http://", "http://[::1", "javascript:1"])  # fmt: skip
def test_a_redirect_leads_to_http_only(place: str) -> None:
    """No other scheme, no URL that is none."""
    with serving(answer(302, Location=place)) as server:
        assert refusal(lambda: fetcher().get(server.url)).reason == "bad_response"


def test_a_redirect_cannot_bring_credentials_along() -> None:
    """A user in its URL would become an Authorization header."""
    with serving(answer(302, Location="http://user:hunter2@127.0.0.1:1/")) as server:
        found = refusal(lambda: fetcher().get(server.url))
    assert found.reason == "bad_response"
    assert "hunter2" not in found.detail


def test_a_redirect_loop_ends() -> None:
    """After five."""
    with serving(answer(302, Location="/again")) as server:
        assert refusal(lambda: fetcher().get(server.url)).reason == "bad_response"
    assert len(server.heads) == 6


def test_what_is_written_follows_no_redirect() -> None:
    """A POST stays where it was sent."""
    with serving(answer(307, Location="/elsewhere")) as server:
        assert refusal(lambda: fetcher().request("POST", server.url, content=b"x")).reason == "bad_response"
    assert len(server.heads) == 1


# ---- TLS -------------------------------------------------------------------------------------


def tls(folder: Path) -> tuple[Authority, ssl.SSLContext]:
    authority = Authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    return authority, context


def test_a_private_ca_is_trusted_when_it_is_given(tmp_path: Path) -> None:
    """By its PEM file."""
    authority, context = tls(tmp_path)
    with serving(answer(200, b"well"), context) as server:
        trusting = fetcher(verify=ssl.create_default_context(cafile=str(authority.file)))
        assert trusting.get(server.url).body == b"well"


def test_a_wrong_ca_is_unreachable_and_the_sentence_names_tls(tmp_path: Path) -> None:
    """And it is not asked again: it will not get better in a second."""
    _, context = tls(tmp_path / "one")
    other = Authority(tmp_path / "two")
    with serving(answer(200, b"well"), context) as server:
        doubting = fetcher(verify=ssl.create_default_context(cafile=str(other.file)))
        found = refusal(lambda: doubting.get(server.url))
    assert (found.reason, server.heads) == ("unreachable", [])
    assert "TLS" in found.detail
    assert "CERTIFICATE_VERIFY_FAILED" in found.detail


def test_https_to_a_plain_server_names_tls() -> None:
    """The usual mistake with a port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def plain() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=plain, daemon=True).start()
        found = refusal(lambda: fetcher().get(f"https://127.0.0.1:{listener.getsockname()[1]}/"))
    assert found.reason == "unreachable"
    assert "TLS" in found.detail


# ---- blobs -----------------------------------------------------------------------------------


def test_a_blob_is_streamed_with_its_digest() -> None:
    """Into the file, after what was there."""
    blob = bytes(range(256)) * 10_000
    file = io.BytesIO(b"head")
    file.seek(0, io.SEEK_END)
    with serving(answer(200, blob)) as server:
        digest = fetcher().stream_to(server.url, file, max_bytes=len(blob))
    assert digest == hashlib.sha256(blob).hexdigest()
    assert file.getvalue() == b"head" + blob


def test_an_attempt_that_broke_leaves_nothing_in_the_blob() -> None:
    """Half a body, then the whole: the file and the digest hold the whole only."""

    def break_once(connection: socket.socket, number: int) -> None:
        whole = answer(200, b"x" * 1000)
        connection.sendall(whole if number == 2 else whole[:-500])
        if number == 1:
            connection.shutdown(socket.SHUT_RDWR)

    file = io.BytesIO()
    with serving(break_once) as server:
        digest = fetcher().stream_to(server.url, file, max_bytes=1000)
    assert (file.getvalue(), digest) == (b"x" * 1000, hashlib.sha256(b"x" * 1000).hexdigest())


@pytest.mark.parametrize(("said", "reason"), [(answer(404, b"none"), "bad_response"), (answer(200, b"x" * 11), "too_large")])  # fmt: skip
def test_a_blob_that_is_not_had_leaves_no_bytes(said: bytes, reason: str) -> None:
    """The file is as before."""
    file = io.BytesIO()
    with serving(said) as server:
        assert refusal(lambda: fetcher().stream_to(server.url, file, max_bytes=10)).reason == reason
    assert file.getvalue() == b""


def test_a_blobs_status_is_for_the_caller() -> None:
    """A registry client asks for a token after 401, and judges 404."""
    with (
        serving(answer(401, WWW_Authenticate="Bearer realm=x")) as server,
        pytest.raises(UnexpectedStatus) as caught,
    ):
        fetcher().stream_to(server.url, io.BytesIO(), max_bytes=10)
    assert (caught.value.status, caught.value.headers["www-authenticate"]) == (401, "Bearer realm=x")


# ---- what is said ----------------------------------------------------------------------------


def test_no_sentence_holds_a_query() -> None:
    """Presigned URLs are credentials."""
    with serving(answer(500)) as server:
        found = refusal(lambda: fetcher().get(f"{server.url}/blob?X-Amz-Signature=hunter2#hunter2"))
    assert "/blob" in found.detail
    assert "hunter2" not in found.detail


@pytest.mark.parametrize("url", ["file:///etc/passwd", "registry/v2", "http://user:hunter2@host/", "http://\0/", ""])  # fmt: skip
def test_what_is_no_url_is_not_asked(url: str) -> None:
    """One sentence, without what it may hold."""
    found = refusal(lambda: fetcher().get(url))
    assert found.reason == "bad_response"
    assert "hunter2" not in found.detail


def test_a_header_that_cannot_be_sent_is_no_crash() -> None:
    """A token service may hand out anything as a token."""
    with serving(answer(200)) as server:
        for token in ("snow☃man", "two\r\nX-Lines: 1"):
            found = refusal(lambda: fetcher().get(server.url, headers={"Authorization": f"Bearer {token}"}))  # noqa: B023
            assert found.reason == "bad_response"
    assert server.heads == []
