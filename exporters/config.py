"""What the configurations of all exporters share, and how a file becomes one of them."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails

from exporters import strict_yaml
from exporters.outcome import CouldNotCheck
from exporters.strict_yaml import ConfigError

__all__ = ["Common", "ConfigError", "LocalFile", "Otlp", "Seconds", "Secret", "Section", "Tls", "Url", "load"]

PORT = 9464  # where all exporters listen; each has a pod of its own
LARGEST_SECRET = 64 << 10  # bytes

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def _seconds(value: Any) -> Any:
    """90, "90s", "1h30m" to seconds; Prometheus' way to write a duration."""
    if not isinstance(value, str):
        return value
    parts = re.findall(r"([0-9]+)(ms|[smhdw])", value)
    if not parts or "".join(f"{n}{u}" for n, u in parts) != value:
        raise ValueError(f"{value!r} is no duration: write 30s, 5m or 1h30m")
    return sum(int(n) * _UNITS[u] for n, u in parts)


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(ge=0, le=10 * 365 * 86400, allow_inf_nan=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": "^([0-9]+(ms|[smhdw]))+$"},
            ]
        }
    ),
]


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    """A relative path starts at the folder of the configuration file."""
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


LocalFile = Annotated[Path, AfterValidator(_from_folder)]


def _url(value: str) -> str:
    match = re.fullmatch(r"(https?)://([^/?#\s]+)([^\s?#]*)", value)
    if match is None:
        raise ValueError("is no URL: write http:// or https://, a host and a path, without ? and #")
    if "@" in match[2]:
        raise ValueError(
            "carries a user: credentials have their own keys, and come from the environment or a file"
        )
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]


class Section(BaseModel):
    """Base of every part of a configuration: frozen, no unknown keys, and no input in error messages."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class Secret(Section):
    """A secret is never written into the configuration: it names an environment variable or a file."""

    env: str | None = None
    """The environment variable that holds it."""
    file: LocalFile | None = None
    """The file that holds it, such as a mounted Kubernetes Secret; read anew each time, without its last newline."""

    @model_validator(mode="before")
    @classmethod
    def _no_plain_text(cls, data: Any) -> Any:
        if isinstance(data, str):
            raise ValueError("a secret is not written here: use {env: NAME} or {file: PATH}")
        return data

    @model_validator(mode="after")
    def _one_source(self) -> Secret:
        if (self.env is None) == (self.file is None):
            raise ValueError("takes one of env and file")
        return self

    def read(self) -> str:
        """Its value now. Raises CouldNotCheck("unauthorized") when it is not there."""
        if self.env is not None:
            value = os.environ.get(self.env)
            if value is None:
                raise CouldNotCheck("unauthorized", f"the environment has no {self.env}")
            return value
        assert self.file is not None
        try:
            with self.file.open("rb") as file:
                return file.read(LARGEST_SECRET).decode("utf-8").rstrip("\r\n")
        except OSError as error:
            raise CouldNotCheck("unauthorized", f"{self.file} cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise CouldNotCheck("unauthorized", f"{self.file} is not UTF-8") from None


class Tls(Section):
    """How servers are trusted, and how the exporter shows itself to them."""

    ca_file: LocalFile | None = None
    """CA certificates in PEM, trusted besides the system's."""
    cert_file: LocalFile | None = None
    """A client certificate in PEM, with its chain."""
    key_file: LocalFile | None = None
    """The client certificate's key in PEM."""

    @model_validator(mode="after")
    def _pair(self) -> Tls:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file come together")
        return self

    def context(self) -> ssl.SSLContext:
        """Raises ConfigError when a file cannot be used."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for file in (self.ca_file, self.cert_file):
            try:
                if file is not None and file is self.ca_file:
                    context.load_verify_locations(file)
                elif file is not None:
                    context.load_cert_chain(file, self.key_file)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"{file}: cannot be used as PEM certificates ({error}): check the file"
                ) from None
        return context


class Otlp(Section):
    """Push the metrics to an OpenTelemetry collector as well (needs the extra `otlp`)."""

    endpoint: Url
    """The whole URL, such as http://collector:4318/v1/metrics."""
    headers: dict[str, Secret] = Field(default_factory=dict)
    """Headers to send, such as Authorization."""
    interval: Seconds = Field(default=60.0, ge=1)
    """Time between two pushes."""
    timeout: Seconds = Field(default=10.0, gt=0, le=300)
    """A push ends after this time."""
    resource: dict[str, str] = Field(default_factory=dict)
    """Resource attributes besides service.name, such as service.instance.id."""


