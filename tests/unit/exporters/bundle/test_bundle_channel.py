"""A channel's manifest is verified, failed or unknown; each moves its metrics, and unknown moves none of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporters import metrics as m
from exporters.bundle import build
from exporters.bundle.config import Config
from exporters.config import ConfigError, validate
from exporters.fetch import Fetcher
from exporters.subject import Finding
from tests.release_kit import ReleaseKit, Repo, digest_of, sealed
from tests.release_world import NOW, World, said
from tests.trustkit.kit import SLSA, raw, statement

DAY = 86_400.0
MIRRORED = {"hosts": {"registry.example.org": {"mirrors": [{"location": "mirror.example.org"}]}}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def check(world: World, channel: str = "stable", **keys: Any) -> dict[str, tuple[str, str]]:
    return said(world.subject(**keys).check(channel))


def valid(world: World, channel: str = "stable") -> float | None:
    return world.value(m.MANIFEST_VALID, channel=channel)


def detail(findings: Any, name: str) -> str:
    found: Finding = next(f for f in findings if f.check == name)
    return found.outcome.detail


def unreachable() -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_a_good_release_is_verified_in_every_check(world: World) -> None:
    """Manifest, signature, everything it refers to, and its log entries."""
    world.publish(world.release())
    findings = check(world)
    assert {verdict for verdict, _ in findings.values()} == {"verified"}
    assert {
        "checksum",
        "signature",
        "calendar",
        "succession",
        "signer sbom",
        "signer log_entry",
    } <= findings.keys()
    assert valid(world) == 1
    assert world.value(m.MANIFEST_LAST_CHECK, channel="stable") == NOW
    assert (
        world.value(m.MANIFEST_TIMESTAMP, channel="stable")
        == datetime(2027, 6, 20, 12, tzinfo=UTC).timestamp()
    )
    assert world.value(m.MANIFEST_INFO, channel="stable", version="2.4.1") == 1
    assert world.value(m.REFERENCES_LAST_CHECK, channel="stable") == NOW
    for kind in ("image", "sbom", "provenance", "log_entry"):
        labels = {"channel": "stable", "component": "signer", "kind": kind}
        assert world.value(m.REFERENCE_RESOLVABLE, **labels) == world.value(m.DIGEST_MATCH, **labels) == 1


@pytest.mark.parametrize(
    ("spoil", "failed", "reason"),
    [
        (lambda text: text.replace("platform", "platfork"), "checksum", "checksum"),
        (lambda text: text.replace('"stable"', '"edge"'), "channel", "channel"),
        (lambda text: text.replace('"2027.06"', '"2027.07"'), "calendar", "calendar"),
        (lambda text: text.replace('"2.4.1"\n  channel', '"2.4.1-edge"\n  channel'), "channel", "channel"),
    ],
)
def test_one_spoilt_thing_fails_its_own_check(
    world: World, spoil: Callable[[str], str], failed: str, reason: str
) -> None:
    """And makes the manifest invalid."""
    release = world.release()
    release.manifest = spoil(release.manifest.decode()).encode()
    world.publish(release)
    assert check(world)[failed] == ("failed", reason)
    assert valid(world) == 0


def test_a_changed_byte_breaks_checksum_and_signature(world: World) -> None:
    """The sentence says which digest it should be."""
    release = world.release()
    release.manifest += b"# one more line\n"
    world.publish(release)
    findings = world.subject().check("stable")
    assert said(findings)["signature"] == ("failed", "bad_signature")
    assert "it was changed after it was sealed" in detail(findings, "checksum")


def test_another_identity_s_signature_is_refused(world: World) -> None:
    """Even with a good certificate, logged, from the same authority."""
    release = world.release()
    stranger = world.trust.keyless("https://example.org/somebody-else")
    release.manifest_bundle = raw(world.trust.sign_blob(release.manifest, stranger))
    world.publish(release)
    assert check(world)["signature"] == ("failed", "identity_mismatch")
    assert valid(world) == 0


def test_a_manifest_without_signature_is_not_valid(world: World) -> None:
    """No bundle is an answer."""
    release = world.release()
    world.publish(release)
    (world.folder / "release.yaml.sigstore.json").unlink()
    assert check(world)["signature"] == ("failed", "no_signature")
    assert valid(world) == 0


def test_what_an_unsigned_manifest_names_is_not_asked_for(world: World) -> None:
    """Anyone could make us ask any host."""
    release = world.release()
    stranger = world.trust.keyless("https://example.org/somebody-else")
    release.manifest_bundle = raw(world.trust.sign_blob(release.manifest, stranger))
    world.publish(release)
    check(world)
    assert world.requests == []


def test_without_a_trusted_root_there_is_no_verdict(world: World) -> None:
    """Neither good nor bad, from the start."""
    world.publish(world.release())
    assert check(world, trusted_root="nowhere.json")["signature"] == ("unknown", "trusted_root")
    assert valid(world) is None
    assert world.value(m.MANIFEST_ERRORS, reason="trusted_root") == 1


HOSTILE = {
    "alias bomb": b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b]\n",
    "deep JSON": b'{"a":' * 100_000,
    "invalid UTF-8": b"release:\n  version: \xff\xfe\n",
    "an array": b"[1, 2]",
    "nothing": b"",
    "missing fields": b"release:\n  version: 2.4.1\n",
    "binary": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_manifest_is_malformed(world: World, body: bytes) -> None:
    """It was read, and it is no manifest: that is an answer."""
    (world.folder / "release.yaml").write_bytes(body)
    assert check(world) == {"manifest": ("failed", "malformed")}
    assert valid(world) == 0


def test_an_unknown_key_in_a_component_is_refused(world: World) -> None:
    """A signed manifest with a misspelt sbom would read as one without."""
    release = world.release()
    release.seal(release.text().replace("    sbom:", "    sboms:", 1))
    world.publish(release)
    findings = world.subject().check("stable")
    assert detail(findings, "manifest") == "the manifest: components.0.sboms: is not a key that is known here"


AT = "https://releases.example.org/stable.yaml"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (unreachable, "unreachable"),
        (lambda: httpx.Response(503), "bad_response"),
        (lambda: httpx.Response(404), "bad_response"),
        (lambda: httpx.Response(401), "unauthorized"),
        (lambda: httpx.Response(429), "rate_limited"),
        (lambda: httpx.Response(200, html="Log in"), "bad_response"),
        (lambda: httpx.Response(200, headers={"Content-Length": str(1 << 30)}, content=iter([b"x" * 4096] * 1000)),
         "too_large"),
    ],
)  # fmt: skip
def test_no_answer_leaves_the_verdict_and_its_age(
    world: World, answer: Callable[[], httpx.Response], reason: str
) -> None:
    """A good manifest stays good, its last check stands still, and the reason is counted."""
    release = world.release()
    world.files |= {AT: release.manifest, f"{AT}.sigstore.json": release.manifest_bundle}
    subject = world.subject(channels=[{"name": "stable", "manifest": AT}])
    subject.check("stable")
    world.now += 3600
    world.broken[AT] = answer
    before = world.value(m.MANIFEST_ERRORS, reason=reason) or 0
    findings = said(subject.check("stable"))
    assert findings["manifest"] == ("unknown", reason)
    assert valid(world) == 1
    assert world.value(m.MANIFEST_LAST_CHECK, channel="stable") == NOW
    assert world.value(m.MANIFEST_ERRORS, reason=reason) == before + 1
    # What the last good manifest names is still looked after.
    assert findings["signer image"] == ("verified", "")
    assert world.value(m.REFERENCES_LAST_CHECK, channel="stable") == world.now


def test_a_manifest_and_its_signature_are_two_uploads(world: World) -> None:
    """Between them the pair does not fit: unknown for one cycle after a good one, and only for one."""
    world.publish(world.release())
    subject = world.subject()
    subject.check("stable")
    half = world.release(version="2.4.2", date="2027-06-25T12:00:00Z")
    (world.folder / "release.yaml").write_bytes(half.manifest)
    assert said(subject.check("stable"))["signature"] == ("unknown", "bad_response")
    assert valid(world) == 1
    assert said(subject.check("stable"))["signature"] == ("failed", "bad_signature")
    assert valid(world) == 0
    world.publish(half)
    subject.check("stable")
    assert valid(world) == 1
    assert world.value(m.MANIFEST_INFO, channel="stable", version="2.4.2") == 1
    assert world.value(m.MANIFEST_INFO, channel="stable", version="2.4.1") is None


# ---- time -----------------------------------------------------------------------------------------


def test_an_older_manifest_is_a_rollback(world: World) -> None:
    """Well signed as it is: replayed or taken back, nobody can tell. The newest one's date stays."""
    old = world.release()
    new = world.release(version="2.5.0", date="2027-06-28T12:00:00Z")
    world.publish(new)
    subject = world.subject()
    subject.check("stable")
    world.publish(old)
    # A cache that has not heard of the new one: once.
    assert said(subject.check("stable"))["succession"] == ("unknown", "bad_response")
    assert valid(world) == 1
    findings = subject.check("stable")
    assert said(findings)["succession"] == ("failed", "rollback")
    assert "then list it under the channel's `withdrawn`" in detail(findings, "succession")
    assert valid(world) == 0
    assert (
        world.value(m.MANIFEST_TIMESTAMP, channel="stable")
        == datetime(2027, 6, 28, 12, tzinfo=UTC).timestamp()
    )


