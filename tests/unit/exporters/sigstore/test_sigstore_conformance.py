"""Cases of the public conformance suite (sigstore/sigstore-conformance, bundle-verify), made anew with the kit.

The suite itself is run by `python -m tools.conformance FOLDER`; these say the same of our own bundles.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from exporters.outcome import CouldNotCheck, Refused
from exporters.sigstore import Policy, verify_statement
from exporters.sigstore.trust import read_trust
from tests.trustkit.authorities import Fulcio, TimestampAuthority, b64
from tests.trustkit.kit import BEGAN, SIGN, SIGNED, Signer, TrustKit, pae, raw, statement
from tests.trustkit.policies import IMAGE, KEYLESS

LOGGED = SIGNED + timedelta(seconds=5)


def verdict(root: dict[str, Any], bundle: dict[str, Any], policy: Policy = KEYLESS) -> str:
    """The predicate type, or why not."""
    trust = read_trust(json.dumps(root).encode(), "root")
    try:
        return verify_statement(raw(bundle), IMAGE, policy, trust).predicate_type
    except Refused as refused:
        return refused.reason


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_a_window_s_end_is_within_it(log: str) -> None:
    """trust-root-tlog-validity-end-inclusive, trust-root-tsa-validity-end-inclusive."""
    kit = TrustKit()
    kit.rekor.end = kit.rekor2.end = kit.tsa.end = LOGGED
    assert verdict(kit.root(), kit.attest(statement(IMAGE), log=log, at=LOGGED)) == SIGN
    bundle = kit.attest(statement(IMAGE), log=log, at=LOGGED + timedelta(seconds=1))
    assert verdict(kit.root(), bundle) == "trust_window"


def no_start_of_a_log(root: dict[str, Any]) -> None:
    del root["tlogs"][0]["publicKey"]["validFor"]["start"]


def no_start_of_an_authority(root: dict[str, Any]) -> None:
    root["certificateAuthorities"][0]["validFor"] = {"end": "2099-01-01T00:00:00Z"}


def no_window_of_an_authority(root: dict[str, Any]) -> None:
    del root["timestampAuthorities"][0]["validFor"]


@pytest.mark.parametrize("damage", [no_start_of_a_log, no_start_of_an_authority, no_window_of_an_authority])
def test_a_window_without_start_makes_the_root_unusable(damage: Callable[[dict[str, Any]], None]) -> None:
    """trust-root-tlog-missing-validity-start: a missing bound is not an open one."""
    root = TrustKit().root()
    damage(root)
    with pytest.raises(CouldNotCheck) as caught:
        read_trust(json.dumps(root).encode(), "root")
    assert caught.value.reason == "trusted_root"


def test_a_timestamp_does_not_borrow_another_authority_s_window() -> None:
    """rekor2-timestamp-wrong-tsa-validity-borrow: nor one of an authority without certificates."""
    kit = TrustKit()
    kit.tsa.end = SIGNED - timedelta(days=1)
    bundle = kit.attest(statement(IMAGE), log="v2")
    root = kit.root()
    lender = TimestampAuthority(BEGAN).entry()
    root["timestampAuthorities"] += [lender, lender | {"certChain": {"certificates": []}}]
    assert verdict(root, bundle) in ("trust_window", "timestamp")
    kit.tsa.end = None
    root["timestampAuthorities"][0] = kit.tsa.entry()
    assert verdict(root, bundle) == SIGN


def test_every_timestamp_is_held_to_the_certificate_s_minutes() -> None:
    """rekor2-multiple-timestamps-one-outside-cert-validity: the earliest is not chosen."""
    kit = TrustKit()
    bundle = kit.attest(statement(IMAGE), log="v2")
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    stamps = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    for minutes, said in ((1, SIGN), (60, "timestamp")):
        late = kit.tsa.timestamp(signature, SIGNED + timedelta(minutes=minutes))
        stamps[1:] = [{"signedTimestamp": b64(late)}]
        assert verdict(kit.root(), bundle) == said


def test_two_intermediates_may_have_one_name() -> None:
    """sct-duplicate-intermediate-name: the issuer is that of the verified chain."""
    kit = TrustKit()
    root = kit.root()
    root["certificateAuthorities"].insert(0, Fulcio(kit.ct, BEGAN).entry())
    assert verdict(root, kit.attest(statement(IMAGE))) == SIGN


def test_a_managed_key_s_in_toto_entry_is_verified(signer: Signer, by_key: Policy) -> None:
    """intoto-canonical-log-entry: the log kept the payload's hash."""
    kit = TrustKit()
    bundle = kit.attest(statement(IMAGE), signer)
    payload = statement(IMAGE)
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    body = kit.intoto_body(b"{}", payload, signature, signer)
    del body["spec"]["content"]["hash"]
    bundle["verificationMaterial"]["tlogEntries"] = [kit.rekor.take(body, LOGGED)]
    assert verdict(kit.root(), bundle, by_key) == SIGN
    again = signer.sign(pae("application/vnd.in-toto+json", payload))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = b64(again)
    assert verdict(kit.root(), bundle, by_key) == "tlog"


@pytest.mark.parametrize("kind", ["https://in-toto.io/Statement/v2", "", None])
def test_a_statement_of_an_unknown_type_is_none(kind: str | None) -> None:
    """dsse-statement-unknown-type, dsse-statement-missing-type."""
    kit = TrustKit()
    content = json.loads(statement(IMAGE)) | {"_type": kind}
    assert verdict(kit.root(), kit.attest(json.dumps(content).encode())) == "malformed"


def test_a_signature_made_again_is_another_one() -> None:
    """dsse-with-hashedrekord-mismatch-sig, rekor2-dsse-mismatch-sig: the same key and payload, logged once."""
    kit = TrustKit()
    signer = kit.keyless()
    for log in ("v1", "v2"):
        one, two = (kit.attest(statement(IMAGE), signer, log=log) for _ in range(2))
        one["dsseEnvelope"] = two["dsseEnvelope"]
        if log == "v2":
            stamps = two["verificationMaterial"]["timestampVerificationData"]
            one["verificationMaterial"]["timestampVerificationData"] = stamps
        assert verdict(kit.root(), one) == "tlog"