def _listen(value: str) -> str:
    split_address(value)
    return value


class Common(Section):
    """What every exporter's configuration holds."""

    interval: Seconds = Field(default=60.0, ge=1)
    """Time between the starts of two cycles over all targets."""
    jitter: float = Field(default=0.1, ge=0, le=1)
    """The share of the interval by which a start is moved at random, so that replicas do not ask at once."""
    concurrency: int = Field(default=8, ge=1, le=64)
    """Targets that are checked at once."""
    timeout: Seconds = Field(default=10.0, gt=0, le=600)
    """One HTTP call ends after this time, with its retries and redirects."""
    check_timeout: Seconds = Field(default=120.0, gt=0, le=3600)
    """A target's check that takes longer is given up and counted as a failure of the cycle."""
    max_bytes: int = Field(default=4 << 20, ge=1024, le=1 << 30)
    """The largest answer that is read into memory."""
    tls: Tls = Tls()
    """How servers are trusted."""
    listen: Annotated[str, AfterValidator(_listen)] = f":{PORT}"
    """Where metrics are served: HOST:PORT, [IPV6]:PORT, or :PORT for all interfaces."""
    web_config: LocalFile | None = None
    """A web-config file in the format of Prometheus' exporter-toolkit: TLS and basic authentication."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages that are logged."""
    log_format: Literal["text", "json"] = "json"
    """How messages are logged."""
    otlp: Otlp | None = None
    """Push the metrics as well."""


def split_address(address: str) -> tuple[str, int]:
    """Host, empty for all interfaces, and port (0 lets the system choose). Raises ValueError."""
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]*)):([0-9]{1,5})", address)
    if match is None or int(match[3]) > 65535:
        raise ValueError(f"{address!r} is no address: write HOST:PORT, [IPV6]:PORT or :PORT")
    if match[1] is not None:
        try:
            ipaddress.IPv6Address(match[1])
        except ValueError:
            raise ValueError(f"{match[1]!r} is no IPv6 address: brackets hold one") from None
    return match[1] or match[2] or "", int(match[3])


# ---- from a file -----------------------------------------------------------------------------

Model = TypeVar("Model", bound=BaseModel)


def load(kind: type[Model], path: Path) -> Model:
    """Read a configuration file. Raises ConfigError with one sentence: file, key, reason and remedy."""
    _, content = strict_yaml.read(path)
    return validate(kind, content, path)


def validate(kind: type[Model], content: Any, path: Path) -> Model:
    """Content as a model; `path` is named in a ConfigError, and its folder is where relative paths start."""
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: a configuration is a YAML mapping: write keys, each with its value")
    try:
        return kind.model_validate(content, context={"folder": str(path.parent)})
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{path}: {_explain(kind, problems[0])}{more}") from None


def _explain(kind: type[BaseModel], error: ErrorDetails) -> str:
    """One problem as key path, reason and remedy. The value is left out: it may be a secret."""
    place = error["loc"]
    key = f"key '{'.'.join(map(str, place))}'" if place else "the file"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = _keys(kind, place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"use one of {', '.join(known)}"
            if known
            else "remove it"
        )
        return f"{key} is unknown: {hint}"
    if error["type"] == "missing":
        return f"{key} is missing: add it"
    if error["type"] == "string_type":
        return f"{key} is no text: write it in quotes"
    if error["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message[:1].lower()}{message[1:]}: mend the value"


def _keys(kind: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a place of the model; none where the place cannot be told."""
    models = _models(kind)
    if not place:
        return [name for model in models for name in model.model_fields]
    for model in models:
        if place[0] in model.model_fields:
            return _keys(model.model_fields[str(place[0])].annotation, place[1:])
    # An index, a mapping's key or the name of a union's member.
    return _keys(kind, place[1:])


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models an annotation may hold: X, X | None, list[X], dict[str, X]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
