"""A whole throwaway Sigstore in Python: it signs statements and files as cosign does, keyless or by a key.

What it makes verifies with sigstore-python, cosign and npm's @sigstore/verify. Every part can be told to do
wrong, one thing at a time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.trustkit.authorities import CtLog, Fulcio, TimestampAuthority, b64
from tests.trustkit.logs import RekorV1, RekorV2

SIGN = "https://sigstore.dev/cosign/sign/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
SLSA = "https://slsa.dev/provenance/v1"
IDENTITY = "https://github.com/stella-ops/release/.github/workflows/release.yml@refs/tags/v2.4.1"
ISSUER = "https://token.actions.githubusercontent.com"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
SIGNED = datetime(2025, 6, 20, 12, tzinfo=UTC)


def statement(digest: str, predicate_type: str = SIGN, predicate: Any = None) -> bytes:
    """An in-toto statement about one image, as bytes."""
    algorithm, _, value = digest.partition(":")
    content = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "", "digest": {algorithm: value}}],
        "predicateType": predicate_type,
        "predicate": {} if predicate is None else predicate,
    }
    return json.dumps(content, separators=(",", ":")).encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    return f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload


@dataclass
class Signer:
    """A key, with a certificate when it is keyless."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate | None = None

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        if self.certificate is not None:
            return self.certificate.public_bytes(Encoding.PEM)
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def verifier(self) -> dict[str, Any]:
        """As Rekor v2 keeps it."""
        if self.certificate is not None:
            held = {"x509Certificate": {"rawBytes": b64(self.certificate.public_bytes(Encoding.DER))}}
        else:
            raw = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            held = {"publicKey": {"rawBytes": b64(raw)}}
        return held | {"keyDetails": "PKIX_ECDSA_P256_SHA_256"}

    @property
    def material(self) -> dict[str, Any]:
        if self.certificate is not None:
            return {"certificate": {"rawBytes": b64(self.certificate.public_bytes(Encoding.DER))}}
        raw = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {"publicKey": {"hint": b64(hashlib.sha256(raw).digest())}}