def test_a_rollback_is_seen_over_a_restart(world: World) -> None:
    """The state file remembers the newest one."""
    old = world.release()
    world.publish(world.release(version="2.5.0", date="2027-06-28T12:00:00Z"))
    check(world)
    world.publish(old)
    assert check(world)["succession"] == ("failed", "rollback")


def test_a_withdrawn_version_may_be_followed_by_an_older_one(world: World) -> None:
    """And may not be offered itself."""
    old = world.release()
    new = world.release(version="2.5.0", date="2027-06-28T12:00:00Z")
    world.publish(new)
    check(world)
    channels = [{"name": "stable", "manifest": "release.yaml", "withdrawn": ["2.5.0"]}]
    assert check(world, channels=channels)["succession"] == ("failed", "rollback")
    world.publish(old)
    assert check(world, channels=channels)["succession"] == ("verified", "")
    assert world.value(m.MANIFEST_INFO, channel="stable", version="2.4.1") == 1


def test_a_manifest_from_the_future_is_unknown(world: World) -> None:
    """Its date or our clock is wrong, and it is not remembered as the newest."""
    world.publish(world.release(date="2027-09-20T12:00:00Z", calendar="2027.09"))
    assert check(world)["succession"] == ("unknown", "internal")
    assert valid(world) is None
    assert world.value(m.FIRST_SEEN, channel="stable", version="2.4.1") is None


