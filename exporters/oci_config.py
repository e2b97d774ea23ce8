"""How registries are reached: mirrors, credentials, and where their tokens may come from."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from exporters.config import LocalFile, Secret, Section
from exporters.oci_types import Repository
from exporters.outcome import CouldNotCheck

LARGEST_CONFIG = 1 << 20  # bytes of a docker configuration
_PLACE = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._/-]*)?")
# Docker Hub is called by one name and answers under two others.
_API = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_TOKENS = {"docker.io": ("auth.docker.io",), "index.docker.io": ("auth.docker.io",)}


def _place(value: str) -> str:
    if not _PLACE.fullmatch(value) or value.endswith("/"):
        raise ValueError(f"{value!r} is no registry: write host, host:port or host/path, without https://")
    return value


Place = Annotated[str, AfterValidator(_place)]


class Mirror(Section):
    """Another registry that holds the same content."""

    location: Place
    """host, host:port, or host/path where the repository names begin."""
    plain_http: bool = False
    """Ask over http; only for a registry on this machine or in the same pod."""


class RegistryOptions(Section):
    """One registry. What is not said is as for a registry that is not listed."""

    mirrors: tuple[Mirror, ...] = ()
    """Asked in order before the registry itself. What a mirror serves is compared with its digest."""
    plain_http: bool = False
    """Ask over http; only for a registry on this machine or in the same pod."""
    username: str | None = None
    """With password, instead of a docker configuration."""
    password: Secret | None = None
    """The user's password or token."""
    token_hosts: tuple[str, ...] = ()
    """Hosts (host or host:port) besides the registry's own that may be asked for tokens: they get the password."""

    @model_validator(mode="after")
    def _pair(self) -> RegistryOptions:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password come together")
        return self


class Registries(Section):
    """All registries."""

    hosts: dict[str, RegistryOptions] = Field(default_factory=dict)
    """Options by host or host:port, as the images name it."""
    docker_config: LocalFile | None = None
    """A docker config.json (a mounted kubernetes.io/dockerconfigjson Secret): its `auths` are used. No credential
    helper is run."""

    def sources(self, repository: Repository) -> tuple[Source, ...]:
        """Where the repository's content may be, in the order to ask."""
        options = self.hosts.get(repository.registry, RegistryOptions())
        mirrors = tuple(_mirror(mirror, repository) for mirror in options.mirrors)
        api = _API.get(repository.registry, repository.registry)
        own = Source(repository.registry, api, repository.name, options.plain_http)
        return (*mirrors, own)

    def token_hosts(self, registry: str) -> tuple[str, ...]:
        options = self.hosts.get(registry, RegistryOptions())
        return (*options.token_hosts, *_TOKENS.get(registry, ()))

    def credentials(self, registry: str) -> Credentials | None:
        """Of the registry's options, else of the docker configuration, read anew; None is anonymous.

        Raises CouldNotCheck("unauthorized") when what is configured cannot be read.
        """
        options = self.hosts.get(registry)
        if options is not None and options.username is not None and options.password is not None:
            return Credentials(options.username, options.password.read())
        return None if self.docker_config is None else _docker(self._docker_config(), registry)

    def _docker_config(self) -> Mapping[str, Any]:
        assert self.docker_config is not None
        try:
            with self.docker_config.open("rb") as file:
                content = json.loads(file.read(LARGEST_CONFIG))
        except OSError as error:
            raise CouldNotCheck(
                "unauthorized", f"{self.docker_config} cannot be read ({error.strerror})"
            ) from None
        except (ValueError, RecursionError):
            raise CouldNotCheck("unauthorized", f"{self.docker_config} is no docker configuration") from None
        return content if isinstance(content, dict) else {}


@dataclass(frozen=True, slots=True)
class Source:
    """A repository as one host serves it. `registry` is the name its options and credentials are kept under."""

    registry: str
    host: str
    name: str
    plain_http: bool

    def url(self, path: str) -> str:
        return f"{'http' if self.plain_http else 'https'}://{self.host}/v2/{self.name}/{path}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and password, or an OAuth2 refresh token (docker's identity token)."""

    username: str
    password: str
    refresh: bool = False

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def _mirror(mirror: Mirror, repository: Repository) -> Source:
    host, _, prefix = mirror.location.partition("/")
    return Source(host, host, f"{prefix}/{repository.name}" if prefix else repository.name, mirror.plain_http)


def _docker(content: Mapping[str, Any], registry: str) -> Credentials | None:
    """docker's keys are hosts, or URLs of former API versions."""
    auths = content.get("auths")
    for key, entry in auths.items() if isinstance(auths, dict) else ():
        host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
        if host != registry and _API.get(host, host) != _API.get(registry, registry):
            continue
        if not isinstance(entry, dict):
            break
        if isinstance(entry.get("identitytoken"), str) and entry["identitytoken"]:
            return Credentials("", entry["identitytoken"], refresh=True)
        if isinstance(entry.get("username"), str) and isinstance(entry.get("password"), str):
            return Credentials(entry["username"], entry["password"])
        return _encoded(entry.get("auth"), registry)
    helpers = content.get("credHelpers")
    if content.get("credsStore") or (isinstance(helpers, dict) and registry in helpers):
        raise CouldNotCheck(
            "unauthorized",
            f"the docker configuration leaves {registry} to a credential helper, and none is run: give its auth",
        )
    return None


def _encoded(value: Any, registry: str) -> Credentials | None:
    if not value:
        return None
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError, TypeError):
        colon = ""
    if not colon:
        raise CouldNotCheck(
            "unauthorized", f"the docker configuration's auth for {registry} is no user:password"
        )
    return Credentials(user, password)
