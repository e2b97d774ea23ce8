"""Proofs of possession (DPoP, RFC 9449): a token that is bound to a key is of no use to who steals it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NONCE = "dpop-nonce"


class Prover:
    """One key for the life of the process, ES256, and the nonces that servers asked to see. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self._jwk = {"crv": "P-256", "kty": "EC", "x": _number(numbers.x), "y": _number(numbers.y)}
        self._nonces: dict[str, str] = {}
        self._lock = threading.Lock()

    def proof(self, method: str, url: str, token: str = "") -> str:
        """For one request: `url` without query; with a token, the proof is bound to it."""
        address = url.partition("?")[0].partition("#")[0]
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": address,
            "iat": int(self._clock()),
        }
        if token:
            claims["ath"] = _base64(hashlib.sha256(token.encode()).digest())
        with self._lock:
            nonce = self._nonces.get(_origin(url))
        if nonce is not None:
            claims["nonce"] = nonce
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self._jwk}
        signed = f"{_base64(_json(head))}.{_base64(_json(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32) + s.to_bytes(32))}"

    def learn(self, url: str, headers: Mapping[str, str]) -> bool:
        """Keep the nonce that an answer gives; was it a new one?"""
        nonce = headers.get(NONCE)
        if nonce is None:
            return False
        with self._lock:
            known = self._nonces.get(_origin(url))
            self._nonces[_origin(url)] = nonce
        return known != nonce


def _origin(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes(32))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
