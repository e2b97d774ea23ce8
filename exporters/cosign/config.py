"""The configuration of `slo-exporter cosign`: which images, who must have signed them, and the trusted root."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from exporters.bundle.config import Location
from exporters.config import Common, LocalFile, Section, Url
from exporters.oci import Reference
from exporters.oci_config import Registries
from exporters.sigstore import Policy

ROOT = "trusted_root"  # the target that is the trusted root itself
RELEASE = "release "  # begins the targets that are manifests

Check = Literal["signature", "sbom", "provenance", "labels"]
Label = Literal["version", "channel", "calendar", "revision"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


def _digested(value: str) -> str:
    if not Reference.parse(value).digest:
        raise ValueError(
            f"{value!r} has no digest: a tag may be another image tomorrow, so write name@sha256:..."
        )
    return value


class Mirror(Section):
    """Where others get the trusted root from; it is compared with ours."""

    url: Url | None = None
    """Its URL."""
    file: LocalFile | None = None
    """Its path, on a mounted volume."""

    @model_validator(mode="after")
    def _one(self) -> Mirror:
        if (self.url is None) == (self.file is None):
            raise ValueError("takes one of url and file")
        return self


class TrustedRoot(Section):
    """Keys and certificates of the Sigstore that is trusted, in a file: nothing is fetched to trust."""

    file: LocalFile
    """A trusted_root.json; read again when it changes."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    """The digest it must have. Another file is not used: then no image can be checked."""
    mirror: Mirror | None = None
    """Compared with the digest (or with the file) in each cycle."""


class Labels(Section):
    """What an image's labels must say (blueprint §6.2); what is left out is not compared."""

    version: str | None = None
    """org.opencontainers.image.version"""
    channel: str | None = None
    """org.stellaops.release.channel"""
    calendar: str | None = None
    """org.stellaops.release.calendar"""
    revision: bool = True
    """org.opencontainers.image.revision must not be empty."""


class Image(Section):
    """One image that is no part of a manifest."""

    component: Name
    """The value of the label `component`."""
    image: Annotated[str, AfterValidator(_digested)]
    """registry/name@sha256:..."""
    checks: tuple[Check, ...] | None = None
    """Which checks are made, when they are not those of all the others."""
    policy: Policy | None = None
    """Who must have signed it, when it is not who signs all the others."""
    labels: Labels | None = None
    """What its labels must say."""


class Manifest(Section):
    """A release manifest: every image in it is checked. That it is genuine itself is the bundle exporter's work."""

    name: Name
    """What it is called here, such as its channel."""
    location: Location
    """release.yaml or the platform's public JSON: a path, a URL, or oci://host/name:tag. Read in each cycle."""
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,40}$")] = ""
    """Begins the label `component` of its images: two channels hold the same components."""
    policy: Policy | None = None
    """Who must have signed its images, when it is not who signs all the others."""
    checks: tuple[Check, ...] | None = None
    """Which checks are made of its images, when they are not those of all the others."""
    labels: tuple[Label, ...] = ("version", "channel", "calendar", "revision")
    """Which labels of its images are compared with it."""


class Policies(Section):
    """Who signs. A check without a policy of its own has that of `all`."""

    all: Policy
    """Who must have signed."""
    sbom: Policy | None = None
    """Who attests SBOMs, when it is somebody else."""
    provenance: Policy | None = None
    """Who attests provenance, when it is somebody else."""


class Config(Common):
    """The whole file."""

    trusted_root: TrustedRoot | None = None
    """Needed for everything but signatures by a key without a log."""
    policies: Policies
    """Who must have signed."""
    checks: tuple[Check, ...] = ("signature", "sbom", "provenance", "labels")
    """Which checks are made of each image; `labels` only where something says what they must be."""
    images: tuple[Image, ...] = ()
    """Images by digest."""
    manifests: tuple[Manifest, ...] = ()
    """Release manifests."""
    registries: Registries = Registries()
    """How registries are reached."""
    max_bundle_bytes: int = Field(32 << 20, ge=1 << 16, le=1 << 28)
    """A larger signature or attestation is not read; that is no verdict."""
    cache_size: int = Field(50_000, ge=100, le=10_000_000)
    """Verdicts that are kept. An image needs one for each signature and attestation it has."""

    @model_validator(mode="after")
    def _something(self) -> Config:
        if not self.images and not self.manifests:
            raise ValueError("has nothing to check: list images or manifests")
        names = [image.component for image in self.images]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two images are called {twice}: their series would be one")
        prefixes = [manifest.prefix for manifest in self.manifests]
        if len(set(prefixes)) < len(prefixes):
            raise ValueError(
                "two manifests have the same prefix: their components would share series, give each its own"
            )
        called = [manifest.name for manifest in self.manifests]
        if len(set(called)) < len(called):
            raise ValueError("two manifests have the same name")
        if self.trusted_root is None and any(policy.require_log for policy in self.all_policies()):
            raise ValueError(
                "names no trusted_root: only signatures by a key with require_log: false need none"
            )
        if ROOT in names:
            raise ValueError(f"no image can be called {ROOT}: that is the trusted root's own target")
        return self

    def all_policies(self) -> tuple[Policy, ...]:
        own = (i.policy for i in self.images), (m.policy for m in self.manifests)
        named = (self.policies.all, self.policies.sbom, self.policies.provenance, *own[0], *own[1])
        return tuple(policy for policy in named if policy is not None)
