"""The cosign exporter: what it finds beside an image, what it says of it, and which metric moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporters import metrics as m
from exporters.config import ConfigError
from exporters.cosign import build
from exporters.cosign.evidence import MOST_CANDIDATES, TELLING, check_of
from exporters.fetch import Fetcher
from exporters.metrics import FAILURE_REASONS
from tests.trustkit.exporter import KINDS, LABELS, Exporter, images, sign_all, signed_image
from tests.trustkit.images import Attached, digest_of, push_image, push_index
from tests.trustkit.kit import CYCLONEDX, IDENTITY, ISSUER, SIGN, SIGNED, SLSA, TrustKit, raw, statement
from tests.trustkit.registry import Memory, behind

HOST = "registry.example.org"
GOOD = dict.fromkeys(KINDS, "verified")


class World:
    """One registry with one image, `scanner`, that has nothing yet."""

    def __init__(self, folder: Path, kit: TrustKit, registry: Memory | None = None) -> None:
        self.folder, self.kit = folder, kit
        self.registry = Memory() if registry is None else registry
        digest = push_image(self.registry, "stellaops/scanner", LABELS)
        self.on = Attached(self.registry, "stellaops/scanner", digest, not self.registry.referrers)

    def exporter(self, *others: Memory, **config: Any) -> Exporter:
        return Exporter(self.folder, images(HOST, scanner=self.on) | config, behind(self.registry, *others))

    def cycle(self, **config: Any) -> dict[str, str]:
        return of(self.exporter(**config).cycle())


def of(found: dict[tuple[str, str], str], component: str = "scanner") -> dict[str, str]:
    return {check: said for (target, check), said in found.items() if target == component}


@pytest.fixture
def world(folder: Path, kit: TrustKit) -> World:
    return World(folder, kit)


# ---- verified -------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["v1", "v2"])
@pytest.mark.parametrize("api", [True, False])
def test_a_release_image_is_verified(log: str, api: bool, folder: Path, kit: TrustKit) -> None:
    """Signature, SBOM and provenance; by Referrers API or fallback tag; logged in Rekor v1 or v2."""
    world = World(folder, kit, Memory(referrers=api))
    sign_all(kit, world.on, log=log)
    exporter = world.exporter()
    assert of(exporter.cycle()) == GOOD
    for check in KINDS:
        labels = {"component": "scanner", "check": check}
        assert exporter.value(m.IMAGE_VERIFIED, **labels) == 1
        assert exporter.value(m.IMAGE_LAST_CHECK, **labels) == exporter.now
        assert exporter.value(m.IMAGE_LAST_SUCCESS, **labels) == exporter.now
        assert exporter.value(m.CHECKS_TOTAL, check=check) == 1
        assert exporter.value(m.CHECK_DURATION, check=check) == 1
    info = {"component": "scanner", "repository": f"{HOST}/stellaops/scanner", "digest": world.on.image}
    assert exporter.value(m.IMAGE_INFO, **info) == 1


def test_after_a_reload_nothing_is_said_of_a_former_digest(world: World, kit: TrustKit) -> None:
    """A component that the new configuration names by another digest starts anew; one it names alike does not."""
    sign_all(kit, world.on)
    other = signed_image(kit, world.registry, "stellaops/other")
    before = world.exporter(**images(HOST, scanner=world.on, other=other))
    before.cycle()
    now = signed_image(kit, world.registry, "stellaops/scanner", salt="new")
    after = world.exporter(**images(HOST, scanner=now, other=other))
    reloaded = build(after.config, before.instruments, Fetcher(transport=behind(world.registry)))
    reloaded.targets()
    assert [s["digest"] for s in before.instruments.series(m.IMAGE_INFO, component="scanner")] == [now.image]
    assert before.verified("scanner", "signature") is None
    assert before.verified("other", "signature") == 1


def test_of_a_multi_arch_image_the_index_is_what_is_signed(world: World, kit: TrustKit) -> None:
    """A signature of one platform is not one of the index."""
    platforms = [push_image(world.registry, "stellaops/multi", LABELS, salt=s) for s in ("amd64", "arm64")]
    index = push_index(world.registry, "stellaops/multi", platforms)
    world.on = Attached(world.registry, "stellaops/multi", index, False)
    world.on.bundle(kit.attest(statement(platforms[0])))
    assert world.cycle(checks=["signature"]) == {"signature": "subject_mismatch"}
    world.on.bundle(kit.attest(statement(index)))
    assert world.cycle(checks=["signature"]) == {"signature": "verified"}


def test_one_candidate_that_verifies_is_enough(world: World, kit: TrustKit) -> None:
    """Anyone who may push can attach what is not ours; it takes nothing away. cosign's rule."""
    strangers = [kit.keyless("eve@example.net"), kit.keyless(issuer="https://issuer.example.net")]
    for kind in KINDS.values():
        for stranger in strangers:
            world.on.bundle(kit.attest(statement(world.on.image, kind), stranger))
        world.on.bundle(b"no bundle at all")
        world.on.bundle(kit.attest(statement(world.on.image, kind)))
        world.on.bundle(kit.attest(statement("sha256:" + "0" * 64, kind)))
    assert world.cycle() == GOOD


