"""TLS and basic authentication of our own server, by a web-config file in the format of Prometheus' exporter-toolkit.

The file and the certificates it names are looked at for every new connection and request, and read again when
they change. A change that cannot be used is logged and the last good state stays in force.

What differs from the toolkit, on purpose: /-/healthy and /-/ready need no password and no rate, because a
kubelet has none to send and they tell nothing; mutual TLS holds for them too, since it comes before any path.
Only verified client certificates count. HTTP/2, inline certificates and curve preferences are refused by name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import bcrypt
from pydantic import BeforeValidator, Field, field_validator, model_validator

from exporters import strict_yaml
from exporters.config import ConfigError, LocalFile, Seconds, Section, validate

log = logging.getLogger(__name__)

REMEMBERED = 64  # verified passwords; bcrypt takes some 70 ms each time
PATIENCE = 2.0  # seconds a request waits for its turn at bcrypt; one is computed at a time
DEAREST = 16  # bcrypt cost; each step doubles the time, and 16 takes about 5 s

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
# Go's names of the suites of TLS 1.2 that are still sound, and OpenSSL's. Those of TLS 1.3 are not configurable.
_SUITES = {
    f"TLS_ECDHE_{kind}_WITH_{go}": f"ECDHE-{kind}-{openssl}"
    for kind in ("ECDSA", "RSA")
    for go, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
}
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_UNSUPPORTED = {
    "cert": "use cert_file",
    "key": "use key_file",
    "client_ca": "use client_ca_file",
    "curve_preferences": "OpenSSL's order is used",
}


def _verified_only(value: Any) -> Any:
    if value in ("RequestClientCert", "RequireAnyClientCert"):
        raise ValueError(f"{value} does not verify certificates: use RequireAndVerifyClientCert")
    return value


class TlsServer(Section):
    """The section tls_server_config."""

    cert_file: LocalFile
    key_file: LocalFile
    client_auth_type: Annotated[
        Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"],
        BeforeValidator(_verified_only),
    ] = "NoClientCert"
    client_ca_file: LocalFile | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    max_version: Literal["TLS12", "TLS13"] = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True

    @model_validator(mode="before")
    @classmethod
    def _say_what_is_not_there(cls, data: Any) -> Any:
        for key in data if isinstance(data, Mapping) else ():
            if key in _UNSUPPORTED:
                raise ValueError(f"{key} is not supported here: {_UNSUPPORTED[key]}")
        return data

    @field_validator("cipher_suites")
    @classmethod
    def _sound(cls, suites: tuple[str, ...]) -> tuple[str, ...]:
        for suite in suites:
            if suite not in _SUITES:
                raise ValueError(f"{suite!r} is no suite that is supported: use some of {', '.join(_SUITES)}")
        return suites

    @model_validator(mode="after")
    def _whole(self) -> TlsServer:
        verifies = self.client_auth_type != "NoClientCert"
        if verifies != (self.client_ca_file is not None):
            raise ValueError("client_ca_file and a client_auth_type that verifies come together")
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(f for f in (self.cert_file, self.key_file, self.client_ca_file) if f is not None)

    def context(self) -> ssl.SSLContext:
        """Raises ConfigError when a file cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = (
            _VERSIONS[self.min_version],
            _VERSIONS[self.max_version],
        )
        if self.cipher_suites:
            context.set_ciphers(":".join(_SUITES[s] for s in self.cipher_suites))
        if not self.prefer_server_cipher_suites:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.cert_file}, {self.key_file}: no certificate and its key ({error}): mend the files") from None  # fmt: skip
        if self.client_ca_file is not None:
            try:
                context.load_verify_locations(self.client_ca_file)
            except (OSError, ValueError) as error:
                raise ConfigError(f"{self.client_ca_file}: holds no CA certificates ({error}): mend the file") from None  # fmt: skip
            required = self.client_auth_type == "RequireAndVerifyClientCert"
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context


