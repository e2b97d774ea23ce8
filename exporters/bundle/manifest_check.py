"""The verdict on a channel's manifest: what it is, whether it is whole, and who signed it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from exporters.bundle import consistency, document, manifest
from exporters.bundle.config import Channel
from exporters.bundle.history import Seen
from exporters.bundle.judge import Judge, kind_of
from exporters.bundle.manifest import Release
from exporters.bundle.referrers import referrers, worst
from exporters.bundle.source import OCI, Fetched, Sources
from exporters.oci import NotThere, Reference, Registry
from exporters.outcome import CouldNotCheck, Outcome, Problem, Refused, Verdict
from exporters.sigstore import Signed
from exporters.sigstore.bundle import open_bundle

LARGEST_BUNDLE = 1 << 20  # bytes of a signature's bundle, and of a list of checksums
# Checks that fail while a publisher is between two uploads, or a cache has not heard of the last one.
TORN = ("manifest", "checksum", "signature", "succession")
_SUM = re.compile(r"\\?([0-9a-f]{64})(?: [ *](.+))?")


@dataclass(slots=True)
class Judgement:
    """The checks of one manifest, in order. `release` is there when it could be read, whatever the verdict."""

    checks: dict[str, Outcome] = field(default_factory=dict)
    release: Release | None = None
    sha256: str = ""

    @property
    def verdict(self) -> Verdict:
        found = {outcome.verdict for outcome in self.checks.values()}
        worst = (Verdict.FAILED, Verdict.UNKNOWN, Verdict.VERIFIED)
        return next(verdict for verdict in worst if verdict in found)

    @property
    def torn(self) -> bool:
        """Did it fail in a way that a half published or half distributed release does, and in no other?"""
        failed = [check for check, outcome in self.checks.items() if outcome.verdict is Verdict.FAILED]
        return bool(failed) and all(check in TORN for check in failed)


def judge_manifest(
    channel: Channel,
    *,
    sources: Sources,
    registry: Registry,
    judge: Judge,
    newest: tuple[str, Seen] | None,
    now: float,
) -> Judgement:
    """Never raises Refused or CouldNotCheck: they are in the checks."""
    found = Judgement()
    try:
        fetched = sources.read(channel.manifest, document.LARGEST, "release.yaml")
        found.sha256 = hashlib.sha256(fetched.data).hexdigest()
        release = manifest.parse(document.read(fetched.data, "the manifest"), "the manifest")
    except NotThere as error:
        # Nothing was judged: no manifest is neither a good nor a bad one.
        found.checks["manifest"] = Outcome(Verdict.UNKNOWN, "bad_response", error.detail)
        return found
    except (Refused, CouldNotCheck) as error:
        found.checks["manifest"] = error.outcome
        return found
    found.release = release
    ignored = f"; not judged: {', '.join(release.ignored)}" if release.ignored else ""
    said = f"version {release.version}, {len(release.components)} images{ignored}"
    found.checks["manifest"] = Outcome(Verdict.VERIFIED, "", said)
    for check, look in _checks(channel, release, fetched, sources, registry, judge):
        found.checks[check] = _outcome(look)
    if found.checks["signature"].verdict is Verdict.VERIFIED:
        # Only what is signed has a date that means something.
        found.checks["succession"] = _outcome(
            lambda: consistency.order(release, newest, channel.withdrawn, now)
        )
    return found


Look = Callable[[], str | None]


def _checks(
    channel: Channel, release: Release, fetched: Fetched, sources: Sources, registry: Registry, judge: Judge
) -> Iterator[tuple[str, Look]]:
    if not (release.public and not release.checksum and channel.checksums is None):
        yield "checksum", lambda: _checksum(channel, release, fetched, sources)
    yield "signature", lambda: _signature(channel, fetched, sources, registry, judge)
    yield "channel", lambda: consistency.channel(release, channel.name)
    yield "calendar", lambda: consistency.calendar(release)
    if not release.public:
        yield "completeness", lambda: _complete(channel, release)


def _outcome(look: Look) -> Outcome:
    try:
        return Outcome(Verdict.VERIFIED, "", look() or "")
    except (Refused, CouldNotCheck) as error:
        return error.outcome


def _checksum(channel: Channel, release: Release, fetched: Fetched, sources: Sources) -> str:
    if release.checksum:
        consistency.checksum(release)
    if channel.checksums is not None:
        _listed(channel, fetched.data, _read(sources, channel.checksums, "checksum", "the list of checksums"))
    elif not release.checksum:
        raise Refused(
            "incomplete", "the manifest has no checksums.sha256, and no `checksums` file is configured"
        )
    return f"sha256 {hashlib.sha256(fetched.data).hexdigest()[:12]}… as announced"


def _listed(channel: Channel, data: bytes, listed: bytes) -> None:
    """Compare with what `sha256sum` wrote; a file with one digest and no name is that of the manifest."""
    name = channel.manifest.partition("?")[0].rpartition("/")[2]
    sums: Mapping[str, str] = {
        (found[2] or name).rpartition("/")[2]: found[1]
        for line in listed.decode("utf-8", "replace").splitlines()
        if (found := _SUM.fullmatch(line.strip()))
    }
    if name not in sums:
        raise Refused("checksum", f"the list of checksums does not name {name}")
    own = hashlib.sha256(data).hexdigest()
    if sums[name] != own:
        raise Refused("checksum", f"{name} is {own[:12]}…, and the list of checksums says {sums[name][:12]}…")


def _signature(channel: Channel, fetched: Fetched, sources: Sources, registry: Registry, judge: Judge) -> str:
    if channel.bundle is None and channel.manifest.startswith(OCI):
        return _by_referrer(fetched, registry, judge)
    where = channel.bundle or f"{channel.manifest}.sigstore.json"
    return _when(judge.blob(_read(sources, where, "no_signature", "its signature"), fetched.data))


def _by_referrer(fetched: Fetched, registry: Registry, judge: Judge) -> str:
    """As cosign: each referrer is tried, one that verifies is enough. It signs the artifact, which names the bytes."""
    assert fetched.manifest is not None
    assert fetched.repository is not None
    problems: list[Problem] = []
    for descriptor in referrers(registry, fetched.repository, fetched.manifest.digest, problems):
        try:
            holder = registry.manifest(Reference(fetched.repository, digest=descriptor.digest))
            for layer in holder.descriptors("layers"):
                if "sigstore.bundle" in layer.media_type:
                    raw = registry.blob(fetched.repository, layer.digest, LARGEST_BUNDLE)
                    return _when(_signing(raw, fetched.data, fetched.manifest.digest, judge))
        except NotThere as error:
            detail = f"a referrer is announced and not there: {error.detail}"
            problems.append(CouldNotCheck("bad_response", detail))
        except (CouldNotCheck, Refused) as error:
            problems.append(error)
    raise worst(problems, Refused("no_signature", "nothing in the registry signs the manifest"))


def _signing(raw: bytes, data: bytes, digest: str, judge: Judge) -> Signed:
    """A signature of the file, or of the artifact that holds it. An attestation about it is none."""
    opened = open_bundle(raw)
    if opened.statement is None:
        return judge.blob(raw, data)
    if kind_of(opened.statement.predicate_type) != "signature":
        raise Refused("no_signature", f"a {opened.statement.predicate_type} is attached, and no signature")
    return judge.statement(opened, digest)


def _when(signed: Signed) -> str:
    return "" if signed.signed_at is None else f"signed {signed.signed_at:%Y-%m-%d %H:%M} UTC"


def _read(sources: Sources, location: str, reason: str, what: str) -> bytes:
    try:
        return sources.read(location, LARGEST_BUNDLE).data
    except NotThere as error:
        raise Refused(reason, f"{what} is not there: {error.detail}") from None


def _complete(channel: Channel, release: Release) -> str:
    for component in release.components:
        given = {"signature": component.entry, "sbom": component.sbom, "provenance": component.provenance}
        missing = [kind for kind in sorted(channel.require) if given[kind] is None]
        if missing:
            raise Refused(
                "incomplete", f"component {component.name} has no {' and no '.join(missing)} in the manifest"
            )
    return f"each image with {' and '.join(sorted(channel.require))}" if channel.require else ""
