"""The cosign exporter against what real programs wrote: cosign 3 and 2, Rekor v2, Fulcio, a timestamp authority.

Each verdict is compared with that of `cosign verify` on the same image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.live.second_opinion import case, opinions
from tests.live.sigstoreworld import EMAIL, Sigstore, sigstore
from tests.trustkit.exporter import KINDS, LABELS, Exporter, images
from tests.trustkit.images import INDEX, MANIFEST, Attached, Remote, push_image, push_index
from tests.trustkit.servers import docker_registry, referrers_registry

pytestmark = pytest.mark.live

ANY = {"Accept": f"{MANIFEST}, {INDEX}"}
GOOD = dict.fromkeys(KINDS, "verified")
SBOM = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
BUILD = {
    "buildDefinition": {"buildType": "https://example.org/build", "externalParameters": {}},
    "runDetails": {"builder": {"id": "https://example.org/builder"}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sigstore]:
    with sigstore(tmp_path_factory.mktemp("sigstore")) as running:
        yield running


@pytest.fixture(scope="module", params=["referrers", "fallback"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A registry with the Referrers API, and Debian's without."""
    folder = tmp_path_factory.mktemp("registry")
    with ExitStack() as stack:
        if request.param == "referrers":
            yield Remote(stack.enter_context(referrers_registry(folder)), True)
        else:
            yield Remote(stack.enter_context(docker_registry(folder)), False)


def pushed(store: Remote, name: str) -> Attached:
    return Attached(
        store, f"stellaops/{name}", push_image(store, f"stellaops/{name}", LABELS), not store.referrers
    )


def reference(store: Remote, on: Attached) -> str:
    return f"{store.address}/{on.name}@{on.image}"


def sign_all(world: Sigstore, image: str, **how: Any) -> None:
    world.sign(image, **how)
    world.attest(image, "cyclonedx", SBOM, **how)
    world.attest(image, "slsaprovenance1", BUILD, **how)


def policy(world: Sigstore, keyless: bool, **change: Any) -> dict[str, Any]:
    own = {"identity": EMAIL, "issuer": world.issuer.url} if keyless else {"key": str(world.public_key)}
    return {"policies": {"all": own | change}}


def judged(world: Sigstore, store: Remote, on: Attached, **config: Any) -> dict[str, str]:
    exporter = Exporter(world.folder, images(store.address, plain_http=True, image=on) | config)
    return {check: said for (target, check), said in exporter.cycle().items() if target == "image"}


def cosign_says(world: Sigstore, image: str, keyless: bool, identity: str = EMAIL) -> dict[str, bool]:
    """cosign's own verdict on the three."""
    who = ["--key", str(world.public_key)]
    if keyless:
        who = ["--certificate-identity", identity, "--certificate-oidc-issuer", world.issuer.url]
    how = [*who, "--trusted-root", str(world.root), "--allow-http-registry", image]
    asked = {
        "signature": ["verify", *how],
        "sbom": ["verify-attestation", "--type", "cyclonedx", *how],
        "provenance": ["verify-attestation", "--type", "slsaprovenance1", *how],
    }
    return {check: world.cosign(*command, check=False).returncode == 0 for check, command in asked.items()}


@pytest.mark.parametrize("keyless", [True, False], ids=["keyless", "key"])
def test_what_cosign_3_signs_is_verified(keyless: bool, world: Sigstore, store: Remote) -> None:
    """Fulcio's certificates and keys, in Rekor v2, with timestamps."""
    on = pushed(store, f"good-{keyless}".lower())
    sign_all(world, reference(store, on), keyless=keyless)
    assert judged(world, store, on, **policy(world, keyless)) == GOOD
    assert cosign_says(world, reference(store, on), keyless) == dict.fromkeys(KINDS, True)


def test_an_index_is_signed_as_a_whole(world: Sigstore, store: Remote) -> None:
    """cosign signs the digest it is given."""
    name = "stellaops/multi"
    platforms = [push_image(store, name, LABELS, salt=s) for s in ("amd64", "arm64")]
    sizes = {d: len(store.client.get(f"http://{store.address}/v2/{name}/manifests/{d}", headers=ANY).content) for d in platforms}  # fmt: skip
    on = Attached(store, name, push_index(store, name, platforms, sizes), False)
    world.sign(reference(store, on))
    assert judged(world, store, on, checks=["signature"], **policy(world, False)) == {"signature": "verified"}


def test_an_image_without_signature_fails(world: Sigstore, store: Remote) -> None:
    """As cosign says too."""
    on = pushed(store, "bare")
    assert judged(world, store, on, **policy(world, True)) == dict.fromkeys(KINDS, "no_signature")
    assert cosign_says(world, reference(store, on), True) == dict.fromkeys(KINDS, False)


def test_somebody_else_s_signature_fails(world: Sigstore, store: Remote) -> None:
    """Another identity of the same issuer; the same identity by another issuer."""
    on = pushed(store, "stranger")
    sign_all(world, reference(store, on), keyless=True, email="eve@stella-ops.example")
    assert judged(world, store, on, **policy(world, True)) == dict.fromkeys(KINDS, "identity_mismatch")
    assert cosign_says(world, reference(store, on), True) == dict.fromkeys(KINDS, False)
    hers = policy(world, True, identity="eve@stella-ops.example", issuer="https://issuer.example.net")
    assert judged(world, store, on, **hers) == dict.fromkeys(KINDS, "issuer_mismatch")


