"""Transparency log entries, where sigstore-python does not look: signatures by a key, and cosign's legacy ones.

An entry counts when its body is about this signature, key and content, and when the log vouches for it: by a
checkpoint it is included in, or by the promise it signed (SET) when it took the entry.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor import checkpoint
from exporters.rekor.merkle import ProofError, leaf_hash, root_of_inclusion
from exporters.sigstore.document import child, objects, octets, read, text, unbase64
from exporters.sigstore.keys import PublicKey, load_public_key, prehashes, spki
from exporters.sigstore.trust import Trust


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Where a transparency log keeps a signature. `leaf_hash` is the second part of a Rekor v1 UUID."""

    log_id: str  # hex
    log_index: int
    leaf_hash: str  # hex of sha256(0x00 || canonicalized body)
    origin: str  # of the checkpoint; empty where there is none
    integrated: datetime | None  # Rekor v1 only


@dataclass(frozen=True, slots=True)
class Logged:
    """What an entry must be about: a signature by a certificate or key over some content.

    `data` is what was signed; `payload` is the DSSE payload in it, None for a plain signature. `envelope` is the
    DSSE envelope's JSON as cosign 2 uploaded it, None where there is no such text.
    """

    signature: bytes
    signer: x509.Certificate | PublicKey
    data: bytes
    payload: bytes | None = None
    envelope: bytes | None = None

    @property
    def signer_der(self) -> bytes:
        if isinstance(self.signer, x509.Certificate):
            return self.signer.public_bytes(Encoding.DER)
        return spki(self.signer)

    @property
    def key(self) -> PublicKey:
        """The key that signed."""
        return (
            load_public_key(spki(self.signer.public_key()))
            if isinstance(self.signer, x509.Certificate)
            else self.signer
        )


def describe(entry: dict[str, Any]) -> LogEntry:
    """The entry of a bundle's document that has been verified. Raises Malformed."""
    proof = child(entry, "inclusionProof")
    envelope = text(child(proof, "checkpoint"), "envelope")
    # A promise is about the index and time beside it; without one, only the proof's index was verified.
    promised = "inclusionPromise" in entry
    seconds = int(entry.get("integratedTime", "0")) if promised else 0
    index = entry["logIndex"] if promised else proof["logIndex"]
    return LogEntry(
        octets(child(entry, "logId"), "keyId").hex(),
        int(index),
        leaf_hash(octets(entry, "canonicalizedBody")).hex(),
        envelope.partition("\n")[0],
        datetime.fromtimestamp(seconds, UTC) if seconds else None,
    )


def verify_entry(entry: dict[str, Any], logged: Logged, trust: Trust) -> None:
    """Verify a bundle's log entry. Refused("tlog") or Refused("unsupported"); Malformed for a broken one."""
    body = octets(entry, "canonicalizedBody")
    _verify_inclusion(child(entry, "inclusionProof"), body, trust)
    if "inclusionPromise" in entry:
        signature = octets(child(entry, "inclusionPromise"), "signedEntryTimestamp")
        log_id, index = octets(child(entry, "logId"), "keyId"), int(entry["logIndex"])
        verify_set(signature, body, int(entry.get("integratedTime", "0")), log_id, index, trust)
    kind = child(entry, "kindVersion")
    verify_body(body, f"{text(kind, 'kind')}/{text(kind, 'version')}", logged)


def verify_set(
    signature: bytes, body: bytes, integrated: int, log_id: bytes, log_index: int, trust: Trust
) -> None:
    """The log's promise to include the entry, with the time of it (signed entry timestamp)."""
    promise = {
        "body": base64.b64encode(body).decode(),
        "integratedTime": integrated,
        "logID": log_id.hex(),
        "logIndex": log_index,
    }
    canonical = json.dumps(
        promise, separators=(",", ":"), sort_keys=True
    ).encode()  # RFC 8785 for such values
    key = next((log.key for log in trust.logs if log.id == log_id), None)
    if key is None:
        raise Refused("tlog", f"the log {log_id.hex()[:16]}… is not in the trusted root")
    if not key.signed(canonical, signature):
        raise Refused("tlog", "the log's signed entry timestamp does not fit the entry")


def _verify_inclusion(proof: dict[str, Any], body: bytes, trust: Trust) -> None:
    envelope = text(child(proof, "checkpoint"), "envelope").encode()
    line = envelope.partition(b"\n")[0].decode()
    keys = [log.key for log in trust.logs if log.key is not None]
    try:
        head = checkpoint.verify(envelope, line.partition(" - ")[0], keys, tree_id=" - " in line)
        hashes = [unbase64(h, "hashes") for h in proof["hashes"]]
        root = root_of_inclusion(leaf_hash(body), int(proof["logIndex"]), int(proof["treeSize"]), hashes)
    except (Refused, CouldNotCheck) as error:
        raise Refused("tlog", error.detail) from None
    except ProofError as error:
        raise Refused("tlog", str(error)) from None
    if (root, int(proof["treeSize"])) != (head.root, head.size):
        raise Refused("tlog", "the entry is not included in the tree of the log's checkpoint")


