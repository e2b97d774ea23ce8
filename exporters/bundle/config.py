"""The configuration of `slo-exporter bundle`: channels, what their manifests refer to, kits, and who runs what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, model_validator

from exporters.bundle.kit import Limits
from exporters.bundle.kit_check import FOLDERS
from exporters.bundle.skew import Service, role_of
from exporters.bundle.source import HTTP, OCI
from exporters.config import Common, LocalFile, Seconds, Section, Url
from exporters.oci import Reference, Registries
from exporters.rekor.config import Trusted
from exporters.sigstore import Policy

SKEW = "skew"  # the target of the skew rules
DAY = 86_400.0
# Weekly, monthly and quarterly (blueprint §1.1), with the grace that the alerts give.
LATE = {"edge": 8 * DAY, "stable": 34 * DAY, "lts": 99 * DAY}

Kind = Literal["signature", "sbom", "provenance"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


def _location(value: str, info: ValidationInfo) -> str:
    """oci://host/name[:tag], a URL, or a path that starts at the configuration's folder."""
    if value.startswith(OCI):
        Reference.parse(value)
        return value
    if value.startswith(HTTP):
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ValueError("carries a user in its URL: use one that needs none")
        return value
    if re.match(r"[a-z][a-z0-9+.-]*://", value):
        raise ValueError("is of no kind that is read: write oci://, https:// or a path")
    folder = (info.context or {}).get("folder")
    return value if folder is None else str(Path(folder) / value)


Location = Annotated[str, StringConstraints(min_length=1), AfterValidator(_location)]


class Channel(Section):
    """One release channel and where its newest manifest is."""

    name: Name
    """The value of the label `channel`, and what the manifest must call itself (in any case)."""
    manifest: Location
    """release.yaml, or the platform's public JSON: a path, a URL, or oci://host/name:tag."""
    bundle: Location | None = None
    """The Sigstore bundle that signs it. Without: MANIFEST.sigstore.json beside it; of an artifact, its referrers."""
    checksums: Location | None = None
    """A file as sha256sum writes it that names the manifest, when the manifest does not hold its own digest."""
    policy: Policy | None = None
    """Who must have signed it, when it is not who signs all the others."""
    require: frozenset[Kind] = frozenset({"signature"})
    """What the manifest must give for every image: `signature` (its log entry), `sbom`, `provenance`."""
    late_after: Seconds | None = None
    """How old the newest release may become; edge, stable and lts have their own cadence."""
    withdrawn: frozenset[str] = frozenset()
    """Versions that were taken back, so that an older one may follow them."""

    @property
    def cadence(self) -> float | None:
        return LATE.get(self.name.casefold()) if self.late_after is None else self.late_after


class Soak(Section):
    """How long a version is on one channel before it comes to another."""

    on: Name = "edge"
    """Where it soaks."""
    before: Name = "stable"
    """Where it comes to."""
    time: Seconds = 7 * DAY
    """How long."""


class Kits(Section):
    """Offline kits on a disk."""

    paths: tuple[Location, ...] = Field(min_length=1)
    """Files, with * and ? for many of them."""
    policy: Policy | None = None
    """Who must have signed them, when it is not who signs the manifests."""
    folders: tuple[str, ...] = FOLDERS
    """The folders that a kit must hold."""
    require: tuple[Kind, ...] = ("signature", "sbom", "provenance")
    """What must come with every image."""
    again_after: Seconds = Field(DAY, ge=60)
    """A kit that did not change is read again after this time: disks rot."""
    settled: Seconds = Field(60.0)
    """A damaged kit that was modified less than this ago may still be being copied."""
    max_expanded_bytes: int = Field(Limits().expanded, ge=1 << 20)
    """A kit that expands to more is not read to its end: no verdict."""
    max_ratio: int = Field(Limits().ratio, ge=2, le=10_000)
    """A kit that expands to more times its size is an expansion bomb. Images are compressed already."""
    max_members: int = Field(Limits().members, ge=100, le=1_000_000)
    """More files than this are no kit."""

    @model_validator(mode="after")
    def _files(self) -> Kits:
        if any(path.startswith((OCI, *HTTP)) for path in self.paths):
            raise ValueError("kits are files: write paths")
        return self


