"""How a Prometheus is reached: Prometheus' own HTTP client configuration, as promtool's --http.config.file reads it.

    basic_auth: {username: ..., password: ..., password_file: ...}
    authorization: {type: Bearer, credentials: ..., credentials_file: ...}
    tls_config: {ca_file: ..., cert_file: ..., key_file: ..., server_name: ..., insecure_skip_verify: false}
    http_headers: {X-Scope-OrgID: {values: [team]}}

Files are relative to the configuration's folder. Secrets are read from files when a request is made ready, and
appear in no message.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from slo.document import load_document, read_text
from slo.errors import LoadError

WHAT = "an HTTP client configuration"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BasicAuth(_Part):
    username: str
    password: SecretStr | None = None
    password_file: str = ""


class Authorization(_Part):
    type: str = "Bearer"
    credentials: SecretStr | None = None
    credentials_file: str = ""


class TLS(_Part):
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False

    @model_validator(mode="after")
    def _pair(self) -> TLS:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file come together")
        return self


class Header(_Part):
    values: Annotated[tuple[str, ...], Field(min_length=1)]


class HTTPConfig(_Part):
    """The part of Prometheus' http_config that a client of its API needs."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    tls_config: TLS = TLS()
    http_headers: dict[str, Header] = {}

    @model_validator(mode="after")
    def _one_way_in(self) -> HTTPConfig:
        if self.basic_auth is not None and self.authorization is not None:
            raise ValueError("basic_auth and authorization exclude each other")
        return self


@dataclass(frozen=True, slots=True)
class Access:
    """What httpx needs: a TLS context, headers, an authentication, and the name a certificate must have."""

    verify: ssl.SSLContext | bool = True
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    auth: httpx.BasicAuth | None = None
    server_name: str = ""


def load_access(path: Path | None, tenant: str = "") -> Access:
    """Read the configuration; LoadError says what is wrong with it. `tenant` sets X-Scope-OrgID (Mimir, Cortex)."""
    headers = {"X-Scope-OrgID": tenant} if tenant else {}
    if path is None:
        return Access(headers=headers)
    config = load_document(path, HTTPConfig, WHAT)
    for name, header in config.http_headers.items():
        headers.setdefault(name, ", ".join(header.values))
    auth = None
    if config.basic_auth is not None:
        b = config.basic_auth
        auth = httpx.BasicAuth(b.username, _secret(path, b.password, b.password_file))
    if config.authorization is not None:
        a = config.authorization
        headers["Authorization"] = f"{a.type} {_secret(path, a.credentials, a.credentials_file)}"
    return Access(_context(path, config.tls_config), headers, auth, config.tls_config.server_name)


def _secret(config: Path, given: SecretStr | None, file: str) -> str:
    if given is not None:
        return given.get_secret_value()
    if not file:
        raise LoadError(f"{config}: a user or an authorization without a secret: name the file that holds it")
    return read_text(config.parent / file, "a secret").strip()


def _context(config: Path, tls: TLS) -> ssl.SSLContext:
    base = config.parent
    try:
        context = ssl.create_default_context(cafile=str(base / tls.ca_file) if tls.ca_file else None)
        if tls.cert_file:
            context.load_cert_chain(base / tls.cert_file, base / tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise LoadError(f"{config}: tls_config cannot be used: {error.strerror or error}") from None
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
