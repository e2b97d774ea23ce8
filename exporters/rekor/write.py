"""The write probe: an entry of our own, and how long it takes until it is proven to be in the log.

Off unless it is configured. EVERY ENTRY IS PUBLIC AND PERMANENT.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor.config import Log
from exporters.rekor.log import Contradiction, Entry, Reader, Wanted
from exporters.rekor.memory import Memory
from exporters.rekor.probe import Findings, Probe
from exporters.rekor.read import json_object
from exporters.rekor.state import State
from exporters.rekor.v1 import UUID
from exporters.subject import Finding

ANSWER_BYTES = 1 << 20
PAUSE = 1.0  # seconds between two looks for the entry
TEXT = "stella-slo rekor write probe"


class Proposal:
    """An artifact of random bytes, its digest, and a signature by a key that nobody keeps."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256(TEXT.encode() + os.urandom(32)).digest()
        key = ec.generate_private_key(ec.SECP256R1())
        self.signature = key.sign(self.digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        public = key.public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self.der = public.public_bytes(serialization.Encoding.DER, form)
        self.pem = public.public_bytes(serialization.Encoding.PEM, form)

    def v2(self) -> dict[str, Any]:
        verifier = {"publicKey": {"rawBytes": _b64(self.der)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
        signature = {"content": _b64(self.signature), "verifier": verifier}
        return {"hashedRekordRequestV002": {"digest": _b64(self.digest), "signature": signature}}

    def v1(self) -> dict[str, Any]:
        signature = {"content": _b64(self.signature), "publicKey": {"content": _b64(self.pem)}}
        data = {"hash": {"algorithm": "sha256", "value": self.digest.hex()}}
        return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {"signature": signature, "data": data}}

    def is_in(self, body: bytes) -> bool:
        """Whether a log's entry is of this proposal: v1 writes the digest in hexadecimal, v2 in base64."""
        return self.digest.hex().encode() in body or _b64(self.digest).encode() in body


class WriteProbe:
    """Writes to one log, at most once in `every` seconds, over restarts too."""

    def __init__(
        self,
        log: Log,
        reader: Reader,
        memory: Memory,
        probe: Probe,
        instruments: Instruments,
        fetcher: Fetcher,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        assert log.write is not None
        self._log, self._settings = log, log.write
        self._reader, self._memory, self._probe = reader, memory, probe
        self._instruments = instruments
        self._fetcher = fetcher.alike(timeout=log.write.within, attempts=1)
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self._last: float | None = None  # monotonic

    def check(self) -> list[Finding]:
        """Nothing when no write is due."""
        if self._last is not None and self._monotonic() - self._last < self._settings.every:
            return []
        findings = Findings(self._memory.name, self._clock, self._monotonic)
        try:
            if not self._take_turn():
                return []
            entry = self._probe.once("write", self._write)
        except (CouldNotCheck, Refused) as problem:
            findings.add("write", problem)
        else:
            findings.add("write", None, f"entry {entry.index} of {entry.origin}")
        return findings.found

    def _take_turn(self) -> bool:
        """Whether a write is due. That it happens is written down first: a crash must not write again and again."""
        now, turn = self._clock(), False

        def change(state: State | None) -> State:
            nonlocal turn
            state = state or State(log=self._memory.name)
            last = state.written_at
            # Time that runs backwards must not stop the probe for years; `_last` still spaces its writes.
            turn = last is None or not 0 <= now - last < self._settings.every
            return state.model_copy(update={"written_at": now}) if turn else state

        self._memory.store.update(change)
        if turn:
            self._last = self._monotonic()
        return turn

    def _write(self) -> Entry:
        began = self._monotonic()
        proposal = Proposal()
        wanted = self._post(proposal)
        while True:
            try:
                entry = self._find(wanted, proposal)
                break
            except Contradiction as found:
                with suppress(CouldNotCheck):  # it is proven, whatever the disk does
                    self._memory.latch(found)
                raise
            except (CouldNotCheck, Refused) as problem:
                if self._monotonic() - began > self._settings.within:
                    late = f"after {self._settings.within:g} s the entry is not proven to be in the log"
                    raise CouldNotCheck("timeout", f"{late}: {problem.detail}") from None
            self._sleep(PAUSE)
        self._instruments.observe(m.WRITE_DURATION, self._monotonic() - began, log=self._log.name)
        return entry

    def _post(self, proposal: Proposal) -> Wanted:
        """Raises `CouldNotCheck` unless the log says that it has taken the entry."""
        path, content = ("/api/v1/log/entries", proposal.v1())
        if self._log.kind == "v2":
            path, content = ("/api/v2/log/entries", proposal.v2())
        url = (self._settings.url or self._log.url.removesuffix("/api/v2")) + path
        response = self._fetcher.request(
            "POST",
            url,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            content=json.dumps(content).encode(),
            max_bytes=ANSWER_BYTES,
        )
        if response.status not in (200, 201):
            reason = "unauthorized" if response.status in (401, 403) else "bad_response"
            raise CouldNotCheck(reason, f"{url} answered {response.status} to a new entry")
        return _place(json_object(response.body, url), url, self._log)

    def _find(self, wanted: Wanted, proposal: Proposal) -> Entry:
        """Through the same door as everybody: the write's own answer is not believed."""
        heads = self._reader.checkpoints(fresh=True)
        entry = self._reader.entry(wanted, heads, fresh=True)
        if not proposal.is_in(entry.body):
            raise Refused("not_included", f"entry {entry.index} is not the one that was written")
        head = next((h for h in heads if h.origin == entry.origin), heads[0])
        self._reader.inclusion(entry, head, fresh=True)
        return entry


def _place(answer: dict[str, Any], url: str, log: Log) -> Wanted:
    """Where the log says that it has put the entry: a UUID (v1) or an index (v2)."""
    try:
        if log.kind == "v1":
            (uuid,) = answer
            if not UUID.fullmatch(uuid):
                raise ValueError
            return Wanted(uuid=uuid)
        index = int(answer.get("logIndex", 0))  # proto3 leaves zeroes out
        if index < 0:
            raise ValueError
        return Wanted(index, origin=log.origin)
    except (ValueError, TypeError):
        raise CouldNotCheck("bad_response", f"{url} does not say where the entry is") from None


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
