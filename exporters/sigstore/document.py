"""Sigstore's messages in protobuf JSON, read as strictly as they are signed for.

sigstore-python is handed what this module wrote, never what a registry served: no field twice, none under two
spellings, and the zero values that protobuf JSON leaves out (log index 0, an empty proof) filled in.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

V03 = (
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
)
V02 = ("application/vnd.dev.sigstore.bundle+json;version=0.2",)
V01 = ("application/vnd.dev.sigstore.bundle+json;version=0.1",)
BUNDLES = (*V03, *V02, *V01)


class Malformed(ValueError):
    """The text is no message of this kind."""


def read(raw: bytes) -> dict[str, Any]:
    """A JSON object with camelCase keys, without nulls. Malformed for anything else, or for a key given twice."""
    try:
        value = json.loads(raw, object_pairs_hook=_message, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Malformed(f"it is a JSON {type(value).__name__}, not an object")
    return value


def read_bundle(raw: bytes) -> dict[str, Any]:
    """A bundle's document, zero values filled in."""
    document = read(raw)
    material = child(document, "verificationMaterial")
    entries = material.setdefault("tlogEntries", [])
    for entry in objects(entries, "tlogEntries"):
        _integer(entry, "logIndex")
        if "integratedTime" in entry:
            _integer(entry, "integratedTime")
        proof = entry.get("inclusionProof")
        if isinstance(proof, dict):
            _integer(proof, "logIndex")
            _integer(proof, "treeSize")
            proof.setdefault("hashes", [])
            proof.setdefault("rootHash", "")
    return document


def child(document: dict[str, Any], key: str) -> dict[str, Any]:
    """The object of a key."""
    value = document.get(key)
    if not isinstance(value, dict):
        raise Malformed(f"it has no {key}")
    return value


def objects(value: object, what: str) -> list[dict[str, Any]]:
    """A list of objects."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(f"{what} is no list of objects")
    return value


def text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise Malformed(f"it has no {key}")
    return value


def octets(document: dict[str, Any], key: str) -> bytes:
    """The bytes of a base64 field."""
    return unbase64(text(document, key), key)


def unbase64(value: str, what: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"{what} is not base64") from None


def _message(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for key, value in pairs:
        name = _camel(key) if "_" in key else key
        if name in message:
            raise Malformed(f"{name} is given twice")
        message[name] = value
    return {key: value for key, value in message.items() if value is not None}


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _constant(name: str) -> float:
    raise Malformed(f"{name} is no JSON number")


def _integer(message: dict[str, Any], key: str) -> None:
    """A 64-bit integer as protobuf JSON writes it, in a string; left out means 0."""
    value = message.get(key, 0)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise Malformed(f"{key} is no 64-bit number")
    message[key] = str(value)