@pytest.mark.parametrize("artifact_type", ["", "application/vnd.example", "text/plain"])
def test_hints_of_an_artifact_decide_nothing(artifact_type: str, world: World, kit: TrustKit) -> None:
    """cosign up to 3.1 wrote none, or wrong ones: every manifest is opened."""
    for kind in KINDS.values():
        world.on.bundle(kit.attest(statement(world.on.image, kind)), artifact_type=artifact_type)
    assert world.cycle() == GOOD


def test_referrers_that_are_no_bundles_are_passed_over(world: World, kit: TrustKit) -> None:
    """SBOMs attached plainly, signatures of other tools."""
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "x", "digest": digest_of(b"{}"), "size": 2},
            "layers": [
                {"mediaType": "application/vnd.cncf.notary.signature", "digest": digest_of(b"n"), "size": 1}
            ],
            "subject": {"mediaType": "x", "digest": world.on.image, "size": 1},
        }
    ).encode()
    world.registry.put_manifest(
        "stellaops/scanner", digest_of(body), body, "application/vnd.oci.image.manifest.v1+json"
    )
    assert world.cycle(checks=["signature"]) == {"signature": "no_signature"}
    sign_all(kit, world.on)
    assert world.cycle() == GOOD


def test_an_image_signed_by_a_key(world: World, kit: TrustKit) -> None:
    """With the log, and without it where the policy waives it."""
    signer = kit.key()
    (world.folder / "cosign.pub").write_bytes(signer.pem)
    sign_all(kit, world.on, signer)
    assert world.cycle(policies={"all": {"key": "cosign.pub"}}) == GOOD
    assert (
        world.cycle(policies={"all": {"key": "cosign.pub", "require_log": False}}, trusted_root=None) == GOOD
    )


def test_each_check_may_have_a_signer_of_its_own(world: World, kit: TrustKit) -> None:
    """The build attests, the release signs; neither may do the other's work."""
    builder = kit.keyless("https://github.com/stella-ops/build/.github/workflows/build.yml@refs/heads/main")
    for check, kind in KINDS.items():
        world.on.bundle(
            kit.attest(statement(world.on.image, kind), None if check == "signature" else builder)
        )
    build = {"identity_pattern": r"https://github\.com/stella-ops/build/.+", "issuer": ISSUER}
    release = {"identity": IDENTITY, "issuer": ISSUER}
    assert world.cycle(policies={"all": release, "sbom": build, "provenance": build}) == GOOD
    assert world.cycle(policies={"all": release}) == GOOD | {"sbom": "identity_mismatch", "provenance": "identity_mismatch"}  # fmt: skip


@pytest.mark.parametrize(
    ("predicate", "check"),
    [
        (SIGN, "signature"),
        (CYCLONEDX, "sbom"),
        ("https://cyclonedx.org/bom/v1.6", "sbom"),
        ("https://cyclonedx.org/bombs", ""),
        (SLSA, "provenance"),
        ("https://slsa.dev/provenance/v0.2", "provenance"),
        ("https://slsa.dev/verification_summary/v1", ""),
        ("https://spdx.dev/Document", ""),
        ("", ""),
    ],
)
def test_a_predicate_type_answers_one_check(predicate: str, check: str) -> None:
    """The type of what was signed, and not a name beside it."""
    assert check_of(predicate) == check


def test_an_attestation_answers_no_other_check(world: World, kit: TrustKit) -> None:
    """A signed SBOM does not make an image signed."""
    world.on.bundle(kit.attest(statement(world.on.image, CYCLONEDX)))
    assert world.cycle() == {"signature": "no_signature", "sbom": "verified", "provenance": "no_signature"}