@dataclass
class TrustKit:
    """Everything is valid from `BEGAN` on, without end, unless it is given another window."""

    ct: CtLog = field(default_factory=lambda: CtLog(BEGAN))
    rekor: RekorV1 = field(default_factory=lambda: RekorV1(BEGAN))
    rekor2: RekorV2 = field(default_factory=lambda: RekorV2(BEGAN))
    tsa: TimestampAuthority = field(default_factory=lambda: TimestampAuthority(BEGAN))
    fulcio: Fulcio = field(init=False)

    def __post_init__(self) -> None:
        self.fulcio = Fulcio(self.ct, BEGAN)

    # ---- the trusted root -------------------------------------------------------------------

    def root(self) -> dict[str, Any]:
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self.rekor.entry(), self.rekor2.entry()],
            "certificateAuthorities": [self.fulcio.entry()],
            "ctlogs": [self.ct.entry()],
            "timestampAuthorities": [self.tsa.entry()],
        }

    def write_root(self, path: Path) -> Path:
        path.write_text(json.dumps(self.root(), indent=1))
        return path

    # ---- signers ----------------------------------------------------------------------------

    def keyless(
        self, identity: str = IDENTITY, issuer: str = ISSUER, at: datetime = SIGNED, **how: Any
    ) -> Signer:
        key = how.pop("key", None) or ec.generate_private_key(ec.SECP256R1())
        return Signer(key, self.fulcio.certify(key, identity, issuer, at, **how))

    def key(self) -> Signer:
        return Signer(ec.generate_private_key(ec.SECP256R1()))

    # ---- bundles ----------------------------------------------------------------------------

    def attest(
        self,
        payload: bytes,
        signer: Signer | None = None,
        *,
        log: str = "v1",
        at: datetime = SIGNED + timedelta(seconds=5),
        payload_type: str = IN_TOTO,
    ) -> dict[str, Any]:
        """A bundle with a DSSE envelope. `log`: "v1", "v2" (with a timestamp), "v2-untimed", "none"."""
        signer = signer or self.keyless()
        signed = pae(payload_type, payload)
        signature = signer.sign(signed)
        if log == "v1":
            body = self._dsse_body(payload, signature, signer)
        else:
            body = self._hashedrekord_v2(signed, signature, signer)
        envelope = {
            "payload": b64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": b64(signature)}],
        }
        return self._bundle(signer, signature, body, log, at) | {"dsseEnvelope": envelope}

    def sign_blob(
        self,
        data: bytes,
        signer: Signer | None = None,
        *,
        log: str = "v1",
        at: datetime = SIGNED + timedelta(seconds=5),
    ) -> dict[str, Any]:
        """A bundle with a message signature."""
        signer = signer or self.keyless()
        signature = signer.sign(data)
        body = (
            self.hashedrekord(data, signature, signer)
            if log == "v1"
            else self._hashedrekord_v2(data, signature, signer)
        )
        message = {
            "messageDigest": {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(data).digest())},
            "signature": b64(signature),
        }
        return self._bundle(signer, signature, body, log, at) | {"messageSignature": message}

    def _bundle(
        self, signer: Signer, signature: bytes, body: dict[str, Any], log: str, at: datetime
    ) -> dict[str, Any]:
        material = dict(signer.material)
        if log != "none":
            material["tlogEntries"] = [(self.rekor if log == "v1" else self.rekor2).take(body, at)]
        else:
            material["tlogEntries"] = []
        if log == "v2":
            stamped = {"signedTimestamp": b64(self.tsa.timestamp(signature, at))}
            material["timestampVerificationData"] = {"rfc3161Timestamps": [stamped]}
        return {"mediaType": BUNDLE, "verificationMaterial": material}

    # ---- what cosign 2 wrote ------------------------------------------------------------------

    def legacy_signature(
        self, digest: str, signer: Signer | None = None, at: datetime = SIGNED + timedelta(seconds=5)
    ) -> tuple[bytes, dict[str, str]]:
        """The payload and annotations of a layer of a `.sig` tag."""
        signer = signer or self.keyless()
        critical = {
            "identity": {"docker-reference": "registry.example.org/image"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }
        payload = json.dumps({"critical": critical, "optional": None}).encode()
        signature = signer.sign(payload)
        body = self.hashedrekord(payload, signature, signer)
        return payload, {"dev.cosignproject.cosign/signature": b64(signature)} | self._beside(
            signer, body, at
        )

    def legacy_attestation(
        self,
        payload: bytes,
        signer: Signer | None = None,
        at: datetime = SIGNED + timedelta(seconds=5),
        kind: str = "dsse",
    ) -> tuple[bytes, dict[str, str]]:
        """The envelope and annotations of a layer of an `.att` tag."""
        signer = signer or self.keyless()
        signature = signer.sign(pae(IN_TOTO, payload))
        signatures = [{"keyid": "", "sig": b64(signature)}]
        envelope = json.dumps(
            {"payloadType": IN_TOTO, "payload": b64(payload), "signatures": signatures}
        ).encode()
        if kind == "dsse":
            body = self._dsse_body(payload, signature, signer)
        else:
            body = self.intoto_body(envelope, payload, signature, signer)
        return envelope, {"dev.cosignproject.cosign/signature": ""} | self._beside(signer, body, at)

    def _beside(self, signer: Signer, body: dict[str, Any], at: datetime) -> dict[str, str]:
        entry = self.rekor.take(body, at)
        bundle = {
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": int(entry["integratedTime"]),
                "logIndex": int(entry["logIndex"]),
                "logID": self.rekor.id.hex(),
            },
        }
        annotations = {"dev.sigstore.cosign/bundle": json.dumps(bundle)}
        if signer.certificate is not None:
            chain = b"".join(c.public_bytes(Encoding.PEM) for c in self.fulcio.chain())
            annotations["dev.sigstore.cosign/certificate"] = signer.pem.decode()
            annotations["dev.sigstore.cosign/chain"] = chain.decode()
        return annotations

    # ---- log entries ------------------------------------------------------------------------

    def _dsse_body(self, payload: bytes, signature: bytes, signer: Signer) -> dict[str, Any]:
        return {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(signature).hexdigest()},
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                "signatures": [{"signature": b64(signature), "verifier": b64(signer.pem)}],
            },
        }

    def intoto_body(
        self, envelope: bytes, payload: bytes, signature: bytes, signer: Signer
    ) -> dict[str, Any]:
        signatures = [{"sig": b64(b64(signature).encode()), "publicKey": b64(signer.pem)}]
        return {
            "apiVersion": "0.0.2",
            "kind": "intoto",
            "spec": {
                "content": {
                    "envelope": {"payloadType": IN_TOTO, "signatures": signatures},
                    "hash": {"algorithm": "sha256", "value": hashlib.sha256(envelope).hexdigest()},
                    "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                }
            },
        }

    def hashedrekord(self, data: bytes, signature: bytes, signer: Signer) -> dict[str, Any]:
        return {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}},
                "signature": {"content": b64(signature), "publicKey": {"content": b64(signer.pem)}},
            },
        }

    def _hashedrekord_v2(self, data: bytes, signature: bytes, signer: Signer) -> dict[str, Any]:
        return {
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(data).digest())},
                    "signature": {"content": b64(signature), "verifier": signer.verifier},
                }
            },
        }


def raw(bundle: dict[str, Any]) -> bytes:
    """A bundle as it lies in a registry."""
    return json.dumps(bundle).encode()
