"""The thirteenth trap: a verdict is kept for the same bytes, image, policy, root and verifier, and for nothing else."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exporters.cosign.verdicts import Kept, Key, verdict
from exporters.outcome import CouldNotCheck, Refused
from exporters.sigstore import Policy
from tests.trustkit.exporter import KINDS, LABELS, Exporter, images, sign_all, signed_image
from tests.trustkit.images import Attached, push_image
from tests.trustkit.kit import IDENTITY, ISSUER, SIGNED, TrustKit
from tests.trustkit.registry import Memory, behind

HOST = "registry.example.org"
GOOD = dict.fromkeys(KINDS, "verified")


def of(found: dict[tuple[str, str], str], component: str = "scanner") -> dict[str, str]:
    return {check: said for (target, check), said in found.items() if target == component}


@pytest.mark.parametrize("field", [f.name for f in fields(Key)])
def test_a_verdict_depends_on_everything_in_its_key(field: str) -> None:
    """Another value of any of them is another verdict."""
    key = Key("content", "image", "policy", "root")
    kept: Kept[str] = Kept(10)
    kept.get(key, lambda: "first")
    assert kept.get(replace(key, **{field: "other"}), lambda: "second") == "second"
    assert kept.get(replace(key), lambda: "never") == "first"


def test_the_keys_hold_the_verifier_s_version() -> None:
    """What 4.5.1 accepted is judged anew after an upgrade."""
    assert Key("content", "image", "policy", "root").verifier == "sigstore-python 4.5.1"


def test_what_is_kept_is_bounded() -> None:
    """The least lately used goes first."""
    kept: Kept[int] = Kept(2)
    for n in (1, 2, 1, 3):
        kept.get(n, lambda n=n: n)  # type: ignore[misc]
    assert [kept.get(n, lambda: -1) for n in (1, 3, 2)] == [1, 3, -1]
    assert len(kept) == 2


def test_no_answer_is_never_kept() -> None:
    """The next cycle asks again; a refusal is an answer."""

    def raising(error: Exception) -> Any:
        raise error

    kept: Kept[Refused | None] = Kept(2)
    with pytest.raises(CouldNotCheck):
        kept.get("x", lambda: verdict(lambda: raising(CouldNotCheck("timeout", "late"))))
    assert len(kept) == 0
    refused = kept.get("x", lambda: verdict(lambda: raising(Refused("tlog", "no entry"))))
    assert refused is not None
    assert (refused.reason, refused.__traceback__, len(kept)) == ("tlog", None, 1)


def test_a_warm_cycle_asks_for_referrers_and_nothing_else(folder: Path, kit: TrustKit) -> None:
    """One request an image; a cold one opens each candidate."""
    registry = Memory()
    on = signed_image(kit, registry, "stellaops/scanner")
    exporter = Exporter(folder, images(HOST, scanner=on), behind(registry))
    assert of(exporter.cycle()) == GOOD
    assert registry.requests == {"referrers": 1, "manifests": 3, "blobs": 3}
    registry.asked.clear()
    assert of(exporter.cycle()) == GOOD
    assert registry.requests == {"referrers": 1}


def test_a_signature_that_is_taken_away_is_missed_in_the_next_cycle(folder: Path, kit: TrustKit) -> None:
    """A kept verdict is about bytes, and not about their being there."""
    registry = Memory()
    on = signed_image(kit, registry, "stellaops/scanner")
    exporter = Exporter(folder, images(HOST, scanner=on), behind(registry))
    exporter.cycle()
    for descriptor in on.descriptors:
        registry.manifests.pop((on.name, descriptor["digest"]))
    assert of(exporter.cycle()) == dict.fromkeys(KINDS, "no_signature")


def test_one_bundle_beside_two_images_is_judged_for_each(folder: Path, kit: TrustKit) -> None:
    """The same bytes: good for one, another's for the other. Kyverno's hole."""
    registry = Memory()
    one = signed_image(kit, registry, "stellaops/one")
    other = Attached(
        registry, "stellaops/two", push_image(registry, "stellaops/two", LABELS, salt="2"), False
    )
    bundles = [body for (name, _), body in registry.blobs.items() if b"dsseEnvelope" in body]
    for bundle in bundles:
        other.bundle(bundle)
    exporter = Exporter(folder, images(HOST, one=one, two=other), behind(registry))
    for _ in range(2):
        found = exporter.cycle()
        assert of(found, "one") == GOOD
        assert of(found, "two") == dict.fromkeys(KINDS, "subject_mismatch")


def test_one_image_under_two_policies_is_judged_by_each(folder: Path, kit: TrustKit) -> None:
    """Neither profits from the other's verdict."""
    registry = Memory()
    on = signed_image(kit, registry, "stellaops/scanner")
    config = images(HOST, ours=on, theirs=on)
    config["images"][1]["policy"] = {"identity": "eve@example.net", "issuer": ISSUER}
    exporter = Exporter(folder, config, behind(registry))
    for _ in range(2):
        found = exporter.cycle()
        assert of(found, "ours") == GOOD
        assert of(found, "theirs") == dict.fromkeys(KINDS, "identity_mismatch")