class HttpServer(Section):
    """The section http_server_config."""

    http2: bool = False
    headers: dict[str, str] = Field(default_factory=dict)

    @field_validator("http2")
    @classmethod
    def _one_only(cls, http2: bool) -> bool:
        if http2:
            raise ValueError("HTTP/2 is not spoken here: set it to false")
        return http2

    @field_validator("headers")
    @classmethod
    def _allowed(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name not in _HEADERS:
                raise ValueError(f"{name} cannot be set: use some of {', '.join(_HEADERS)}")
            if _HEADERS[name] and value not in _HEADERS[name]:
                raise ValueError(f"{name} takes {' or '.join(_HEADERS[name])}")
            if not value.isprintable() or not value.isascii():
                raise ValueError(f"{name} holds what no header can: use printable ASCII")
        return headers


class RateLimit(Section):
    """The section rate_limit: a bucket of `burst` requests, one more each `interval`; 0 sets no limit."""

    interval: Seconds = 0.0
    burst: int = Field(default=1, ge=1)


class WebConfig(Section):
    """A web-config file."""

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: dict[str, str] = Field(default_factory=dict)
    rate_limit: RateLimit = RateLimit()

    @field_validator("tls_server_config", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == {} else value

    @field_validator("basic_auth_users")
    @classmethod
    def _hashes(cls, users: dict[str, str]) -> dict[str, str]:
        for user, hashed in users.items():
            try:
                bcrypt.checkpw(b"", hashed[:4].encode() + b"04" + hashed[6:].encode())
                cost = int(hashed[4:6])
            except ValueError:
                raise ValueError(
                    f"the password of {user!r} is no bcrypt hash: make one with htpasswd -nBC 10"
                ) from None
            if cost > DEAREST:
                raise ValueError(f"the password of {user!r} has cost {cost}, which takes too long: use 10")
        return users


class _Bucket:
    """A token bucket. Thread-safe."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float]) -> None:
        self._limit, self._clock = limit, clock
        self._tokens, self._at = float(limit.burst), clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        if self._limit.interval == 0:
            return True
        with self._lock:
            now = self._clock()
            self._tokens = min(self._limit.burst, self._tokens + (now - self._at) / self._limit.interval)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Guard:
    """What the web-config file demands, now. Without a file: no TLS, everybody may enter. Thread-safe.

    The first reading raises ConfigError; later ones keep what was.
    """

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._key = os.urandom(32)
        self._verified: dict[bytes, None] = {}
        self._seen: tuple[object, ...] = ()
        self._config = WebConfig()
        self._context: ssl.SSLContext | None = None
        self._bucket = _Bucket(self._config.rate_limit, clock)
        if path is not None:
            for _ in range(2):  # the second time with the certificates in the signature
                self._seen = self._signature()
                self._read(path)

    def context(self) -> ssl.SSLContext | None:
        """For a new connection; None when it speaks plain HTTP."""
        self._refresh()
        return self._context

    def admits(self, connection: Any) -> bool:
        """After a handshake: is the client's certificate one of those that may enter?"""
        tls = self._config.tls_server_config
        if tls is None or not tls.client_allowed_sans:
            return True
        names = (connection.getpeercert() or {}).get("subjectAltName", ())
        return any(value in tls.client_allowed_sans for _, value in names)

    def headers(self) -> Mapping[str, str]:
        return self._config.http_server_config.headers

    def within_rate(self) -> bool:
        return self._bucket.take()

    def authorized(self, header: str | None) -> bool:
        """Does an Authorization header hold a user and password that may enter?"""
        self._refresh()
        users = self._config.basic_auth_users
        if not users:
            return True
        found = _basic(header)
        if found is None:
            return False
        name, password = found
        known = next((h for u, h in users.items() if hmac.compare_digest(u.encode(), name)), None)
        # An unknown user costs as much time as a known one.
        dearest = max(users.values(), key=lambda h: h[4:6])
        hashed = dearest if known is None else known
        mark = hmac.digest(
            self._key, b"\0".join((name.hex().encode(), hashed.encode(), password)), hashlib.sha256
        )
        if known is not None and mark in self._verified:
            return True
        if not self._turn.acquire(timeout=PATIENCE):
            return False
        try:
            right = bcrypt.checkpw(password, hashed.encode())
        except ValueError:  # longer than bcrypt's 72 bytes
            right = False
        finally:
            self._turn.release()
        if not right or known is None:
            return False
        with self._lock:
            while len(self._verified) >= REMEMBERED:
                del self._verified[next(iter(self._verified))]
            self._verified[mark] = None
        return True

    def _refresh(self) -> None:
        if self._path is None:
            return
        with self._lock:
            now = self._signature()
            if now == self._seen:
                return
            self._seen = now  # taken before reading: a change meanwhile is seen the next time
            try:
                self._read(self._path)
            except ConfigError as error:
                log.error("the web configuration stays as it was: %s", error)
            else:
                log.info("the web configuration was read again")

    def _read(self, path: Path) -> None:
        _, content = strict_yaml.read(path)
        config = validate(WebConfig, content, path)
        tls = config.tls_server_config
        self._config, self._context = config, None if tls is None else tls.context()
        self._bucket = _Bucket(config.rate_limit, self._clock)

    def _signature(self) -> tuple[object, ...]:
        """Changes when a file does: by its inode too, since a ConfigMap's files are replaced by a symlink."""
        tls = self._config.tls_server_config
        found: list[object] = []
        for file in (self._path, *(() if tls is None else tls.files)):
            assert file is not None
            try:
                status = os.stat(file)
                found.append((status.st_ino, status.st_mtime_ns, status.st_size))
            except OSError as error:
                found.append(error.errno)
        return tuple(found)


def _basic(header: str | None) -> tuple[bytes, bytes] | None:
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (name, password) if colon else None
