"""The thirteen traps of sigstore-python 4.5.1, each one shut. (The thirteenth is in test_cosign_cache.)"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

from exporters.outcome import CouldNotCheck, Refused
from exporters.sigstore import Policy, Trust, load_trust, verify_blob, verify_statement
from exporters.sigstore.legacy import verify_attestation, verify_signature
from tests.trustkit import kit as trustkit
from tests.trustkit.authorities import ISSUER_V1, ISSUER_V2, Fulcio
from tests.trustkit.kit import IDENTITY, ISSUER, SIGNED, Signer, TrustKit, raw, statement
from tests.trustkit.policies import IMAGE, KEYLESS, OTHER

BEFORE, AFTER = SIGNED - timedelta(days=1), SIGNED + timedelta(days=1)


def reason(check: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        check()
    return caught.value.reason


def rooted(kit: TrustKit, folder: Path) -> Trust:
    return load_trust(kit.write_root(folder / "trusted_root.json"))


# ---- 1 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["fulcio", "ct", "rekor"])
@pytest.mark.parametrize("log", ["v1", "v2"])
@pytest.mark.parametrize(("edge", "value"), [("end", BEFORE), ("start", AFTER)])
def test_trap_1_what_is_signed_outside_of_a_key_s_time_is_refused(
    part: str, log: str, edge: str, value: Any, tmp_path: Path
) -> None:
    """Expired and not yet valid authorities, CT logs and logs: the library looks at none of their windows."""
    kit = TrustKit()
    held = kit.rekor2 if part == "rekor" and log == "v2" else getattr(kit, part)
    setattr(held, edge, value)
    bundle = raw(kit.attest(statement(IMAGE), log=log))
    assert reason(lambda: verify_statement(bundle, IMAGE, KEYLESS, rooted(kit, tmp_path))) == "trust_window"


def test_trap_1_the_library_alone_accepts_it(tmp_path: Path) -> None:
    """When this fails after an upgrade, the library has begun to look at windows."""
    kit = TrustKit()
    kit.fulcio.end = kit.ct.end = kit.rekor.end = BEFORE
    bundle = Bundle.from_json(raw(kit.attest(statement(IMAGE))))
    root = TrustedRoot.from_file(str(kit.write_root(tmp_path / "trusted_root.json")))
    _, payload = Verifier(trusted_root=root).verify_dsse(bundle, policy.Identity(identity=IDENTITY))
    assert payload == statement(IMAGE)


def test_trap_1_a_timestamp_outside_of_its_authority_s_time_proves_nothing(tmp_path: Path) -> None:
    """The one window that the library does enforce."""
    kit = TrustKit()
    kit.tsa.end = BEFORE
    bundle = raw(kit.attest(statement(IMAGE), log="v2"))
    assert reason(lambda: verify_statement(bundle, IMAGE, KEYLESS, rooted(kit, tmp_path))) == "trust_window"


def test_trap_1_a_rotated_log_still_vouches_for_what_it_took_in_its_time(tmp_path: Path) -> None:
    """An end after the signing is no reason to refuse."""
    kit = TrustKit()
    kit.fulcio.end = kit.ct.end = kit.rekor.end = AFTER
    bundle = raw(kit.attest(statement(IMAGE)))
    assert verify_statement(bundle, IMAGE, KEYLESS, rooted(kit, tmp_path)).predicate_type == trustkit.SIGN


def test_trap_1_without_a_proven_time_a_signature_counts_as_made_now(
    signer: Signer, by_key: Policy, tmp_path: Path
) -> None:
    """By a key, in Rekor v2, without timestamp: the log's key must be valid now."""
    kit = TrustKit()
    bundle = raw(kit.attest(statement(IMAGE), signer, log="v2-untimed"))
    path = kit.write_root(tmp_path / "trusted_root.json")
    assert verify_statement(bundle, IMAGE, by_key, load_trust(path)).signed_at is None
    early = load_trust(path, clock=lambda: (kit.rekor2.start - timedelta(days=1)).timestamp())
    assert reason(lambda: verify_statement(bundle, IMAGE, by_key, early)) == "trust_window"


# ---- 2 ------------------------------------------------------------------------------------------


