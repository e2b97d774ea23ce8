"""What belongs to each image of a kit: signature, SBOM and provenance, as referrers or as files beside the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exporters.bundle.judge import Judge, kind_of, short
from exporters.bundle.kit import BLOBS, Contents
from exporters.bundle.layout import Layout
from exporters.bundle.manifest import Component
from exporters.bundle.zstd import Tick
from exporters.oci_types import tag_of
from exporters.outcome import CouldNotCheck, Problem, Refused
from exporters.sigstore.bundle import OpenBundle, open_bundle

KINDS = ("signature", "sbom", "provenance")
# What an attachment without a bundle is, by words in its media types. It counts as there, and proves nothing.
_HINTS = (("cyclonedx", "sbom"), ("spdx", "sbom"), ("slsa", "provenance"), ("in-toto", "provenance"))


@dataclass(slots=True)
class Claims:
    """For one image: bundles by the kind they claim to be, and kinds that are there in another form."""

    bundles: dict[str, list[OpenBundle]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    def has(self, kind: str) -> bool:
        return kind in self.bundles or kind in self.others


def collect(
    contents: Contents, layout: Layout, components: Sequence[Component]
) -> tuple[Mapping[str, Claims], list[Refused]]:
    """The claims about each component by name, and what under attest/ cannot be read. Nothing is verified yet."""
    problems: list[Refused] = []
    files = list(_files(contents, problems))
    claims: dict[str, Claims] = {}
    for component in components:
        subjects = layout.subjects(component.image.digest)
        found = claims[component.name] = Claims()
        for opened in files:
            if opened.statement is not None and opened.statement.subjects & subjects:
                _claim(found, opened)
        for subject in sorted(subjects):
            for digest in layout.attached.get(subject, ()):
                _referrer(found, digest, layout, contents, problems)
        _legacy(found, subjects, layout)
        if _sbom_file(component, subjects, contents):
            found.others.add("sbom")
    return claims, problems


def _files(contents: Contents, problems: list[Refused]) -> Iterator[OpenBundle]:
    """Bundles in attest/, one a file or one a line (.jsonl). Other files there are no business of ours."""
    for path, _ in contents.below("attest"):
        data = contents.kept.get(path, b"")
        lines = data.splitlines() if path.endswith((".jsonl", ".ndjson")) else [data]
        if not path.endswith((".json", ".jsonl", ".ndjson", ".sigstore", ".bundle")):
            continue
        for line in filter(None, lines):
            try:
                yield open_bundle(line)
            except Refused as refused:
                problems.append(Refused(refused.reason, f"{path}: {refused.detail}"))


def _claim(found: Claims, opened: OpenBundle) -> None:
    assert opened.statement is not None
    kind = kind_of(opened.statement.predicate_type)
    if kind:
        found.bundles.setdefault(kind, []).append(opened)


def _referrer(
    found: Claims, digest: str, layout: Layout, contents: Contents, problems: list[Refused]
) -> None:
    manifest = layout.manifests[digest]
    config, layers = manifest.get("config"), manifest.get("layers")
    parts = [manifest, config, *(layers if isinstance(layers, list) else ())]
    said = " ".join(
        str(part.get(key, ""))
        for part in parts
        if isinstance(part, Mapping)
        for key in ("artifactType", "mediaType")
    )
    if "sigstore.bundle" not in said:
        found.others.update(kind for word, kind in _HINTS if word in said)
        return
    for layer in layers if isinstance(layers, list) else ():
        hexes = str(layer.get("digest", "")).removeprefix("sha256:") if isinstance(layer, Mapping) else ""
        data = contents.kept.get(BLOBS + hexes)
        if data is None:
            continue
        try:
            opened = open_bundle(data)
        except Refused as refused:
            problems.append(Refused(refused.reason, f"referrer {short(digest)}: {refused.detail}"))
        else:
            if opened.statement is not None:
                _claim(found, opened)


def _legacy(found: Claims, subjects: frozenset[str], layout: Layout) -> None:
    """Tags of cosign before its bundles: they are there, and are not verified in a kit."""
    tags = {name.rpartition(":")[2] for name, _ in layout.named}
    for subject in subjects:
        if tag_of(subject, "sig") in tags:
            found.others.add("signature")


def _sbom_file(component: Component, subjects: frozenset[str], contents: Contents) -> bool:
    """Is there an SBOM under sboms/: by the digest in the manifest, or named after the component or the image?"""
    wanted = "" if component.sbom is None else component.sbom.digest.removeprefix("sha256:")
    hexes = tuple(s.removeprefix("sha256:") for s in subjects)
    for path, file in contents.below("sboms"):
        name = path.removeprefix("sboms/")
        if file.sha256 == wanted or any(h in name for h in hexes):
            return True
        if name.startswith((f"{component.name}.", f"{component.name}/")):
            return True
    return False


def verify(component: Component, claims: Claims, layout: Layout, judge: Judge, tick: Tick) -> list[Problem]:
    """One good bundle of a kind is enough; else the problem of its first one. What is not there is not judged."""
    problems: list[Problem] = []
    for kind in KINDS:
        first: Problem | None = None
        bundles = claims.bundles.get(kind, [])
        if not bundles and kind == "signature" and claims.has(kind):
            first = Refused("unsupported", "its signature is a legacy tag, which is not verified in a kit")
        # A signature must be of the image itself: that of one platform says nothing about the others.
        image = component.image.digest
        about = frozenset((image,)) if kind == "signature" else layout.subjects(image)
        for opened in bundles:
            tick()
            try:
                _verified(opened, kind, about, judge)
            except (Refused, CouldNotCheck) as problem:
                first = first or problem
            else:
                first = None
                break
        if first is not None:
            problems.append(type(first)(first.reason, f"{component.name}, {kind}: {first.detail}"))
    return problems


def _verified(opened: OpenBundle, kind: str, subjects: frozenset[str], judge: Judge) -> None:
    """Raises unless the bundle verifies as a statement of this kind about the image or one of its platforms."""
    assert opened.statement is not None
    about = opened.statement.subjects & subjects
    if not about:
        raise Refused("subject_mismatch", "the statement is about one platform, not about the image")
    statement = judge.statement(opened, min(about))
    if kind_of(statement.predicate_type) != kind:
        raise Refused("subject_mismatch", f"the statement is a {statement.predicate_type}")
