"""What is wrong with a signature is said by its reason: one of a closed set, the most telling sentence beside it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from exporters.metrics import FAILURE_REASONS
from exporters.outcome import CouldNotCheck, Refused
from exporters.sigstore import Policy, Trust, verify_blob, verify_statement
from exporters.sigstore.legacy import verify_attestation, verify_signature
from exporters.sigstore.trust import read_trust
from tests.trustkit import kit as trustkit
from tests.trustkit.kit import SIGNED, Signer, TrustKit, raw, statement
from tests.trustkit.policies import IMAGE, KEYLESS, OTHER

Bundle = dict[str, Any]


def entry(bundle: Bundle) -> Any:
    return bundle["verificationMaterial"]["tlogEntries"][0]


def flip(encoded: str, at: int = -1) -> str:
    data = bytearray(base64.b64decode(encoded))
    data[at] ^= 1
    return base64.b64encode(data).decode()


def another_payload(bundle: Bundle) -> None:
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(statement(IMAGE, trustkit.SLSA)).decode()


def another_type(bundle: Bundle) -> None:
    bundle["dsseEnvelope"]["payloadType"] = "application/json"


def another_signature(bundle: Bundle) -> None:
    signatures = bundle["dsseEnvelope"]["signatures"]
    signatures[0]["sig"] = flip(signatures[0]["sig"])


def no_signature(bundle: Bundle) -> None:
    bundle["dsseEnvelope"]["signatures"] = []


def two_signatures(bundle: Bundle) -> None:
    bundle["dsseEnvelope"]["signatures"] *= 2


def another_body(bundle: Bundle) -> None:
    entry(bundle)["canonicalizedBody"] = flip(entry(bundle)["canonicalizedBody"], -5)


def another_root(bundle: Bundle) -> None:
    proof = entry(bundle)["inclusionProof"]
    proof["rootHash"] = flip(proof["rootHash"])


def another_hash(bundle: Bundle) -> None:
    entry(bundle)["inclusionProof"]["hashes"] = [base64.b64encode(bytes(32)).decode()]


def a_forged_checkpoint(bundle: Bundle) -> None:
    checkpoint = entry(bundle)["inclusionProof"]["checkpoint"]
    note, _, tail = checkpoint["envelope"].rpartition(" ")
    checkpoint["envelope"] = f"{note} {flip(tail.strip())}\n"


def another_promise(bundle: Bundle) -> None:
    promise = entry(bundle)["inclusionPromise"]
    promise["signedEntryTimestamp"] = flip(promise["signedEntryTimestamp"])


def another_time(bundle: Bundle) -> None:
    entry(bundle)["integratedTime"] = str(int(entry(bundle)["integratedTime"]) + 1)


def no_promise(bundle: Bundle) -> None:
    del entry(bundle)["inclusionPromise"]


def no_proof(bundle: Bundle) -> None:
    del entry(bundle)["inclusionProof"]


def a_later_format(bundle: Bundle) -> None:
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.9+json"


def no_certificate(bundle: Bundle) -> None:
    del bundle["verificationMaterial"]["certificate"]


def half_a_certificate(bundle: Bundle) -> None:
    certificate = bundle["verificationMaterial"]["certificate"]
    certificate["rawBytes"] = certificate["rawBytes"][:200]


KEYLESS_DAMAGE: list[tuple[Callable[[Bundle], None], str]] = [
    (another_payload, "bad_signature"),
    (another_type, "unsupported"),
    (another_signature, "bad_signature"),
    (no_signature, "malformed"),
    (two_signatures, "malformed"),
    (another_body, "tlog"),
    (another_root, "tlog"),
    (another_hash, "tlog"),
    (a_forged_checkpoint, "tlog"),
    (another_promise, "tlog"),
    (another_time, "tlog"),
    (no_promise, "malformed"),  # then nothing proves the time, and the library reads no such bundle
    (no_proof, "malformed"),
    (a_later_format, "unsupported"),
    (no_certificate, "malformed"),
    (half_a_certificate, "malformed"),
]


@pytest.mark.parametrize(("damage", "reason"), KEYLESS_DAMAGE, ids=[d.__name__ for d, _ in KEYLESS_DAMAGE])
def test_a_damaged_keyless_bundle_is_refused_with_its_reason(
    damage: Callable[[Bundle], None], reason: str, kit: TrustKit, trust: Trust
) -> None:
    """One thing is wrong, and it is the one that is named."""
    bundle = kit.attest(statement(IMAGE))
    damage(bundle)
    with pytest.raises(Refused) as caught:
        verify_statement(raw(bundle), IMAGE, KEYLESS, trust)
    assert (caught.value.reason, caught.value.detail != "") == (reason, True)


KEYED_DAMAGE: list[tuple[Callable[[Bundle], None], str]] = [
    (another_payload, "bad_signature"),
    (another_type, "unsupported"),
    (another_signature, "bad_signature"),
    (no_signature, "malformed"),
    (another_body, "tlog"),
    (another_hash, "tlog"),
    (a_forged_checkpoint, "tlog"),
    (another_promise, "tlog"),
    (another_time, "tlog"),
    (no_proof, "malformed"),
    (a_later_format, "unsupported"),
]


@pytest.mark.parametrize(("damage", "reason"), KEYED_DAMAGE, ids=[d.__name__ for d, _ in KEYED_DAMAGE])
def test_a_damaged_bundle_by_a_key_is_refused_with_its_reason(
    damage: Callable[[Bundle], None], reason: str, kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """The same damage, where the library does not look."""
    bundle = kit.attest(statement(IMAGE), signer)
    damage(bundle)
    with pytest.raises(Refused) as caught:
        verify_statement(raw(bundle), IMAGE, by_key, trust)
    assert (caught.value.reason, caught.value.detail != "") == (reason, True)


def test_a_root_that_does_not_know_the_log_refuses_its_entries(
    kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """The log is real, and another's."""
    stranger = TrustKit()
    bundle = raw(stranger.attest(statement(IMAGE), signer))
    with pytest.raises(Refused) as caught:
        verify_statement(bundle, IMAGE, by_key, trust)
    assert caught.value.reason == "tlog"


