"""Signatures and attestations of one image: found in its registry, opened one by one, and judged.

As cosign does: everything that refers to the image is a candidate, and one that verifies is enough. What an
artifact type or annotation says is a hint that nobody signed: it decides what is opened first, never what counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from exporters.cosign.images import Image
from exporters.cosign.verdicts import Kept, Key, verdict
from exporters.oci import Descriptor, NotThere, Reference, Registry, tag_of
from exporters.outcome import CouldNotCheck, Outcome, Refused, Verdict
from exporters.sigstore import Trust, legacy
from exporters.sigstore.bundle import OpenBundle, open_bundle, verify_statement

BUNDLE = "application/vnd.dev.sigstore.bundle"  # begins every version of its media type
LARGEST_MANIFEST = 1 << 20
MOST_CANDIDATES = 200  # of one image that are opened
SIGN = "https://sigstore.dev/cosign/sign/v1"
# Which check a predicate type answers; with a / it is a family.
PREDICATES = (
    (SIGN, "signature"),
    ("https://cyclonedx.org/bom", "sbom"),
    ("https://cyclonedx.org/bom/", "sbom"),
    ("https://slsa.dev/provenance/", "provenance"),
)
# Of several refusals the most telling is reported: what came nearest to being accepted.
TELLING = (
    "subject_mismatch",
    "trust_window",
    "identity_mismatch",
    "issuer_mismatch",
    "bad_signature",
    "tlog",
    "sct",
    "timestamp",
    "unsupported",
    "malformed",
    "no_signature",
)


def check_of(predicate_type: str) -> str:
    """The check that a statement of this type answers; "" for one that is asked nowhere."""
    for known, check in PREDICATES:
        if predicate_type == known or (known.endswith("/") and predicate_type.startswith(known)):
            return check
    return ""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that may hold a signature. `kind` is bundle, signature or attestation (cosign 2's two)."""

    kind: str
    descriptor: Descriptor

    @property
    def content(self) -> str:
        """Stands for everything that is judged: a legacy signature lies in annotations."""
        if self.kind == "bundle":
            return self.descriptor.digest
        said = json.dumps(sorted(self.descriptor.annotations.items()))
        return f"{self.kind} {self.descriptor.digest} {hashlib.sha256(said.encode()).hexdigest()}"


@dataclass(slots=True)
class Findings:
    """What the candidates of one image came to, by check."""

    wanted: tuple[str, ...]
    verified: set[str] = field(default_factory=set)
    refused: dict[str, list[Refused]] = field(default_factory=dict)
    unknown: dict[str, CouldNotCheck] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    gone: str = ""  # a candidate that is not there, as a sentence

    @property
    def open(self) -> set[str]:
        return set(self.wanted) - self.verified

    def refuse(self, check: str, refused: Refused) -> None:
        """Without a check it may have been any of them."""
        for one in (check,) if check else self.wanted:
            self.refused.setdefault(one, []).append(refused)

    def could_not(self, check: str, error: CouldNotCheck) -> None:
        for one in (check,) if check else self.wanted:
            self.unknown.setdefault(one, error)

    def outcome(self, check: str) -> Outcome:
        if check in self.verified:
            return Outcome(Verdict.VERIFIED)
        if check in self.unknown:  # the one that could not be looked at may be the good one
            return self.unknown[check].outcome
        refusals = self.refused.get(check, [])
        return min(refusals, key=lambda r: TELLING.index(r.reason)).outcome


