"""An offline kit is judged as a whole: layout, digests, what comes with every image, and who signed it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporters import metrics as m
from exporters.bundle import kit, kits
from exporters.bundle.judge import SigstoreJudge
from exporters.sigstore import Policy
from tests.release_kit import Release, digest_of, encoded, pack, sealed, tarred
from tests.release_world import NOW, World, said
from tests.trustkit.kit import CYCLONEDX, IDENTITY, ISSUER, raw, statement

KIT = "stellaops-kit-2.4.1-stable.tar.zst"
OLD = 1_700_000_000  # a modification time long ago

Members = dict[str, bytes]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def write(world: World, members: Members) -> Path:
    path = pack(world.folder / KIT, tarred(members))
    os.utime(path, (OLD, OLD))
    return path


def check(world: World, members: Members, **keys: Any) -> dict[str, tuple[str, str]]:
    write(world, members)
    return said(world.subject(kits={"paths": ["*.tar.zst"], **keys}).check(KIT))


def sentence(world: World, members: Members, name: str) -> str:
    write(world, members)
    findings = world.subject(kits={"paths": ["*.tar.zst"]}).check(KIT)
    return next(f.outcome.detail for f in findings if f.check == name)


def valid(world: World) -> float | None:
    return world.value(m.KIT_VALID, kit=KIT)


def blob(digest: str) -> str:
    return f"images/blobs/sha256/{digest.removeprefix('sha256:')}"


def test_a_good_kit_is_verified_in_every_check(world: World) -> None:
    """With Rekor v1 as with v2."""
    for log in ("v1", "v2"):
        findings = check(world, world.release(log=log).members())
        assert {verdict for verdict, _ in findings.values()} == {"verified"}
        assert {
            "archive",
            "layout",
            "manifest",
            "digests",
            "images",
            "referrers",
            "signatures",
        } <= findings.keys()
        assert valid(world) == 1
        assert world.value(m.KIT_LAST_CHECK, kit=KIT) == NOW


def drop(begins: str) -> Callable[[Release, Members], Members]:
    return lambda release, members: {k: v for k, v in members.items() if not k.startswith(begins)}


def layer_of(release: Release) -> str:
    """The blob of one layer of the signer's image."""
    repo = release.repo("stellaops/signer")
    child = next(json.loads(body) for media, body in repo.manifests.values() if b"layer" in body)
    return blob(child["layers"][0]["digest"])


def swap_layer(release: Release, members: Members) -> Members:
    return {**members, layer_of(release): b"another layer"}


def lose_layer(release: Release, members: Members) -> Members:
    return drop(layer_of(release))(release, members)


def swap_chart(release: Release, members: Members) -> Members:
    return {**members, "charts/platform-2.4.1.tgz": b"another chart"}


def other_manifest(release: Release, members: Members) -> Members:
    return {**members, "manifest/release.yaml": sealed(release.text().replace("2.4.1", "2.4.2"))}


def edited_manifest(release: Release, members: Members) -> Members:
    return {**members, "manifest/release.yaml": release.manifest.replace(b"platform", b"platfork")}


def lose_image(release: Release, members: Members) -> Members:
    index = json.loads(members["images/index.json"])
    digest = release.image("signer").digest
    index["manifests"] = [e for e in index["manifests"] if e["digest"] != digest]
    return {**members, "images/index.json": encoded(index)}


def drift(release: Release, members: Members) -> Members:
    """As skopeo copies without --preserve-digests: the same image, encoded anew, under its name."""
    repo, image = release.repo("stellaops/signer"), release.image("signer")
    index = json.loads(members["images/index.json"])
    data = repo.manifests[image.digest][1].replace(b'{"schemaVersion"', b'{ "schemaVersion"')
    for entry in index["manifests"]:
        if entry["digest"] == image.digest:
            entry |= {"digest": digest_of(data), "size": len(data)}
    return {**members, "images/index.json": encoded(index), blob(digest_of(data)): data}


