"""Sigstore bundles: who signed, when, was it logged, and is it about this image or file?

Keyless bundles are verified by sigstore-python, signatures by a key here. Around both, the trusted root is cut
down to what may be believed at the time of signing, and the statement's subject is compared with the image.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.errors import CertValidationError
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle, InvalidBundle
from sigstore.verify import Verifier

from exporters.outcome import CouldNotCheck, Refused
from exporters.sigstore import timestamp
from exporters.sigstore.certificate import issued
from exporters.sigstore.document import BUNDLES, Malformed, child, objects, octets, read_bundle, text
from exporters.sigstore.keys import signed
from exporters.sigstore.policy import CertificatePolicy, NotOurs, Policy
from exporters.sigstore.statement import Envelope, InToto, read_envelope, read_statement
from exporters.sigstore.tlog import LogEntry, Logged, describe, verify_entry
from exporters.sigstore.trust import Trust

MOST_ENTRIES = 32  # log entries of one bundle that are looked at, as in sigstore-go
# The entries that sigstore-python verifies. What it refuses of others is no verdict on the signature.
KINDS = ("dsse/0.0.1", "hashedrekord/0.0.1", "hashedrekord/0.0.2")
KINDS_BY_KEY = (*KINDS, "intoto/0.0.2")
# It has one exception for nearly all of its reasons: how their sentences begin in the version that is pinned.
_REASONS = (
    ("failed to verify SCT", "sct"),
    ("not enough sources of verified time", "timestamp"),
    ("no Timestamp Authorities", "timestamp"),
    ("duplicate timestamp", "timestamp"),
    ("Invalid Timestamp Response", "timestamp"),
    ("Integrated time only supported", "timestamp"),
    ("Unsupported DSSE log entry type", "unsupported"),
    ("invalid log entry", "tlog"),
    ("invalid DSSE log entry", "tlog"),
    ("log entry", "tlog"),
    ("transparency log entry", "tlog"),
    ("Expected entry type", "tlog"),
    ("expected SHA256 payload hash", "tlog"),
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What was verified: when it was provably signed (None: by a key, and no proof), and where it is logged."""

    signed_at: datetime | None
    log_entries: tuple[LogEntry, ...]


@dataclass(frozen=True, slots=True)
class Statement(Signed):
    """A verified in-toto statement; `payload` is its JSON object."""

    predicate_type: str
    payload: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenBundle:
    """A bundle that was read, and nothing more: `statement` is a claim until it is verified."""

    document: dict[str, Any] = field(repr=False)
    envelope: Envelope | None = field(repr=False)
    statement: InToto | None

    @property
    def material(self) -> dict[str, Any]:
        return child(self.document, "verificationMaterial")

    @property
    def entries(self) -> list[dict[str, Any]]:
        return objects(self.material["tlogEntries"], "tlogEntries")


def open_bundle(raw: bytes) -> OpenBundle:
    """Read a bundle. Refused("malformed") or ("unsupported"); nothing of it is verified yet."""
    with closed("bundle"):
        document = read_bundle(raw)
        if document.get("mediaType") not in BUNDLES:
            raise Refused(
                "unsupported", f"bundles of media type {document.get('mediaType')!r} are not verified"
            )
        if "dsseEnvelope" not in document:
            return OpenBundle(document, None, None)
        envelope = read_envelope(child(document, "dsseEnvelope"))
        return OpenBundle(document, envelope, read_statement(envelope))


def verify_statement(raw: bytes | OpenBundle, digest: str, policy: Policy, trust: Trust | None) -> Statement:
    """Verify a bundle that holds a DSSE statement about the image of this digest ("sha256:...").

    Refused says why it is not accepted; CouldNotCheck("trusted_root") when a root or key is needed and is not there.
    """
    opened = raw if isinstance(raw, OpenBundle) else open_bundle(raw)
    with closed("bundle"):
        envelope, said = opened.envelope, opened.statement
        if envelope is None or said is None:
            raise Refused("unsupported", "the bundle holds a plain signature, no statement")

        def keyless(verifier: Verifier, bundle: Bundle, wanted: CertificatePolicy) -> None:
            verifier.verify_dsse(bundle, wanted)

        if policy.key is None:
            proven = _keyless(opened, envelope.signature, policy, trust, keyless)
        else:
            key = policy.public_key()
            logged = Logged(envelope.signature, key, envelope.signed, envelope.payload)
            proven = _by_key(opened, logged, policy, trust)
        said.compare_subject(digest)
        return Statement(proven.signed_at, proven.log_entries, said.predicate_type, said.content)


def verify_blob(raw: bytes, data: bytes, policy: Policy, trust: Trust | None) -> Signed:
    """Verify a bundle that holds a signature of these bytes. Raises as verify_statement does."""
    opened = open_bundle(raw)
    with closed("bundle"):
        if opened.statement is not None:
            raise Refused("unsupported", "the bundle holds a statement, no plain signature")
        signature = octets(child(opened.document, "messageSignature"), "signature")

        def keyless(verifier: Verifier, bundle: Bundle, wanted: CertificatePolicy) -> None:
            verifier.verify_artifact(data, bundle, wanted)

        if policy.key is None:
            return _keyless(opened, signature, policy, trust, keyless)
        return _by_key(opened, Logged(signature, policy.public_key(), data), policy, trust)


def within_windows(
    trust: Trust,
    moments: tuple[datetime, ...],
    certified: datetime | None,
    verify: Callable[[Trust], None],
) -> None:
    """Verify against what may be believed at these times; say so when only the whole root would do."""
    part = trust.at(moments, certified)
    try:
        return verify(part)
    except Refused:
        if part is trust:
            raise
    verify(trust)
    raise Refused(
        "trust_window",
        "it verifies only with keys or certificates outside of their time in the trusted root",
    )


