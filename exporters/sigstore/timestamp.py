"""RFC 3161 timestamps: when a signature provably existed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

from exporters.sigstore.document import Malformed, objects, octets
from exporters.sigstore.trust import Trust

MOST = 32  # timestamps of one bundle; sigstore-python's limit


def responses(material: dict[str, Any]) -> list[bytes]:
    """The timestamp responses of a bundle's verification material, in DER. Raises Malformed."""
    data = material.get("timestampVerificationData", {})
    found = objects(
        data.get("rfc3161Timestamps", []) if isinstance(data, dict) else None, "rfc3161Timestamps"
    )
    if len(found) > MOST:
        raise Malformed(f"it has {len(found)} timestamps; {MOST} are looked at")
    return [octets(item, "signedTimestamp") for item in found]


def claimed(encoded: Iterable[bytes]) -> Iterator[datetime]:
    """The times they claim, unverified. Raises Malformed."""
    for der in encoded:
        try:
            yield decode_timestamp_response(der).tst_info.gen_time
        except ValueError:
            raise Malformed("a timestamp of it is no RFC 3161 response") from None


def verified(encoded: Iterable[bytes], signature: bytes, trust: Trust) -> Iterator[datetime]:
    """The times of those that an authority of the root signed for this signature, within its window."""
    for der in encoded:
        try:
            response = decode_timestamp_response(der)
        except ValueError:
            continue
        moment = response.tst_info.gen_time
        for chain, window in trust.timestamp_authorities:
            if len(chain) < 2 or not window.holds(moment):
                continue
            leaf, *issuers = chain
            builder = VerifierBuilder().tsa_certificate(leaf).add_root_certificate(issuers[-1])
            for certificate in issuers[:-1]:
                builder = builder.add_intermediate_certificate(certificate)
            try:
                builder.build().verify_message(response, signature)
            except (VerificationError, ValueError):
                continue
            yield moment
            break