def test_trap_2_another_image_s_bundle_is_refused(kit: TrustKit, trust: Trust) -> None:
    """The library verifies a statement and does not ask what it is about."""
    bundle = raw(kit.attest(statement(OTHER)))
    assert reason(lambda: verify_statement(bundle, IMAGE, KEYLESS, trust)) == "subject_mismatch"


@pytest.mark.parametrize("algorithm", ["sha512", "gitCommit"])
def test_trap_2_a_subject_without_sha256_is_about_no_image(
    algorithm: str, kit: TrustKit, trust: Trust
) -> None:
    """The same hex under another algorithm is another subject."""
    payload = statement(f"{algorithm}:{IMAGE.removeprefix('sha256:')}")
    assert (
        reason(lambda: verify_statement(raw(kit.attest(payload)), IMAGE, KEYLESS, trust))
        == "subject_mismatch"
    )


# ---- 3 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["v1", "v2", "v2-untimed"])
def test_trap_3_signatures_by_a_key_verify(
    log: str, kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """Statements and files; the library takes neither without a certificate."""
    verified = verify_statement(raw(kit.attest(statement(IMAGE), signer, log=log)), IMAGE, by_key, trust)
    blob = verify_blob(raw(kit.sign_blob(b"release", signer, log=log)), b"release", by_key, trust)
    assert [len(v.log_entries) for v in (verified, blob)] == [1, 1]


def test_trap_3_a_stripped_log_entry_is_refused(
    kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """By a key as well as keyless."""
    keyed, keyless = kit.attest(statement(IMAGE), signer), kit.attest(statement(IMAGE))
    for bundle in (keyed, keyless):
        bundle["verificationMaterial"]["tlogEntries"] = []
    assert reason(lambda: verify_statement(raw(keyed), IMAGE, by_key, trust)) == "tlog"
    assert reason(lambda: verify_statement(raw(keyless), IMAGE, KEYLESS, trust)) == "tlog"


def test_trap_3_only_a_policy_waives_the_log(kit: TrustKit, signer: Signer, by_key: Policy) -> None:
    """Then not even a trusted root is needed."""
    bundle = raw(kit.attest(statement(IMAGE), signer, log="none"))
    waived = Policy(key=by_key.key, require_log=False)
    assert verify_statement(bundle, IMAGE, waived, None).log_entries == ()
    with pytest.raises(ValueError, match="keyless signatures are nothing without the log"):
        Policy(identity=IDENTITY, issuer=ISSUER, require_log=False)


def test_trap_3_a_signature_by_another_key_is_refused(kit: TrustKit, trust: Trust, by_key: Policy) -> None:
    """The hint in a bundle chooses nothing."""
    bundle = raw(kit.attest(statement(IMAGE), kit.key()))
    assert reason(lambda: verify_statement(bundle, IMAGE, by_key, trust)) == "bad_signature"


def test_trap_3_a_key_and_an_identity_are_not_taken_for_each_other(
    kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """The policy says which of them signs."""
    keyed, keyless = raw(kit.attest(statement(IMAGE), signer)), raw(kit.attest(statement(IMAGE)))
    assert reason(lambda: verify_statement(keyed, IMAGE, KEYLESS, trust)) == "identity_mismatch"
    assert reason(lambda: verify_statement(keyless, IMAGE, by_key, trust)) == "identity_mismatch"


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_trap_3_an_entry_of_another_signature_is_no_entry(
    log: str, kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """The entry is verified, and is about something else."""
    bundle, donor = (kit.attest(statement(d), signer, log=log) for d in (IMAGE, OTHER))
    entries = donor["verificationMaterial"]["tlogEntries"]
    bundle["verificationMaterial"]["tlogEntries"] = entries
    assert reason(lambda: verify_statement(raw(bundle), IMAGE, by_key, trust)) == "tlog"


# ---- 4 ------------------------------------------------------------------------------------------


def test_trap_4_legacy_signatures_verify(kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy) -> None:
    """By their signed entry timestamp, keyless and by a key."""
    for who, wanted in ((None, KEYLESS), (signer, by_key)):
        payload, annotations = kit.legacy_signature(IMAGE, who)
        proven = verify_signature(payload, annotations, IMAGE, wanted, trust)
        assert proven.signed_at == SIGNED + timedelta(seconds=5)


@pytest.mark.parametrize("kind", ["dsse", "intoto"])
def test_trap_4_legacy_attestations_verify(kind: str, kit: TrustKit, trust: Trust) -> None:
    """Whichever of the two entries cosign 2 wrote."""
    envelope, annotations = kit.legacy_attestation(statement(IMAGE, trustkit.SLSA), kind=kind)
    verified = verify_attestation(envelope, annotations, IMAGE, KEYLESS, trust)
    assert verified.predicate_type == trustkit.SLSA


# ---- 5 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "version"), [("intoto", "0.0.2"), ("dsse", "0.0.2"), ("rekord", "0.0.1")])
def test_trap_5_entries_that_are_not_verified_are_unsupported_and_not_bad(
    kind: str, version: str, kit: TrustKit, trust: Trust, signer: Signer, by_key: Policy
) -> None:
    """Nothing is known against the signature. By a key, in-toto entries are verified."""
    cases = ((None, KEYLESS), (signer, by_key))
    for who, wanted in cases[: 1 if kind == "intoto" else 2]:
        bundle = kit.attest(statement(IMAGE), who)
        entry = bundle["verificationMaterial"]["tlogEntries"][0]
        entry["kindVersion"] = {"kind": kind, "version": version}
        body = json.loads(base64.b64decode(entry["canonicalizedBody"])) | {
            "kind": kind,
            "apiVersion": version,
        }
        entry["canonicalizedBody"] = base64.b64encode(json.dumps(body).encode()).decode()
        assert reason(lambda b=bundle, w=wanted: verify_statement(raw(b), IMAGE, w, trust)) == "unsupported"


# ---- 6 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_trap_6_the_first_entry_of_a_fresh_log_verifies(log: str, tmp_path: Path) -> None:
    """Protobuf JSON leaves zeroes out: log index 0, and no hashes in a tree of one."""
    kit = TrustKit()
    bundle = kit.attest(statement(IMAGE), log=log)
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    assert entry.pop("logIndex") == "0"
    assert entry["inclusionProof"].pop("logIndex") == "0"
    assert entry["inclusionProof"].pop("hashes") == []
    assert verify_statement(raw(bundle), IMAGE, KEYLESS, rooted(kit, tmp_path)).log_entries[0].log_index == 0


def test_trap_6_a_root_without_its_empty_fields_is_read(kit: TrustKit, tmp_path: Path) -> None:
    """As cosign writes one for a private Sigstore."""
    root = kit.root()
    del (
        root["certificateAuthorities"][0]["subject"],
        root["tlogs"][0]["baseUrl"],
        root["timestampAuthorities"],
    )
    path = tmp_path / "trusted_root.json"
    path.write_text(json.dumps(root))
    verified = verify_statement(raw(kit.attest(statement(IMAGE))), IMAGE, KEYLESS, load_trust(path))
    assert verified.predicate_type == trustkit.SIGN


# ---- 7 ------------------------------------------------------------------------------------------

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()),
    st.just([]),
    st.just({}),
    st.just([{}]),
    st.just("9" * 5000),
)


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(p for key, child in children for p in places(child, (*path, key)))]


@pytest.fixture(scope="module")
def samples(kit: TrustKit, signer: Signer) -> list[dict[str, Any]]:
    payload = statement(IMAGE)
    return [kit.attest(payload, who, log=log) for who in (None, signer) for log in ("v1", "v2")]


@given(data=st.data())
def test_trap_7_hostile_bundles_are_refused_and_never_crash(
    data: st.DataObject, samples: list[dict[str, Any]], trust: Trust, by_key: Policy
) -> None:
    """Any value at any place: an answer, and never an exception of a library."""
    bundle = json.loads(json.dumps(data.draw(st.sampled_from(samples))))
    *parents, last = data.draw(st.sampled_from([p for p in places(bundle) if p]))
    node = bundle
    for key in parents:
        node = node[key]
    node[last] = data.draw(JUNK)
    for wanted in (KEYLESS, by_key):
        try:
            verified = verify_statement(json.dumps(bundle).encode(), IMAGE, wanted, trust)
        except Refused:
            continue
        assert verified.predicate_type == trustkit.SIGN  # what was replaced does not count


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe{}",
        b"null",
        b"[]",
        b'"text"',
        b"{" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"mediaType": NaN}',
        b'{"mediaType": "a", "media_type": "b"}',
        b'{"mediaType": "' + b"x" * 1_000_000 + b'"}',
        b"9" * 5_000,
    ],
    ids=["empty", "not utf-8", "null", "list", "text", "unclosed", "deep", "nan", "twice", "long", "digits"],
)
def test_trap_7_what_is_no_bundle_is_refused(body: bytes, trust: Trust) -> None:
    """Truncated, deep, not UTF-8, one field under two names."""
    assert reason(lambda: verify_statement(body, IMAGE, KEYLESS, trust)) in ("malformed", "unsupported")


