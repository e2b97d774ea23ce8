"""Do an image's labels say what its release says (blueprint §6.2)? Of a multi-arch image, those of each platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporters.cosign.config import Labels
from exporters.oci import Manifest, NotThere, Reference, Registry, Repository
from exporters.oci_types import parse_object
from exporters.outcome import CouldNotCheck, Refused

LARGEST_CONFIG = 4 << 20  # bytes of an image's configuration
MOST_PLATFORMS = 64
VERSION = "org.opencontainers.image.version"
REVISION = "org.opencontainers.image.revision"
CHANNEL = "org.stellaops.release.channel"
CALENDAR = "org.stellaops.release.calendar"
_ATTACHED = "vnd.docker.reference.type"  # what buildx puts into an index beside its images


def check_labels(registry: Registry, image: Reference, wanted: Labels) -> None:
    """Refused("label_mismatch") names the first label that differs. Raises NotThere and CouldNotCheck too."""
    for platform, labels in _labels(registry, image):
        for name, expected in (
            (VERSION, wanted.version),
            (CHANNEL, wanted.channel),
            (CALENDAR, wanted.calendar),
        ):
            if expected is not None and labels.get(name) != expected:
                said = f"says {labels[name]!r}" if name in labels else "is missing"
                raise Refused(
                    "label_mismatch", f"the label {name}{platform} {said}; the release is {expected!r}"
                )
        if wanted.revision and not labels.get(REVISION):
            raise Refused("label_mismatch", f"the label {REVISION}{platform} is missing or empty")


def _labels(registry: Registry, image: Reference) -> Iterator[tuple[str, Mapping[str, str]]]:
    """(" of linux/arm64", labels) of each platform."""
    manifest = registry.manifest(image)
    if not manifest.is_index:
        yield "", _of(registry, image.repository, manifest)
        return
    platforms = [d for d in manifest.descriptors("manifests") if _ATTACHED not in d.annotations]
    if not platforms or len(platforms) > MOST_PLATFORMS:
        raise Refused("label_mismatch", f"the image has {len(platforms)} platforms")
    for descriptor in platforms:
        platform = registry.manifest(Reference(image.repository, digest=descriptor.digest))
        yield f" of the platform {descriptor.digest[:19]}…", _of(registry, image.repository, platform)


def _of(registry: Registry, repository: Repository, manifest: Manifest) -> Mapping[str, str]:
    descriptor = manifest.descriptor("config")
    if descriptor is None:
        raise Refused("label_mismatch", f"{manifest.digest} is no image: it has no configuration")
    if descriptor.size > LARGEST_CONFIG:
        raise CouldNotCheck("too_large", f"the image's configuration has {descriptor.size} bytes")
    what = f"the configuration of {manifest.digest}"
    config = parse_object(registry.blob(repository, descriptor.digest, LARGEST_CONFIG), what).get("config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    return {k: v for k, v in labels.items() if isinstance(v, str)} if isinstance(labels, dict) else {}


__all__ = ["NotThere", "check_labels"]
