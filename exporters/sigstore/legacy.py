"""What cosign 2 wrote: a signature in a layer's annotations, with the log's signed promise beside it.

Verified as cosign 2 does offline, with one thing more: the trusted root is cut down to the time of signing. The
log's promise (SET) is the only proof of time that is used; RFC 3161 timestamps of this format are not read, nor
is the certificate chain in the annotations, since the root holds the chain that is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from exporters.outcome import CouldNotCheck, Refused
from exporters.rekor.merkle import leaf_hash
from exporters.sigstore.bundle import Signed, Statement, closed, within_windows
from exporters.sigstore.certificate import issued, verify_certificate
from exporters.sigstore.document import Malformed, child, octets, read, text, unbase64
from exporters.sigstore.keys import signed
from exporters.sigstore.policy import CertificatePolicy, NotOurs, Policy
from exporters.sigstore.statement import InToto, read_envelope, read_statement
from exporters.sigstore.tlog import LogEntry, Logged, verify_body, verify_set
from exporters.sigstore.trust import Trust

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
BUNDLE = "dev.sigstore.cosign/bundle"
PAYLOAD_TYPE = "cosign container image signature"


def verify_signature(
    payload: bytes, annotations: Mapping[str, str], digest: str, policy: Policy, trust: Trust | None
) -> Signed:
    """A layer of a `.sig` tag. Raises as verify_statement does."""
    with closed("signature"):
        signature = unbase64(annotations.get(SIGNATURE, ""), SIGNATURE)
        proven = _verify(Logged(signature, _signer(annotations, policy), payload), annotations, policy, trust)
        critical = child(read(payload), "critical")
        said = text(child(critical, "image"), "docker-manifest-digest")
        if critical.get("type") != PAYLOAD_TYPE:
            raise Malformed(f"its payload is no {PAYLOAD_TYPE}")
        if said != digest:
            raise Refused("subject_mismatch", f"the signature is about {said}, not about {digest}")
        return proven


def verify_attestation(
    envelope: bytes, annotations: Mapping[str, str], digest: str, policy: Policy, trust: Trust | None
) -> Statement:
    """A layer of an `.att` tag. Raises as verify_statement does."""
    with closed("attestation"):
        opened = read_envelope(read(envelope))
        logged = Logged(
            opened.signature, _signer(annotations, policy), opened.signed, opened.payload, envelope
        )
        proven = _verify(logged, annotations, policy, trust)
        statement = read_statement(opened)
        statement.compare_subject(digest)
        return Statement(proven.signed_at, proven.log_entries, statement.predicate_type, statement.content)


def claim(envelope: bytes) -> InToto:
    """The statement of an attestation's layer, before anything is known of its signature."""
    with closed("attestation"):
        return read_statement(read_envelope(read(envelope)))


def _signer(annotations: Mapping[str, str], policy: Policy) -> Any:
    """The certificate beside the signature, or the policy's key."""
    if policy.key is not None:
        return policy.public_key()
    if CERTIFICATE not in annotations:
        raise Refused("identity_mismatch", "it is signed by a key, and the policy asks for an identity")
    return x509.load_pem_x509_certificate(annotations[CERTIFICATE].encode())


def _verify(logged: Logged, annotations: Mapping[str, str], policy: Policy, trust: Trust | None) -> Signed:
    leaf = logged.signer if isinstance(logged.signer, x509.Certificate) else None
    if not signed(logged.key, logged.signature, logged.data):
        raise Refused("bad_signature", f"the signature does not fit its {'certificate' if leaf else 'key'}")
    if not policy.require_log:
        return Signed(None, ())
    if trust is None:
        raise CouldNotCheck("trusted_root", "the log's key is in the trusted root, and none is configured")
    if not annotations.get(BUNDLE):
        raise Refused(
            "tlog", "there is no log entry beside the signature: the log was waived, or it was stripped"
        )
    promise = read(annotations[BUNDLE].encode())
    entry = child(promise, "Payload")
    body, moment = octets(entry, "body"), _moment(entry)
    log_id = bytes.fromhex(text(entry, "logID"))
    index = _whole(entry, "logIndex")
    head = read(body)
    verify_body(body, f"{head.get('kind')}/{head.get('apiVersion')}", logged)

    def against(part: Trust) -> None:
        set_ = octets(promise, "SignedEntryTimestamp")
        verify_set(set_, body, int(moment.timestamp()), log_id, index, part)
        if leaf is not None:
            verify_certificate(leaf, moment, part)
            try:
                CertificatePolicy(policy).verify(leaf)
            except NotOurs as error:
                raise error.refused from None

    within_windows(trust, (moment,), None if leaf is None else issued(leaf), against)
    return Signed(moment, (LogEntry(log_id.hex(), index, leaf_hash(body).hex(), "", moment),))


def _moment(entry: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(_whole(entry, "integratedTime"), UTC)


def _whole(entry: dict[str, Any], key: str) -> int:
    value = entry.get(key, 0)
    if not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise Malformed(f"{key} is no 64-bit number")
    return value
