"""The trusted root: a file of keys and certificates, each with the time in which it may be believed."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from sigstore.errors import Error as SigstoreError
from sigstore.models import ClientTrustConfig
from sigstore.verify import Verifier

from exporters.outcome import CouldNotCheck
from exporters.rekor.checkpoint import LogKey
from exporters.sigstore.document import Malformed, child, objects, octets, read

# The lists of a trusted root, by the kind that metrics name.
KINDS = {
    "fulcio": "certificateAuthorities",
    "ctlog": "ctlogs",
    "rekor": "tlogs",
    "tsa": "timestampAuthorities",
}
AUTHORITIES = ("fulcio", "tsa")
MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
MAX_BYTES = 4 << 20
# ClientTrustConfig is the library's public way to a trusted root that is no file; it wants these beside it.
_CONFIG = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
_SIGNING = {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}
_ALWAYS = {"start": "1970-01-01T00:00:00Z"}

Part = tuple[tuple[int, ...], ...]
"""Which entries of each list are kept, in the order of KINDS."""


@dataclass(frozen=True, slots=True)
class Window:
    """From start to end, both included; None is open."""

    start: datetime | None
    end: datetime | None

    def holds(self, moment: datetime) -> bool:
        return (self.start is None or self.start <= moment) and (self.end is None or moment <= self.end)


@dataclass(frozen=True, slots=True)
class Log:
    """A transparency log: its key, None where it is of a kind that signs no log here, and sha256 of its DER."""

    key: LogKey | None
    id: bytes


class Trust:
    """A trusted root. `sha256` is that of the file's bytes, in hex.

    `at` gives the root as it stood at a time: only what may be believed then. sigstore-python enforces no window
    but the timestamp authorities', and of those not the end, so what is verified is verified against such a part.
    """

    def __init__(
        self, document: dict[str, Any], sha256: str, clock: Callable[[], float] = time.time, part: str = "all"
    ) -> None:
        """From a document of `root_document`. Raises as it does where a key or certificate cannot be read."""
        self.sha256 = sha256
        self._document = document
        self._clock = clock
        self._part = part
        self._parts: dict[Part, Trust] = {}
        self._lock = threading.Lock()
        self._windows = {kind: [_window(kind, e) for e in document[key]] for kind, key in KINDS.items()}
        self.logs = tuple(_log(entry) for entry in document[KINDS["rekor"]])
        self.ct_logs = tuple(octets(child(e, "publicKey"), "rawBytes") for e in document[KINDS["ctlog"]])
        self._chains = {kind: [_chain(e) for e in document[KINDS[kind]]] for kind in AUTHORITIES}

    def at(self, moments: Iterable[datetime] = (), issued: datetime | None = None) -> Trust:
        """What may be believed of a signature of these times, its certificate logged at `issued`.

        Without any proven time it counts as made now.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        times = tuple(moments) or (now,)
        wanted = {"fulcio": times, "ctlog": (issued or now,), "rekor": times, "tsa": times}
        kept: Part = tuple(
            tuple(i for i, window in enumerate(self._windows[kind]) if all(map(window.holds, wanted[kind])))
            for kind in KINDS
        )
        with self._lock:
            if kept not in self._parts:
                whole = all(len(k) == len(self._windows[kind]) for k, kind in zip(kept, KINDS, strict=True))
                self._parts[kept] = self if whole else self._only(kept)
            return self._parts[kept]

    @property
    def identity(self) -> str:
        """Stands for the root and for which of its windows are open now: part of a verdict's cache key."""
        return f"{self.sha256}/{self.at()._part}"

    def expiry(self, kind: str) -> datetime | None:
        """When the last key or certificate of a kind ends; None when one never does, or there is none."""
        ends = [self._end(kind, i) for i in range(len(self._windows[kind]))]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    @cached_property
    def verifier(self) -> Verifier:
        """sigstore-python's verifier over this part of the root. ValueError where the part is too small."""
        config = {"mediaType": _CONFIG, "trustedRoot": _opened(self._document), "signingConfig": _SIGNING}
        try:
            root = ClientTrustConfig.from_json(json.dumps(config)).trusted_root
            for method in ("rekor_keyring", "ct_keyring", "get_timestamp_authorities"):
                # The library asks for them, and parses all keys, in every verification.
                setattr(root, method, cache(getattr(root, method)))
            return Verifier(trusted_root=root)
        except (SigstoreError, ValueError) as error:
            raise ValueError(str(error)) from None

    @cached_property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """Every certificate of the certificate authorities."""
        return tuple(certificate for chain in self._chains["fulcio"] for certificate in chain)

    @cached_property
    def timestamp_authorities(self) -> tuple[tuple[tuple[x509.Certificate, ...], Window], ...]:
        """The timestamp authorities' chains, leaf first, each with its window."""
        return tuple(zip(self._chains["tsa"], self._windows["tsa"], strict=True))

    def _only(self, kept: Part) -> Trust:
        lists = {
            key: [self._document[key][i] for i in indexes]
            for key, indexes in zip(KINDS.values(), kept, strict=True)
        }
        return Trust(self._document | lists, self.sha256, self._clock, part=repr(kept))

    def _end(self, kind: str, index: int) -> datetime | None:
        """The earliest of a window's end and the ends of its certificates."""
        ends = [self._windows[kind][index].end]
        if kind in AUTHORITIES:
            ends += [certificate.not_valid_after_utc for certificate in self._chains[kind][index]]
        return min((end for end in ends if end is not None), default=None)