def test_trap_7_a_field_given_twice_is_malformed(kit: TrustKit, trust: Trust) -> None:
    """Two parsers may read two different bundles out of it."""
    bundle = raw(kit.attest(statement(IMAGE)))
    twice = bundle[:-1] + b', "dsse_envelope": {}}'
    assert reason(lambda: verify_statement(twice, IMAGE, KEYLESS, trust)) == "malformed"


# ---- 8 ------------------------------------------------------------------------------------------


def test_trap_8_the_library_is_pinned() -> None:
    """Each release moves what it accepts: an upgrade is a decision, with the conformance cases run."""
    assert '"sigstore==4.5.1"' in Path("pyproject.toml").read_text()


def test_trap_8_a_private_ca_without_key_usage_is_refused_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4.5.1 wants it; the sentence names the extension, so that the owner of the CA can mend it."""
    kit = TrustKit()
    without_usage = x509.CertificateBuilder.add_extension

    def add(self: Any, extension: Any, critical: bool) -> Any:
        if isinstance(extension, x509.KeyUsage) and extension.key_cert_sign:
            return self
        return without_usage(self, extension, critical)

    monkeypatch.setattr(x509.CertificateBuilder, "add_extension", add)
    kit.fulcio = Fulcio(kit.ct, trustkit.BEGAN)
    bundle = raw(kit.attest(statement(IMAGE)))
    with pytest.raises(Refused) as caught:
        verify_statement(bundle, IMAGE, KEYLESS, rooted(kit, tmp_path))
    assert caught.value.reason == "bad_signature"
    assert "2.5.29.15" in caught.value.detail  # KeyUsage


# ---- 9 ------------------------------------------------------------------------------------------


def test_trap_9_a_certificate_that_no_ct_log_saw_is_refused(kit: TrustKit, trust: Trust) -> None:
    """An SCT is always required."""
    bundle = raw(kit.attest(statement(IMAGE), kit.keyless(sct=False)))
    assert reason(lambda: verify_statement(bundle, IMAGE, KEYLESS, trust)) == "sct"


def test_trap_9_a_ct_log_that_the_root_does_not_know_is_refused(kit: TrustKit, trust: Trust) -> None:
    """It signs what it likes."""
    foreign = TrustKit()
    key = ec.generate_private_key(ec.SECP256R1())
    known = kit.fulcio.ct
    kit.fulcio.ct = foreign.ct
    try:
        bundle = raw(kit.attest(statement(IMAGE), kit.keyless(key=key)))
    finally:
        kit.fulcio.ct = known
    assert reason(lambda: verify_statement(bundle, IMAGE, KEYLESS, trust)) == "sct"


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_trap_9_certificates_for_other_keys_are_unsupported_and_not_bad(
    key: Any, kit: TrustKit, trust: Trust
) -> None:
    """The library fails on Ed25519 and P-384, whatever is signed."""
    bundle = kit.attest(statement(IMAGE))
    certificate = kit.keyless(key=key).material
    bundle["verificationMaterial"] |= certificate
    assert reason(lambda: verify_statement(raw(bundle), IMAGE, KEYLESS, trust)) == "unsupported"


# ---- 10 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("oids", [(ISSUER_V1,), (ISSUER_V2,), (ISSUER_V1, ISSUER_V2)])
def test_trap_10_the_issuer_is_read_from_either_extension(oids: Any, kit: TrustKit, trust: Trust) -> None:
    """.1.1 is raw text, .1.8 is DER; the library's Identity knows the first only."""
    bundle = raw(kit.attest(statement(IMAGE), kit.keyless(oids=oids)))
    assert verify_statement(bundle, IMAGE, KEYLESS, trust).predicate_type == trustkit.SIGN


