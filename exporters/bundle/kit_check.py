"""The verdict on an offline kit: layout of blueprint §3.3, every digest, what belongs to each image, signatures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from exporters.bundle import attached, consistency, document, layout, manifest
from exporters.bundle.judge import Judge, concluded, short
from exporters.bundle.kit import MANIFEST, Contents
from exporters.bundle.manifest import Component, Release
from exporters.bundle.zstd import Tick
from exporters.outcome import CouldNotCheck, Outcome, Problem, Refused, Verdict
from exporters.sigstore.bundle import open_bundle

FOLDERS = ("images", "sboms", "attest", "charts", "compose", "plugins", "policy", "manifest")
_NAME = re.compile(r"stellaops-kit-(.+)\.tar\.zst")  # VERSION-CHANNEL, in lower case


def check(
    contents: Contents,
    *,
    name: str,
    folders: Sequence[str],
    require: Sequence[str],
    judge: Judge,
    published: Callable[[Release], str | None],
    tick: Tick,
) -> Iterator[tuple[str, Outcome]]:
    """Each check with its outcome. `name` is the file's, and `published` the sha256 of the manifest that a channel
    served for this version.

    The contents come from trust in nobody: an image is judged by the digest in the kit's own signed manifest.
    """
    yield "layout", _layout(contents, folders)
    try:
        release = _manifest(contents)
    except Refused as refused:
        yield "manifest", refused.outcome
        return
    yield "manifest", _agrees(release, contents, name, published)
    yield "manifest signature", _signed(contents, judge)
    found = layout.examine(contents)
    yield "digests", concluded(found.problems, f"{len(found.manifests)} manifests and all that they refer to")
    yield "images", _images(release, found, contents)
    yield "charts and compose", _beside(release, found, contents)
    claims, unreadable = attached.collect(contents, found, release.components)
    yield "referrers", _referrers(release, claims, require)
    problems: list[Problem] = list(unreadable)
    for component in release.components:
        problems += attached.verify(component, claims[component.name], found, judge, tick)
    yield (
        "signatures",
        concluded(problems, f"of {len(release.components)} images, with what is attested of them"),
    )


def _layout(contents: Contents, folders: Sequence[str]) -> Outcome:
    missing: list[Problem] = [
        Refused("incomplete", f"{name}/ is missing or empty")
        for name in folders
        if next(contents.below(name), None) is None
    ]
    return concluded(missing, f"{len(contents.files)} files in {', '.join(folders)}")


def _manifest(contents: Contents) -> Release:
    if MANIFEST not in contents.files:
        raise Refused("incomplete", f"{MANIFEST} is not in the kit")
    if MANIFEST not in contents.kept:
        raise Refused(
            "malformed", f"{MANIFEST} has {contents.files[MANIFEST].size} bytes, more than are read"
        )
    return manifest.parse(document.read(contents.kept[MANIFEST], MANIFEST), MANIFEST)


def _agrees(
    release: Release, contents: Contents, name: str, published: Callable[[Release], str | None]
) -> Outcome:
    problems: list[Problem] = []
    for judge in (
        consistency.checksum,
        consistency.calendar,
        lambda r: consistency.channel(r, r.channel),
        lambda r: _is_called(r, name),
    ):
        try:
            judge(release)
        except Refused as refused:
            problems.append(refused)
    known, own = published(release), contents.files[MANIFEST].sha256
    if known is not None and known != own:
        problems.append(
            Refused(
                "digest_mismatch",
                f"the manifest of {release.version} in the kit is not the one that channel {release.channel} published",
            )
        )
    same = ", the same as on its channel" if known == own else ""
    return concluded(problems, f"version {release.version} of {release.channel or 'no channel'}{same}")


def _is_called(release: Release, name: str) -> None:
    """Raises Refused when a kit that is named as §3.3 says holds another release: an old one, well signed, perhaps."""
    called = _NAME.fullmatch(name.casefold())
    versions = {release.version.core, release.seen_as, str(release.version)}
    held = {f"{version}-{release.channel}".casefold() for version in versions}
    if called is not None and release.channel and called[1] not in held:
        said = f"it is called {name}, and holds version {release.version} of channel {release.channel}"
        raise Refused("channel", said)


def _signed(contents: Contents, judge: Judge) -> Outcome:
    """A bundle beside the manifest, or in attest/, that signs the manifest's bytes. One good one is enough."""
    first: Problem | None = None
    for path, data in contents.kept.items():
        if path == MANIFEST or not path.startswith(("manifest/", "attest/")):
            continue
        try:
            if open_bundle(data).statement is not None:
                continue
            judge.blob(data, contents.kept[MANIFEST])
        except Refused as refused:
            # In attest/ there may be files that are no bundle, and bundles of other files.
            if path.startswith("manifest/"):
                first = first or Refused(refused.reason, f"{path}: {refused.detail}")
        except CouldNotCheck as error:
            first = first or error
        else:
            return Outcome(Verdict.VERIFIED, "", f"by {path}")
    nothing = Refused("no_signature", f"no bundle in the kit signs {MANIFEST}")
    return (first or nothing).outcome