def test_another_sigstore_s_certificate_is_refused(kit: TrustKit, trust: Trust) -> None:
    """Its authority is not in the root."""
    with pytest.raises(Refused) as caught:
        verify_statement(raw(TrustKit().attest(statement(IMAGE))), IMAGE, KEYLESS, trust)
    assert (caught.value.reason, "not one of the trusted root" in caught.value.detail) == (
        "bad_signature",
        True,
    )


@pytest.mark.parametrize("log", ["v1", "v2"])
@pytest.mark.parametrize("late", [timedelta(minutes=11), timedelta(minutes=-1)])
def test_a_signature_outside_of_its_certificate_s_minutes_is_refused(
    log: str, late: timedelta, kit: TrustKit, trust: Trust
) -> None:
    """The key may have leaked since, or was not certified yet."""
    bundle = raw(kit.attest(statement(IMAGE), log=log, at=SIGNED + late))
    with pytest.raises(Refused) as caught:
        verify_statement(bundle, IMAGE, KEYLESS, trust)
    assert caught.value.reason == "timestamp"


def test_rekor_v2_without_a_timestamp_proves_no_time(kit: TrustKit, trust: Trust) -> None:
    """Keyless needs one."""
    with pytest.raises(Refused) as caught:
        verify_statement(raw(kit.attest(statement(IMAGE), log="v2-untimed")), IMAGE, KEYLESS, trust)
    assert caught.value.reason == "malformed"


def test_a_timestamp_of_another_signature_proves_nothing(kit: TrustKit, trust: Trust) -> None:
    """It is a good timestamp, of something else."""
    bundle, donor = (kit.attest(statement(d), log="v2") for d in (IMAGE, OTHER))
    material = bundle["verificationMaterial"]
    material["timestampVerificationData"] = donor["verificationMaterial"]["timestampVerificationData"]
    with pytest.raises(Refused) as caught:
        verify_statement(raw(bundle), IMAGE, KEYLESS, trust)
    assert caught.value.reason == "timestamp"


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"_type": "x"}', b"\xff", b"[" * 99_999])
def test_a_signed_payload_that_is_no_statement_is_malformed(
    payload: bytes, kit: TrustKit, trust: Trust
) -> None:
    """Well signed, and about nothing."""
    with pytest.raises(Refused) as caught:
        verify_statement(raw(kit.attest(payload)), IMAGE, KEYLESS, trust)
    assert caught.value.reason == "malformed"


# ---- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_a_file_that_was_changed_is_refused(
    log: str, kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """Keyless and by a key, with and without the digest in the bundle."""
    for who, wanted in ((None, KEYLESS), (signer, by_key)):
        bundle = kit.sign_blob(b"release: 2.4.1", who, log=log)
        del bundle["messageSignature"]["messageDigest"]
        with pytest.raises(Refused) as caught:
            verify_blob(raw(bundle), b"release: 2.4.2", wanted, trust)
        assert caught.value.reason == "bad_signature"


