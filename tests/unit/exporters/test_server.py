"""The server over real sockets: every endpoint, and clients that mean harm."""

from __future__ import annotations

import base64
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import bcrypt
import httpx
import pytest
import yaml
from exporterkit import Fake, fake
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from rawserver import Authority

from exporters import metrics as m
from exporters import page, server
from exporters.collector import Instruments
from exporters.exposition import Exposition
from exporters.loop import Loop
from exporters.server import Server, Site
from exporters.webconfig import Guard

STATE = page.State("Stella Ops cosign exporter", "1.0", 1e9, None, True, 60)


class Running:
    """A server on a free port of loopback."""

    def __init__(
        self, targets: dict[str, str], web: Path | None = None, address: str = "127.0.0.1:0"
    ) -> None:
        self.instruments = Instruments(m.COSIGN)
        self.subject: Fake = fake(targets, self.instruments)
        self.loop = Loop(self.subject, self.instruments, self.subject.config)
        self.exposition = Exposition(self.instruments, threading.Event())
        self.server = Server(address, Site(self.loop, self.exposition, Guard(web), lambda: STATE))
        self.port = self.server.server_port
        self.scheme = "http"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def get(self, path: str, verify: ssl.SSLContext | bool = True, method: str = "GET", **headers: str) -> httpx.Response:  # fmt: skip
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.scheme}://127.0.0.1:{self.port}{path}"
        with httpx.Client(verify=verify, timeout=10, trust_env=False) as client:
            return client.request(method, url, headers=named)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@contextmanager
def serving(targets: dict[str, str] | None = None, web: Path | None = None) -> Iterator[Running]:
    running = Running(targets or {}, web)
    try:
        yield running
    finally:
        running.subject.release.set()
        running.server.shutdown()
        running.server.server_close()


def values(text: str) -> dict[str, float]:
    return {
        s.name + "".join(f"/{v}" for v in s.labels.values()): s.value for f in parse(text) for s in f.samples
    }


# ---- metrics ---------------------------------------------------------------------------------


def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    """Text by default, OpenMetrics where it ranks at least as high; both with the process' own."""
    with serving() as running:
        plain = running.get("/metrics")
        prometheus = (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
        )
        openmetrics = running.get("/metrics", Accept=prometheus)
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert openmetrics.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert openmetrics.text.endswith("# EOF\n")
    for families in (parse(plain.text), parse_openmetrics(openmetrics.text)):
        names = {family.name for family in families}
        assert {"cosign_checks", "process_cpu_seconds"} <= {name.removesuffix("_total") for name in names}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [("", "text"), ("*/*", "text"), ("application/openmetrics-text", "application"), ("text/plain, application/openmetrics-text;q=0.9", "text"),
     ("application/openmetrics-text;version=2.0.0", "text"), ("application/openmetrics-text;q=0", "text"), ("application/openmetrics-text;q=x", "text"),
     ("application/openmetrics-text; version=1.0.0; escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4", "application")],
)  # fmt: skip
def test_an_accept_header_is_weighed(accept: str, chosen: str) -> None:
    """By its q values; what cannot be served is passed over."""
    with serving() as running:
        assert running.get("/metrics", Accept=accept).headers["content-type"].startswith(chosen)


def test_metrics_are_compressed_for_who_can_read_it() -> None:
    """And for nobody else."""
    with serving() as running:
        for header, coded in (
            ("gzip", True),
            ("deflate, gzip;q=0.5", True),
            ("gzip;q=0", False),
            ("identity", False),
        ):
            with running.connect() as raw:
                raw.sendall(
                    f"GET /metrics HTTP/1.1\r\nAccept-Encoding: {header}\r\nConnection: close\r\n\r\n".encode()
                )
                head, _, body = b"".join(iter(lambda raw=raw: raw.recv(65536), b"")).partition(b"\r\n\r\n")  # type: ignore[misc]
            assert (b"Content-Encoding: gzip" in head) is coded
            assert b"cosign_checks_total" in (gzip.decompress(body) if coded else body)