class Runs(Section):
    """A service that is expected to run."""

    name: Name
    """Such as authority, scanner-web or web-ui; a leading stellaops- is left out."""
    url: Url | None = None
    """Where it says its version: JSON with `version` and `channel` (or `source`). Without: see the inventories."""
    role: Literal["web_ui", "scanner", "authority", "signer", "attestor", "policy", "excititor", "concelier", "other"] | None = None  # fmt: skip
    """What it is to the rules, when its name does not say it."""


class Skew(Section):
    """Which versions run, as the services say."""

    services: tuple[Runs, ...] = Field(min_length=2)
    """All services that run. One that gives no answer leaves its rules without a verdict."""
    inventory: Url | None = None
    """One address that lists them: [{"service": ..., "version": ..., "channel": ...}]."""
    prometheus: Url | None = None
    """A Prometheus that knows them."""
    query: str = "max by (service, version, channel) (stella_build_info)"
    """What to ask it: a vector with the labels service, version and perhaps channel."""

    @model_validator(mode="after")
    def _answerable(self) -> Skew:
        names = [service.name for service in self.services]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two services have the name {twice}")
        silent = next((s.name for s in self.services if s.url is None), None)
        if silent is not None and self.inventory is None and self.prometheus is None:
            raise ValueError(
                f"nobody can be asked about {silent}: give it a url, or an inventory or prometheus"
            )
        return self

    @property
    def expected(self) -> tuple[Service, ...]:
        return tuple(Service(s.name, s.role or role_of(s.name), s.url or "") for s in self.services)


class Log(Trusted):
    """A transparency log that manifests may name."""

    kind: Literal["v1", "v2"]
    """Rekor v1 (an API) or Rekor v2 (tiles)."""
    url: Url
    """v1: the server. v2: where `checkpoint` and `tile/` are found."""


class Config(Common):
    """Release manifests, what they refer to, offline kits, and version skew."""

    check_timeout: Seconds = Field(1800.0, gt=0, le=3600)
    """A target's check that takes longer is given up; a kit of many gigabytes takes minutes."""
    state: LocalFile | None = None
    """The file that keeps what was seen on each channel: on a volume that outlives the pod, of one exporter."""
    trusted_root: LocalFile | None = None
    """The Sigstore trusted root that signatures are verified with."""
    policy: Policy | None = None
    """Who must have signed manifests and images."""
    channels: tuple[Channel, ...] = ()
    """The channels to follow."""
    soak: Soak | None = Soak()
    """How long a version is on edge before it is stable; null: not judged."""
    registries: Registries = Registries()
    """Mirrors and credentials of registries; one that needs neither need not be named."""
    charts: Location | None = None
    """Where charts are: a repository (oci://host/charts, of NAME each), or a folder or URL with NAME-VERSION.tgz."""
    compose: Location | None = None
    """The folder or URL of the compose file; without, it is beside the manifest."""
    logs: tuple[Log, ...] = ()
    """The logs in which the manifests' entries are looked up."""
    kits: Kits | None = None
    """Offline kits to verify."""
    skew: Skew | None = None
    """Running services to compare."""

    @model_validator(mode="after")
    def _whole(self) -> Config:
        names = [channel.name for channel in self.channels]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two channels have the name {twice}")
        if SKEW in names:
            raise ValueError(f"a channel cannot be named {SKEW}: that is the target of the skew rules")
        if not self.channels and self.kits is None and self.skew is None:
            raise ValueError("there is nothing to check: give channels, kits or skew")
        signed = [c for c in self.channels if c.policy is None]
        if (signed or (self.kits is not None and self.kits.policy is None)) and self.policy is None:
            raise ValueError("policy is missing: it says who must have signed")
        if self.channels and self.state is None:
            raise ValueError("state is missing: the soak on edge must survive a restart; name a file")
        return self