# ---- bodies -----------------------------------------------------------------------------------


def verify_body(body: bytes, kind: str, logged: Logged) -> None:
    """Is this body, of a kind such as "dsse/0.0.1", about this signature and content?"""
    document = read(body)
    if f"{document.get('kind')}/{document.get('apiVersion')}" != kind:
        raise Refused("tlog", f"the log entry says it is {kind}, and its body does not")
    spec = child(document, "spec")
    match kind, logged.payload:
        case "hashedrekord/0.0.1", None:
            fits = _hashedrekord_v1(spec, logged)
        case "dsse/0.0.1", bytes(payload):
            fits = _dsse_v1(spec, logged, payload)
        case "intoto/0.0.1" | "intoto/0.0.2", bytes() if logged.envelope is not None:
            fits = _intoto_envelope(spec, logged, logged.envelope)
        case "intoto/0.0.2", bytes(payload):
            fits = _intoto(spec, logged, payload)
        case "hashedrekord/0.0.2", _:
            fits = _hashedrekord_v2(child(spec, "hashedRekordV002"), logged)
        case _:
            raise Refused("unsupported", f"log entries of kind {kind} are not verified for this signature")
    if not fits:
        raise Refused("tlog", "the log entry is about another signature, key or content")


def _hashedrekord_v1(spec: dict[str, Any], logged: Logged) -> bool:
    digest = child(child(spec, "data"), "hash")
    signature = child(spec, "signature")
    algorithm = digest.get("algorithm")
    return (
        algorithm in ("sha256", "sha384", "sha512")
        and digest.get("value") == hashlib.new(algorithm, logged.data).hexdigest()
        and octets(signature, "content") == logged.signature
        and same_signer(octets(child(signature, "publicKey"), "content"), logged)
    )


def _dsse_v1(spec: dict[str, Any], logged: Logged, payload: bytes) -> bool:
    digest = child(spec, "payloadHash")
    signatures = objects(spec.get("signatures"), "signatures")
    return (
        digest.get("algorithm") == "sha256"
        and digest.get("value") == hashlib.sha256(payload).hexdigest()
        and len(signatures) == 1
        and octets(signatures[0], "signature") == logged.signature
        and same_signer(octets(signatures[0], "verifier"), logged)
    )


def _intoto(spec: dict[str, Any], logged: Logged, payload: bytes) -> bool:
    """What a bundle says of it: the payload, and the signature in base64 twice."""
    content = child(spec, "content")
    digest = child(content, "payloadHash")
    signatures = objects(child(content, "envelope").get("signatures"), "signatures")
    return (
        digest.get("algorithm") == "sha256"
        and digest.get("value") == hashlib.sha256(payload).hexdigest()
        and len(signatures) == 1
        and base64.b64decode(octets(signatures[0], "sig"), validate=True) == logged.signature
        and same_signer(octets(signatures[0], "publicKey"), logged)
    )


def _intoto_envelope(spec: dict[str, Any], logged: Logged, envelope: bytes) -> bool:
    """The entry is the hash of the whole envelope, signatures included."""
    content = child(spec, "content")
    digest = child(content, "hash")
    signers = objects(content.get("envelope", {}).get("signatures", [spec]), "signatures")
    return (
        digest.get("algorithm") == "sha256"
        and digest.get("value") == hashlib.sha256(envelope).hexdigest()
        and len(signers) == 1
        and same_signer(octets(signers[0], "publicKey"), logged)
    )


def _hashedrekord_v2(spec: dict[str, Any], logged: Logged) -> bool:
    """DSSE too is logged so: its content is then what DSSE signs, the pre-authentication encoding."""
    data, signature = child(spec, "data"), child(spec, "signature")
    holder = child(signature, "verifier")
    signer = holder.get("x509Certificate", holder.get("publicKey"))
    return (
        prehashes(logged.key, logged.data).get(text(data, "algorithm")) == octets(data, "digest")
        and octets(signature, "content") == logged.signature
        and isinstance(signer, dict)
        and octets(signer, "rawBytes") == logged.signer_der
    )


def same_signer(pem: bytes, logged: Logged) -> bool:
    """Rekor v1 keeps certificates and keys in PEM."""
    try:
        if b"BEGIN CERTIFICATE" in pem:
            return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) == logged.signer_der
        return spki(load_public_key(pem)) == logged.signer_der
    except ValueError:
        return False
