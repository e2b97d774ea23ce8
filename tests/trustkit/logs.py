"""Transparency logs of a throwaway Sigstore: Rekor v1 with its promises, Rekor v2 with tiles' checkpoints."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.trustkit.authorities import b64, spki, window


@dataclass
class Tree:
    """RFC 6962 §2.1, written from its definitions; hashes of complete subtrees are kept."""

    leaves: list[bytes] = field(default_factory=list)
    complete: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def add(self, body: bytes) -> int:
        self.leaves.append(hashlib.sha256(b"\0" + body).digest())
        return len(self.leaves) - 1

    def root(self, lo: int = 0, hi: int | None = None) -> bytes:
        hi = len(self.leaves) if hi is None else hi
        if hi - lo == 1:
            return self.leaves[lo]
        if (found := self.complete.get((lo, hi))) is not None:
            return found
        split = lo + (1 << (hi - lo - 1).bit_length() - 1)
        root = hashlib.sha256(b"\1" + self.root(lo, split) + self.root(split, hi)).digest()
        if (hi - lo) & (hi - lo - 1) == 0:
            self.complete[lo, hi] = root
        return root

    def proof(self, index: int, lo: int = 0, hi: int | None = None) -> list[bytes]:
        hi = len(self.leaves) if hi is None else hi
        if hi - lo == 1:
            return []
        split = lo + (1 << (hi - lo - 1).bit_length() - 1)
        if index < split:
            return [*self.proof(index, lo, split), self.root(split, hi)]
        return [*self.proof(index, split, hi), self.root(lo, split)]


class Rekor:
    """What both versions share: a tree, a key, and signed checkpoints."""

    def __init__(self, name: str, start: datetime, end: datetime | None = None) -> None:
        self.name = name
        self.start, self.end = start, end
        self.tree = Tree()

    def _checkpoint(self, origin: str, key_hash: bytes, sign: Any) -> str:
        note = f"{origin}\n{len(self.tree.leaves)}\n{b64(self.tree.root())}\n"
        return f"{note}\n— {self.name} {b64(key_hash[:4] + sign(note.encode()))}\n"

    def _proof(self, index: int, checkpoint: str) -> dict[str, Any]:
        return {
            "logIndex": str(index),
            "rootHash": b64(self.tree.root()),
            "treeSize": str(len(self.tree.leaves)),
            "hashes": [b64(h) for h in self.tree.proof(index)],
            "checkpoint": {"envelope": checkpoint},
        }


class RekorV1(Rekor):
    """Signs the time at which it takes an entry."""

    TREE_ID = 1193050959916656506

    def __init__(self, start: datetime, end: datetime | None = None, name: str = "rekor.example.org") -> None:
        super().__init__(name, start, end)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = hashlib.sha256(spki(self.key)).digest()

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def promise(self, body: bytes, at: datetime, index: int) -> bytes:
        """The signed entry timestamp."""
        promised = {
            "body": b64(body),
            "integratedTime": int(at.timestamp()),
            "logID": self.id.hex(),
            "logIndex": index,
        }
        return self.sign(json.dumps(promised, separators=(",", ":"), sort_keys=True).encode())

    def take(self, body: dict[str, Any], at: datetime) -> dict[str, Any]:
        canonical = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        index = self.tree.add(canonical)
        checkpoint = self._checkpoint(f"{self.name} - {self.TREE_ID}", self.id, self.sign)
        return {
            "logIndex": str(index),
            "logId": {"keyId": b64(self.id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": str(int(at.timestamp())),
            "inclusionPromise": {"signedEntryTimestamp": b64(self.promise(canonical, at, index))},
            "inclusionProof": self._proof(index, checkpoint),
            "canonicalizedBody": b64(canonical),
        }

    def entry(self) -> dict[str, Any]:
        return {
            "baseUrl": f"https://{self.name}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(spki(self.key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": window(self.start, self.end),
            },
            "logId": {"keyId": b64(self.id)},
        }


class RekorV2(Rekor):
    """Promises nothing and knows no time; its key is Ed25519 and its id the note key's."""

    def __init__(
        self, start: datetime, end: datetime | None = None, name: str = "log2025.rekor.example.org"
    ) -> None:
        super().__init__(name, start, end)
        self.key = ed25519.Ed25519PrivateKey.generate()
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()

    def take(self, body: dict[str, Any], at: datetime) -> dict[str, Any]:
        canonical = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        index = self.tree.add(canonical)
        return {
            "logIndex": str(index),
            "logId": {"keyId": b64(self.id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "inclusionProof": self._proof(index, self._checkpoint(self.name, self.id, self.key.sign)),
            "canonicalizedBody": b64(canonical),
        }

    def entry(self) -> dict[str, Any]:
        return {
            "baseUrl": f"https://{self.name}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(spki(self.key)),
                "keyDetails": "PKIX_ED25519",
                "validFor": window(self.start, self.end),
            },
            "logId": {"keyId": b64(self.id)},
        }
