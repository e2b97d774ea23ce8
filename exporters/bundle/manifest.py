"""The two shapes of a release manifest: release.yaml (blueprint §6.1) and the platform's public JSON."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exporters.bundle.document import Document, json_span
from exporters.bundle.version import Version
from exporters.oci import Reference
from exporters.outcome import Refused

DIGEST = r"^sha256:[0-9a-f]{64}$"
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


# ---- what both shapes become -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a transparency log keeps the signature: Rekor v1 by UUID, v2 by index and the log's origin."""

    uuid: str = ""
    index: int | None = None
    origin: str = ""

    def __str__(self) -> str:
        return self.uuid if self.uuid else f"entry {self.index} of {self.origin}"


@dataclass(frozen=True, slots=True)
class Component:
    """One image, with what the manifest says belongs to it."""

    name: str
    image: Reference
    sbom: Reference | None = None
    provenance: Reference | None = None
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Compose:
    file: str
    digest: str


@dataclass(frozen=True, slots=True)
class Release:
    """A manifest of either shape. `channel` is empty where it names none; so is `calendar`.

    `checksum` is the digest (hex) it gives for itself, and `computed` the one its bytes have.
    """

    version: Version
    channel: str
    date: datetime | None
    calendar: str
    components: tuple[Component, ...]
    charts: tuple[Chart, ...] = ()
    compose: Compose | None = None
    checksum: str = ""
    computed: str = ""
    ignored: tuple[str, ...] = ()
    public: bool = False

    @property
    def seen_as(self) -> str:
        """The version without its channel's suffix, so that edge and stable name the same release alike."""
        own = self.version.suffix.partition(".")[0].casefold() == self.channel.casefold()
        return self.version.core if own else str(self.version)


# ---- release.yaml ------------------------------------------------------------------------------


def _reference(value: Any) -> Reference:
    found = Reference.parse(value if isinstance(value, str) else "")
    if not found.digest:
        raise ValueError(f"{value!r} has no digest: releases are pulled by digest only, name@sha256:...")
    return found


def _date(value: Any) -> datetime:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError(f"{value!r} is no date and time with its zone, such as 2027-06-20T12:00:00Z")
    return datetime.fromisoformat(value.upper()).astimezone(UTC)


