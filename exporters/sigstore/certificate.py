"""Fulcio's certificates, for cosign's legacy signatures: chain, use, and proof that the CA logged them.

For bundles sigstore-python does this; its functions for it are private.
"""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import verification
from cryptography.x509.certificate_transparency import LogEntryType, SignedCertificateTimestamp
from cryptography.x509.oid import ExtendedKeyUsageOID

from exporters.outcome import Refused
from exporters.sigstore.keys import spki
from exporters.sigstore.trust import Trust


def issued(leaf: x509.Certificate) -> datetime | None:
    """When a log says it took the certificate, unverified: the time of its embedded SCT, None without one."""
    try:
        timestamps = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    except (x509.ExtensionNotFound, ValueError):
        return None
    moments = [sct.timestamp.replace(tzinfo=UTC) for sct in timestamps.value]
    return moments[0] if moments else None


def verify_certificate(leaf: x509.Certificate, moment: datetime, trust: Trust) -> None:
    """Refused unless it was a code-signing certificate of the root's authorities at this time, and logged."""
    chain = _chain(leaf, moment, trust)
    _verify_usage(leaf)
    _verify_sct(leaf, chain[1], trust)


def _chain(leaf: x509.Certificate, moment: datetime, trust: Trust) -> list[x509.Certificate]:
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        raise Refused("timestamp", "the certificate was not valid when the signature was made")
    if not trust.authorities:
        raise Refused("bad_signature", "the trusted root has no certificate authority for this certificate")
    usage = (x509.ExtendedKeyUsage, verification.Criticality.NON_CRITICAL, None)  # judged in _verify_usage
    builder = (
        verification.PolicyBuilder()
        .store(verification.Store(list(trust.authorities)))
        .time(moment)
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(*usage),
            ee_policy=verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(*usage),
        )
    )
    try:
        return builder.build_client_verifier().verify(leaf, []).chain
    except (verification.VerificationError, x509.UnsupportedGeneralNameType, ValueError) as error:
        raise Refused("bad_signature", f"the certificate is not one of the trusted root: {error}") from None


def _verify_usage(leaf: x509.Certificate) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise Refused("bad_signature", "the certificate does not say what it may sign") from None
    if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise Refused("bad_signature", "the certificate is not one for signing code")


def _verify_sct(leaf: x509.Certificate, issuer: x509.Certificate, trust: Trust) -> None:
    try:
        found = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    except x509.ExtensionNotFound:
        raise Refused("sct", "the certificate holds no signed certificate timestamp") from None
    for sct in found.value:
        for der in trust.ct_logs:
            if hashlib.sha256(der).digest() == sct.log_id and _sct_fits(sct, leaf, issuer, der):
                return
    raise Refused(
        "sct", "no certificate transparency log of the trusted root signed the certificate's timestamp"
    )


def _sct_fits(
    sct: SignedCertificateTimestamp, leaf: x509.Certificate, issuer: x509.Certificate, der: bytes
) -> bool:
    """RFC 6962 §3.2: the log signed the precertificate, bound to its issuer's key."""
    if sct.entry_type != LogEntryType.PRE_CERTIFICATE:
        return False
    issuer_key = spki(issuer.public_key())
    body = leaf.tbs_precertificate_bytes
    milliseconds = round(sct.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
    signed = (
        struct.pack("!BBQH", sct.version.value, 0, milliseconds, sct.entry_type.value)
        + hashlib.sha256(issuer_key).digest()
        + len(body).to_bytes(3)
        + body
        + len(sct.extension_bytes).to_bytes(2)
        + sct.extension_bytes
    )
    try:
        key = load_der_public_key(der)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(sct.signature, signed, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(sct.signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True
