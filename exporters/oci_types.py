"""What a registry holds: references, descriptors and manifests, as the OCI distribution spec names them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from exporters.outcome import CouldNotCheck

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")


class NotThere(Exception):
    """The registry answered, and what was asked for does not exist there (404)."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class DigestMismatch(CouldNotCheck):
    """A registry served other bytes than the digest names: no answer, and never the content that was asked for."""

    def __init__(self, detail: str) -> None:
        super().__init__("bad_response", detail)


def is_digest(text: str) -> bool:
    """Is this `sha256:` or `sha512:` with the right number of lower-case hex digits?"""
    return _DIGEST.fullmatch(text) is not None


def digest_of(body: bytes, like: str = "sha256:") -> str:
    """The digest of these bytes with the algorithm of the digest they are compared with."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """One repository of one registry: `registry` is host or host:port, `name` its path."""

    registry: str
    name: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """registry/name[:tag][@digest]. With both, the digest is what is asked for."""

    repository: Repository
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference; ValueError says what is missing. There is no default registry: it is always named."""
        rest, at, digest = text.removeprefix("oci://").partition("@")
        if at and not is_digest(digest):
            raise ValueError(f"{text!r} has no valid digest after @: write sha256: and 64 hex digits")
        host, slash, path = rest.partition("/")
        if not slash or not _HOST.fullmatch(host) or not (set(".:") & set(host) or host == "localhost"):
            raise ValueError(f"{text!r} does not begin with a registry: write host/name@sha256:...")
        name, colon, tag = path.partition(":")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{text!r} has no valid repository name after {host}/: it is lower case, parts joined by /"
            )
        if colon and not _TAG.fullmatch(tag):
            raise ValueError(f"{text!r} has no valid tag after the last colon")
        return cls(Repository(host, name), tag, digest)

    def __str__(self) -> str:
        return f"{self.repository}{f':{self.tag}' * bool(self.tag)}{f'@{self.digest}' * bool(self.digest)}"


def tag_of(digest: str, suffix: str = "") -> str:
    """The tag beside a manifest: of the index of its referrers, or with a suffix (sig, att) what cosign 2 attached."""
    return digest.replace(":", "-") + (f".{suffix}" if suffix else "")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What points at content. Everything but digest and size is a hint that nobody signed."""

    media_type: str
    digest: str
    size: int
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index as it was served: `digest` is that of `body`, `content` its JSON object."""

    digest: str
    media_type: str
    body: bytes
    content: Mapping[str, Any]

    @property
    def is_index(self) -> bool:
        return self.media_type in (INDEX, DOCKER_LIST)

    def descriptors(self, key: str) -> tuple[Descriptor, ...]:
        """Those of a list such as `layers` or `manifests`; CouldNotCheck when they are none."""
        return descriptors(self.content.get(key), f"{key} of {self.digest}")

    def descriptor(self, key: str) -> Descriptor | None:
        """The one of `config` or `subject`; None when the manifest has none."""
        value = self.content.get(key)
        return None if value is None else descriptors([value], f"{key} of {self.digest}")[0]


def parse_object(body: bytes, what: str) -> dict[str, Any]:
    """A JSON object. CouldNotCheck for anything else: deep nesting, bad UTF-8, an array."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CouldNotCheck("bad_response", f"{what} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise CouldNotCheck("bad_response", f"{what} is a JSON {type(value).__name__}, not an object")
    return value


def descriptors(value: object, what: str) -> tuple[Descriptor, ...]:
    """A JSON list of descriptors; null is the empty list, as Go writes it."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise CouldNotCheck("bad_response", f"{what} is no list")
    return tuple(_descriptor(item, what) for item in value)


def _descriptor(item: object, what: str) -> Descriptor:
    if not isinstance(item, dict):
        raise CouldNotCheck("bad_response", f"{what} holds something that is no descriptor")
    digest, size = item.get("digest"), item.get("size")
    if not isinstance(digest, str) or not is_digest(digest) or not isinstance(size, int) or size < 0:
        raise CouldNotCheck("bad_response", f"{what} holds a descriptor without a valid digest and size")
    kept = item.get("annotations")
    texts = {k: v for k, v in kept.items() if isinstance(v, str)} if isinstance(kept, dict) else {}
    media, artifact = item.get("mediaType"), item.get("artifactType")
    return Descriptor(
        media if isinstance(media, str) else "",
        digest,
        size,
        artifact if isinstance(artifact, str) else "",
        MappingProxyType(texts),
    )