def test_a_scrape_does_not_wait_for_checks_that_hang() -> None:
    """It answers with what is known, at once, and what changes appears by itself."""
    with serving({"a": "hangs", "b": "verified"}) as running:
        threading.Thread(target=running.loop.cycle, daemon=True).start()
        while running.instruments.value(m.IMAGE_VERIFIED, component="b", check="signature") is None:
            time.sleep(0.01)
        running.exposition.refresh()
        began = time.monotonic()
        text = running.get("/metrics").text
        assert time.monotonic() - began < 1
    assert 'cosign_image_verified{check="signature",component="b"} 1.0' in text
    assert 'component="a"' not in text


# ---- health ----------------------------------------------------------------------------------


def test_health_does_not_depend_on_targets() -> None:
    """Healthy from the start, whatever they answer; ready after the first cycle, whatever it found."""
    with serving({"a": "unknown", "b": "raises"}) as running:
        assert (running.get("/-/healthy").status_code, running.get("/-/ready").status_code) == (200, 503)
        running.loop.cycle()
        assert (running.get("/-/healthy").status_code, running.get("/-/ready").status_code) == (200, 200)


# ---- probes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "success"), [("verified", 1), ("failed", 0), ("unknown", 0), ("raises", 0)])
def test_a_probe_tells_verified_failed_and_unknown_apart(word: str, success: int) -> None:
    """By one series each; probe_success is 1 for verified only."""
    with serving({"a": word}) as running:
        running.loop.cycle()
        found = values(running.get("/probe?target=a").text)
        verdict = {"raises": "unknown"}.get(word, word)
        assert found["probe_success"] == success
        assert [v for v in m.OUTCOMES if found[f"probe_verdict/{v}"] == 1] == [verdict]
        assert found["probe_duration_seconds"] < 5
        assert running.subject.checked == ["a", "a"]


def test_a_probe_ends_before_prometheus_gives_up() -> None:
    """Half a second before its time-out; the verdict is unknown."""
    with serving({"a": "hangs", "b": "verified"}) as running:
        threading.Thread(target=running.loop.cycle, daemon=True).start()
        while not running.loop.knows("a"):
            time.sleep(0.01)
        began = time.monotonic()
        found = values(running.get("/probe?target=a", X_Prometheus_Scrape_Timeout_Seconds="0.8").text)
        assert time.monotonic() - began < 0.8 + 1
    assert (found["probe_success"], found["probe_verdict/unknown"]) == (0, 1)
    assert found["probe_duration_seconds"] == pytest.approx(0.3, abs=0.2)


@pytest.mark.parametrize("query", ["", "target=", "target=nobody", "target=http://169.254.169.254/", "target=a&target=b", "module=a", "&".join("target=a" for _ in range(99))])  # fmt: skip
def test_a_probe_takes_the_name_of_one_target_only(query: str) -> None:
    """Never a URL; anything else is 400, and nothing is checked."""
    with serving({"a": "verified", "b": "verified"}) as running:
        running.loop.cycle()
        assert running.get(f"/probe?{query}").status_code == 400
        assert running.subject.checked == ["a", "b"]


def test_a_time_out_that_is_none_is_refused() -> None:
    """400, and a sentence."""
    with serving({"a": "verified"}) as running:
        running.loop.cycle()
        for header in ("soon", "nan", "-1", "0", "inf"):
            assert (
                running.get("/probe?target=a", X_Prometheus_Scrape_Timeout_Seconds=header).status_code == 400
            )