@pytest.mark.parametrize("oids", [(), (ISSUER_V1,), (ISSUER_V2,)])
def test_trap_10_another_issuer_is_refused(oids: Any, kit: TrustKit, trust: Trust) -> None:
    """The same identity, vouched for by somebody else or by nobody."""
    bundle = raw(kit.attest(statement(IMAGE), kit.keyless(issuer="https://issuer.example.net", oids=oids)))
    assert reason(lambda: verify_statement(bundle, IMAGE, KEYLESS, trust)) == "issuer_mismatch"


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        (r"https://github\.com/stella-ops/release/.*@refs/tags/v[0-9.]+", True),
        (r"https://github\.com/stella-ops/", False),  # a beginning is not the whole
        (r".*/release\.yml", False),
        (r"stella-ops", False),
        (r"https://github.com/other/.*", False),
    ],
)
def test_trap_10_a_pattern_matches_the_whole_identity(
    pattern: str, fits: bool, kit: TrustKit, trust: Trust
) -> None:
    """An unanchored search would accept https://evil.example/?stella-ops."""
    wanted = Policy(identity_pattern=pattern, issuer=ISSUER)
    bundle = raw(kit.attest(statement(IMAGE)))
    if fits:
        assert verify_statement(bundle, IMAGE, wanted, trust).predicate_type == trustkit.SIGN
    else:
        assert reason(lambda: verify_statement(bundle, IMAGE, wanted, trust)) == "identity_mismatch"


