"""A transparency log in memory: entries, naive Merkle hashes, signed checkpoints, and its files as tiles.

The hashes follow RFC 6962's definitions word for word and share nothing with `exporters.rekor.merkle`.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

SigningKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def mth(leaves: tuple[bytes, ...]) -> bytes:
    """MTH of RFC 6962 §2.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: tuple[bytes, ...]) -> list[bytes]:
    """PATH(m, D[n]) of §2.1.1."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: tuple[bytes, ...], whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of §2.1.2; PROOF(m, D[n]) is the one with b true."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*proof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*proof(m - k, leaves[k:], False), mth(leaves[:k])]


def _split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


@cache
def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def spki(key: SigningKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def pem(key: SigningKey) -> str:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()  # fmt: skip


def signature_line(key: SigningKey, name: str, text: str) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.public_key().public_bytes_raw()
        key_id = hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()[:4]
        value = key.sign(text.encode())
    else:
        key_id = hashlib.sha256(spki(key)).digest()[:4]
        value = key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    return f"— {name} {base64.b64encode(key_id + value).decode()}\n"


def note(text: str, *signers: tuple[SigningKey, str]) -> bytes:
    return (text + "\n" + "".join(signature_line(key, name, text) for key, name in signers)).encode()


@dataclass
class Log:
    """A log of `entries`; `tree` is Rekor v1's number of the tree, in its origin line and UUIDs."""

    origin: str = "log.example/2026"
    key: SigningKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)
    entries: list[bytes] = field(default_factory=list)
    tree: int | None = None

    def leaves(self, size: int | None = None) -> tuple[bytes, ...]:
        return tuple(leaf(e) for e in self.entries[:size])

    def root(self, size: int | None = None) -> bytes:
        return mth(self.leaves(size))

    def grow(self, count: int, word: str = "entry") -> Log:
        start = len(self.entries)
        self.entries += [f"{word} {n}".encode() for n in range(start, start + count)]
        return self

    def text(self, size: int | None = None, root: bytes | None = None, *extensions: str) -> str:
        size = len(self.entries) if size is None else size
        root = self.root(size) if root is None else root
        origin = self.origin if self.tree is None else f"{self.origin} - {self.tree}"
        return "".join(f"{x}\n" for x in (origin, size, base64.b64encode(root).decode(), *extensions))

    def checkpoint(self, size: int | None = None, root: bytes | None = None, *extensions: str) -> bytes:
        return note(self.text(size, root, *extensions), (self.key, self.origin))

    def files(self, size: int | None = None) -> dict[str, bytes]:
        """What a tiled log of that size serves (c2sp.org/tlog-tiles), by path."""
        size = len(self.entries) if size is None else size
        served = {"checkpoint": self.checkpoint(size)}
        hashes, level = list(self.leaves(size)), 0
        while hashes:
            for n in range(0, len(hashes), 256):
                tile = hashes[n : n + 256]
                served[f"tile/{level}/{tile_name(n // 256, len(tile))}"] = b"".join(tile)
            hashes = [mth(tuple(hashes[n : n + 256])) for n in range(0, len(hashes) - 255, 256)]
            level += 1
        for n in range(0, size, 256):
            bundle = self.entries[n : min(n + 256, size)]
            data = b"".join(len(e).to_bytes(2, "big") + e for e in bundle)
            served[f"tile/entries/{tile_name(n // 256, len(bundle))}"] = data
        return served


def tile_name(n: int, width: int) -> str:
    digits = f"{n:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    name = "/".join([*(f"x{g}" for g in groups[:-1]), groups[-1]])
    return name if width == 256 else f"{name}.p/{width}"


class Api:
    """A Rekor v1 server over trees of one log, the growing one first. Call it with a path and its query."""

    def __init__(self, *trees: Log) -> None:
        self.trees = list(trees)
        self.sizes: dict[int, int] = {}  # a tree that shows less than it has

    def size(self, tree: Log) -> int:
        assert tree.tree is not None
        return self.sizes.get(tree.tree, len(tree.entries))

    def head(self, tree: Log) -> dict[str, Any]:
        size = self.size(tree)
        return {
            "rootHash": tree.root(size).hex(),
            "signedTreeHead": tree.checkpoint(size).decode(),
            "treeID": str(tree.tree),
            "treeSize": size,
        }

    def __call__(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        if path == "/api/v1/log":
            return {**self.head(self.trees[0]), "inactiveShards": [self.head(t) for t in self.trees[1:]]}
        if path == "/api/v1/log/proof":
            tree = next(t for t in self.trees if str(t.tree) == query["treeID"])
            hashes = proof(int(query["firstSize"]), tree.leaves(int(query["lastSize"])))
            return {"rootHash": "00" * 32, "hashes": [h.hex() for h in hashes]}
        if path == "/api/v1/log/entries":
            index = int(query["logIndex"])
            for tree in (*self.trees[1:], self.trees[0]):
                if index < self.size(tree):
                    return self.entry(tree, index)
                index -= self.size(tree)
            return None
        uuid = path.rpartition("/")[2]
        for tree in self.trees:
            for index, body in enumerate(tree.entries[: self.size(tree)]):
                if leaf(body).hex() == uuid[-64:]:
                    return self.entry(tree, index)
        return None

    def entry(self, tree: Log, index: int) -> dict[str, Any]:
        size, body = self.size(tree), tree.entries[index]
        hashes = [h.hex() for h in path(index, tree.leaves(size))]
        note = tree.checkpoint(size).decode()
        inclusion = {"logIndex": index, "treeSize": size, "hashes": hashes, "checkpoint": note}
        return {
            uuid(tree, body): {
                "body": base64.b64encode(body).decode(),
                "logIndex": index,
                "verification": {"inclusionProof": inclusion},
            }
        }


def uuid(tree: Log, body: bytes) -> str:
    assert tree.tree is not None
    return f"{tree.tree:016x}{leaf(body).hex()}"