def load_trust(path: Path, clock: Callable[[], float] = time.time) -> Trust:
    """Read a trusted_root.json. CouldNotCheck("trusted_root") when it cannot be read or used."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CouldNotCheck(
            "trusted_root", f"the trusted root {path} cannot be read: {error.strerror}"
        ) from None
    return read_trust(raw, str(path), clock)


def read_trust(raw: bytes, name: str, clock: Callable[[], float] = time.time) -> Trust:
    """A trusted root from its bytes; `name` is for the sentence of an error."""
    try:
        if len(raw) > MAX_BYTES:
            raise Malformed(f"it has more than {MAX_BYTES >> 20} MiB")
        return Trust(root_document(raw), hashlib.sha256(raw).hexdigest(), clock)
    except ValueError as error:
        raise CouldNotCheck("trusted_root", f"the trusted root {name} cannot be used: {error}") from None


def root_document(raw: bytes) -> dict[str, Any]:
    """A trusted root's document, with what protobuf JSON may leave out. Raises Malformed."""
    document = read(raw)
    if document.get("mediaType") != MEDIA_TYPE:
        raise Malformed(f"its mediaType is {document.get('mediaType')!r}, not {MEDIA_TYPE!r}")
    for kind, key in KINDS.items():
        for entry in objects(document.setdefault(key, []), key):
            if kind in AUTHORITIES:
                entry["subject"] = {"organization": "", "commonName": ""} | child(
                    {"subject": {}} | entry, "subject"
                )
            else:
                entry.setdefault("baseUrl", "")
    return document


def _opened(document: dict[str, Any]) -> dict[str, Any]:
    """Without the windows that `at` has judged: the library would hold them against this machine's clock.

    Without authorities that have no certificate, too: it would fail on them whatever it verifies.
    """
    opened = dict(document)
    for kind in AUTHORITIES:
        held = [e for e in document[KINDS[kind]] if e["certChain"]["certificates"]]
        opened[KINDS[kind]] = [e | {"validFor": _ALWAYS} for e in held]
    for kind in ("ctlog", "rekor"):
        opened[KINDS[kind]] = [
            e | {"publicKey": e["publicKey"] | {"validFor": _ALWAYS}} for e in document[KINDS[kind]]
        ]
    return opened


def _window(kind: str, entry: dict[str, Any]) -> Window:
    holder = entry if kind in AUTHORITIES else child(entry, "publicKey")
    if "validFor" not in holder and kind not in AUTHORITIES:
        return Window(None, None)
    valid = child(holder, "validFor")
    if "start" not in valid:
        raise Malformed("a validFor of it has no start")
    return Window(_moment(valid, "start"), _moment(valid, "end"))


def _moment(valid: dict[str, Any], key: str) -> datetime | None:
    value = valid.get(key)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Malformed(f"validFor.{key} is no RFC 3339 time") from None
    if moment.tzinfo is None:
        raise Malformed(f"validFor.{key} names no time zone")
    return moment


def _log(entry: dict[str, Any]) -> Log:
    der = octets(child(entry, "publicKey"), "rawBytes")
    try:
        key = LogKey(der)
    except ValueError:
        key = None
    return Log(key, hashlib.sha256(der).digest())


def _chain(entry: dict[str, Any]) -> tuple[x509.Certificate, ...]:
    certificates = objects(child(entry, "certChain").get("certificates"), "certificates")
    try:
        return tuple(x509.load_der_x509_certificate(octets(c, "rawBytes")) for c in certificates)
    except ValueError:
        raise Malformed("a certificate of it cannot be read") from None