class Examiner:
    """Looks for an image's signatures and judges them. Safe for many threads at once."""

    def __init__(self, registry: Registry, max_bytes: int, cache_size: int) -> None:
        self._registry = registry
        self._max_bytes = max_bytes
        self._layers: Kept[tuple[Layer, ...]] = Kept(cache_size)
        self._claims: Kept[str | Refused] = Kept(cache_size)
        self._verdicts: Kept[Refused | None] = Kept(cache_size)

    def examine(self, image: Image, root: Callable[[], Trust | None]) -> dict[str, Outcome]:
        """The outcome of each of signature, sbom and provenance that is asked of the image. Never raises these two."""
        wanted = tuple(str(check) for check in image.checks if check in image.policies)
        if not wanted:
            return {}
        try:
            trust = root()
            fingerprints = {check: image.policies[check].fingerprint for check in wanted}
        except CouldNotCheck as error:
            return dict.fromkeys(wanted, error.outcome)
        judge = _Judge(self._read, self._claims, self._verdicts, image, trust, fingerprints)
        found = Findings(wanted)
        self._referrers(image, judge, found)
        if found.open:
            self._legacy(image, judge, found)
        if found.open and self._registry.has_mirrors(image.reference.repository):
            self._referrers(image, judge, found, everywhere=True)
            self._legacy(image, judge, found, everywhere=True)
        self._nothing(image, found)
        return {check: found.outcome(check) for check in wanted}

    # ---- finding -----------------------------------------------------------------------------

    def _referrers(self, image: Image, judge: _Judge, found: Findings, everywhere: bool = False) -> None:
        reference = image.reference
        try:
            listing = self._registry.listing(reference.repository, reference.digest, everywhere)
        except CouldNotCheck as error:
            return found.could_not("", error)
        candidates = sorted(listing.descriptors, key=lambda d: not d.artifact_type.startswith(BUNDLE))
        for descriptor in candidates[:MOST_CANDIDATES]:
            if not found.open:
                return None
            if descriptor.digest in found.seen:
                continue
            found.seen.add(descriptor.digest)
            self._judge_all(image, descriptor, judge, found)
        if found.open and (not listing.complete or len(candidates) > MOST_CANDIDATES):
            found.could_not(
                "",
                CouldNotCheck(
                    "too_large", f"more refers to the image than the {MOST_CANDIDATES} that are opened"
                ),
            )
        if found.gone:
            found.could_not("", CouldNotCheck("bad_response", found.gone))
        return None

    def _judge_all(self, image: Image, descriptor: Descriptor, judge: _Judge, found: Findings) -> None:
        try:
            layers = self._layers.get(descriptor.digest, lambda: self._open(image, descriptor.digest))
        except CouldNotCheck as error:
            return found.could_not("", error)
        except NotThere:  # a list that was damaged on the way names what never was, in place of the good one
            found.gone = found.gone or f"{descriptor.digest} is listed and is not there"
            return None
        for layer in layers:
            judge(layer, found)
        return None

    def _open(self, image: Image, digest: str) -> tuple[Layer, ...]:
        """The layers of a manifest that may hold bundles; none where it is something else."""
        manifest = self._registry.manifest(
            Reference(image.reference.repository, digest=digest), LARGEST_MANIFEST
        )
        layers = manifest.descriptors("layers")[:MOST_CANDIDATES]
        return tuple(Layer("bundle", layer) for layer in layers if layer.media_type.startswith(BUNDLE))

    def _legacy(self, image: Image, judge: _Judge, found: Findings, everywhere: bool = False) -> None:
        """cosign 2's tags. They can move, so they are read in each cycle in which nothing newer was enough."""
        if "signature" in found.open:
            self._tag(image, "sig", judge, found, everywhere)
        if found.open & {"sbom", "provenance"}:
            self._tag(image, "att", judge, found, everywhere)

    def _tag(self, image: Image, suffix: str, judge: _Judge, found: Findings, everywhere: bool) -> None:
        kind, media = {"sig": ("signature", legacy.SIMPLE_SIGNING), "att": ("attestation", legacy.DSSE)}[
            suffix
        ]
        tag = tag_of(image.reference.digest, suffix)
        checks = {"signature"} if suffix == "sig" else {"sbom", "provenance"}
        reference, most = Reference(image.reference.repository, tag=tag), LARGEST_MANIFEST * 4
        try:
            manifests = self._registry.tagged(reference, most, everywhere)
            layers = [
                layer
                for manifest in manifests
                for layer in manifest.descriptors("layers")
                if layer.media_type == media
            ]
        except CouldNotCheck as error:
            for check in checks & found.open:
                found.could_not(check, error)
            return
        for layer in layers[:MOST_CANDIDATES]:
            judge(Layer(kind, layer), found)
        if len(layers) > MOST_CANDIDATES:
            for check in checks & found.open:
                found.could_not(
                    check, CouldNotCheck("too_large", f"{tag} has more than {MOST_CANDIDATES} layers")
                )

    def _nothing(self, image: Image, found: Findings) -> None:
        """What has no candidate at all has no signature; perhaps the image itself is not there."""
        empty = [c for c in found.open if c not in found.refused and c not in found.unknown]
        if not empty:
            return None
        detail = "nothing of this kind is in the registry beside the image"
        if set(empty) == set(found.wanted):
            try:
                if not self._registry.exists(image.reference.repository, image.reference.digest):
                    detail = f"the registry has no image {image.reference}"
            except CouldNotCheck as error:
                return found.could_not("", error)
        for check in empty:
            found.refuse(check, Refused("no_signature", detail))
        return None

    def _read(self, image: Image, layer: Layer) -> bytes:
        descriptor = layer.descriptor
        if descriptor.size > self._max_bytes:
            raise CouldNotCheck(
                "too_large", f"a candidate has {descriptor.size} bytes; {self._max_bytes} are read"
            )
        # No byte more than the size that is named with it: a server without end costs no more than its answer.
        return self._registry.blob(image.reference.repository, descriptor.digest, descriptor.size)


