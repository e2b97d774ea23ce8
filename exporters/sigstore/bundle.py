"""Sigstore bundles: who signed, when, was it logged, and is it about this image or file?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exporters.sigstore.policy import Policy
from exporters.sigstore.trust import Trust


@dataclass(frozen=True, slots=True)
class LogEntry:
    """Where a transparency log keeps the signature. `uuid` is Rekor v1's (tree id unknown: 64 hex of the leaf)."""

    log_id: str  # hex
    log_index: int
    leaf_hash: str  # hex; sha256(0x00 || canonicalized body), the end of a Rekor v1 UUID
    origin: str  # of the checkpoint; empty where there is none
    integrated: datetime | None  # Rekor v1 only


@dataclass(frozen=True, slots=True)
class Signed:
    """What was verified: the earliest proven time of signing (None: a key without log), and the log entries."""

    signed_at: datetime | None
    log_entries: tuple[LogEntry, ...]


@dataclass(frozen=True, slots=True)
class Statement(Signed):
    """A verified in-toto statement; `payload` is its JSON object."""

    predicate_type: str
    payload: Mapping[str, Any]


def verify_statement(raw: bytes, digest: str, policy: Policy, trust: Trust | None) -> Statement:
    """Verify a bundle that holds a DSSE statement about the image of this digest ("sha256:...").

    Refused says why it is not accepted; CouldNotCheck("trusted_root") when a root is needed and there is none.
    """
    raise NotImplementedError


def verify_blob(raw: bytes, data: bytes, policy: Policy, trust: Trust | None) -> Signed:
    """Verify a bundle that holds a signature of these bytes. Raises as verify_statement does."""
    raise NotImplementedError
