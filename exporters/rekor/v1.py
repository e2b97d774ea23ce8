"""Rekor v1: an API over Trillian. It sends proofs along; they are recomputed, and its JSON is only a hint."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor.checkpoint import Checkpoint, LogKey, verify
from exporters.rekor.log import Entry, Wanted, judge_inclusion, judge_pair, newest
from exporters.rekor.merkle import leaf_hash
from exporters.rekor.read import json_object, read_file

LOG_BYTES = 1 << 20  # a checkpoint of every shard
PROOF_BYTES = 64 << 10
ENTRY_BYTES = 16 << 20  # an entry may carry an attestation
SHARDS = 64
UUID = re.compile("([0-9a-fA-F]{16})?[0-9a-fA-F]{64}")


class ApiReader:
    """A Rekor v1 server: its growing tree and the closed ones, which it calls shards."""

    def __init__(self, fetcher: Fetcher, url: str, origin: str, keys: Callable[[], Sequence[LogKey]]) -> None:
        self._fetcher = fetcher
        self._url = url.rstrip("/")
        self._origin = origin
        self._keys = keys

    def checkpoints(self, *, fresh: bool = False) -> tuple[Checkpoint, ...]:
        info = self._get("/api/v1/log", LOG_BYTES, fresh)
        keys = self._keys()
        closed = info.get("inactiveShards") or []
        if not isinstance(closed, list) or len(closed) > SHARDS:
            raise CouldNotCheck(
                "bad_response", f"{self._url} states its closed shards in no way that is known"
            )
        heads = tuple(self._head(shard, keys) for shard in (info, *closed))
        if len({head.origin for head in heads}) != len(heads):
            raise CouldNotCheck("bad_response", f"{self._url} states one tree twice")
        return heads

    def consistency(self, first: int, second: Checkpoint, *, fresh: bool = False) -> Sequence[bytes]:
        query = f"firstSize={first}&lastSize={second.size}&treeID={second.tree}"
        return _hashes(self._get(f"/api/v1/log/proof?{query}", PROOF_BYTES, fresh))

    def held(self, first: int, second: Checkpoint) -> bytes | None:
        return None

    def entry(self, wanted: Wanted, heads: Sequence[Checkpoint], *, fresh: bool = False) -> Entry:
        if wanted.uuid:
            path = f"/api/v1/log/entries/{wanted.uuid}"
        else:
            # The API counts over all shards, the closed ones first.
            before = sum(head.size for head in heads[1:])
            index = before + newest(heads[0]) if wanted.index is None else wanted.index
            path = f"/api/v1/log/entries?logIndex={index}"
        try:
            served = self._get(path, ENTRY_BYTES, fresh)
        except Missing as missing:
            raise Refused("not_included", missing.detail) from None
        try:
            ((uuid, entry),) = served.items()
            body = base64.b64decode(entry["body"], validate=True)
            proof = entry["verification"]["inclusionProof"]
            place, note = proof["logIndex"], proof["checkpoint"].encode()
            if not isinstance(place, int) or isinstance(place, bool) or not UUID.fullmatch(uuid):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CouldNotCheck("bad_response", f"{self._url}{path} is no entry with its proof") from None
        head = verify(note, self._origin, self._keys(), tree_id=True)
        return Entry(body, place, head.origin, wanted.uuid or uuid, _hashes(proof), head)

    def inclusion(self, entry: Entry, head: Checkpoint, *, fresh: bool = False) -> None:
        """In the tree whose checkpoint came with the entry, and that tree is the one of `head`."""
        assert entry.proof is not None  # set by entry(), as is
        assert entry.checkpoint is not None
        judge_uuid(entry.uuid, entry.body, entry.checkpoint)
        judge_inclusion(entry, entry.proof, entry.checkpoint)
        judge_pair(head, entry.checkpoint, lambda first, second: self.consistency(first, second, fresh=fresh))

    def _head(self, shard: Any, keys: Sequence[LogKey]) -> Checkpoint:
        try:
            note, size, root = shard["signedTreeHead"].encode(), shard["treeSize"], shard["rootHash"]
        except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
            raise CouldNotCheck("bad_response", f"{self._url}/api/v1/log has no signed tree head") from None
        head = verify(note, self._origin, keys, tree_id=True)
        if (size, root) != (head.size, head.root.hex()):
            raise CouldNotCheck("bad_response", f"{self._url}/api/v1/log contradicts the checkpoint in it")
        return head

    def _get(self, path: str, max_bytes: int, fresh: bool) -> dict[str, Any]:
        data = read_file(self._fetcher, f"{self._url}{path}", max_bytes, fresh=fresh)
        if data is None:
            raise Missing(f"there is no {self._url}{path}")
        return json_object(data, f"{self._url}{path}")


class Missing(CouldNotCheck):
    """The server says that there is no such thing."""

    def __init__(self, detail: str) -> None:
        super().__init__("bad_response", detail)


def _hashes(proof: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The hashes of a proof; the verification refuses those of a wrong length."""
    try:
        return tuple(bytes.fromhex(item) for item in proof.get("hashes") or ())
    except (ValueError, TypeError):
        raise CouldNotCheck("bad_response", "a hash of the proof is not in hexadecimal") from None


def judge_uuid(uuid: str, body: bytes, head: Checkpoint) -> None:
    """A UUID is the tree's number, 16 hex digits that older servers leave out, and the leaf's hash."""
    tree, leaf = uuid[:-64], uuid[-64:]
    if leaf.lower() != leaf_hash(body).hex():
        raise Refused("not_included", f"the entry that is served is not the one with the UUID {uuid}")
    if tree and f"{int(head.tree):016x}" != tree.lower():
        raise CouldNotCheck("bad_response", f"the entry {uuid} came with a checkpoint of another tree")