@pytest.mark.parametrize("identity", ["dev@example.org", "https://github.com/stella-ops/release-evil"])
def test_trap_10_another_identity_is_refused(identity: str, kit: TrustKit, trust: Trust) -> None:
    """Exactly, or not at all."""
    bundle = raw(kit.attest(statement(IMAGE), kit.keyless(identity)))
    assert reason(lambda: verify_statement(bundle, IMAGE, KEYLESS, trust)) == "identity_mismatch"


# ---- 11 -----------------------------------------------------------------------------------------

WRITES = """
import sys
from pathlib import Path
wrote = []
sys.addaudithook(lambda event, args: wrote.append(args[0]) if event in ("os.mkdir", "os.rename") or
    (event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")) else None)
sys.dont_write_bytecode = True
from exporters.sigstore import Policy, load_trust, verify_statement
root, bundle, identity, issuer, image = sys.argv[1:]
trust = load_trust(Path(root))
verify_statement(Path(bundle).read_bytes(), image, Policy(identity=identity, issuer=issuer), trust)
print(wrote)
"""


def test_trap_11_nothing_is_written(kit: TrustKit, tmp_path: Path) -> None:
    """A read-only root file system is enough: the library's own trust configuration writes to a cache at home."""
    root, bundle = kit.write_root(tmp_path / "root.json"), tmp_path / "bundle.json"
    bundle.write_bytes(raw(kit.attest(statement(IMAGE))))
    arguments = [sys.executable, "-c", WRITES, str(root), str(bundle), IDENTITY, ISSUER, IMAGE]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


# ---- 12 -----------------------------------------------------------------------------------------


def test_trap_12_verification_asks_nobody(
    kit: TrustKit, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's clients of Rekor set no time-outs: they are never used."""
    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: asked.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: asked.append(args))
    verify_statement(raw(kit.attest(statement(IMAGE))), IMAGE, KEYLESS, trust)
    verify_blob(raw(kit.sign_blob(b"release", log="v2")), b"release", KEYLESS, trust)
    assert asked == []


# ---- what is not there --------------------------------------------------------------------------


def test_without_a_root_nothing_keyless_can_be_checked(kit: TrustKit) -> None:
    """No answer, and not a bad one."""
    with pytest.raises(CouldNotCheck) as caught:
        verify_statement(raw(kit.attest(statement(IMAGE))), IMAGE, KEYLESS, None)
    assert caught.value.reason == "trusted_root"
