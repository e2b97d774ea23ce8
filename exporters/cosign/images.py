"""Which images are checked now: those of the configuration, and those of the release manifests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from exporters.bundle.document import LARGEST, read
from exporters.bundle.manifest import Release, parse
from exporters.bundle.source import Sources
from exporters.cosign.config import RELEASE, Check, Config, Labels, Manifest
from exporters.oci import NotThere, Reference
from exporters.outcome import CouldNotCheck, Outcome, Refused, Verdict
from exporters.sigstore import Policy
from exporters.subject import Finding


@dataclass(frozen=True, slots=True)
class Image:
    """One image to check. `policies` says who must have signed, by check."""

    component: str
    reference: Reference
    checks: tuple[Check, ...]
    policies: Mapping[str, Policy] = field(repr=False)
    labels: Labels | None = None


class Images:
    """The list, read anew by `refresh`. A manifest that cannot be read keeps the images it had."""

    def __init__(self, config: Config, sources: Sources, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._sources = sources
        self._clock = clock
        self._of: dict[str, tuple[Image, ...]] = {}
        self._static = {image.component: image for image in self._listed()}
        self.findings: dict[str, Finding] = {}

    def refresh(self) -> dict[str, Image]:
        """Images by component. What went wrong with a manifest is in `findings`, under the name of its target."""
        images = dict(self._static)
        for manifest in self._config.manifests:
            began = time.monotonic()
            try:
                found = self._read(manifest)
                _collide(images, found)
                self._of[manifest.name] = found
                outcome = Outcome(Verdict.VERIFIED)
            except (CouldNotCheck, Refused) as error:
                outcome = error.outcome
            except NotThere as error:
                outcome = Outcome(Verdict.UNKNOWN, "bad_response", error.detail)
            for image in self._of.get(manifest.name, ()):
                images.setdefault(image.component, image)
            target = RELEASE + manifest.name
            seconds = time.monotonic() - began
            self.findings[target] = Finding(target, "manifest", outcome, seconds, self._clock())
        return images

    def _listed(self) -> Sequence[Image]:
        config = self._config
        return [
            Image(
                image.component,
                Reference.parse(image.image),
                self._checks(image.checks, image.labels is not None),
                self._policies(image.policy),
                image.labels,
            )
            for image in config.images
        ]

    def _read(self, manifest: Manifest) -> tuple[Image, ...]:
        what = f"the manifest {manifest.location}"
        release = parse(read(self._sources.read(manifest.location, LARGEST, "release.yaml").data, what), what)
        labels = _expected(release, manifest)
        checks = self._checks(manifest.checks, labels is not None)
        policies = self._policies(manifest.policy)
        return tuple(
            Image(manifest.prefix + component.name, component.image, checks, policies, labels)
            for component in release.components
        )

    def _checks(self, own: tuple[Check, ...] | None, labelled: bool) -> tuple[Check, ...]:
        wanted = self._config.checks if own is None else own
        return tuple(check for check in wanted if check != "labels" or labelled)

    def _policies(self, own: Policy | None) -> Mapping[str, Policy]:
        named = self._config.policies
        return {
            "signature": own or named.all,
            "sbom": own or named.sbom or named.all,
            "provenance": own or named.provenance or named.all,
        }


def _expected(release: Release, manifest: Manifest) -> Labels | None:
    """What the labels must say; the public JSON gives no calendar, and a channel only in its version."""
    wanted = manifest.labels
    if not wanted:
        return None
    return Labels(
        version=str(release.version) if "version" in wanted else None,
        channel=release.channel or None if "channel" in wanted else None,
        calendar=release.calendar or None if "calendar" in wanted else None,
        revision="revision" in wanted,
    )


def _collide(images: Mapping[str, Image], found: tuple[Image, ...]) -> None:
    """Two images under one name would share a series, and one would hide the other."""
    for image in found:
        other = images.get(image.component)
        if other is not None and other.reference != image.reference:
            raise Refused(
                "malformed",
                f"{image.component} is also {other.reference}: give the manifest a prefix of its own",
            )
