"""Checkpoints: signed notes that state a tree's size and root, and the keys that sign them.

Formats: c2sp.org/signed-note, c2sp.org/tlog-checkpoint; Rekor v1 signs the same format.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

MAX_BYTES = 64 << 10  # a note with 16 post-quantum signatures is as large
MAX_SIGNATURES = 64
_ED25519 = b"\x01"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree's head as its log states it. `note` is the whole signed note: the evidence."""

    origin: str
    size: int
    root: bytes
    note: str
    extensions: tuple[str, ...] = ()

    @property
    def tree(self) -> str:
        """The shard's name: the number of the tree, which Rekor v1 writes behind its origin, or the origin."""
        return self.origin.rpartition(" - ")[2]


@dataclass(frozen=True, slots=True)
class Signature:
    name: str
    key_id: bytes
    value: bytes


class LogKey:
    """A log's public key: Ed25519, or ECDSA on a NIST curve with SHA-256."""

    def __init__(self, der: bytes) -> None:
        """From SubjectPublicKeyInfo in DER. Raises ValueError for what is no such key."""
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("it holds no public key that can be read") from None
        if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
            raise ValueError("it is neither an Ed25519 nor an ECDSA key, and no other signs checkpoints here")
        self._key = key
        self._spki = der

    @classmethod
    def from_pem(cls, text: str) -> LogKey:
        try:
            key = serialization.load_pem_public_key(text.encode())
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError("it holds no public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        return cls(key.public_bytes(encoding, form))

    def ids(self, name: str) -> set[bytes]:
        """The four-byte ids under which this key may sign as `name` (signed-note, "Signature types").

        Rekor v1 and every ECDSA key use the hash of the SPKI alone; Ed25519 keys hash the name too.
        """
        ids = {hashlib.sha256(self._spki).digest()[:4]}
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            raw = self._key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            ids.add(hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw).digest()[:4])
        return ids

    def signed(self, text: bytes, signature: bytes) -> bool:
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, text)
            else:
                self._key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def trusted_keys(path: Path, origin: str) -> tuple[LogKey, ...]:
    """The keys of the log `origin` in a Sigstore trusted root (its `baseUrl` without the scheme).

    Raises `CouldNotCheck("trusted_root")` when the file holds none.
    """
    try:
        logs = json.loads(path.read_bytes())["tlogs"]
        found = [
            base64.b64decode(log["publicKey"]["rawBytes"], validate=True)
            for log in logs
            if log["baseUrl"].split("://", 1)[-1].rstrip("/") == origin
        ]
        keys = tuple(LogKey(der) for der in found)
    except OSError as error:
        raise CouldNotCheck("trusted_root", f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CouldNotCheck("trusted_root", f"{path} is not a trusted root that can be read") from None
    if not keys:
        raise CouldNotCheck("trusted_root", f"{path} has no log whose baseUrl is {origin}")
    return keys


def verify(raw: bytes, origin: str, keys: Iterable[LogKey], *, tree_id: bool = False) -> Checkpoint:
    """Read a signed note as a checkpoint of the log `origin`, signed by one of its keys.

    With `tree_id` the origin line ends in " - " and the number of the tree, as Rekor v1 writes it.
    Raises `CouldNotCheck("bad_response")` for what is no signed note (an error page of a proxy, half a
    body), `Refused("bad_signature")` for one that is not signed by the log, or is not of this log.
    """
    text, signatures = _open(raw)
    _check_signatures(text, signatures, origin, tuple(keys))
    checkpoint = parse(raw)
    stated, _, tree = checkpoint.origin.partition(" - ") if tree_id else (checkpoint.origin, "", "")
    if stated != origin or (tree_id and not _is_number(tree)):
        raise Refused("bad_signature", f"the checkpoint is of the log {checkpoint.origin!r}, not {origin!r}")
    return checkpoint


def parse(raw: bytes) -> Checkpoint:
    """Read a checkpoint without looking at its signatures. Raises `CouldNotCheck("bad_response")`."""
    text, _ = _open(raw)
    lines = text.decode().split("\n")[:-1]
    if len(lines) < 3 or not all(lines):
        raise _unreadable("it has not the three lines origin, size and root")
    origin, size, root64, *extensions = lines
    if not _is_number(size):
        raise _unreadable("its second line is not a tree size")
    try:
        root = base64.b64decode(root64, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable("its root is not base64") from None
    if len(root) != HASH_BYTES or int(size) > MAX_SIZE:
        raise _unreadable("its root or size is out of range")
    if int(size) == 0 and root != EMPTY_ROOT:
        raise _unreadable("it states a root for an empty tree")
    return Checkpoint(origin, int(size), root, raw.decode(), tuple(extensions))


def _open(raw: bytes) -> tuple[bytes, list[Signature]]:
    """The note's text, up to its final newline, and its signatures."""
    if len(raw) > MAX_BYTES:
        raise CouldNotCheck("too_large", f"the checkpoint has more than {MAX_BYTES >> 10} KiB")
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        raise _unreadable("it is not UTF-8") from None
    if any(c < " " and c != "\n" for c in note):
        raise _unreadable("it holds control characters")
    body, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or lines.pop() != "" or not lines or len(lines) > MAX_SIGNATURES:
        raise _unreadable("it is not text, an empty line, and signatures")
    return body.encode() + b"\n", [_signature(line) for line in lines]


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, space, value = rest.rpartition(" ")
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable("a signature is not base64") from None
    if (
        dash != "—"
        or not space
        or not name
        or any(c.isspace() or c == "+" for c in name)
        or len(decoded) <= 4
    ):
        raise _unreadable("a signature line has not the form of a signed note")
    return Signature(name, decoded[:4], decoded[4:])


def _check_signatures(
    text: bytes, signatures: list[Signature], origin: str, keys: tuple[LogKey, ...]
) -> None:
    """One good signature of the log; a bad one under the log's name and key id spoils the whole note."""
    good = False
    for signature in signatures:
        known = [k for k in keys if signature.name == origin and signature.key_id in k.ids(origin)]
        if known and not any(key.signed(text, signature.value) for key in known):
            raise Refused("bad_signature", f"the signature by {origin} does not fit the checkpoint")
        good = good or bool(known)
    if not good:
        raise Refused("bad_signature", f"the checkpoint has no signature by the key of {origin}")


def _is_number(text: str) -> bool:
    """ASCII decimal without leading zeroes; at most 19 digits, so that int() stays cheap."""
    return text.isascii() and text.isdigit() and len(text) <= 19 and (text == "0" or text[0] != "0")


def _unreadable(why: str) -> CouldNotCheck:
    return CouldNotCheck("bad_response", f"the answer is no checkpoint: {why}")
