"""Is what a manifest refers to in the registry, by digest, and is it what the digest says?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from exporters.bundle.judge import short
from exporters.bundle.manifest import Chart, Component, Compose, Release
from exporters.bundle.source import OCI, Sources, beside, within
from exporters.oci import DigestMismatch, Manifest, NotThere, Reference, Registry, Repository, digest_of
from exporters.outcome import CouldNotCheck, Outcome, Refused, Verdict

LARGEST_CHART = 32 << 20  # bytes of a chart or a compose file
MOST_PLATFORMS = 64  # of one image
MADE_UP = (
    "referrers",
    "attest",
)  # §6.1 writes .../referrers/cdx-json@...: what follows the repository is no part of it


@dataclass(frozen=True, slots=True)
class Checked:
    """One reference. An unknown outcome says nothing of either; a missing one is neither equal nor different."""

    component: str
    kind: str
    outcome: Outcome
    resolvable: bool = True
    match: bool = True


class References:
    """`charts` and `compose` are the folders, URLs or repositories that hold those files; empty: not configured."""

    def __init__(self, registry: Registry, sources: Sources, *, charts: str = "", compose: str = "") -> None:
        self._registry = registry
        self._sources = sources
        self._charts = charts
        self._compose = compose

    def check(self, release: Release, location: str) -> Iterator[Checked]:
        """All references of a release whose manifest is at this location. Only of one whose signature is good."""
        for component in release.components:
            parts = (
                ("image", component.image),
                ("sbom", component.sbom),
                ("provenance", component.provenance),
            )
            for kind, reference in parts:
                if reference is not None:
                    what = f"component {component.name}: {kind} digest {short(reference.digest)}"
                    look = partial(self._attached, component, kind, reference)
                    yield _checked(
                        component.name,
                        kind,
                        what,
                        partial(self._image, component) if kind == "image" else look,
                    )
        for chart in release.charts:
            what = f"chart {chart.name} {chart.version}, digest {short(chart.digest)}"
            yield _checked(chart.name, "chart", what, partial(self._chart, chart))
        if release.compose is not None:
            compose = release.compose
            what = f"compose file {compose.file}, digest {short(compose.digest)}"
            yield _checked(compose.file, "compose", what, partial(self._composed, compose, location))

    # ---- images and what is attached to them ---------------------------------------------------

    def _image(self, component: Component) -> str:
        image = component.image
        manifest = self._registry.manifest(image)
        if not manifest.is_index:
            return f"in {image.repository}"
        platforms = manifest.descriptors("manifests")[:MOST_PLATFORMS]
        for platform in platforms:
            if not self._registry.exists(image.repository, platform.digest):
                raise NotThere(f"of its platforms {short(platform.digest)} is not in {image.repository}")
        return f"in {image.repository}, with {len(platforms)} platforms"

    def _attached(self, component: Component, kind: str, reference: Reference) -> str:
        missing: NotThere | None = None
        for repository in _repositories(reference.repository):
            try:
                manifest = self._held(repository, reference.digest)
            except NotThere as error:
                missing = missing or error
                continue
            if manifest is None:
                return f"in {repository}, as a document"
            self._compare_subject(component, kind, manifest)
            return f"in {repository}"
        assert missing is not None
        raise missing

    def _held(self, repository: Repository, digest: str) -> Manifest | None:
        """The manifest of this digest; None when it is that of a blob.

        distribution 2.8 answers 500 when it is asked for a manifest and has a blob of that digest.
        """
        try:
            return self._registry.manifest(Reference(repository, digest=digest))
        except DigestMismatch:
            raise
        except (NotThere, CouldNotCheck):
            if self._registry.exists(repository, digest, blob=True):
                return None
            raise

    def _compare_subject(self, component: Component, kind: str, manifest: Manifest) -> None:
        """What says whose it is must be of this image, or of one of its platforms."""
        subject = manifest.descriptor("subject")
        if subject is None or subject.digest == component.image.digest:
            return
        image = self._registry.manifest(component.image)
        if image.is_index and subject.digest in {d.digest for d in image.descriptors("manifests")}:
            return
        raise Refused("subject_mismatch", f"the {kind} belongs to another image, {short(subject.digest)}")

    # ---- files ---------------------------------------------------------------------------------

    def _chart(self, chart: Chart) -> str:
        if not self._charts:
            raise CouldNotCheck("unreachable", "no place of charts is configured: set `charts`")
        if not self._charts.startswith(OCI):
            name = f"{chart.name}-{chart.version}.tgz"
            return self._file(within(self._charts, name), chart.digest)
        repository = _repository(within(self._charts, chart.name))
        # The digest is that of the chart's artifact, or of the .tgz in it.
        self._held(repository, chart.digest)
        # Helm pulls a chart by its version, so the tag must lead to the same one.
        try:
            tagged = self._registry.manifest(Reference(repository, tag=chart.version.replace("+", "_")))
        except NotThere:
            return f"in {repository}, without a tag"
        if chart.digest not in (tagged.digest, *(d.digest for d in tagged.descriptors("layers"))):
            raise Refused("digest_mismatch", f"{repository}:{chart.version} is {short(tagged.digest)}")
        return f"in {repository}"

    def _composed(self, compose: Compose, location: str) -> str:
        where = within(self._compose, compose.file) if self._compose else beside(location, compose.file)
        return self._file(
            self._compose if self._compose.startswith(OCI) else where, compose.digest, compose.file
        )

    def _file(self, location: str, digest: str, title: str = "") -> str:
        """A file has no address by digest: it is read and compared."""
        found = digest_of(self._sources.read(location, LARGEST_CHART, title).data)
        if found != digest:
            raise Refused("digest_mismatch", f"{location.partition('?')[0]} is {short(found)}")
        return f"at {location.partition('?')[0]}"


def _twice(look: Callable[[], str]) -> str:
    """Bytes that were damaged on the way are not what is there: a mismatch is asked for once more."""
    try:
        return look()
    except DigestMismatch:
        return look()


def _checked(component: str, kind: str, what: str, look: Callable[[], str]) -> Checked:
    try:
        return Checked(component, kind, Outcome(Verdict.VERIFIED, "", _twice(look)))
    except NotThere as error:
        said = Outcome(Verdict.FAILED, "missing", f"{what} is not there: {error.detail}")
        return Checked(component, kind, said, resolvable=False, match=False)
    except Refused as refused:
        said = Outcome(Verdict.FAILED, refused.reason, f"{what} is not what it should be: {refused.detail}")
        return Checked(component, kind, said, match=False)
    except DigestMismatch as error:
        said = Outcome(Verdict.FAILED, "digest_mismatch", f"{what} is not what is served: {error.detail}")
        return Checked(component, kind, said, match=False)
    except CouldNotCheck as error:
        return Checked(component, kind, Outcome(Verdict.UNKNOWN, error.reason, f"{what}: {error.detail}"))


def _repositories(found: Repository) -> tuple[Repository, ...]:
    """Where a referrer may be: in the image's own repository, which its reference only decorates, or as written."""
    parts = found.name.split("/")
    if len(parts) > 2 and parts[-2] in MADE_UP:
        return Repository(found.registry, "/".join(parts[:-2])), found
    return (found,)


def _repository(location: str) -> Repository:
    try:
        return Reference.parse(location).repository
    except ValueError as error:
        raise CouldNotCheck("bad_response", str(error)) from None