def copy(store: Remote, of: Attached, to: Attached) -> None:
    """The image without what is attached to it."""
    base = f"http://{store.address}/v2/{of.name}"
    manifest = store.client.get(f"{base}/manifests/{of.image}", headers=ANY)
    for part in (manifest.json()["config"], *manifest.json()["layers"]):
        store.put_blob(to.name, store.client.get(f"{base}/blobs/{part['digest']}").content)
    store.put_manifest(to.name, of.image, manifest.content, manifest.headers["content-type"])


def bundles(store: Remote, on: Attached) -> list[bytes]:
    """What cosign attached, as it lies in the registry."""
    client, base = store.client, f"http://{store.address}/v2/{on.name}"
    listed = client.get(f"{base}/referrers/{on.image}")
    if listed.status_code == 404:
        listed = client.get(f"{base}/manifests/{on.image.replace(':', '-')}", headers=ANY)
    found = []
    for descriptor in listed.json()["manifests"]:
        manifest = client.get(f"{base}/manifests/{descriptor['digest']}", headers=ANY).json()
        found += [client.get(f"{base}/blobs/{layer['digest']}").content for layer in manifest["layers"]]
    return found


@pytest.mark.parametrize("keyless", [True, False], ids=["keyless", "key"])
def test_a_real_signature_beside_another_image_fails(keyless: bool, world: Sigstore, store: Remote) -> None:
    """Copied as it is."""
    signed, copied = (pushed(store, f"{n}-{keyless}".lower()) for n in ("signed", "copied"))
    world.sign(reference(store, signed), keyless=keyless)
    for bundle in bundles(store, signed):
        copied.bundle(bundle)
    said = judged(world, store, copied, checks=["signature"], **policy(world, keyless))
    assert said == {"signature": "subject_mismatch"}
    assert not cosign_says(world, reference(store, copied), keyless)["signature"]


@pytest.mark.parametrize("keyless", [True, False], ids=["keyless", "key"])
def test_a_real_signature_without_its_log_entry_fails(keyless: bool, world: Sigstore, store: Remote) -> None:
    """Another registry may serve what it likes."""
    signed = pushed(store, f"logged-{keyless}".lower())
    world.sign(reference(store, signed), keyless=keyless)
    (bundle,) = (json.loads(b) for b in bundles(store, signed))
    bundle["verificationMaterial"]["tlogEntries"] = []
    stripped = Attached(store, f"stellaops/stripped-{keyless}".lower(), signed.image, not store.referrers)
    copy(store, signed, stripped)
    stripped.bundle(bundle)
    said = judged(world, store, stripped, checks=["signature"], **policy(world, keyless))
    assert said == {"signature": "tlog"}
    assert not cosign_says(world, reference(store, stripped), keyless)["signature"]


@pytest.mark.parametrize("keyless", [True, False], ids=["keyless", "key"])
def test_javascript_agrees_on_what_cosign_wrote(keyless: bool, world: Sigstore, store: Remote) -> None:
    """npm's @sigstore/verify on the very bytes in the registry."""
    on = pushed(store, f"opinion-{keyless}".lower())
    sign_all(world, reference(store, on), keyless=keyless)
    root = json.loads(world.root.read_text())
    how: dict[str, Any] = {"key": world.public_key.read_bytes()}
    if keyless:
        how = {"identity": EMAIL, "issuer": world.issuer.url}
    said = opinions([case(root, json.loads(bundle), **how) for bundle in bundles(store, on)])
    assert said == [""] * len(KINDS)


def test_a_window_that_ended_before_the_signing_refuses(world: Sigstore, store: Remote) -> None:
    """The same image, under a root in which the log's key had ended."""
    on = pushed(store, "window")
    sign_all(world, reference(store, on), keyless=True)
    for kind in ("tlogs", "certificateAuthorities", "ctlogs"):
        root = json.loads(world.root.read_text())
        for entry in root[kind]:
            holder = entry if kind == "certificateAuthorities" else entry["publicKey"]
            holder["validFor"]["end"] = holder["validFor"]["start"]
        path: Path = world.folder / f"ended-{kind}.json"
        path.write_text(json.dumps(root))
        said = judged(world, store, on, trusted_root={"file": str(path)}, **policy(world, True))
        assert said == dict.fromkeys(KINDS, "trust_window")


# ---- legacy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyless", [True, False], ids=["keyless", "key"])
def test_what_cosign_2_signs_is_verified(keyless: bool, world: Sigstore, store: Remote) -> None:
    """Its tags, with the promise of a Rekor v1 log (the kit's) beside each signature."""
    on = pushed(store, f"legacy-{keyless}".lower())
    image = reference(store, on)
    world.sign_legacy(image, keyless=keyless)
    world.attest_legacy(image, "cyclonedx", SBOM, keyless=keyless)
    world.attest_legacy(image, "slsaprovenance1", BUILD, keyless=keyless)
    assert judged(world, store, on, **policy(world, keyless)) == GOOD
    who = ["--key", str(world.public_key)]
    if keyless:
        who = ["--certificate-identity", EMAIL, "--certificate-oidc-issuer", world.issuer.url]
    how = [*who, "--rekor-url", world.legacy_log.url, "--allow-http-registry", "--offline", image]
    assert world.cosign("verify", *how, version=2).returncode == 0


def test_what_cosign_2_did_not_log_needs_a_policy_that_waives_the_log(world: Sigstore, store: Remote) -> None:
    """By key, and nothing else."""
    on = pushed(store, "unlogged")
    world.sign_legacy(reference(store, on), log=False)
    assert judged(world, store, on, checks=["signature"], **policy(world, False)) == {"signature": "tlog"}
    waived = policy(world, False, require_log=False)
    assert judged(world, store, on, checks=["signature"], **waived) == {"signature": "verified"}