def test_a_clock_that_goes_back_changes_nothing_that_was_seen(world: World) -> None:
    """The first sight stays where it was."""
    world.publish(world.release())
    subject = world.subject()
    subject.check("stable")
    world.now = NOW + 10 * DAY
    world.publish(world.release(version="2.4.2", date="2027-07-10T12:00:00Z", calendar="2027.07"))
    subject.check("stable")
    first = world.value(m.FIRST_SEEN, channel="stable", version="2.4.2")
    world.now = NOW + 9.5 * DAY
    subject.check("stable")
    assert world.value(m.FIRST_SEEN, channel="stable", version="2.4.2") == first == NOW + 10 * DAY
    assert valid(world) == 1


def test_a_late_release_is_said(world: World) -> None:
    """Stable is monthly: 34 days with grace. The manifest stays valid."""
    world.publish(world.release())
    world.now += 25 * DAY
    findings = world.subject().check("stable")
    assert said(findings)["cadence"] == ("failed", "late")
    assert (
        detail(findings, "cadence")
        == "version 2.4.1 is 36 days old; the channel's next release is due within 34"
    )
    assert valid(world) == 1


# ---- the soak --------------------------------------------------------------------------------------


def on_both(world: World) -> dict[str, Any]:
    return {"channels": [{"name": n, "manifest": f"{n}.yaml"} for n in ("edge", "stable")]}


