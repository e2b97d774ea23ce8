"""Is the log entry that a manifest names in the log, and is it of a signature of this image?"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Iterator, Sequence

from exporters.bundle.config import Log
from exporters.bundle.judge import short
from exporters.bundle.manifest import Component, Entry
from exporters.bundle.references import Checked
from exporters.bundle.referrers import referrers, worst
from exporters.fetch import Fetcher
from exporters.oci import Manifest, NotThere, Reference, Registry, Repository, tag_of
from exporters.outcome import CouldNotCheck, Outcome, Problem, Refused, Verdict
from exporters.rekor.checkpoint import Checkpoint
from exporters.rekor.log import Wanted
from exporters.rekor.merkle import leaf_hash
from exporters.rekor.v1 import ApiReader
from exporters.rekor.v2 import TileReader
from exporters.sigstore.bundle import open_bundle

KIND = "log_entry"
LARGEST_BUNDLE = 8 << 20  # bytes
MOST_KEPT = 10_000  # referrers whose content is remembered
LEGACY = "dev.sigstore.cosign/bundle"


class Entries:
    """Looks entries up in the logs that are configured."""

    def __init__(self, fetcher: Fetcher, registry: Registry, logs: Sequence[Log]) -> None:
        self._registry = registry
        self._logs = [(log, _reader(fetcher, log)) for log in logs]
        self._lock = threading.Lock()
        # By repository, image and referrer: the leaves that it carries. A digest names the same content for ever.
        self._leaves: dict[tuple[Repository, str, str], frozenset[bytes]] = {}

    def check(self, components: Sequence[Component]) -> Iterator[Checked]:
        heads: dict[int, Sequence[Checkpoint]] = {}  # one checkpoint of a log serves a whole manifest
        for component in components:
            if component.entry is not None:
                yield self._check(component, component.entry, heads)

    def _check(self, component: Component, entry: Entry, heads: dict[int, Sequence[Checkpoint]]) -> Checked:
        name = component.name
        try:
            body = self._looked_up(entry, heads)
        except NotThere as error:
            said = Outcome(Verdict.FAILED, "missing", f"{name}: {error.detail}")
            return Checked(name, KIND, said, resolvable=False, match=False)
        except Refused as refused:
            said = Outcome(Verdict.FAILED, "tlog", f"{name}: {refused.detail}")
            return Checked(name, KIND, said, match=False)
        except CouldNotCheck as error:
            return Checked(name, KIND, Outcome(Verdict.UNKNOWN, error.reason, f"{name}: {error.detail}"))
        try:
            self._bind(component, body)
        except Refused as refused:
            said = Outcome(Verdict.FAILED, refused.reason, f"{name}: {refused.detail}")
            return Checked(name, KIND, said, match=False)
        except CouldNotCheck as error:
            return Checked(name, KIND, Outcome(Verdict.UNKNOWN, error.reason, f"{name}: {error.detail}"))
        return Checked(
            name, KIND, Outcome(Verdict.VERIFIED, "", f"{entry} is of {short(component.image.digest)}")
        )

    # ---- in the log ------------------------------------------------------------------------------

    def _looked_up(self, entry: Entry, heads: dict[int, Sequence[Checkpoint]]) -> bytes:
        """A no is asked for twice, the second time past every cache: once may be an error on the way."""
        try:
            return self._found(entry, heads, fresh=False)
        except (NotThere, Refused):
            heads.clear()
            return self._found(entry, heads, fresh=True)

    def _found(self, entry: Entry, heads: dict[int, Sequence[Checkpoint]], *, fresh: bool) -> bytes:
        """The entry's body, included in a signed tree. NotThere when each log that may have it says no."""
        missing: Refused | None = None
        for place, (log, reader) in enumerate(self._logs):
            if (log.kind == "v1") != bool(entry.uuid) or (entry.origin and entry.origin != log.origin):
                continue
            wanted = Wanted(index=None if entry.uuid else entry.index, uuid=entry.uuid)
            if log.kind == "v2" and place not in heads:
                heads[place] = reader.checkpoints(fresh=fresh)
            try:
                found = reader.entry(wanted, heads.get(place, ()), fresh=fresh)
            except Refused as refused:
                missing = refused
                continue
            head = heads[place][0] if log.kind == "v2" else _own(found.checkpoint)
            reader.inclusion(found, head, fresh=fresh)
            return found.body
        if missing is not None:
            raise NotThere(missing.detail)
        what = "Rekor v1" if entry.uuid else entry.origin
        raise CouldNotCheck(
            "trusted_root", f"no log is configured to ask for its entry: add {what} to `logs`"
        )

    # ---- of this image ---------------------------------------------------------------------------

    def _bind(self, component: Component, body: bytes) -> None:
        """Raises Refused unless a signature attached to the image carries this very entry.

        What is attached is listed each time, as a signature may be replaced; only its content is remembered.
        """
        image, leaf = component.image, leaf_hash(body)
        problems: list[Problem] = []
        for descriptor in referrers(self._registry, image.repository, image.digest, problems):
            try:
                if self._carries(image, descriptor.digest, leaf):
                    return
            except NotThere as error:
                detail = f"a referrer is listed and is not there: {error.detail}"
                problems.append(CouldNotCheck("bad_response", detail))
            except CouldNotCheck as error:
                problems.append(error)
        if body not in self._legacy(image):
            said = f"the log entry is there, but no signature of {short(image.digest)} in the registry carries it"
            raise worst(problems, Refused("subject_mismatch", said))

    def _carries(self, image: Reference, referrer: str, leaf: bytes) -> bool:
        """Does a bundle in this referrer, about this image, hold the entry? Raises NotThere when it is gone."""
        key = (image.repository, image.digest, referrer)
        with self._lock:
            known = self._leaves.get(key)
        if known is not None:
            if leaf in known and not self._registry.exists(image.repository, referrer):
                raise NotThere(f"{image.repository} has no {short(referrer)}")
            return leaf in known
        found = frozenset(leaf_hash(body) for body in self._read(image, referrer))
        with self._lock:
            if len(self._leaves) >= MOST_KEPT:
                self._leaves.clear()
            self._leaves[key] = found
        return leaf in found

    def _read(self, image: Reference, referrer: str) -> Iterator[bytes]:
        """The bodies of log entries in the bundles of a referrer."""
        manifest = self._registry.manifest(Reference(image.repository, digest=referrer))
        for layer in manifest.descriptors("layers"):
            if "sigstore.bundle" in layer.media_type:
                raw = self._registry.blob(image.repository, layer.digest, LARGEST_BUNDLE)
                yield from _bodies(raw, image.digest)

    def _legacy(self, image: Reference) -> Iterator[bytes]:
        """The bodies of log entries in cosign 2's tag, which can move: it is read each time."""
        tag = Reference(image.repository, tag=tag_of(image.digest, "sig"))
        for everywhere in (False, True) if self._registry.has_mirrors(image.repository) else (False,):
            for manifest in self._registry.tagged(tag, everywhere=everywhere):
                yield from _legacy_bodies(manifest)


