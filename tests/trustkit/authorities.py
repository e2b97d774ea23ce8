"""Certificate authorities of a throwaway Sigstore: Fulcio with its CT log, and a timestamp authority."""

from __future__ import annotations

import base64
import hashlib
import struct
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.trustkit import der

ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
YEARS = timedelta(days=3650)


def spki(key: Any) -> bytes:
    public = key if hasattr(key, "verify") else key.public_key()
    encoded: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def window(start: datetime, end: datetime | None) -> dict[str, str]:
    return {"start": stamp(start)} | ({} if end is None else {"end": stamp(end)})


class Authority:
    """A root and what it signs. `start` and `end` are its window in the trusted root."""

    def __init__(self, name: str, start: datetime, end: datetime | None = None) -> None:
        self.name = name
        self.start, self.end = start, end
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = self._certify(f"{name} root", self.root_key, None, path_length=1)
        self.serial = 1000

    def _certify(
        self, name: str, key: ec.EllipticCurvePrivateKey, issuer: Any, path_length: int | None
    ) -> x509.Certificate:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "example.org"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        parent, parent_key = issuer or (None, key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if parent is None else parent.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.start)
            .not_valid_after(self.start + YEARS)
            .add_extension(x509.BasicConstraints(True, path_length), True)
            .add_extension(_usage(sign_certificates=True), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(parent_key.public_key()), False)
        )
        if parent is not None:  # as Fulcio's own intermediate says, and Fulcio asks
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
        return builder.sign(parent_key, hashes.SHA256())

    def chain(self) -> list[x509.Certificate]:
        return [self.root]

    def entry(self) -> dict[str, Any]:
        """Its entry in a trusted root."""
        return {
            "subject": {"organization": "example.org", "commonName": self.name},
            "uri": f"https://{self.name}.example.org",
            "certChain": {
                "certificates": [{"rawBytes": b64(c.public_bytes(Encoding.DER))} for c in self.chain()]
            },
            "validFor": window(self.start, self.end),
        }


class CtLog:
    """The certificate transparency log that Fulcio writes to; it signs what it is given."""

    def __init__(self, start: datetime, end: datetime | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.start, self.end = start, end

    def sct_list(self, precertificate: bytes, issuer: x509.Certificate, at: datetime) -> bytes:
        """RFC 6962 §3.3: the extension's value, one SCT over the precertificate's TBS."""
        milliseconds = round(at.timestamp() * 1000)
        signed = (
            struct.pack("!BBQH", 0, 0, milliseconds, 1)
            + hashlib.sha256(spki(issuer.public_key())).digest()
            + len(precertificate).to_bytes(3)
            + precertificate
            + struct.pack("!H", 0)
        )
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        sct = (
            b"\0"
            + hashlib.sha256(spki(self.key)).digest()
            + struct.pack("!QH", milliseconds, 0)
            + struct.pack("!BBH", 4, 3, len(signature))
            + signature
        )
        listed = struct.pack("!H", len(sct)) + sct
        return der.octets(struct.pack("!H", len(listed)) + listed)

    def entry(self) -> dict[str, Any]:
        return {
            "baseUrl": "https://ct.example.org",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(spki(self.key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": window(self.start, self.end),
            },
            "logId": {"keyId": b64(hashlib.sha256(spki(self.key)).digest())},
        }


class Fulcio(Authority):
    """Root, intermediate, and certificates of ten minutes for an identity, each with an embedded SCT."""

    def __init__(self, ct: CtLog, start: datetime, end: datetime | None = None) -> None:
        super().__init__("fulcio", start, end)
        self.ct = ct
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.intermediate = self._certify("fulcio intermediate", self.key, (self.root, self.root_key), 0)

    def chain(self) -> list[x509.Certificate]:
        return [self.intermediate, self.root]

    def certify(
        self,
        key: Any,
        identity: str,
        issuer: str,
        at: datetime,
        *,
        sct: bool = True,
        oids: tuple[x509.ObjectIdentifier, ...] = (ISSUER_V1, ISSUER_V2),
        logged_at: datetime | None = None,
    ) -> x509.Certificate:
        name = x509.UniformResourceIdentifier(identity) if "://" in identity else x509.RFC822Name(identity)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.intermediate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at)
            .not_valid_after(at + timedelta(minutes=10))
            .add_extension(_usage(sign_certificates=False), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
            .add_extension(x509.SubjectAlternativeName([name]), True)
        )
        if ISSUER_V1 in oids:
            builder = builder.add_extension(x509.UnrecognizedExtension(ISSUER_V1, issuer.encode()), False)
        if ISSUER_V2 in oids:
            value = der.tlv(0x0C, issuer.encode())
            builder = builder.add_extension(x509.UnrecognizedExtension(ISSUER_V2, value), False)
        if not sct:
            return builder.sign(self.key, hashes.SHA256())
        precertificate = builder.sign(self.key, hashes.SHA256()).tbs_certificate_bytes
        scts = self.ct.sct_list(precertificate, self.intermediate, logged_at or at)
        return builder.add_extension(x509.UnrecognizedExtension(SCT_LIST, scts), False).sign(
            self.key, hashes.SHA256()
        )


class TimestampAuthority(Authority):
    """RFC 3161: says when a signature existed."""

    def __init__(self, start: datetime, end: datetime | None = None) -> None:
        super().__init__("tsa", start, end)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tsa")]))
            .issuer_name(self.root.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + YEARS)
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(_usage(sign_certificates=False), True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root_key.public_key()), False
            )
            .sign(self.root_key, hashes.SHA256())
        )

    def chain(self) -> list[x509.Certificate]:
        return [self.leaf, self.root]

    def timestamp(self, data: bytes, at: datetime) -> bytes:
        """A TimeStampResp over the SHA-256 of the data, in DER."""
        self.serial += 1
        sha256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.NULL)
        info = der.sequence(
            der.integer(1),
            der.oid("1.3.6.1.4.1.57264.2"),
            der.sequence(sha256, der.octets(hashlib.sha256(data).digest())),
            der.integer(self.serial),
            der.tlv(0x18, at.strftime("%Y%m%d%H%M%SZ").encode()),
        )
        certificate = self.leaf.public_bytes(Encoding.DER)
        token = der.oid("1.2.840.113549.1.9.16.1.4")
        hashed = der.sequence(der.sequence(der.octets(hashlib.sha256(certificate).digest())))
        attributes = (
            der.sequence(der.oid("1.2.840.113549.1.9.3"), der.set_of(token)),
            der.sequence(
                der.oid("1.2.840.113549.1.9.4"), der.set_of(der.octets(hashlib.sha256(info).digest()))
            ),
            der.sequence(der.oid("1.2.840.113549.1.9.16.2.47"), der.set_of(der.sequence(hashed))),
        )
        signature = self.key.sign(der.set_of(*attributes), ec.ECDSA(hashes.SHA256()))
        signer = der.sequence(
            der.integer(1),
            der.sequence(self.leaf.issuer.public_bytes(), der.integer(self.leaf.serial_number)),
            sha256,
            der.context(0, *sorted(attributes)),
            der.sequence(der.oid("1.2.840.10045.4.3.2")),
            der.octets(signature),
        )
        signed = der.sequence(
            der.integer(3),
            der.set_of(sha256),
            der.sequence(token, der.context(0, der.octets(info))),
            der.context(0, certificate),
            der.set_of(signer),
        )
        content = der.sequence(der.oid("1.2.840.113549.1.7.2"), der.context(0, signed))
        return der.sequence(der.sequence(der.integer(0)), content)


def _usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