def soaked(world: World, days: float) -> tuple[str, str]:
    """Edge is watched from an older version on; then 2.4.2 comes there, and some days later to stable."""
    subject = world.subject(**on_both(world))
    older = world.release(channel="edge", version="2.4.1-edge")
    world.publish(older, "edge.yaml")
    world.publish(world.release(version="2.4.0"), "stable.yaml")
    for channel in ("edge", "stable"):
        subject.check(channel)
    parts = {"date": "2027-07-02T12:00:00Z", "calendar": "2027.07"}
    world.now += DAY
    world.publish(world.release(channel="edge", version="2.4.2-edge", **parts), "edge.yaml")
    subject.check("edge")
    world.now += days * DAY
    world.publish(world.release(version="2.4.2", **parts), "stable.yaml")
    return said(subject.check("stable"))["soak"]


def test_a_week_on_edge_is_enough(world: World) -> None:
    """The versions are the same without the channel's suffix."""
    assert soaked(world, 7) == ("verified", "")
    assert world.value(m.FIRST_SEEN, channel="edge", version="2.4.2") == NOW + DAY
    assert world.value(m.FIRST_SEEN, channel="stable", version="2.4.2") == NOW + 8 * DAY


def test_six_days_on_edge_are_not(world: World) -> None:
    """The release stays valid; the soak is its own check."""
    assert soaked(world, 6) == ("failed", "soak")
    assert valid(world) == 1


def test_a_version_that_was_never_on_edge_skipped_its_soak(world: World) -> None:
    """As far as edge was watched long enough to know."""
    subject = world.subject(**on_both(world))
    world.publish(world.release(channel="edge", version="2.3.0-edge"), "edge.yaml")
    world.publish(world.release(version="2.3.0"), "stable.yaml")
    for channel in ("edge", "stable"):
        subject.check(channel)
    world.publish(world.release(date="2027-06-30T12:00:00Z"), "stable.yaml")
    assert said(subject.check("stable"))["soak"] == ("failed", "soak")


def test_a_new_exporter_does_not_judge_a_soak_that_it_has_not_watched(world: World) -> None:
    """It cannot know what was there before."""
    world.publish(world.release(date="2027-06-30T12:00:00Z"), "stable.yaml")
    world.publish(
        world.release(channel="edge", version="2.4.1-edge", date="2027-06-30T12:00:00Z"), "edge.yaml"
    )
    subject = world.subject(**on_both(world))
    subject.check("edge")
    assert said(subject.check("stable"))["soak"] == ("unknown", "internal")


def test_what_was_seen_survives_a_restart(world: World) -> None:
    """All of it is published before anything is asked."""
    world.publish(world.release())
    check(world)
    first = world.value(m.FIRST_SEEN, channel="stable", version="2.4.1")
    again = World(world.folder, world.trust)
    again.subject()
    assert again.value(m.FIRST_SEEN, channel="stable", version="2.4.1") == first
    assert again.value(m.MANIFEST_TIMESTAMP, channel="stable") is not None
    assert again.value(m.MANIFEST_INFO, channel="stable", version="2.4.1") == 1
    assert again.value(m.MANIFEST_VALID, channel="stable") is None