def _images(release: Release, found: layout.Layout, contents: Contents) -> Outcome:
    hashes = {
        f"sha256:{file.sha256}"
        for folder in ("images", "sboms", "attest")
        for _, file in contents.below(folder)
    }
    problems: list[Problem] = []
    for component in release.components:
        if component.image.digest not in found.manifests:
            problems.append(_drifted(component, found))
        for kind, reference in (("SBOM", component.sbom), ("provenance", component.provenance)):
            if reference is not None and reference.digest not in hashes:
                problems.append(
                    Refused(
                        "missing", f"{component.name}: the {kind} {short(reference.digest)} is not in the kit"
                    )
                )
    return concluded(problems, f"all {len(release.components)} images of the manifest")


def _drifted(component: Component, found: layout.Layout) -> Refused:
    """An image that is there under another digest is told from one that is not there at all."""
    name, digest = component.image.repository.name, component.image.digest
    others = [other for said, other in found.named if _same_name(said, name)]
    if others:
        return Refused(
            "digest_mismatch",
            f"{component.name}: the kit holds {name} as {short(others[0])}, and the manifest says {short(digest)}: "
            "copied without its digest being preserved",
        )
    return Refused("missing", f"{component.name}: the image {short(digest)} is not in the kit")


def _same_name(said: str, name: str) -> bool:
    bare = said.partition("@")[0]
    head, colon, tag = bare.rpartition(":")
    bare = head if colon and "/" not in tag else bare
    return bare == name or bare.endswith(f"/{name}")


def _beside(release: Release, found: layout.Layout, contents: Contents) -> Outcome:
    problems: list[Problem] = []
    wanted = [(f"charts/{c.name}-{c.version}.tgz", c.digest) for c in release.charts]
    if release.compose is not None:
        wanted.append((f"compose/{release.compose.file}", release.compose.digest))
    for path, digest in wanted:
        file = contents.files.get(path)
        if file is None:
            problems.append(Refused("missing", f"{path} is not in the kit"))
        elif f"sha256:{file.sha256}" not in (digest, *_layers(found.manifests.get(digest, {}))):
            problems.append(
                Refused(
                    "digest_mismatch",
                    f"{path} is sha256:{file.sha256[:12]}…, and the manifest says {short(digest)}",
                )
            )
    return concluded(problems, ", ".join(path for path, _ in wanted) or "none in the manifest")


def _layers(chart: Mapping[str, object]) -> list[str]:
    """The digests of the layers, where a manifest names a chart by its OCI manifest and not by its file."""
    layers = chart.get("layers")
    return (
        [str(layer.get("digest")) for layer in layers if isinstance(layer, dict)]
        if isinstance(layers, list)
        else []
    )


def _referrers(release: Release, claims: Mapping[str, attached.Claims], require: Sequence[str]) -> Outcome:
    problems: list[Problem] = []
    for component in release.components:
        missing = [kind for kind in require if not claims[component.name].has(kind)]
        if missing:
            problems.append(
                Refused("missing", f"{component.name} comes without {' and without '.join(missing)}")
            )
    return concluded(problems, f"{', '.join(require)} of every image")