def test_probes_are_bounded() -> None:
    """More at once than are allowed is 503, not more threads."""
    with serving({f"t{n}": "hangs" for n in range(12)}) as running:
        running.loop._targets()
        codes: list[int] = []
        ask = lambda n: codes.append(running.get(f"/probe?target=t{n}", X_Prometheus_Scrape_Timeout_Seconds="1.5").status_code)  # noqa: E731  # fmt: skip
        askers = [threading.Thread(target=ask, args=(n,)) for n in range(12)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    assert codes.count(200) == 8
    assert codes.count(503) == 4


# ---- the page, and the rest of HTTP ----------------------------------------------------------


def test_the_page_says_what_is_known_without_script() -> None:
    """Text of targets is escaped, and the policy would stop a script even if it were not."""
    with serving({"<script>alert(1)</script>": "failed"}) as running:
        running.loop.cycle()
        found = running.get("/")
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert "<script" not in found.text
    assert "&lt;script&gt;" in found.text


def test_a_head_request_has_the_head_of_the_answer() -> None:
    """Same length, no body, on a connection that stays open."""
    with serving() as running:
        expected = running.get("/-/healthy").headers["content-length"]
        with running.connect() as raw:
            for _ in range(2):
                raw.sendall(b"HEAD /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                head = raw.recv(65536).decode()
                assert head.startswith("HTTP/1.1 200 OK\r\n")
                assert f"Content-Length: {expected}\r\n" in head
                assert head.endswith("\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_another_method_is_refused_and_the_connection_ends(method: str) -> None:
    """A body that nobody reads could be taken for a request."""
    with serving() as running:
        found = running.get("/metrics", method=method)
    assert (found.status_code, found.headers["allow"], found.headers["connection"]) == (
        405,
        "GET, HEAD",
        "close",
    )


@pytest.mark.parametrize("path", ["/nope", "/metrics/", "/../etc/passwd", "/%2e%2e/", "/metrics%00"])
def test_another_path_is_not_there(path: str) -> None:
    """404."""
    with serving() as running, running.connect() as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        assert raw.recv(65536).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "request_",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics HTTP/1.1 x\r\n\r\n",
     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n",
     b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", b"FOO / HTTP/1.1\r\n\r\n"],
)  # fmt: skip
def test_what_is_no_request_is_refused_and_the_next_client_is_served(request_: bytes) -> None:
    """TLS to a plain port, endless lines, too many headers."""
    with serving() as running:
        with running.connect() as raw:
            raw.sendall(request_)
            said = raw.recv(65536)
        assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
        assert running.get("/-/healthy").status_code == 200


def test_a_body_does_not_become_the_next_request() -> None:
    """A GET with a body is answered, and its connection ends."""
    with serving() as running, running.connect() as raw:
        smuggled = b"GET /probe?target=a HTTP/1.1\r\n\r\n"
        raw.sendall(b"GET /-/healthy HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(smuggled) + smuggled)
        said = b"".join(iter(lambda: raw.recv(65536), b""))
    assert said.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close" in said


def test_an_error_of_ours_is_a_500_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what it was."""
    with serving() as running:
        monkeypatch.setattr(page, "render", lambda *_: 1 / 0)
        found = running.get("/")
        assert found.status_code == 500
        assert "ZeroDivision" not in found.text
        assert running.get("/-/healthy").status_code == 200


# ---- hostile clients -------------------------------------------------------------------------


def test_a_slow_head_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not keep a connection."""
    monkeypatch.setattr(server, "HEAD", 0.3)
    with serving() as running, running.connect() as raw:
        began = time.monotonic()
        raw.sendall(b"GET /metrics HTTP/1.1\r\n")
        with suppress(OSError):  # reset or broken pipe, as the kernel pleases
            while time.monotonic() - began < 5:
                raw.sendall(b"X")
                time.sleep(0.02)
        assert time.monotonic() - began < 3


def test_a_full_house_closes_who_idles_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that opens all connections and says nothing locks nobody out."""
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    with serving() as running:
        idle = [running.connect() for _ in range(20)]
        began = time.monotonic()
        assert running.get("/-/healthy").status_code == 200
        assert time.monotonic() - began < 2
        for raw in idle:
            raw.close()


def test_a_client_that_does_not_read_holds_up_nobody() -> None:
    """Its answer waits in its own thread."""
    with serving() as running:
        for number in range(20_000):
            running.instruments.set(m.IMAGE_VERIFIED, 1, component=f"component-{number}", check="sbom")
        running.exposition.refresh()
        with running.connect() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(20):
                raw.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            began = time.monotonic()
            assert running.get("/-/healthy").status_code == 200
            assert time.monotonic() - began < 2


# ---- web-config ------------------------------------------------------------------------------


def web(folder: Path, **sections: object) -> Path:
    file = folder / "web.yaml"
    file.write_text(yaml.safe_dump(sections), encoding="utf-8")
    return file


def test_a_password_is_needed_for_all_but_health(tmp_path: Path) -> None:
    """A kubelet has none; health tells nothing."""
    users = {"alice": bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()}
    good = "Basic " + base64.b64encode(b"alice:right").decode()
    with serving({"a": "verified"}, web(tmp_path, basic_auth_users=users)) as running:
        running.loop.cycle()
        for path in ("/", "/metrics", "/probe?target=a", "/nope"):
            found = running.get(path)
            assert (found.status_code, found.headers["www-authenticate"]) == (401, "Basic")
            assert running.get(path, Authorization=good).status_code in (200, 404)
        assert running.get("/-/healthy").status_code == running.get("/-/ready").status_code == 200
        assert running.subject.checked == ["a", "a"]


def test_headers_and_rate_of_the_file_hold(tmp_path: Path) -> None:
    """More than the burst is 429; health is outside."""
    file = web(
        tmp_path,
        http_server_config={"headers": {"Strict-Transport-Security": "max-age=60"}},
        rate_limit={"interval": "1h", "burst": 2},
    )
    with serving(web=file) as running:
        found = [running.get("/metrics") for _ in range(3)]
        assert [f.status_code for f in found] == [200, 200, 429]
        assert found[0].headers["strict-transport-security"] == "max-age=60"
        assert running.get("/-/healthy").status_code == 200


def trusting(authority: Authority, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    if client is not None:
        context.load_cert_chain(*client)
    return context


def test_tls_serves_the_newest_certificate(tmp_path: Path) -> None:
    """Rotated on disk: the next connection has it, without a restart."""
    authority, later = Authority(tmp_path / "ca"), Authority(tmp_path / "later")
    certificate, key = authority.issue("server")
    file = web(tmp_path, tls_server_config={"cert_file": str(certificate), "key_file": str(key)})
    with serving(web=file) as running:
        running.scheme = "https"
        assert running.get("/metrics", verify=trusting(authority)).status_code == 200
        for old, new in zip((certificate, key), later.issue("server"), strict=True):
            new.replace(old)
        assert running.get("/metrics", verify=trusting(later)).status_code == 200
        with pytest.raises(httpx.ConnectError):
            running.get("/metrics", verify=trusting(authority))


def test_mutual_tls_asks_for_a_certificate_of_its_ca_and_name(tmp_path: Path) -> None:
    """None, another CA's, or another name's does not get in; health is no exception."""
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate, key = authority.issue("server")
    tls = {
        "cert_file": str(certificate),
        "key_file": str(key),
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(authority.file),
        "client_allowed_sans": ["prometheus.example"],
    }
    with serving(web=web(tmp_path, tls_server_config=tls)) as running:
        running.scheme = "https"
        good = trusting(authority, authority.issue("prometheus", "prometheus.example"))
        assert running.get("/metrics", verify=good).status_code == 200
        strangers = (
            None,
            other.issue("prometheus", "prometheus.example"),
            authority.issue("nosy", "nosy.example"),
        )
        for stranger in strangers:
            for path in ("/metrics", "/-/healthy"):
                with pytest.raises(httpx.TransportError):
                    running.get(path, verify=trusting(authority, stranger))


def test_where_a_certificate_is_required_who_only_knocks_is_let_in(tmp_path: Path) -> None:
    """As a kubelet's tcpSocket probe does; its httpGet over TLS, which checks and shows no certificate, is not."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    tls = {
        "cert_file": str(certificate),
        "key_file": str(key),
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(authority.file),
    }
    with serving(web=web(tmp_path, tls_server_config=tls)) as running:
        running.scheme = "https"
        for _ in range(3):
            running.connect().close()
        with pytest.raises(httpx.TransportError):
            running.get("/-/healthy", verify=False)
        good = trusting(authority, authority.issue("prometheus"))
        assert running.get("/-/healthy", verify=good).status_code == 200


def test_a_client_that_does_not_shake_hands_holds_up_nobody(tmp_path: Path) -> None:
    """It waits in a thread of its own, and not for long."""
    authority = Authority(tmp_path / "ca")
    certificate, key = authority.issue("server")
    file = web(tmp_path, tls_server_config={"cert_file": str(certificate), "key_file": str(key)})
    with serving(web=file) as running, running.connect(), running.connect() as plain:
        running.scheme = "https"
        plain.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert running.get("/metrics", verify=trusting(authority)).status_code == 200


def test_an_empty_host_is_every_interface() -> None:
    """Of both families where there is IPv6."""
    running = Running({}, address=":0")
    try:
        assert running.get("/-/healthy").status_code == 200
        if socket.has_dualstack_ipv6():
            with socket.create_connection(("::1", running.port), timeout=5) as raw:
                raw.sendall(b"GET /-/healthy HTTP/1.1\r\nConnection: close\r\n\r\n")
                assert raw.recv(64).startswith(b"HTTP/1.1 200")
    finally:
        running.server.shutdown()
        running.server.server_close()
