"""Web-config files: who may enter, with which certificates, and what a bad change does."""

from __future__ import annotations

import base64
import logging
import os
import time
from pathlib import Path

import bcrypt
import pytest
import yaml
from rawserver import Authority

from exporters.config import ConfigError
from exporters.webconfig import Guard


def hashed(password: bytes, prefix: bytes = b"2b") -> str:
    """At the lowest cost, so that tests are fast."""
    return bcrypt.hashpw(password, bcrypt.gensalt(4, prefix if prefix != b"2y" else b"2b")).replace(b"$2b$", b"$" + prefix + b"$").decode()  # fmt: skip


def written(folder: Path, **sections: object) -> Path:
    file = folder / "web.yaml"
    file.write_text(yaml.safe_dump(sections), encoding="utf-8")
    # Two writes within the clock's grain must differ.
    os.utime(file, ns=(time.time_ns(), time.time_ns()))
    return file


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_without_a_file_everybody_enters_in_the_clear() -> None:
    """As an exporter does by default."""
    guard = Guard(None)
    assert guard.context() is None
    assert guard.authorized(None)
    assert guard.within_rate()


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_a_user_enters_with_the_password_only(tmp_path: Path, prefix: bytes) -> None:
    """Hashes of htpasswd, of Go and of Python."""
    guard = Guard(
        written(tmp_path, basic_auth_users={"alice": hashed(b"right", prefix), "bob": hashed(b"other")})
    )
    for _ in range(2):  # computed, then remembered
        assert guard.authorized(basic("alice", "right"))
        assert guard.authorized(basic("alice", "right").replace("Basic", "basic"))
    for header in (None, "", "Basic", "Basic !!!", "Bearer x", basic("alice", "wrong"), basic("alice", ""), basic("bob", "right"), basic("carol", "right"), basic("", ""), "Basic " + base64.b64encode(b"alice").decode()):  # fmt: skip
        assert not guard.authorized(header), header


def test_odd_passwords_are_no_crash(tmp_path: Path) -> None:
    """Longer than bcrypt reads, with a NUL, with a colon, no UTF-8."""
    guard = Guard(written(tmp_path, basic_auth_users={"alice": hashed("ri:ght☃".encode())}))
    assert guard.authorized(basic("alice", "ri:ght☃"))
    for raw in (b"alice:" + b"x" * 100, b"alice:\0", b"\xff\xfe:\xff"):
        assert not guard.authorized("Basic " + base64.b64encode(raw).decode())


def test_a_verified_password_is_remembered(tmp_path: Path) -> None:
    """A scrape does not pay for bcrypt each time; a wrong password pays each time."""
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()
    guard = Guard(written(tmp_path, basic_auth_users={"alice": slow}))

    def seconds(password: str) -> float:
        began = time.perf_counter()
        guard.authorized(basic("alice", password))
        return time.perf_counter() - began

    first, again, wrong = seconds("right"), seconds("right"), min(seconds("wrong"), seconds("wrong"))
    assert again < first / 5
    assert wrong > first / 5


def test_an_unknown_user_takes_as_long_as_a_known_one(tmp_path: Path) -> None:
    """Time tells nobody who has an account."""
    guard = Guard(
        written(tmp_path, basic_auth_users={"alice": bcrypt.hashpw(b"x", bcrypt.gensalt(9)).decode()})
    )
    took = {}
    for user in ("alice", "nobody"):
        began = time.perf_counter()
        assert not any(guard.authorized(basic(user, "wrong")) for _ in range(3))
        took[user] = time.perf_counter() - began
    assert 0.2 < took["alice"] / took["nobody"] < 5


def test_a_changed_password_counts_at_once(tmp_path: Path) -> None:
    """What was remembered for the former one is worth nothing."""
    guard = Guard(written(tmp_path, basic_auth_users={"alice": hashed(b"old")}))
    assert guard.authorized(basic("alice", "old"))
    written(tmp_path, basic_auth_users={"alice": hashed(b"new")})
    assert not guard.authorized(basic("alice", "old"))
    assert guard.authorized(basic("alice", "new"))