def test_a_damaged_state_file_is_refused_at_the_start(world: World) -> None:
    """Beginning anew in silence would forget what a rollback is measured by."""
    (world.folder / "state.json").write_text('{"format": 1, "chan')
    config = validate(Config, world.config(), world.folder / "bundle.yaml")
    with pytest.raises(ConfigError, match="move it away to begin anew"):
        build(
            config, world.instruments, Fetcher(transport=httpx.MockTransport(world.answer)), lambda: world.now
        )


def test_a_state_that_cannot_be_written_is_said_and_no_verdict_on_the_release(world: World) -> None:
    """The manifest is still valid."""
    world.publish(world.release())
    assert check(world, state="no/such/folder/state.json")["state"] == ("unknown", "internal")
    assert valid(world) == 1


# ---- other shapes and places -------------------------------------------------------------------------


def test_a_manifest_in_a_registry_is_verified_by_its_referrers(world: World) -> None:
    """cosign signs the artifact, which names the bytes."""
    release = world.release()
    repo = release.repo("releases/stable")
    artifact = repo.artifact("release.yaml", release.manifest, "latest")
    bundle = raw(world.trust.attest(statement(artifact["digest"])))
    repo.attach(artifact, bundle)
    repo.artifact("docker-compose.yml", release.compose, "compose")
    world.serve(release)
    channels = [{"name": "stable", "manifest": "oci://registry.example.org/releases/stable:latest"}]
    findings = check(world, channels=channels, compose="oci://registry.example.org/releases/stable:compose")
    assert findings["signature"] == ("verified", "")
    assert findings["docker-compose.yml compose"] == ("verified", "")
    assert valid(world) == 1


def test_a_referrer_that_signs_something_else_does_not_sign_the_manifest(world: World) -> None:
    """Attached to it as it is: the subject in the signed statement counts."""
    release = world.release()
    repo = release.repo("releases/stable")
    artifact = repo.artifact("release.yaml", release.manifest, "latest")
    repo.attach(artifact, raw(world.trust.attest(statement("sha256:" + "0" * 64))))
    world.serve(release)
    channels = [{"name": "stable", "manifest": "oci://registry.example.org/releases/stable:latest"}]
    assert check(world, channels=channels)["signature"] == ("failed", "subject_mismatch")


def test_an_attestation_of_a_manifest_does_not_sign_it(world: World) -> None:
    """Its provenance is by the same workflow, before anyone has released it."""
    release = world.release()
    repo = release.repo("releases/stable")
    artifact = repo.artifact("release.yaml", release.manifest, "latest")
    repo.attach(artifact, raw(world.trust.attest(statement(artifact["digest"], SLSA))))
    world.serve(release)
    channels = [{"name": "stable", "manifest": "oci://registry.example.org/releases/stable:latest"}]
    assert check(world, channels=channels)["signature"] == ("failed", "no_signature")
    assert valid(world) == 0
    repo.attach(artifact, raw(world.trust.attest(statement(artifact["digest"]))))
    assert check(world, channels=channels)["signature"] == ("verified", "")


def test_a_mirror_with_a_part_of_the_referrers_does_not_hide_the_signature(world: World) -> None:
    """Before a manifest is called unsigned, every source is asked."""
    release = world.release()
    repo = release.repo("releases/stable")
    artifact = repo.artifact("release.yaml", release.manifest, "latest")
    copy = Repo(repo.manifests, repo.blobs, repo.tags)
    copy.attach(artifact, raw(world.trust.attest(statement(artifact["digest"], SLSA))))
    world.repos["mirror.example.org/releases/stable"] = copy
    repo.attach(artifact, raw(world.trust.attest(statement(artifact["digest"]))))
    world.serve(release)
    channels = [{"name": "stable", "manifest": "oci://registry.example.org/releases/stable:latest"}]
    assert check(world, channels=channels, registries=MIRRORED)["signature"] == ("verified", "")