def lose_referrers(release: Release, members: Members) -> Members:
    """As skopeo copies: images without what refers to them, and nothing in attest/ and sboms/ either."""
    index = json.loads(members["images/index.json"])
    index["manifests"] = [e for e in index["manifests"] if "artifactType" not in e]
    kept = {k: v for k, v in members.items() if "signer" not in k}
    return {**kept, "images/index.json": encoded(index)}


SPOILT: dict[str, tuple[Callable[[Release, Members], Members], str, str]] = {
    "a folder is missing": (drop("plugins/"), "layout", "incomplete"),
    "the manifest is missing": (drop("manifest/release.yaml"), "manifest", "incomplete"),
    "the index is missing": (drop("images/index.json"), "digests", "missing"),
    "the marker is missing": (drop("images/oci-layout"), "digests", "missing"),
    "a layer was swapped": (swap_layer, "digests", "digest_mismatch"),
    "a layer is missing": (lose_layer, "digests", "missing"),
    "an image is missing": (lose_image, "images", "missing"),
    "an image has drifted": (drift, "images", "digest_mismatch"),
    "referrers were not copied": (lose_referrers, "referrers", "missing"),
    "a chart was swapped": (swap_chart, "charts and compose", "digest_mismatch"),
    "the compose file is missing": (drop("compose/docker"), "charts and compose", "missing"),
    "the manifest was edited": (edited_manifest, "manifest", "checksum"),
    "another manifest": (other_manifest, "manifest signature", "bad_signature"),
    "the manifest is not signed": (drop("manifest/release.yaml.sig"), "manifest signature", "no_signature"),
}


@pytest.mark.parametrize(("spoil", "failed", "reason"), SPOILT.values(), ids=SPOILT.keys())
def test_one_spoilt_thing_fails_its_own_check(
    world: World, spoil: Callable[[Release, Members], Members], failed: str, reason: str
) -> None:
    """And the kit is not valid."""
    release = world.release()
    assert check(world, spoil(release, release.members()))[failed] == ("failed", reason)
    assert valid(world) == 0


def test_drift_is_told_from_what_is_missing(world: World) -> None:
    """The remedy is another copy command, not another download."""
    release = world.release()
    assert "copied without its digest being preserved" in sentence(
        world, drift(release, release.members()), "images"
    )


def test_what_comes_without_an_image_is_named_by_component(world: World) -> None:
    """One sentence a component, with all kinds."""
    release = world.release()
    found = sentence(world, lose_referrers(release, release.members()), "referrers")
    assert "signer comes without signature and without sbom and without provenance" in found


def test_referrers_or_files_are_enough(world: World) -> None:
    """Bundles as OCI referrers, or in attest/."""
    release = world.release()
    members = {k: v for k, v in release.members().items() if not k.startswith("attest/")}
    findings = check(world, {**members, "attest/README": b"see the referrers"})
    assert findings["referrers"] == findings["signatures"] == ("verified", "")


def test_a_bundle_of_another_identity_fails_the_signatures(world: World) -> None:
    """Where it is the only one of its kind for the image."""
    release = world.release()
    stranger = world.trust.keyless("https://example.org/somebody-else")
    image = release.image("signer")
    foreign = raw(world.trust.attest(statement(image.digest), stranger))
    members = release.members()
    members["attest/signer.signature.sigstore.json"] = foreign
    index = json.loads(members["images/index.json"])
    gone = image.referrers["signature"]["digest"]
    index["manifests"] = [e for e in index["manifests"] if e["digest"] != gone]
    members["images/index.json"] = encoded(index)
    assert check(world, members)["signatures"] == ("failed", "identity_mismatch")
    assert valid(world) == 0


def test_a_second_bundle_of_a_stranger_does_not_hurt(world: World) -> None:
    """Anyone may attach another one; one good one is enough, as for cosign."""
    release = world.release()
    stranger = world.trust.keyless("https://example.org/somebody-else")
    members = release.members()
    digest = release.image("signer").digest
    members["attest/0.sigstore.json"] = raw(world.trust.attest(statement(digest), stranger))
    assert check(world, members)["signatures"] == ("verified", "")


