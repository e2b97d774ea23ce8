"""Who must have signed, and whether the transparency log must know of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Self

from cryptography import x509
from cryptography.hazmat import asn1
from pydantic import model_validator
from sigstore.errors import VerificationError
from sigstore.verify import policy as library

from exporters.config import LocalFile, Section
from exporters.outcome import CouldNotCheck, Refused
from exporters.sigstore.keys import PublicKey, load_public_key

_USERNAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")  # Fulcio's SAN for what is neither URI nor e-mail


class Policy(Section):
    """Either an identity with its issuer (keyless), or a public key."""

    identity: str | None = None
    """The certificate's identity, compared exactly."""
    identity_pattern: str | None = None
    """A regular expression that must match the certificate's whole identity."""
    issuer: str | None = None
    """The OIDC issuer that vouched for the identity."""
    key: LocalFile | None = None
    """A file with a public key in PEM, instead of an identity."""
    require_log: bool = True
    """false waives the transparency log; only signatures by a key can do without."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(v is not None for v in (self.identity, self.identity_pattern, self.key)) != 1:
            raise ValueError("a policy names one of identity, identity_pattern and key")
        if self.key is None and not self.issuer:
            raise ValueError("an identity without issuer could be anyone's: add issuer")
        if self.key is not None and self.issuer is not None:
            raise ValueError("a key has no issuer: leave issuer out")
        if self.key is None and not self.require_log:
            raise ValueError(
                "keyless signatures are nothing without the log: leave require_log out, or give a key"
            )
        if self.identity_pattern is not None:
            try:
                re.compile(self.identity_pattern)
            except re.error as error:
                raise ValueError(f"identity_pattern is no regular expression: {error}") from None
        return self

    @property
    def fingerprint(self) -> str:
        """A hash of the policy, and of the key it names: part of a verdict's cache key."""
        key = b"" if self.key is None else self._read_key()
        return hashlib.sha256(self.model_dump_json().encode() + b"\0" + key).hexdigest()

    def public_key(self) -> PublicKey:
        """The policy's key as its file holds it now. CouldNotCheck when it cannot be read."""
        assert self.key is not None
        try:
            return load_public_key(self._read_key())
        except ValueError as error:
            raise CouldNotCheck("trusted_root", f"the key {self.key} cannot be used: {error}") from None

    def _read_key(self) -> bytes:
        assert self.key is not None
        try:
            return self.key.read_bytes()
        except OSError as error:
            raise CouldNotCheck(
                "trusted_root", f"the key {self.key} cannot be read: {error.strerror}"
            ) from None


class NotOurs(VerificationError):
    """A certificate that verifies and is not the one the policy asks for; carries the reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.refused = Refused(reason, detail)


class CertificatePolicy:
    """sigstore-python's protocol of a policy: identity exact or by pattern, issuer by OID .1.1 or .1.8.

    The library's own Identity matches exactly and knows the first OID only.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def verify(self, cert: x509.Certificate) -> None:
        names = list(_identities(cert))
        if not any(map(self._is_wanted, names)):
            wanted = self._policy.identity or f"what matches {self._policy.identity_pattern!r}"
            raise NotOurs(
                "identity_mismatch", f"it is signed by {', '.join(names) or 'nobody'}, not by {wanted}"
            )
        assert self._policy.issuer is not None
        issuer = self._policy.issuer
        try:
            library.AnyOf([library.OIDCIssuer(issuer), library.OIDCIssuerV2(issuer)]).verify(cert)
        except (VerificationError, ValueError):
            raise NotOurs("issuer_mismatch", f"its identity is not vouched for by {issuer}") from None

    def _is_wanted(self, name: str) -> bool:
        if self._policy.identity is not None:
            return name == self._policy.identity
        assert self._policy.identity_pattern is not None
        return re.fullmatch(self._policy.identity_pattern, name) is not None


def _identities(cert: x509.Certificate) -> Iterator[str]:
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from names.get_values_for_type(x509.RFC822Name)
    yield from names.get_values_for_type(x509.UniformResourceIdentifier)
    for other in names.get_values_for_type(x509.OtherName):
        if other.type_id == _USERNAME:
            try:
                yield asn1.decode_der(str, other.value)
            except ValueError:
                continue
