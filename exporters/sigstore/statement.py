"""DSSE envelopes and the in-toto statements in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporters.outcome import Refused
from exporters.sigstore.document import Malformed, objects, octets, text

IN_TOTO = "application/vnd.in-toto+json"
STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope with its one signature."""

    payload_type: str
    payload: bytes
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The pre-authentication encoding: what the signature is over."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)


@dataclass(frozen=True, slots=True)
class InToto:
    """A statement before anything is known of its signature."""

    predicate_type: str
    subjects: frozenset[str]  # sha256:...
    content: Mapping[str, Any] = field(repr=False)

    def compare_subject(self, digest: str) -> None:
        """Refused("subject_mismatch") unless the statement is about the image of this digest."""
        if digest not in self.subjects:
            about = ", ".join(sorted(self.subjects)[:3]) or "nothing with a sha256"
            raise Refused("subject_mismatch", f"the statement is about {about}, not about {digest}")


def read_envelope(document: dict[str, Any]) -> Envelope:
    """From its JSON object. Malformed unless it holds exactly one signature."""
    signatures = objects(document.get("signatures"), "signatures")
    if len(signatures) != 1:
        raise Malformed(f"its envelope has {len(signatures)} signatures; one is verified")
    return Envelope(text(document, "payloadType"), octets(document, "payload"), octets(signatures[0], "sig"))


def read_statement(envelope: Envelope) -> InToto:
    """The statement in an envelope. Malformed for what is none, Refused("unsupported") for another payload."""
    if envelope.payload_type != IN_TOTO:
        raise Refused("unsupported", f"the envelope holds {envelope.payload_type}, no in-toto statement")
    try:
        content = json.loads(envelope.payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"its payload is not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("_type") not in STATEMENTS:
        raise Malformed("its payload is no in-toto statement")
    digests = [subject.get("digest") for subject in objects(content.get("subject"), "subject")]
    hashed = [digest.get("sha256") for digest in digests if isinstance(digest, dict)]
    subjects = frozenset(f"sha256:{value}" for value in hashed if isinstance(value, str))
    return InToto(text(content, "predicateType"), subjects, content)