def _reader(fetcher: Fetcher, log: Log) -> ApiReader | TileReader:
    kind = ApiReader if log.kind == "v1" else TileReader
    return kind(fetcher, log.url, log.origin, log.read_keys)


def _own(checkpoint: Checkpoint | None) -> Checkpoint:
    assert checkpoint is not None  # Rekor v1 sends one with each entry
    return checkpoint


def _bodies(raw: bytes, digest: str) -> Iterator[bytes]:
    """The entries of a bundle whose statement is about this image. What is no bundle has none."""
    try:
        opened = open_bundle(raw)
        if opened.statement is None or digest not in opened.statement.subjects:
            return
        entries = [entry.get("canonicalizedBody") for entry in opened.entries]
    except (Refused, ValueError, KeyError, TypeError):
        return
    for body in entries:
        yield from _decoded(body)


def _legacy_bodies(manifest: Manifest) -> Iterator[bytes]:
    """Of cosign's simple signing layers, whose annotation holds the log's entry."""
    for layer in manifest.descriptors("layers"):
        try:
            payload = json.loads(layer.annotations.get(LEGACY, "{}")).get("Payload")
            yield from _decoded(payload.get("body"))
        except (ValueError, AttributeError, RecursionError):
            continue


def _decoded(body: object) -> Iterator[bytes]:
    try:
        if isinstance(body, str):
            yield base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return
