"""Who judges signatures, and how several answers become one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from exporters.outcome import CouldNotCheck, Outcome, Problem, Refused, Verdict
from exporters.sigstore import Policy, Signed, Statement, Trust, load_trust, verify_blob, verify_statement
from exporters.sigstore.bundle import OpenBundle
from exporters.sigstore.document import V03

SAID = 3  # problems that an outcome's sentence lists

# What an in-toto statement says of its image, by how its predicate type begins.
_KINDS = (
    ("https://sigstore.dev/cosign/sign/", "signature"),
    ("https://cyclonedx.org/bom", "sbom"),
    ("https://slsa.dev/provenance/", "provenance"),
)


class Judge(Protocol):
    """Verifies signatures against one policy and trusted root. Raises Refused and CouldNotCheck."""

    @property
    def fingerprint(self) -> str:
        """Of policy and root, and which of its windows are open: a verdict holds for one fingerprint only."""

    def blob(self, raw: bytes, data: bytes) -> Signed:
        """A bundle with a signature of these bytes."""

    def statement(self, opened: OpenBundle, digest: str) -> Statement:
        """A bundle with a statement about the image of this digest."""


class SigstoreJudge:
    """The judge in use. The trusted root is read again when its file changes."""

    def __init__(
        self, policy: Policy, trusted_root: Path | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._policy = policy
        self._path = trusted_root
        self._clock = clock
        self._lock = threading.Lock()
        self._loaded: tuple[tuple[int, int, int], Trust] | None = None

    @property
    def fingerprint(self) -> str:
        trust = self._trust()
        root = "" if trust is None else trust.identity
        return hashlib.sha256(f"{self._policy.fingerprint}\0{root}".encode()).hexdigest()

    def blob(self, raw: bytes, data: bytes) -> Signed:
        return verify_blob(_bundled(raw, data), data, self._policy, self._trust())

    def statement(self, opened: OpenBundle, digest: str) -> Statement:
        return verify_statement(opened, digest, self._policy, self._trust())

    def _trust(self) -> Trust | None:
        if self._path is None:
            return None
        with self._lock:
            try:
                found = self._path.stat()
            except OSError as error:
                raise CouldNotCheck(
                    "trusted_root", f"the trusted root {self._path} cannot be read: {error.strerror}"
                ) from None
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._loaded is None or self._loaded[0] != state:
                self._loaded = (state, load_trust(self._path, self._clock))
            return self._loaded[1]


def _bundled(raw: bytes, data: bytes) -> bytes:
    """A bare signature, as `cosign sign-blob --output-signature` writes it, as a bundle without a log entry.

    Only a policy with a key that waives the log accepts it.
    """
    text = raw.strip()
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return raw
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": digest}, "signature": text.decode()}
    material = {"publicKey": {"hint": ""}}
    return json.dumps(
        {"mediaType": V03[0], "verificationMaterial": material, "messageSignature": message}
    ).encode()


def kind_of(predicate_type: str) -> str:
    """signature, sbom or provenance; empty for a statement of another kind."""
    return next((kind for begins, kind in _KINDS if predicate_type.startswith(begins)), "")


def concluded(problems: Sequence[Problem], good: str) -> Outcome:
    """Failed when one answer is no; else unknown when one is missing; else verified, with the sentence `good`."""
    no = [p for p in problems if isinstance(p, Refused)]
    said: Sequence[Problem] = no or problems
    if not said:
        return Outcome(Verdict.VERIFIED, "", good)
    detail = "; ".join(p.detail for p in said[:SAID])
    more = f"; and {len(said) - SAID} more" if len(said) > SAID else ""
    return Outcome(Verdict.FAILED if no else Verdict.UNKNOWN, said[0].reason, f"{detail}{more}")


def short(digest: str) -> str:
    """A digest for a sentence; the manifest holds it in full."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm}:{value[:12]}…" if len(value) > 12 else digest