# ---- failed ---------------------------------------------------------------------------------------

Attach = Callable[[World, TrustKit, str], None]


def by_another(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(kit.attest(statement(world.on.image, kind), kit.keyless("eve@example.net")))


def by_another_issuer(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(
        kit.attest(statement(world.on.image, kind), kit.keyless(issuer="https://issuer.example.net"))
    )


def of_another(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(kit.attest(statement("sha256:" + "0" * 64, kind)))


def stripped(world: World, kit: TrustKit, kind: str) -> None:
    bundle = kit.attest(statement(world.on.image, kind))
    bundle["verificationMaterial"]["tlogEntries"] = []
    world.on.bundle(bundle)


def truncated(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(raw(kit.attest(statement(world.on.image, kind)))[:-20])


def deep(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(b'{"a":' * 99_999 + b"1" + b"}" * 99_999)


def not_text(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(b"\xff\xfe\x00" * 100)


def too_late(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(kit.attest(statement(world.on.image, kind), at=SIGNED + timedelta(hours=1)))


def unlogged_certificate(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(kit.attest(statement(world.on.image, kind), kit.keyless(sct=False)))


def forged(world: World, kit: TrustKit, kind: str) -> None:
    bundle = kit.attest(statement(world.on.image, kind))
    donor = kit.attest(statement(world.on.image, kind))
    bundle["dsseEnvelope"]["signatures"] = donor["dsseEnvelope"]["signatures"]
    world.on.bundle(bundle)


def of_a_later_format(world: World, kit: TrustKit, kind: str) -> None:
    world.on.bundle(kit.attest(statement(world.on.image, kind)) | {"mediaType": "application/vnd.dev.sigstore.bundle.v0.9+json"})  # fmt: skip


def nothing(world: World, kit: TrustKit, kind: str) -> None:
    pass


HOSTILE: list[tuple[Attach, str]] = [
    (by_another, "identity_mismatch"),
    (by_another_issuer, "issuer_mismatch"),
    (of_another, "subject_mismatch"),
    (stripped, "tlog"),
    (truncated, "malformed"),
    (deep, "malformed"),
    (not_text, "malformed"),
    (too_late, "timestamp"),
    (unlogged_certificate, "sct"),
    (forged, "bad_signature"),
    (of_a_later_format, "unsupported"),
    (nothing, "no_signature"),
]


@pytest.mark.parametrize("check", list(KINDS))
@pytest.mark.parametrize(("attach", "reason"), HOSTILE, ids=[a.__name__ for a, _ in HOSTILE])
def test_a_bad_image_fails_with_its_reason(
    attach: Attach, reason: str, check: str, world: World, kit: TrustKit
) -> None:
    """The verdict is 0, its check has a time and no success, and the reason is counted."""
    attach(world, kit, KINDS[check])
    exporter = world.exporter(checks=[check])
    assert of(exporter.cycle()) == {check: reason}
    labels = {"component": "scanner", "check": check}
    assert exporter.value(m.IMAGE_VERIFIED, **labels) == 0
    assert exporter.value(m.IMAGE_LAST_CHECK, **labels) == exporter.now
    assert exporter.value(m.IMAGE_LAST_SUCCESS, **labels) is None
    assert exporter.value(m.CHECK_FAILURES, check=check, reason=reason) == 1
    assert sum(exporter.value(m.CHECK_ERRORS, check=check, reason=r) or 0 for r in m.ERROR_REASONS) == 0


@pytest.mark.parametrize("part", ["fulcio", "ct", "rekor"])
def test_an_expired_root_fails_what_was_signed_after_its_end(part: str, tmp_path: Path) -> None:
    """trust_window, in the metric too."""
    kit = TrustKit()
    getattr(kit, part).end = SIGNED - timedelta(days=1)
    kit.write_root(tmp_path / "trusted_root.json")
    world = World(tmp_path, kit)
    sign_all(kit, world.on)
    exporter = world.exporter()
    assert of(exporter.cycle()) == dict.fromkeys(KINDS, "trust_window")
    assert exporter.value(m.CHECK_FAILURES, check="sbom", reason="trust_window") == 1


def test_of_several_refusals_the_most_telling_is_reported(world: World, kit: TrustKit) -> None:
    """What came nearest to being accepted; the others are noise that anyone can add."""
    for attach, _ in HOSTILE[:-1]:
        attach(world, kit, SIGN)
    assert world.cycle(checks=["signature"]) == {"signature": "subject_mismatch"}


def test_every_refusal_of_evidence_has_its_place() -> None:
    """In the order of how telling they are; labels are no evidence."""
    assert {*TELLING, "label_mismatch"} == set(FAILURE_REASONS)


def test_an_image_that_is_not_there_fails_and_says_so(folder: Path, kit: TrustKit) -> None:
    """By digest: a tag that still answers proves nothing."""
    registry = Memory()
    gone = Attached(registry, "stellaops/gone", "sha256:" + "1" * 64, False)
    exporter = Exporter(folder, images(HOST, gone=gone), behind(registry))
    found = {
        f.check: f.outcome
        for t in exporter.subject.targets()
        if t == "gone"
        for f in exporter.subject.check(t)
    }
    assert "has no image" in found["signature"].detail


# ---- unknown --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (httpx.Response(500), "bad_response"),
        (httpx.Response(403), "unauthorized"),
        (httpx.Response(401, headers={"www-authenticate": 'Bearer realm="https://evil.example.org/token"'}), "unauthorized"),
        (httpx.Response(429), "rate_limited"),
        (httpx.Response(302, headers={"location": "https://evil.example.org/"}), "bad_response"),
        (httpx.Response(200, content=b"<html>"), "bad_response"),
        (httpx.Response(200, content=b'{"manifests": [{"digest"'), "bad_response"),
        (httpx.Response(200, content=b"x" * (5 << 20)), "too_large"),
    ],
)  # fmt: skip
def test_what_could_not_be_checked_leaves_the_verdict(
    fault: httpx.Response, reason: str, world: World, kit: TrustKit
) -> None:
    """Neither good nor bad: the error is counted, the verdict and the time of its check stand still."""
    sign_all(kit, world.on)
    exporter = world.exporter()
    assert of(exporter.cycle()) == GOOD
    before = exporter.now
    exporter.now += 60
    world.registry.fault = lambda r: fault
    assert of(exporter.cycle()) == dict.fromkeys(KINDS, reason)
    for check in KINDS:
        assert exporter.verified("scanner", check) == 1
        assert exporter.value(m.IMAGE_LAST_CHECK, component="scanner", check=check) == before
        assert exporter.value(m.CHECK_ERRORS, check=check, reason=reason) == 1
        assert sum(exporter.value(m.CHECK_FAILURES, check=check, reason=r) or 0 for r in FAILURE_REASONS) == 0
    world.registry.fault = None
    assert of(exporter.cycle()) == GOOD


def test_before_the_first_verdict_there_is_none(world: World) -> None:
    """Absent, and the image is known by its info."""
    world.registry.fault = lambda r: httpx.Response(500)
    exporter = world.exporter()
    exporter.cycle()
    assert exporter.verified("scanner", "signature") is None
    assert exporter.value(m.IMAGE_LAST_CHECK, component="scanner", check="signature") is None
    info = {"component": "scanner", "repository": f"{HOST}/stellaops/scanner", "digest": world.on.image}
    assert exporter.value(m.IMAGE_INFO, **info) == 1


def test_a_candidate_that_cannot_be_read_may_be_the_good_one(world: World, kit: TrustKit) -> None:
    """Next to one that is refused: unknown, until it can be read."""
    by_another(world, kit, SIGN)
    world.on.bundle(kit.attest(statement(world.on.image)))
    last = world.on.descriptors[-1]["digest"]
    world.registry.fault = lambda r: httpx.Response(500) if last in r.url.path else None
    exporter = world.exporter(checks=["signature"])
    assert of(exporter.cycle()) == {"signature": "bad_response"}
    world.registry.fault = None
    assert of(exporter.cycle()) == {"signature": "verified"}


def test_a_giant_candidate_is_not_read(world: World, kit: TrustKit) -> None:
    """Alone it leaves the answer open; beside a good one it does not matter."""
    bundle = raw(kit.attest(statement(world.on.image)))
    world.on.bundle(bundle + b" " * (1 << 20))
    assert world.cycle(checks=["signature"], max_bundle_bytes=1 << 16) == {"signature": "too_large"}
    assert all("/blobs/" not in r.url.path for r in world.registry.asked)
    world.on.bundle(bundle)
    assert world.cycle(checks=["signature"], max_bundle_bytes=1 << 16) == {"signature": "verified"}


def test_a_candidate_that_is_listed_and_is_not_there_leaves_no_verdict(world: World, kit: TrustKit) -> None:
    """One wrong character in a list of referrers, and the good one would not be seen: that is not unsigned."""
    sign_all(kit, world.on)

    def damaged(request: httpx.Request) -> httpx.Response | None:
        if "/referrers/" not in request.url.path:
            return None
        name, _, digest = request.url.path.removeprefix("/v2/").partition("/referrers/")
        listed = world.registry._referrers(name, digest, request).json()
        listed["manifests"][1]["digest"] = digest_of(b"what never was")
        return httpx.Response(200, json=listed)

    world.registry.fault = damaged
    assert world.cycle() == {"signature": "verified", "sbom": "bad_response", "provenance": "verified"}


def test_the_release_yaml_is_found_beside_other_files_of_its_artifact(world: World, kit: TrustKit) -> None:
    """An artifact that holds the compose file too, as the bundle exporter reads it."""
    sign_all(kit, world.on)
    layers = []
    for title, data in (
        ("release.yaml", release(scanner=world.on).encode()),
        ("docker-compose.yml", b"services: {}"),
    ):
        world.registry.put_blob("releases", data)
        titled = {"org.opencontainers.image.title": title}
        layers.append(
            {
                "mediaType": "application/octet-stream",
                "digest": digest_of(data),
                "size": len(data),
                "annotations": titled,
            }
        )
    media = "application/vnd.oci.image.manifest.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": media, "layers": layers}).encode()
    world.registry.put_manifest("releases", "stable", body, media)
    found = world.cycle(
        images=[], manifests=[{"name": "stable", "location": f"oci://{HOST}/releases:stable"}]
    )
    assert found == GOOD | {"labels": "verified"}


def test_a_flood_of_referrers_hides_no_signature_that_was_found(world: World, kit: TrustKit) -> None:
    """What was opened counts; what was not is unknown, and never "not signed"."""
    for n in range(MOST_CANDIDATES + 1):
        world.on.bundle(json.dumps({"junk": n}).encode())
    assert world.cycle(checks=["signature"]) == {"signature": "too_large"}


def test_100_000_referrers_end_in_no_verdict_and_few_requests(world: World) -> None:
    """The list is cut, a part of it opened, and the rest known to be missing."""
    listed = [{"digest": digest_of(str(n).encode()), "size": 1, "mediaType": "x"} for n in range(100_000)]

    def page(request: httpx.Request) -> httpx.Response | None:
        if "/referrers/" not in request.url.path:
            return None
        start = int(request.url.params.get("from", "0"))
        headers = {"link": f'<{request.url.path}?from={start + 1000}>; rel="next"'}
        return httpx.Response(200, json={"manifests": listed[start : start + 1000]}, headers=headers)

    world.registry.fault = page
    exporter = world.exporter(checks=["signature"])
    assert of(exporter.cycle()) == {"signature": "too_large"}
    assert exporter.value(m.CHECK_ERRORS, check="signature", reason="too_large") == 1
    assert len(world.registry.asked) < MOST_CANDIDATES + 10


def test_a_root_that_cannot_be_used_is_no_verdict_on_any_image(world: World, kit: TrustKit) -> None:
    """Truncated while it is replaced; the next cycle reads it again."""
    sign_all(kit, world.on)
    exporter = world.exporter()
    exporter.cycle()
    path = world.folder / "trusted_root.json"
    path.write_text("{")
    assert of(exporter.cycle()) == dict.fromkeys(KINDS, "trusted_root")
    assert exporter.verified("scanner", "signature") == 1
    kit.write_root(path)
    assert of(exporter.cycle()) == GOOD


def test_time_that_runs_backwards_breaks_nothing(world: World, kit: TrustKit) -> None:
    """The check is as old as the clock says."""
    sign_all(kit, world.on)
    exporter = world.exporter()
    exporter.cycle()
    exporter.now -= 100_000
    assert of(exporter.cycle()) == GOOD
    assert exporter.value(m.IMAGE_LAST_CHECK, component="scanner", check="signature") == exporter.now


# ---- mirrors --------------------------------------------------------------------------------------


def test_a_mirror_with_half_of_the_evidence_makes_no_image_fail(world: World, kit: TrustKit) -> None:
    """Before an image is called bad, every source is asked."""
    mirror = Memory("mirror.example.org")
    image = push_image(mirror, "stellaops/scanner", LABELS)
    assert image == world.on.image
    sign_all(kit, world.on)
    Attached(mirror, "stellaops/scanner", image, False).bundle(kit.attest(statement(image)))
    hosts = {"hosts": {HOST: {"mirrors": [{"location": "mirror.example.org"}]}}}
    assert of(world.exporter(mirror, registries=hosts).cycle()) == GOOD


def test_a_mirror_s_tag_of_another_day_makes_no_image_fail(world: World, kit: TrustKit) -> None:
    """Tags move: the registry's own signature counts, whatever a mirror has under its tag."""
    mirror = Memory("mirror.example.org")
    image = push_image(mirror, "stellaops/scanner", LABELS)
    stranger = kit.legacy_signature(image, kit.keyless("stranger@example.org"))
    Attached(mirror, "stellaops/scanner", image, False).legacy("sig", [stranger])
    hosts = {"hosts": {HOST: {"mirrors": [{"location": "mirror.example.org"}]}}}
    exporter = world.exporter(mirror, registries=hosts, checks=["signature"])
    assert of(exporter.cycle()) == {"signature": "identity_mismatch"}
    world.on.legacy("sig", [kit.legacy_signature(image)])
    assert of(exporter.cycle()) == {"signature": "verified"}
    mirror.fault = lambda request: httpx.Response(500)
    assert of(exporter.cycle()) == {"signature": "verified"}
    mirror.fault = None
    world.registry.fault = lambda request: httpx.Response(500)
    assert of(exporter.cycle()) == {"signature": "bad_response"}


# ---- which images ---------------------------------------------------------------------------------


def test_an_image_that_is_removed_leaves_no_series(world: World, kit: TrustKit) -> None:
    """Of a manifest that lists it no longer."""
    sign_all(kit, world.on)
    other = signed_image(kit, world.registry, "stellaops/signer")
    path = world.folder / "release.yaml"
    path.write_text(release(scanner=world.on, signer=other))
    exporter = world.exporter(images=[], manifests=[{"name": "stable", "location": "release.yaml"}])
    assert {target for target, _ in exporter.cycle()} == {
        "trusted_root",
        "release stable",
        "scanner",
        "signer",
    }
    path.write_text(release(signer=other))
    exporter.cycle()
    text = exporter.instruments.render(False).decode()
    assert ('component="scanner"' in text, 'component="signer"' in text) == (False, True)


def test_a_component_with_another_digest_begins_anew(world: World, kit: TrustKit) -> None:
    """The verdict on the former image says nothing about this one."""
    sign_all(kit, world.on)
    path = world.folder / "release.yaml"
    path.write_text(release(scanner=world.on))
    exporter = world.exporter(images=[], manifests=[{"name": "stable", "location": "release.yaml"}])
    exporter.cycle()
    after = Attached(world.registry, "stellaops/scanner", push_image(world.registry, "stellaops/scanner", salt="2"), False)  # fmt: skip
    path.write_text(release(scanner=after))
    world.registry.fault = lambda r: httpx.Response(500)
    exporter.cycle()
    assert exporter.verified("scanner", "signature") is None
    text = exporter.instruments.render(False).decode()
    assert (world.on.image in text, after.image in text) == (False, True)


def release(version: str = "2.4.1", **components: Attached) -> str:
    """release.yaml as of blueprint §6.1."""
    listed = "".join(
        f"  - name: {n}\n    image: {HOST}/{on.name}@{on.image}\n" for n, on in components.items()
    )
    head = f'version: "{version}", channel: "stable", date: "2027-06-20T12:00:00Z", calendar: "2027.06"'
    return f"release: {{{head}}}\ncomponents:\n{listed}"


def test_a_manifest_that_cannot_be_read_keeps_its_images(world: World, kit: TrustKit) -> None:
    """They are still what runs; the manifest itself is unknown or malformed."""
    sign_all(kit, world.on)
    path = world.folder / "release.yaml"
    path.write_text(release(scanner=world.on))
    exporter = world.exporter(images=[], manifests=[{"name": "stable", "location": "release.yaml"}])
    first = exporter.cycle()
    path.write_text("release: [")
    second = exporter.cycle()
    path.unlink()
    third = exporter.cycle()
    said = [found["release stable", "manifest"] for found in (first, second, third)]
    assert said == ["verified", "malformed", "bad_response"]
    assert of(first) == of(second) == of(third)


def test_two_channels_hold_the_same_components_under_a_prefix(world: World, kit: TrustKit) -> None:
    """And without one the configuration is refused."""
    sign_all(kit, world.on)
    for name in ("stable", "edge"):
        (world.folder / f"{name}.yaml").write_text(release(scanner=world.on))
    manifests = [{"name": n, "location": f"{n}.yaml"} for n in ("stable", "edge")]
    with pytest.raises(ConfigError, match="the same prefix"):
        world.exporter(images=[], manifests=manifests)
    manifests[1]["prefix"] = "edge-"
    found = world.exporter(images=[], manifests=manifests).cycle()
    assert of(found, "edge-scanner") == of(found, "scanner") == GOOD | {"labels": "verified"}


def test_two_images_under_one_name_are_not_mixed(world: World, kit: TrustKit) -> None:
    """A manifest that clashes with a listed image is refused, and the listed one goes on."""
    other = signed_image(kit, world.registry, "stellaops/other")
    sign_all(kit, world.on)
    (world.folder / "release.yaml").write_text(release(scanner=other))
    found = world.exporter(manifests=[{"name": "stable", "location": "release.yaml"}]).cycle()
    assert (found["release stable", "manifest"], of(found)) == ("malformed", GOOD)


def test_the_public_json_lists_images_too(world: World, kit: TrustKit) -> None:
    """Its version is compared with the labels; it gives no calendar."""
    sign_all(kit, world.on)
    content = {
        "release_id": "r",
        "version": "2.4.1",
        "services": [
            {"service_id": "scanner", "image": f"{HOST}/stellaops/scanner", "digest": world.on.image}
        ],
    }
    (world.folder / "release.json").write_text(json.dumps(content))
    found = world.exporter(images=[], manifests=[{"name": "stable", "location": "release.json"}]).cycle()
    assert of(found) == GOOD | {"labels": "verified"}


# ---- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "verified"),
        ({"org.opencontainers.image.version": "2.4.0"}, "label_mismatch"),
        ({"org.stellaops.release.channel": "edge"}, "label_mismatch"),
        ({"org.stellaops.release.calendar": "2027.05"}, "label_mismatch"),
        ({"org.opencontainers.image.revision": ""}, "label_mismatch"),
        ({"org.opencontainers.image.version": None}, "label_mismatch"),
    ],
)
def test_an_image_s_labels_are_compared_with_its_manifest(
    change: dict[str, Any], said: str, world: World, kit: TrustKit
) -> None:
    """Version, channel, calendar; the revision must be there (blueprint §6.2)."""
    labels = {k: v for k, v in (LABELS | change).items() if v is not None}
    world.on = Attached(
        world.registry, "stellaops/x", push_image(world.registry, "stellaops/x", labels), False
    )
    (world.folder / "release.yaml").write_text(release(scanner=world.on))
    manifests = [{"name": "stable", "location": "release.yaml"}]
    exporter = world.exporter(images=[], manifests=manifests, checks=["labels"])
    assert of(exporter.cycle()) == {"labels": said}
    assert exporter.verified("scanner", "labels") == (said == "verified")
    assert exporter.value(m.CHECK_FAILURES, check="labels", reason="label_mismatch") == (said != "verified")


def test_every_platform_of_a_multi_arch_image_has_its_labels(world: World) -> None:
    """One of them is enough to fail."""
    wrong = LABELS | {"org.stellaops.release.channel": "edge"}
    name = "stellaops/multi"
    platforms = [
        push_image(world.registry, name, labels, salt=s) for s, labels in (("a", LABELS), ("b", wrong))
    ]
    for chosen, said in ((platforms[:1], "verified"), (platforms, "label_mismatch")):
        world.on = Attached(world.registry, name, push_index(world.registry, name, chosen), False)
        listed = images(HOST, scanner=world.on)["images"]
        listed[0]["labels"] = {"channel": "stable"}
        assert world.cycle(images=listed, checks=["labels"]) == {"labels": said}


def test_labels_are_read_once(world: World) -> None:
    """A digest's labels never change."""
    (world.folder / "release.yaml").write_text(release(scanner=world.on))
    manifests = [{"name": "stable", "location": "release.yaml"}]
    exporter = world.exporter(images=[], manifests=manifests, checks=["labels"])
    exporter.cycle()
    asked = len(world.registry.asked)
    exporter.cycle()
    assert (asked, len(world.registry.asked)) == (2, 2)