def test_a_signature_of_one_platform_does_not_sign_the_image(world: World) -> None:
    """The other platforms could be anything."""
    release = world.release()
    image = release.image("signer")
    repo = release.repo("stellaops/signer")
    platform = json.loads(repo.manifests[image.digest][1])["manifests"][0]
    members = lose_referrers(release, release.members())
    members["sboms/signer.cdx.json"] = b"{}"
    members["attest/signer.sigstore.json"] = raw(world.trust.attest(statement(platform["digest"])))
    assert check(world, members, require=["signature"])["signatures"] == ("failed", "subject_mismatch")


def test_an_sbom_cannot_pass_for_a_signature(world: World) -> None:
    """The kind is that of the signed payload."""
    release = world.release()
    digest = release.image("signer").digest
    members = lose_referrers(release, release.members())
    members["attest/signer.signature.sigstore.json"] = raw(world.trust.attest(statement(digest, CYCLONEDX)))
    assert check(world, members, require=["signature"])["referrers"] == ("failed", "missing")


def test_a_bundle_that_cannot_be_read_is_said(world: World) -> None:
    """It is in the kit to prove something, and does not."""
    release = world.release()
    members = {**release.members(), "attest/x.sigstore.json": b"\xff{"}
    assert check(world, members)["signatures"] == ("failed", "malformed")


def test_without_a_trusted_root_a_kit_has_no_verdict(world: World) -> None:
    """Digests alone say that it is whole, not whose it is."""
    write(world, world.release().members())
    subject = world.subject(kits={"paths": ["*.tar.zst"]}, trusted_root="nowhere.json")
    assert {f.outcome.verdict for f in subject.check(KIT)} == {"unknown"}
    assert valid(world) is None


def test_the_manifest_in_the_kit_must_be_the_one_of_the_channel(world: World) -> None:
    """Both are signed; they must not differ."""
    release = world.release()
    world.publish(release)
    subject = world.subject(kits={"paths": ["*.tar.zst"]})
    subject.check("stable")
    write(world, release.members())
    assert said(subject.check(KIT))["manifest"] == ("verified", "")
    release.seal(release.text().replace("charts:", "x-note: other\ncharts:"))
    write(world, release.members())
    assert said(subject.check(KIT))["manifest"] == ("failed", "digest_mismatch")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stellaops-kit-2.4.1-edge.tar.zst", ("verified", "")),
        ("stellaops-kit-2.4.1-edge-EDGE.tar.zst", ("verified", "")),
        ("kit.tar.zst", ("verified", "")),
        ("stellaops-kit-2.5.0-edge.tar.zst", ("failed", "channel")),
        ("stellaops-kit-2.4.1-stable.tar.zst", ("failed", "channel")),
    ],
)
def test_a_kit_holds_the_release_that_it_is_called(world: World, name: str, said: tuple[str, str]) -> None:
    """An old kit under a new name is as well signed as it ever was. Other names say nothing."""
    release = world.release(version="2.4.1-edge", channel="edge")
    path = release.write_kit(world.folder / name)
    os.utime(path, (OLD, OLD))
    found = {f.check: f.outcome for f in world.subject(kits={"paths": ["*.tar.zst"]}).check(name)}
    assert (str(found["manifest"].verdict), found["manifest"].reason) == said
    assert world.value(m.KIT_VALID, kit=name) == (said[0] == "verified")


# ---- when it is read ------------------------------------------------------------------------------------


def test_a_kit_that_is_being_copied_has_no_verdict(world: World) -> None:
    """Until it was left alone for one look: then what is cut off is its fault."""
    release = world.release()
    path = write(world, release.members())
    whole = path.read_bytes()
    subject = world.subject(kits={"paths": ["*.tar.zst"]})
    path.write_bytes(whole[:-900])
    os.utime(path, (world.now, world.now))
    assert said(subject.check(KIT)) == {"archive": ("unknown", "bad_response")}
    assert valid(world) is None
    world.now += 60
    assert said(subject.check(KIT)) == {"archive": ("failed", "malformed")}
    assert valid(world) == 0
    path.write_bytes(whole)
    os.utime(path, (world.now, world.now))
    subject.check(KIT)
    assert valid(world) == 1