def test_a_statement_is_no_signature_of_a_file_and_the_other_way(kit: TrustKit, trust: Trust) -> None:
    """Each has its own question."""
    with pytest.raises(Refused) as of_file:
        verify_blob(raw(kit.attest(statement(IMAGE))), statement(IMAGE), KEYLESS, trust)
    with pytest.raises(Refused) as of_image:
        verify_statement(raw(kit.sign_blob(b"release")), IMAGE, KEYLESS, trust)
    assert [of_file.value.reason, of_image.value.reason] == ["unsupported", "unsupported"]


# ---- legacy -------------------------------------------------------------------------------------

BESIDE = "dev.sigstore.cosign/bundle"
Layer = tuple[bytes, dict[str, str]]


def beside(annotations: dict[str, str], change: Callable[[Any], None]) -> None:
    bundle = json.loads(annotations[BESIDE])
    change(bundle)
    annotations[BESIDE] = json.dumps(bundle)


def later(bundle: Any) -> None:
    bundle["Payload"]["integratedTime"] += 1


def stripped(annotations: dict[str, str]) -> None:
    del annotations[BESIDE]


def later_promise(annotations: dict[str, str]) -> None:
    beside(annotations, later)


def forged_promise(annotations: dict[str, str]) -> None:
    beside(annotations, lambda b: b.update(SignedEntryTimestamp=flip(b["SignedEntryTimestamp"])))


def deep(annotations: dict[str, str]) -> None:
    annotations[BESIDE] = "[" * 99_999


def unknown_log(annotations: dict[str, str]) -> None:
    beside(annotations, lambda b: b["Payload"].update(logID="00" * 32))


def another_layer_signature(annotations: dict[str, str]) -> None:
    annotations["dev.cosignproject.cosign/signature"] = flip(
        annotations["dev.cosignproject.cosign/signature"]
    )


def no_layer_signature(annotations: dict[str, str]) -> None:
    del annotations["dev.cosignproject.cosign/signature"]


def no_layer_certificate(annotations: dict[str, str]) -> None:
    del annotations["dev.sigstore.cosign/certificate"]


LEGACY_DAMAGE: list[tuple[Callable[[dict[str, str]], None], str]] = [
    (stripped, "tlog"),
    (later_promise, "tlog"),
    (forged_promise, "tlog"),
    (unknown_log, "tlog"),
    (deep, "malformed"),
    (another_layer_signature, "bad_signature"),
    (no_layer_signature, "bad_signature"),
    (no_layer_certificate, "identity_mismatch"),
]


@pytest.mark.parametrize(("damage", "reason"), LEGACY_DAMAGE, ids=[d.__name__ for d, _ in LEGACY_DAMAGE])
def test_a_damaged_legacy_signature_is_refused_with_its_reason(
    damage: Callable[[dict[str, str]], None], reason: str, kit: TrustKit, trust: Trust
) -> None:
    """As a damaged bundle is."""
    payload, annotations = kit.legacy_signature(IMAGE)
    damage(annotations)
    with pytest.raises(Refused) as caught:
        verify_signature(payload, annotations, IMAGE, KEYLESS, trust)
    assert caught.value.reason == reason


def legacy_cases(kit: TrustKit) -> list[tuple[str, Layer]]:
    other = kit.keyless("dev@example.org")
    foreign = kit.keyless(issuer="https://issuer.example.net")
    late = SIGNED + timedelta(minutes=11)
    return [
        ("subject_mismatch", kit.legacy_signature(OTHER)),
        ("identity_mismatch", kit.legacy_signature(IMAGE, other)),
        ("issuer_mismatch", kit.legacy_signature(IMAGE, foreign)),
        ("sct", kit.legacy_signature(IMAGE, kit.keyless(sct=False))),
        ("timestamp", kit.legacy_signature(IMAGE, at=late)),
        ("bad_signature", TrustKit(rekor=kit.rekor).legacy_signature(IMAGE)),
    ]


@pytest.mark.parametrize("case", range(6))
def test_a_legacy_signature_of_others_is_refused_with_its_reason(
    case: int, kit: TrustKit, trust: Trust
) -> None:
    """Another image, identity, issuer, no CT log, too late, another authority."""
    reason, (payload, annotations) = legacy_cases(kit)[case]
    with pytest.raises(Refused) as caught:
        verify_signature(payload, annotations, IMAGE, KEYLESS, trust)
    assert caught.value.reason == reason