def test_a_bad_change_keeps_what_was_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once, not at every request; a later good one counts."""
    file = written(tmp_path, basic_auth_users={"alice": hashed(b"right")})
    guard = Guard(file)
    caplog.set_level(logging.INFO, "exporters")
    file.write_text("basic_auth_users: [nobody]", encoding="utf-8")
    for _ in range(3):
        assert guard.authorized(basic("alice", "right"))
        assert not guard.authorized(None)
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == [
        "the web configuration stays as it was"
    ]
    file.unlink()
    assert not guard.authorized(None)
    written(tmp_path)
    assert guard.authorized(None)


def test_certificates_are_read_again_when_they_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file names stay; half a rotation keeps the former pair."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    guard = Guard(written(tmp_path, tls_server_config={"cert_file": "server.crt", "key_file": "server.key"}))
    first = guard.context()
    assert first is guard.context()
    other_certificate, other_key = authority.issue("other")
    os.replace(other_certificate, certificate)
    assert guard.context() is first
    assert "stays as it was" in caplog.text
    os.replace(other_key, key)
    assert guard.context() is not first


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"tls_server_confg": {}}, "key 'tls_server_confg' is unknown: did you mean 'tls_server_config'?"),
        ({"tls_server_config": {"cert_file": "x"}}, "key 'tls_server_config.key_file' is missing: add it"),
        ({"tls_server_config": {"cert_file": "x", "key_file": "y", "sni": 1}}, "key 'tls_server_config.sni' is unknown"),
        ({"tls_server_config": {"cert": "PEM"}}, "cert is not supported here: use cert_file"),
        ({"tls_server_config": {"cert_file": "no.crt", "key_file": "no.key"}}, "no certificate and its key"),
        ({"tls_server_config": {"cert_file": "x", "key_file": "y", "client_auth_type": "RequireAnyClientCert"}}, "does not verify certificates: use RequireAndVerifyClientCert"),
        ({"tls_server_config": {"cert_file": "x", "key_file": "y", "client_auth_type": "RequireAndVerifyClientCert"}}, "client_ca_file and a client_auth_type that verifies come together"),
        ({"tls_server_config": {"cert_file": "x", "key_file": "y", "client_ca_file": "z"}}, "come together"),
        ({"tls_server_config": {"cert_file": "x", "key_file": "y", "min_version": "TLS10"}}, "input should be 'TLS12' or 'TLS13'"),
        ({"tls_server_config": {"cert_file": "x", "key_file": "y", "cipher_suites": ["TLS_RSA_WITH_RC4_128_SHA"]}}, "is no suite that is supported"),
        ({"http_server_config": {"http2": True}}, "HTTP/2 is not spoken here: set it to false"),
        ({"http_server_config": {"headers": {"Server": "x"}}}, "Server cannot be set"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "maybe"}}}, "X-Frame-Options takes deny or sameorigin"),
        ({"http_server_config": {"headers": {"Content-Security-Policy": "a\r\nX: y"}}}, "holds what no header can"),
        ({"basic_auth_users": {"alice": "hunter2"}}, "the password of 'alice' is no bcrypt hash"),
        ({"basic_auth_users": {"alice": hashed(b"x").replace("$04$", "$31$")}}, "has cost 31, which takes too long: use 10"),
        ({"rate_limit": {"burst": 0}}, "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_at_the_start(
    tmp_path: Path, sections: dict[str, object], sentence: str
) -> None:
    """By one sentence with the file, and never with the password."""
    with pytest.raises(ConfigError) as caught:
        Guard(written(tmp_path, **sections))
    assert sentence in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_toolkits_own_keys_are_understood(tmp_path: Path) -> None:
    """A file that other exporters use is used here."""
    authority = Authority(tmp_path)
    authority.issue("server")
    file = written(
        tmp_path,
        tls_server_config={
            "cert_file": "server.crt",
            "key_file": "server.key",
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": "ca.pem",
            "client_allowed_sans": ["prometheus.example"],
            "min_version": "TLS13",
            "max_version": "TLS13",
            "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
            "prefer_server_cipher_suites": True,
        },
        http_server_config={"http2": False, "headers": {"X-Frame-Options": "deny"}},
        basic_auth_users={"alice": hashed(b"x")},
        rate_limit={"interval": "1s", "burst": 20},
    )
    guard = Guard(file)
    assert guard.context() is not None
    assert guard.headers() == {"X-Frame-Options": "deny"}


def test_a_rate_is_a_bucket_that_fills_with_time(tmp_path: Path) -> None:
    """A burst, then one each interval, never more than the burst."""
    now = [100.0]
    guard = Guard(written(tmp_path, rate_limit={"interval": "2s", "burst": 3}), clock=lambda: now[0])
    assert [guard.within_rate() for _ in range(4)] == [True, True, True, False]
    now[0] += 2
    assert [guard.within_rate() for _ in range(2)] == [True, False]
    now[0] += 1000
    assert [guard.within_rate() for _ in range(4)] == [True, True, True, False]