Digested = Annotated[Reference, BeforeValidator(_reference)]
When = Annotated[datetime, BeforeValidator(_date)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Parsed = Annotated[Version, BeforeValidator(lambda v: Version.parse(v if isinstance(v, str) else ""))]


class _Strict(BaseModel):
    """An unknown key is refused: a misspelt `sbom` must not read as a component without one."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class _Tolerant(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", frozen=True, arbitrary_types_allowed=True)


class _Head(_Strict):
    version: Parsed
    channel: Name
    date: When
    calendar: str = Field(pattern=r"^\d{4}\.(0[1-9]|1[0-2])$")


class _Signature(_Strict):
    uuid: str = Field(default="", alias="rekorUUID", pattern=r"^([0-9a-f]{16})?[0-9a-f]{64}$")
    index: int | None = Field(default=None, alias="logIndex", ge=0, lt=1 << 63)
    origin: str = Field(default="", max_length=200)


class _Component(_Strict):
    name: Name
    image: Digested
    sbom: Digested | None = None
    provenance: Digested | None = None
    signature: _Signature | None = None


class _Chart(_Strict):
    name: Name
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}$")
    digest: str = Field(pattern=DIGEST)


class _Compose(_Strict):
    file: Name
    digest: str = Field(pattern=DIGEST)


class _Checksums(_Tolerant):
    sha256: str = Field(pattern=r"^(sha256:)?[0-9a-f]{64}$")


class _ReleaseYaml(_Tolerant):
    release: _Head
    components: tuple[_Component, ...] = Field(min_length=1, max_length=1000)
    charts: tuple[_Chart, ...] = Field(default=(), max_length=1000)
    compose: _Compose | None = None
    checksums: _Checksums | None = None


# ---- the public JSON ---------------------------------------------------------------------------


class _Service(_Tolerant):
    service_id: Name
    image: str
    digest: str = Field(pattern=DIGEST)


class _ReleaseJson(_Tolerant):
    """docs/schemas/production-release-manifest.schema.json, as far as it is published."""

    release_id: str = Field(min_length=1, max_length=200)
    version: Parsed
    services: tuple[_Service, ...] = Field(min_length=1, max_length=1000)
    released_at: When | None = None
    channel: str | None = None
    manifest_digest: str | None = Field(default=None, pattern=DIGEST)


def parse(document: Document, what: str) -> Release:
    """The release of a document. Raises Refused("malformed") naming the place."""
    content = document.content
    if not isinstance(content, dict):
        raise Refused("malformed", f"{what} is no mapping")
    try:
        release = _public(document) if "services" in content else _own(document)
    except ValidationError as error:
        raise Refused("malformed", f"{what}: {_sentence(error)}") from None
    except ValueError as error:
        raise Refused("malformed", f"{what}: {error}") from None
    twice = [n for n, count in Counter(c.name for c in release.components).items() if count > 1]
    twice += [n for n, count in Counter(c.name for c in release.charts).items() if count > 1]
    if twice:
        raise Refused("malformed", f"{what} names {twice[0]} twice")
    return release


def _own(document: Document) -> Release:
    found = _ReleaseYaml.model_validate(document.content)
    checksum = computed = ""
    if found.checksums is not None:
        checksum = found.checksums.sha256
        span = document.spans.get(("checksums", "sha256")) or json_span(document, "sha256")
        computed = _computed(document, span, checksum, "checksums.sha256")
    return Release(
        version=found.release.version,
        channel=found.release.channel,
        date=found.release.date,
        calendar=found.release.calendar,
        components=tuple(_component(c) for c in found.components),
        charts=tuple(Chart(c.name, c.version, c.digest) for c in found.charts),
        compose=None if found.compose is None else Compose(found.compose.file, found.compose.digest),
        checksum=checksum.removeprefix("sha256:"),
        computed=computed,
        ignored=tuple(k for k in document.content if k not in _ReleaseYaml.model_fields),
    )


def _component(found: _Component) -> Component:
    return Component(found.name, found.image, found.sbom, found.provenance, _entry(found))


def _entry(found: _Component) -> Entry | None:
    signature = found.signature
    if signature is None:
        return None
    if not signature.uuid and (signature.index is None or not signature.origin):
        raise ValueError(
            f"component {found.name}: the signature gives no log entry; write rekorUUID, or logIndex and origin"
        )
    return Entry(signature.uuid, signature.index, signature.origin)


def _public(document: Document) -> Release:
    found = _ReleaseJson.model_validate(document.content)
    suffix = found.version.suffix.partition(".")[0]
    digest = found.manifest_digest or ""
    span = json_span(document, "manifest_digest") if digest else None
    return Release(
        version=found.version,
        channel=found.channel or suffix,
        date=found.released_at,
        calendar=found.version.month,
        components=tuple(
            Component(s.service_id, _reference(f"{_without_tag(s.image)}@{s.digest}")) for s in found.services
        ),
        checksum=digest.removeprefix("sha256:"),
        computed=_computed(document, span, digest, "manifest_digest") if digest else "",
        public=True,
    )


def _without_tag(image: str) -> str:
    """The schema says: without tag. One that is there all the same means nothing beside the digest."""
    host, slash, path = image.partition("/")
    return f"{host}{slash}{path.partition('@')[0].partition(':')[0]}"


def _computed(document: Document, span: tuple[int, int] | None, value: str, key: str) -> str:
    """The digest that the document has with the value blanked (see docs/exporters.md)."""
    if span is None or document.text[slice(*span)] != value:
        raise ValueError(f"{key} must be written once, as plain text on one line")
    return document.digest_without(*span)


def _sentence(error: ValidationError) -> str:
    """The first complaint, with its place, in one sentence."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the document"
    text = {
        "extra_forbidden": "is not a key that is known here",
        "missing": "is missing",
    }.get(first["type"], first["msg"].removeprefix("Value error, "))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {text}{more}"