@pytest.mark.parametrize("part", ["fulcio", "ct", "rekor"])
def test_legacy_signatures_too_are_held_to_the_root_s_windows(part: str) -> None:
    """cosign 2 takes an expired key with a note on standard error."""
    kit = TrustKit()
    getattr(kit, part).end = SIGNED - timedelta(days=1)
    closed = read_trust(json.dumps(kit.root()).encode(), "root")
    payload, annotations = kit.legacy_signature(IMAGE)
    with pytest.raises(Refused) as caught:
        verify_signature(payload, annotations, IMAGE, KEYLESS, closed)
    assert caught.value.reason == "trust_window"


@pytest.mark.parametrize("kind", ["dsse", "intoto"])
def test_a_legacy_attestation_s_entry_is_about_its_envelope(kind: str, kit: TrustKit, trust: Trust) -> None:
    """An entry taken from another attestation is no entry of this one."""
    signer = kit.keyless()
    envelope, annotations = kit.legacy_attestation(statement(IMAGE), signer, kind=kind)
    _, other = kit.legacy_attestation(statement(OTHER), signer, kind=kind)
    annotations[BESIDE] = other[BESIDE]
    with pytest.raises(Refused) as caught:
        verify_attestation(envelope, annotations, IMAGE, KEYLESS, trust)
    assert caught.value.reason == "tlog"


def test_a_legacy_payload_of_another_type_is_malformed(
    kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """Signed by the right key for another purpose."""
    payload = json.dumps({"critical": {"image": {"docker-manifest-digest": IMAGE}, "type": "other"}}).encode()
    signature = base64.b64encode(signer.sign(payload)).decode()
    annotations = {"dev.cosignproject.cosign/signature": signature}
    waived = Policy(key=by_key.key, require_log=False)
    with pytest.raises(Refused) as caught:
        verify_signature(payload, annotations, IMAGE, waived, trust)
    assert caught.value.reason == "malformed"


# ---- the trusted root -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "root",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 100_000,
        b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.9"}',
        b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": [{}]}',
        b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "tlogs": 1}',
        b"x" * (5 << 20),
    ],
    ids=["empty", "list", "not utf-8", "deep", "later version", "no key", "no list", "large"],
)
def test_a_root_that_cannot_be_used_is_no_verdict_on_any_image(root: bytes) -> None:
    """Nothing was checked, so nothing is bad."""
    with pytest.raises(CouldNotCheck) as caught:
        read_trust(root, "root")
    assert caught.value.reason == "trusted_root"


def test_a_root_without_authorities_is_no_verdict_on_keyless_images(kit: TrustKit) -> None:
    """It may do for signatures by a key."""
    bare = kit.root() | {"certificateAuthorities": []}
    bundle, root = raw(kit.attest(statement(IMAGE))), read_trust(json.dumps(bare).encode(), "root")
    with pytest.raises(CouldNotCheck) as caught:
        verify_statement(bundle, IMAGE, KEYLESS, root)
    assert caught.value.reason == "trusted_root"


def test_a_root_knows_its_digest_and_when_each_kind_ends(kit: TrustKit) -> None:
    """The last of a kind counts; a certificate ends even where its window does not; a key without end never does."""
    changed = TrustKit()
    changed.ct.end = SIGNED
    encoded = json.dumps(changed.root()).encode()
    root = read_trust(encoded, "root")
    assert root.sha256 == hashlib.sha256(encoded).hexdigest()
    ten_years = trustkit.BEGAN + timedelta(days=3650)
    ends = {kind: root.expiry(kind) for kind in ("fulcio", "ctlog", "rekor", "tsa")}
    assert ends == {"fulcio": ten_years, "ctlog": SIGNED, "rekor": None, "tsa": ten_years}


def test_every_reason_is_of_the_closed_set() -> None:
    """A metric's label takes no other value."""
    said = {reason for _, reason in [*KEYLESS_DAMAGE, *KEYED_DAMAGE, *LEGACY_DAMAGE]}
    assert said <= set(FAILURE_REASONS)


def test_one_root_serves_many_threads(kit: TrustKit) -> None:
    """Good and bad bundles at once, over a root that has verified nothing yet: each gets its own answer."""
    root = read_trust(json.dumps(kit.root()).encode(), "root")
    bundles = [raw(kit.attest(statement(d), log=log)) for d in (IMAGE, OTHER) for log in ("v1", "v2")] * 10

    def judge(bundle: bytes) -> str:
        try:
            return verify_statement(bundle, IMAGE, KEYLESS, root).predicate_type
        except Refused as refused:
            return refused.reason

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(judge, bundles))
    assert said == [trustkit.SIGN, trustkit.SIGN, "subject_mismatch", "subject_mismatch"] * 10