def public(world: World) -> bytes:
    """The platform's public JSON of a release that is in the registry."""
    release = ReleaseKit(world.trust).build()
    world.serve(release)
    services = [
        {
            "service_id": i.name,
            "image": f"registry.example.org/{i.repository}",
            "digest": i.digest,
            "name": "not read",
        }
        for i in release.images
    ]
    return json.dumps(
        {
            "release_id": "r",
            "version": "2027.06.1",
            "released_at": "2027-06-20T12:00:00Z",
            "services": services,
        }
    ).encode()


def test_the_public_json_is_verified_with_a_list_of_checksums(world: World) -> None:
    """It has no checksum of its own; sha256sum's file names it."""
    data = public(world)
    (world.folder / "release.json").write_bytes(data)
    (world.folder / "release.json.sigstore.json").write_bytes(raw(world.trust.sign_blob(data)))
    (world.folder / "SHA256SUMS").write_text(f"{digest_of(data)[7:]}  ./release.json\n{'0' * 64}  other\n")
    channels = [{"name": "stable", "manifest": "release.json", "checksums": "SHA256SUMS"}]
    findings = check(world, channels=channels)
    assert {v for v, _ in findings.values()} == {"verified"}
    assert {"checksum", "signer image"} <= findings.keys()
    (world.folder / "SHA256SUMS").write_text(f"{'0' * 64}  release.json\n")
    assert check(world, channels=channels)["checksum"] == ("failed", "checksum")


def test_a_release_yaml_without_any_checksum_is_incomplete(world: World) -> None:
    """§6.1 asks for one."""
    release = world.release()
    text = release.text()
    release.manifest = text[: text.index("checksums:")].encode()
    release.manifest_bundle = raw(world.trust.sign_blob(release.manifest))
    world.publish(release)
    assert check(world)["checksum"] == ("failed", "incomplete")


def test_a_bare_signature_by_a_key_counts_where_the_log_is_waived(world: World) -> None:
    """As the platform's packaging writes it: cosign sign-blob --key ... --output-signature."""
    release = world.release()
    signer = world.trust.key()
    (world.folder / "cosign.pub").write_bytes(signer.pem)
    (world.folder / "release.yaml.sig").write_bytes(base64.b64encode(signer.sign(release.manifest)) + b"\n")
    world.publish(release)
    channel = {"name": "stable", "manifest": "release.yaml", "bundle": "release.yaml.sig"}
    waived = {"key": "cosign.pub", "require_log": False}
    assert check(world, channels=[{**channel, "policy": waived}])["signature"] == ("verified", "")
    assert check(world, channels=[{**channel, "policy": {"key": "cosign.pub"}}])["signature"] == (
        "failed",
        "tlog",
    )
    assert check(world, channels=[channel])["signature"] == ("failed", "identity_mismatch")
    (world.folder / "release.yaml.sig").write_bytes(base64.b64encode(signer.sign(b"something else")))
    assert check(world, channels=[{**channel, "policy": waived}])["signature"] == ("failed", "bad_signature")


def test_what_a_channel_requires_of_each_image_must_be_in_the_manifest(world: World) -> None:
    """By default the log entry, which §2.3 demands."""
    release = world.release()
    lines = [line for line in release.text().splitlines(keepends=True) if "provenance" not in line]
    release.seal("".join(lines))
    world.publish(release)
    assert check(world)["completeness"] == ("verified", "")
    channels = [{"name": "stable", "manifest": "release.yaml", "require": ["signature", "provenance"]}]
    findings = world.subject(channels=channels).check("stable")
    assert detail(findings, "completeness") == "component authority has no provenance in the manifest"


def test_sealing_by_hand_is_what_the_helper_does() -> None:
    """The rule of the documentation: sha256sum of the file with an empty value."""
    text = 'a: b\nchecksums:\n  sha256: ""\n'
    assert sealed(text) == f'a: b\nchecksums:\n  sha256: "{digest_of(text.encode())[7:]}"\n'.encode()
