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
from typing import Annotated, Any

import httpx
import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from slo.errors import LoadError

LARGEST = 256 * 1024  # bytes of a configuration or of a secret


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
    config = _parse(path)
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


def _parse(path: Path) -> HTTPConfig:
    try:
        return HTTPConfig.model_validate(yaml.safe_load(_read(path)) or {})
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place is not None else ""
        raise LoadError(f"{path}{line} is no YAML: {getattr(error, 'problem', 'unreadable')}") from None
    except RecursionError:
        raise LoadError(f"{path} is nested too deeply to be a configuration") from None
    except ValidationError as error:
        raise LoadError(f"{path}: {_said(error)}") from None


def _said(error: ValidationError) -> str:
    """The first problem, with its place and without its value: it may be a secret."""
    first: Any = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(p) for p in first["loc"])
    known = ", ".join(HTTPConfig.model_fields)
    if first["type"] == "extra_forbidden":
        return f"{place} is not a setting read here; there are {known}, as in Prometheus' http_config"
    return f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise LoadError(f"{path} is larger than {LARGEST >> 10} KiB: is it the right file?")
        return content.decode()
    except OSError as error:
        raise LoadError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise LoadError(f"{path} is not UTF-8 text") from None


def _secret(config: Path, given: SecretStr | None, file: str) -> str:
    if given is not None:
        return given.get_secret_value()
    if not file:
        raise LoadError(f"{config}: a user or an authorization without a secret: name the file that holds it")
    return _read(config.parent / file).strip()


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