@dataclass(slots=True)
class _Judge:
    """Judges one layer after another for one image; content is read only when something is not known of it."""

    read: Callable[[Image, Layer], bytes]
    claims: Kept[str | Refused]
    verdicts: Kept[Refused | None]
    image: Image
    trust: Trust | None
    fingerprints: dict[str, str]

    def __call__(self, layer: Layer, found: Findings) -> None:
        held = _Held(lambda: self.read(self.image, layer), layer)
        check = ""
        try:
            claim = self.claims.get(layer.content, held.claim)
            if isinstance(claim, Refused):
                return found.refuse("signature" if layer.kind == "signature" else "", claim)
            check = check_of(claim)
            if check not in found.open:
                return None
            refused = self.verdicts.get(
                self._key(layer, check), lambda: verdict(lambda: self._verify(held, check))
            )
        except CouldNotCheck as error:
            return found.could_not(check, error)
        except NotThere:
            return found.could_not(
                check, CouldNotCheck("bad_response", "a candidate is listed and is not there")
            )
        if refused is None:
            found.verified.add(check)
            return None
        return found.refuse(check, refused)

    def _key(self, layer: Layer, check: str) -> Key:
        root = "" if self.trust is None else self.trust.identity
        return Key(layer.content, self.image.reference.digest, self.fingerprints[check], root)

    def _verify(self, held: _Held, check: str) -> None:
        digest, policy = self.image.reference.digest, self.image.policies[check]
        if held.layer.kind == "bundle":
            verify_statement(held.opened, digest, policy, self.trust)
        elif held.layer.kind == "signature":
            legacy.verify_signature(held.raw, held.layer.descriptor.annotations, digest, policy, self.trust)
        else:
            legacy.verify_attestation(held.raw, held.layer.descriptor.annotations, digest, policy, self.trust)


class _Held:
    """A candidate's content, read and opened once, when it is first needed."""

    def __init__(self, read: Callable[[], bytes], layer: Layer) -> None:
        self._read = read
        self.layer = layer
        self._raw: bytes | None = None
        self._opened: OpenBundle | None = None

    @property
    def raw(self) -> bytes:
        if self._raw is None:
            self._raw = self._read()
        return self._raw

    @property
    def opened(self) -> OpenBundle:
        if self._opened is None:
            self._opened = open_bundle(self.raw)
        return self._opened

    def claim(self) -> str | Refused:
        """The predicate type it claims, or why it is nothing at all: either depends on its bytes alone."""
        try:
            if self.layer.kind == "signature":
                return SIGN
            if self.layer.kind == "attestation":
                return legacy.claim(self.raw).predicate_type
            statement = self.opened.statement
        except Refused as refused:
            return Refused(refused.reason, refused.detail)
        return (
            Refused("unsupported", "a bundle holds a plain signature")
            if statement is None
            else statement.predicate_type
        )