def test_a_kit_that_changes_while_it_is_read_has_no_verdict(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for what was read before nor for what was read after."""
    path = write(world, world.release().members())

    def changing(*parts: Any) -> None:
        os.utime(path, (OLD + 1, OLD + 1))

    monkeypatch.setattr(kit.zstd, "walk", changing)
    assert said(world.subject(kits={"paths": ["*.tar.zst"]}).check(KIT)) == {
        "archive": ("unknown", "bad_response")
    }


def test_an_unchanged_kit_is_read_once_a_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last check is when it was read; a clock that went back reads it again."""
    reads: list[Path] = []
    real = kits.read
    monkeypatch.setattr(kits, "read", lambda path, *rest: reads.append(path) or real(path, *rest))
    write(world, world.release().members())
    subject = world.subject(kits={"paths": ["*.tar.zst"]})
    for later, count in ((0, 1), (3600, 1), (86_000, 1), (86_401, 2), (3600, 3)):
        world.now = NOW + later
        subject.check(KIT)
        assert len(reads) == count
    assert world.value(m.KIT_LAST_CHECK, kit=KIT) == NOW + 3600


def test_a_changed_policy_judges_a_kit_anew(world: World) -> None:
    """A cached verdict holds for one policy and one root."""
    write(world, world.release().members())
    subject = world.subject(kits={"paths": ["*.tar.zst"]})
    subject.check(KIT)
    other = World(world.folder)
    other.trust.write_root(world.folder / "root.json")
    assert said(subject.check(KIT))["signatures"][0] == "failed"
    assert valid(world) == 0


def test_a_manifest_that_is_published_later_judges_a_kit_anew(world: World) -> None:
    """The kit was read first, and the channel offers another manifest of its version."""
    release = world.release()
    write(world, release.members())
    subject = world.subject(kits={"paths": ["*.tar.zst"]})
    assert said(subject.check(KIT))["manifest"] == ("verified", "")
    release.seal(release.text().replace("charts:", "x-note: other\ncharts:"))
    world.log_again(release)
    world.publish(release)
    subject.check("stable")
    assert said(subject.check(KIT))["manifest"] == ("failed", "digest_mismatch")
    assert valid(world) == 0


def test_a_verdict_ends_with_a_key_of_the_root(world: World) -> None:
    """A signature without a proven time counts as made now, so it may not outlive the log's key in a cache."""
    world.trust.rekor2.end = datetime.fromtimestamp(NOW + 3600, UTC)
    root = world.trust.write_root(world.folder / "root.json")
    judge = SigstoreJudge(Policy(identity=IDENTITY, issuer=ISSUER), root, lambda: world.now)
    before = judge.fingerprint
    world.now += 60
    assert judge.fingerprint == before
    world.now += 3600
    assert judge.fingerprint != before


def test_kits_come_and_go(world: World) -> None:
    """A pattern finds new ones; the loop forgets what is gone. A path without wildcards stays a target."""
    subject = world.subject(kits={"paths": ["*.tar.zst", "always.tar.zst"]})
    assert subject.targets() == ["stable", "always.tar.zst"]
    path = write(world, world.release().members())
    assert subject.targets() == ["stable", KIT, "always.tar.zst"]
    assert said(subject.check("always.tar.zst")) == {"archive": ("unknown", "unreachable")}
    path.unlink()
    assert subject.targets() == ["stable", "always.tar.zst"]


def test_a_stop_ends_the_reading_of_a_kit(world: World) -> None:
    """SIGTERM does not wait for gigabytes."""
    write(world, world.release().members())
    subject = world.subject(kits={"paths": ["*.tar.zst"]})
    subject.close()
    assert said(subject.check(KIT)) == {"archive": ("unknown", "internal")}
    assert valid(world) is None