# ---- keyless ------------------------------------------------------------------------------------


def _keyless(
    opened: OpenBundle,
    signature: bytes,
    policy: Policy,
    trust: Trust | None,
    verify: Callable[[Verifier, Bundle, CertificatePolicy], None],
) -> Signed:
    if trust is None:
        raise CouldNotCheck("trusted_root", "keyless signatures need a trusted root, and none is configured")
    leaf = _leaf(opened.material)
    if not opened.entries:
        raise Refused("tlog", "the bundle holds no log entry: the log was waived, or its entry stripped")
    _supported(opened.entries, KINDS)
    stamps = timestamp.responses(opened.material)
    promised = tuple(moment for entry in opened.entries for moment in _promised(entry))
    moments = (*promised, *timestamp.claimed(stamps))
    bundle = Bundle.from_json(json.dumps(opened.document))

    def against(part: Trust) -> None:
        try:
            verifier = part.verifier
        except ValueError as error:
            if part is trust:
                raise CouldNotCheck("trusted_root", f"the trusted root cannot be used: {error}") from None
            raise Refused("trust_window", f"of the trusted root too little is valid: {error}") from None
        try:
            verify(verifier, bundle, CertificatePolicy(policy))
        except NotOurs as error:
            raise error.refused from None
        except SigstoreError as error:
            raise _refused(error, leaf, moments) from None

    within_windows(trust, moments, issued(leaf), against)
    if promised or len(moments) == 1:  # the library wants one proven time at least, so it is this one
        return Signed(min(promised or moments), tuple(map(describe, opened.entries)))
    proven = tuple(timestamp.verified(stamps, signature, trust))
    return Signed(min(proven, default=None), tuple(map(describe, opened.entries)))


def _leaf(material: dict[str, Any]) -> x509.Certificate:
    """The signing certificate; only P-256 keys, which is what Fulcio certifies and the library verifies."""
    if "publicKey" in material:
        raise Refused("identity_mismatch", "it is signed by a key, and the policy asks for an identity")
    if "certificate" in material:
        der = octets(child(material, "certificate"), "rawBytes")
    else:
        chain = objects(child(material, "x509CertificateChain").get("certificates"), "certificates")
        if not chain:
            raise Malformed("its certificate chain is empty")
        der = octets(chain[0], "rawBytes")
    leaf = x509.load_der_x509_certificate(der)
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refused("unsupported", "certificates whose key is not on P-256 are not verified")
    return leaf


def _supported(entries: list[dict[str, Any]], kinds: tuple[str, ...]) -> None:
    for entry in entries:
        kind = child(entry, "kindVersion")
        name = f"{text(kind, 'kind')}/{text(kind, 'version')}"
        if name not in kinds:
            raise Refused("unsupported", f"log entries of kind {name} are not verified")


def _promised(entry: dict[str, Any]) -> tuple[datetime, ...]:
    """The time in a signed promise of the log. A time without promise is signed by nobody."""
    seconds = int(entry.get("integratedTime", "0"))
    return (datetime.fromtimestamp(seconds, UTC),) if seconds and "inclusionPromise" in entry else ()


def _refused(error: SigstoreError, leaf: x509.Certificate, moments: tuple[datetime, ...]) -> Refused:
    said = str(error)
    if isinstance(error, CertValidationError):
        if any(not leaf.not_valid_before_utc <= m <= leaf.not_valid_after_utc for m in moments):
            return Refused("timestamp", "the certificate was not valid when the signature was made")
        return Refused("bad_signature", f"the certificate is not one of the trusted root: {said}")
    reason = next((reason for begins, reason in _REASONS if said.startswith(begins)), "bad_signature")
    return Refused(reason, said)


# ---- by a key -----------------------------------------------------------------------------------


def _by_key(opened: OpenBundle, logged: Logged, policy: Policy, trust: Trust | None) -> Signed:
    if "publicKey" not in opened.material:
        raise Refused("identity_mismatch", "it is signed with a certificate, and the policy asks for a key")
    if not signed(logged.key, logged.signature, logged.data):
        raise Refused("bad_signature", "the signature does not fit the policy's key")
    if not policy.require_log:
        return Signed(None, ())
    if not opened.entries:
        raise Refused("tlog", "the bundle holds no log entry: the log was waived, or its entry stripped")
    if trust is None:
        raise CouldNotCheck("trusted_root", "the log's key is in the trusted root, and none is configured")
    _supported(opened.entries[:MOST_ENTRIES], KINDS_BY_KEY)
    stamps = timestamp.responses(opened.material)
    proven = tuple(timestamp.verified(stamps, logged.signature, trust))
    first: Refused | None = None
    for entry in opened.entries[:MOST_ENTRIES]:
        moments = (*proven, *_promised(entry))
        try:
            within_windows(trust, moments, None, lambda part, e=entry: verify_entry(e, logged, part))  # type: ignore[misc]
        except Refused as refused:
            first = first or refused
        else:
            return Signed(min(moments, default=None), (describe(entry),))
    assert first is not None
    raise first


# ---- hostile bundles ------------------------------------------------------------------------------


@contextmanager
def closed(what: str) -> Iterator[None]:
    """Whatever hostile input makes a library raise is Refused("malformed"): it fails, and only itself."""
    try:
        yield
    except (Refused, CouldNotCheck):
        raise
    except (Malformed, InvalidBundle) as error:
        raise Refused("malformed", f"the {what} is malformed: {error}") from None
    except Exception as error:
        raise Refused("malformed", f"the {what} cannot be read ({type(error).__name__}: {error})") from error


__all__ = ["OpenBundle", "Signed", "Statement", "open_bundle", "verify_blob", "verify_statement"]