def test_another_root_judges_anew(folder: Path, kit: TrustKit) -> None:
    """The log's key is distrusted: what it vouched for falls in the next cycle."""
    registry = Memory()
    on = signed_image(kit, registry, "stellaops/scanner")
    exporter = Exporter(folder, images(HOST, scanner=on), behind(registry))
    assert of(exporter.cycle()) == GOOD
    root = kit.root()
    root["tlogs"] = root["tlogs"][1:]
    (folder / "trusted_root.json").write_text(json.dumps(root))
    assert of(exporter.cycle()) == dict.fromkeys(KINDS, "tlog")


def test_another_key_in_the_policy_s_file_judges_anew(folder: Path, kit: TrustKit) -> None:
    """The path is the same, the key is not."""
    registry, signer = Memory(), kit.key()
    on = signed_image(kit, registry, "stellaops/scanner", signer=signer)
    (folder / "cosign.pub").write_bytes(signer.pem)
    config = images(HOST, scanner=on) | {"policies": {"all": {"key": "cosign.pub"}}}
    exporter = Exporter(folder, config, behind(registry))
    assert of(exporter.cycle()) == GOOD
    (folder / "cosign.pub").write_bytes(kit.key().pem)
    assert of(exporter.cycle()) == dict.fromkeys(KINDS, "bad_signature")


def test_a_window_that_closes_judges_anew(tmp_path: Path) -> None:
    """A signature without a proven time counts as made now."""
    kit = TrustKit()
    kit.rekor2.end = SIGNED + timedelta(days=10_000)
    kit.write_root(tmp_path / "trusted_root.json")
    registry, signer = Memory(), kit.key()
    on = Attached(registry, "stellaops/scanner", push_image(registry, "stellaops/scanner"), False)
    sign_all(kit, on, signer, log="v2-untimed")
    (tmp_path / "cosign.pub").write_bytes(signer.pem)
    config = images(HOST, scanner=on) | {"policies": {"all": {"key": "cosign.pub"}}}
    exporter = Exporter(tmp_path, config, behind(registry))
    assert of(exporter.cycle()) == GOOD
    exporter.now = kit.rekor2.end.timestamp() + 1
    assert of(exporter.cycle()) == dict.fromkeys(KINDS, "trust_window")


def test_a_legacy_signature_with_other_annotations_is_judged_anew(folder: Path, kit: TrustKit) -> None:
    """Its payload has the same digest; the signature lies beside it."""
    registry = Memory()
    on = Attached(registry, "stellaops/scanner", push_image(registry, "stellaops/scanner"), False)
    payload, annotations = kit.legacy_signature(on.image)
    on.legacy("sig", [(payload, annotations)])
    exporter = Exporter(folder, images(HOST, scanner=on) | {"checks": ["signature"]}, behind(registry))
    assert of(exporter.cycle()) == {"signature": "verified"}
    del annotations["dev.sigstore.cosign/bundle"]
    on.legacy("sig", [(payload, annotations)])
    assert of(exporter.cycle()) == {"signature": "tlog"}


def test_the_policy_s_identity_is_in_its_fingerprint(folder: Path) -> None:
    """Every field counts."""
    policies = [
        Policy(identity=IDENTITY, issuer=ISSUER),
        Policy(identity=IDENTITY, issuer="https://issuer.example.net"),
        Policy(identity_pattern=IDENTITY, issuer=ISSUER),
    ]
    assert len({policy.fingerprint for policy in policies}) == 3
