"""Public keys that sign: ECDSA, Ed25519 and RSA, with the hashes that cosign pairs them with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

# By curve, the hash of the algorithm registry; cosign 2 signed with SHA-256 on every curve.
_CURVES: dict[str, tuple[hashes.HashAlgorithm, ...]] = {
    "secp256r1": (hashes.SHA256(),),
    "secp384r1": (hashes.SHA384(), hashes.SHA256()),
    "secp521r1": (hashes.SHA512(), hashes.SHA256()),
}


@lru_cache(maxsize=64)
def load_public_key(encoded: bytes) -> PublicKey:
    """A public key in PEM or DER. ValueError says that it is none, or of a kind that nothing here verifies."""
    try:
        if encoded.lstrip().startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(encoded)
        else:
            key = serialization.load_der_public_key(encoded)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it holds no public key in PEM (-----BEGIN PUBLIC KEY-----)") from None
    if not isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise ValueError("its key is neither ECDSA, Ed25519 nor RSA")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        raise ValueError(f"its key is on the curve {key.curve.name}; P-256, P-384 and P-521 can be verified")
    return key


def spki(key: CertificatePublicKeyTypes) -> bytes:
    """The key as SubjectPublicKeyInfo in DER: two encodings of one key are equal in it."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signed(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Did the key sign the data, with any of the hashes that go with it?"""
    for check in _checks(key, signature, data):
        try:
            check()
        except InvalidSignature:
            continue
        return True
    return False


def _checks(key: PublicKey, signature: bytes, data: bytes) -> Iterator[Callable[[], None]]:
    if isinstance(key, ed25519.Ed25519PublicKey):
        yield partial(key.verify, signature, data)
    elif isinstance(key, rsa.RSAPublicKey):
        yield partial(key.verify, signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        for algorithm in _CURVES[key.curve.name]:
            yield partial(key.verify, signature, data, ec.ECDSA(algorithm))


def prehashes(key: PublicKey, data: bytes) -> dict[str, bytes]:
    """The digests under which a Rekor v2 entry may hold the data, by the names of protobuf-specs."""
    names = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}
    name = names[key.curve.name] if isinstance(key, ec.EllipticCurvePublicKey) else "sha256"
    algorithms = {name, "sha256"} | ({"sha512"} if isinstance(key, ed25519.Ed25519PublicKey) else set())
    return {f"SHA2_{n.removeprefix('sha')}": hashlib.new(n, data).digest() for n in algorithms}
