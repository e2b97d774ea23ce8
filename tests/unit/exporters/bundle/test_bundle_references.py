"""What a manifest refers to is asked for by digest: there, missing, another thing, or no answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporters import metrics as m
from exporters.bundle.subject import Releases
from exporters.loop import Loop
from tests.release_kit import Release, Repo
from tests.release_world import NOW, REKOR, TILES, World, pem, said

SIGNER = "https://registry.example.org/v2/stellaops/signer"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def published(world: World, component: str, kind: str) -> tuple[float | None, float | None]:
    """Resolvable, and equal."""
    labels = {"channel": "stable", "component": component, "kind": kind}
    return world.value(m.REFERENCE_RESOLVABLE, **labels), world.value(m.DIGEST_MATCH, **labels)


def sentence(world: World, check: str) -> str:
    return next(f.outcome.detail for f in world.subject().check("stable") if f.check == check)


def lose(kind: str) -> Callable[[Release], None]:
    def change(release: Release) -> None:
        repo, image = release.repo("stellaops/signer"), release.image("signer")
        del repo.manifests[image.digest if kind == "image" else image.referrers[kind]["digest"]]

    return change


@pytest.mark.parametrize("kind", ["image", "sbom", "provenance"])
def test_what_the_registry_does_not_have_does_not_resolve(world: World, kind: str) -> None:
    """It is neither equal nor different; the manifest stays valid."""
    release = world.release()
    lose(kind)(release)
    world.publish(release)
    assert said(world.subject().check("stable"))[f"signer {kind}"] == ("failed", "missing")
    assert published(world, "signer", kind) == (0, None)
    assert world.value(m.MANIFEST_VALID, channel="stable") == 1
    assert world.value(m.REFERENCES_LAST_CHECK, channel="stable") == NOW


def test_the_sentence_names_component_kind_and_digest(world: World) -> None:
    """And where it was looked for."""
    release = world.release()
    lose("sbom")(release)
    world.publish(release)
    digest = release.image("signer").referrers["sbom"]["digest"]
    assert sentence(world, "signer sbom").startswith(
        f"component signer: sbom digest {digest[:19]}… is not there: registry.example.org has no "
    )


def test_an_image_without_one_of_its_platforms_does_not_resolve(world: World) -> None:
    """Garbage collection took a child of the index: half of the nodes could not pull it."""
    release = world.release()
    repo, image = release.repo("stellaops/signer"), release.image("signer")
    del repo.manifests[
        next(
            d
            for d in repo.manifests
            if d not in (image.digest, *(r["digest"] for r in image.referrers.values()))
        )
    ]
    world.publish(release)
    assert said(world.subject().check("stable"))["signer image"] == ("failed", "missing")
    assert published(world, "signer", "image") == (0, None)


def test_other_content_under_the_digest_is_a_mismatch(world: World) -> None:
    """A swapped image, or a proxy with a login page: it resolves, and it is not what the manifest names."""
    release = world.release()
    world.publish(release)
    world.broken[f"{SIGNER}/manifests/{release.image('signer').digest}"] = lambda: httpx.Response(
        200, text="Log in"
    )
    assert said(world.subject().check("stable"))["signer image"] == ("failed", "digest_mismatch")
    assert published(world, "signer", "image") == (1, 0)


def test_bytes_that_were_damaged_once_are_asked_for_again(world: World) -> None:
    """One bad answer on the way is no mismatch."""
    release = world.release()
    world.publish(release)
    digest = release.image("signer").digest
    media, data = release.repo("stellaops/signer").manifests[digest]
    answers = iter([data[:-1] + b" ", *[data] * 9])
    world.broken[f"{SIGNER}/manifests/{digest}"] = lambda: httpx.Response(
        200, content=next(answers), headers={"Content-Type": media}
    )
    assert said(world.subject().check("stable"))["signer image"] == ("verified", "")


def test_an_sbom_of_another_image_is_a_mismatch(world: World) -> None:
    """Its digest is right, and its subject is not this image."""
    release = world.release()
    repo = release.repo("stellaops/signer")
    other = release.image("authority")
    foreign = repo.attach(other.descriptor, other.bundles["sbom"])
    release.image("signer").referrers["sbom"] = foreign
    release.seal()
    world.publish(release)
    assert said(world.subject().check("stable"))["signer sbom"] == ("failed", "subject_mismatch")
    assert published(world, "signer", "sbom") == (1, 0)


def test_a_registry_that_gives_no_answer_changes_nothing(world: World) -> None:
    """What was known stays, its age grows, the reason is counted."""
    world.publish(world.release())
    subject = world.subject()
    subject.check("stable")
    world.now += 3600
    world.broken[SIGNER] = lambda: httpx.Response(500)
    findings = said(subject.check("stable"))
    assert findings["signer image"] == findings["signer sbom"] == ("unknown", "bad_response")
    assert findings["authority image"] == ("verified", "")
    assert published(world, "signer", "image") == (1, 1)
    assert world.value(m.REFERENCES_LAST_CHECK, channel="stable") == NOW
    assert (world.value(m.MANIFEST_ERRORS, reason="bad_response") or 0) >= 3


def test_a_component_that_left_the_release_leaves_the_metrics(world: World) -> None:
    """Otherwise a missing image would be missing for ever; a restart of the configuration forgets it as well."""
    release = world.release()
    lose("image")(release)
    world.publish(release)
    world.subject().check("stable")
    assert published(world, "signer", "image") == (0, None)
    world.publish(world.release(components=("authority",), version="2.4.2", date="2027-06-21T12:00:00Z"))
    world.subject().check("stable")
    assert published(world, "signer", "image") == (None, None)
    assert published(world, "authority", "image") == (1, 1)


def test_a_channel_that_is_no_longer_configured_leaves_the_metrics(world: World) -> None:
    """As the loop does it after a reload."""
    world.publish(world.release())
    channels = [{"name": n, "manifest": "release.yaml"} for n in ("stable", "lts")]
    before, after = world.subject(channels=channels), world.subject()
    loop = Loop(before, world.instruments, before._config)
    loop.cycle()
    assert world.value(m.MANIFEST_VALID, channel="lts") == 0  # it is a manifest of stable
    loop.replace(after, after._config)
    loop._swap()
    loop.cycle()
    assert world.value(m.MANIFEST_VALID, channel="lts") is None
    assert published(world, "signer", "image") == (1, 1)


# ---- charts and compose -------------------------------------------------------------------------------


def test_a_tag_that_leads_to_another_chart_is_a_mismatch(world: World) -> None:
    """helm install --version pulls by tag, whatever the digest is."""
    release = world.release()
    release.repo("charts/platform").artifact("platform-2.4.1.tgz", b"another chart", "2.4.1")
    world.publish(release)
    assert said(world.subject().check("stable"))["platform chart"] == ("failed", "digest_mismatch")
    assert published(world, "platform", "chart") == (1, 0)


def test_charts_and_compose_files_at_urls_are_read_and_compared(world: World) -> None:
    """A file has no address by digest."""
    release = world.release()
    world.publish(release)
    base = "https://charts.example.org"
    world.files = {
        f"{base}/platform-2.4.1.tgz": release.chart,
        f"{base}/docker-compose.yml": b"services: {evil: {}}\n",
    }
    findings = said(world.subject(charts=base, compose=base).check("stable"))
    assert findings["platform chart"] == ("verified", "")
    assert findings["docker-compose.yml compose"] == ("failed", "digest_mismatch")
    assert published(world, "docker-compose.yml", "compose") == (1, 0)


def test_without_a_place_of_charts_there_is_no_verdict_on_them(world: World) -> None:
    """The sentence says what to configure."""
    world.publish(world.release())
    assert said(world.subject(charts=None).check("stable"))["platform chart"] == ("unknown", "unreachable")
    assert published(world, "platform", "chart") == (None, None)


# ---- log entries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_an_entry_is_found_included_and_of_this_image(world: World, log: str) -> None:
    """By UUID in Rekor v1, by index and origin in v2."""
    world.publish(world.release(log=log))
    assert said(world.subject().check("stable"))["signer log_entry"] == ("verified", "")
    assert published(world, "signer", "log_entry") == (1, 1)


@pytest.mark.parametrize("log", ["v1", "v2"])
def test_an_entry_of_another_image_s_signature_is_a_mismatch(world: World, log: str) -> None:
    """It is in the log, and no signature of this image carries it."""
    release = world.release(log=log)
    release.image("signer").bundles["signature"] = release.image("authority").bundles["signature"]
    release.seal()
    world.log_again(release)
    world.publish(release)
    assert said(world.subject().check("stable"))["signer log_entry"] == ("failed", "subject_mismatch")
    assert published(world, "signer", "log_entry") == (1, 0)


def test_an_entry_that_the_log_does_not_have_does_not_resolve(world: World) -> None:
    """The log answers, and says so."""
    world.publish(world.release())
    world.entries.clear()
    assert said(world.subject().check("stable"))["signer log_entry"] == ("failed", "missing")
    assert published(world, "signer", "log_entry") == (0, None)


def test_an_index_beyond_the_log_s_end_does_not_resolve(world: World) -> None:
    """In Rekor v2 a signed checkpoint says how many entries there are."""
    release = world.release(log="v2")
    text = release.text().replace(f"signature: {release.entry(release.image('signer'))}",
                                  f"signature: {{ logIndex: 900, origin: {world.trust.rekor2.name} }}")  # fmt: skip
    release.seal(text)
    world.log_again(release)
    world.publish(release)
    assert said(world.subject().check("stable"))["signer log_entry"] == ("failed", "missing")


@pytest.mark.parametrize(("log", "where"), [("v1", REKOR), ("v2", TILES)])
def test_a_log_that_is_down_gives_no_verdict(world: World, log: str, where: str) -> None:
    """Every entry is unknown; nothing is published of them."""
    world.publish(world.release(log=log))
    world.broken[where] = lambda: httpx.Response(502)
    assert said(world.subject().check("stable"))["signer log_entry"] == ("unknown", "bad_response")
    assert published(world, "signer", "log_entry") == (None, None)


def damaged(world: World, times: int) -> Callable[[], httpx.Response]:
    """Rekor v1's answers for the signer's entry: `times` times with another entry's body under its UUID."""
    entry, other = (world.entries[index] for index in sorted(world.entries)[3:5])
    left = iter(range(times))

    def answer() -> httpx.Response:
        path = httpx.URL(world.requests[-1])
        found = world._rekor(httpx.Request("GET", path))
        if str(path).endswith(uuid_of(world, entry)) and next(left, None) is not None:
            ((uuid, served),) = found.json().items()
            return httpx.Response(200, json={uuid: served | {"body": other["canonicalizedBody"]}})
        return found

    return answer


def uuid_of(world: World, entry: dict[str, Any]) -> str:
    leaf = hashlib.sha256(b"\0" + base64.b64decode(entry["canonicalizedBody"])).hexdigest()
    return f"{world.trust.rekor.TREE_ID:016x}{leaf}"


@pytest.mark.parametrize(("times", "verdict"), [(1, ("verified", "")), (2, ("failed", "tlog"))])
def test_a_damaged_entry_is_looked_at_once_more(world: World, times: int, verdict: tuple[str, str]) -> None:
    """One bad answer may be an error on the way; the same one past every cache is what the log says."""
    world.publish(world.release())
    world.broken[REKOR] = damaged(world, times)
    assert said(world.subject().check("stable"))["signer log_entry"] == verdict


def test_a_damaged_checkpoint_is_looked_at_once_more(world: World) -> None:
    """Its signature does not verify, and the next one's does."""
    world.publish(world.release(log="v2"))
    good = world._tile("checkpoint").text
    answers = iter([good.replace("\n", "1\n", 2)])
    world.broken[f"{TILES}/checkpoint"] = lambda: httpx.Response(200, text=next(answers, good))
    assert said(world.subject().check("stable"))["signer log_entry"] == ("verified", "")


def test_a_log_that_is_not_configured_is_not_trusted(world: World) -> None:
    """Its keys are not known, so nothing that it says is believed."""
    world.publish(world.release())
    assert said(world.subject(logs=[]).check("stable"))["signer log_entry"] == ("unknown", "trusted_root")


def test_an_entry_signed_by_another_log_is_no_answer(world: World) -> None:
    """A server in between that makes up a log of its own."""
    world.publish(world.release())
    other = World(world.folder).trust.rekor
    logs = [{"kind": "v1", "url": REKOR, "origin": other.name, "keys": [pem(other.key)]}]
    verdict, _ = said(world.subject(logs=logs).check("stable"))["signer log_entry"]
    assert verdict != "verified"
    assert published(world, "signer", "log_entry")[1] != 1


def test_a_bundle_is_read_once_and_what_is_attached_is_listed_each_time(world: World) -> None:
    """Content by digest never changes; which bundles an image has does."""
    world.publish(world.release())
    subject: Releases = world.subject()
    subject.check("stable")
    world.requests.clear()
    subject.check("stable")
    assert [url for url in world.requests if "/blobs/" in url and "charts" not in url] == []
    assert len([url for url in world.requests if f"{SIGNER}/referrers/" in url]) == 1
    assert [url for url in world.requests if url.startswith(REKOR)] != []


def test_a_signature_that_was_replaced_no_longer_carries_its_entry(world: World) -> None:
    """The manifest names the entry of the former signature: what is attached now was logged elsewhere."""
    release = world.release()
    world.publish(release)
    subject = world.subject()
    assert said(subject.check("stable"))["signer log_entry"] == ("verified", "")
    repo, image = release.repo("stellaops/signer"), release.image("signer")
    signature = image.referrers["signature"]
    repo.attached[image.digest].remove(signature)
    del repo.manifests[signature["digest"]]
    repo.attach(image.descriptor, world.signed_again(image))
    assert said(subject.check("stable"))["signer log_entry"] == ("failed", "subject_mismatch")
    assert published(world, "signer", "log_entry") == (1, 0)


def test_an_entry_found_in_one_repository_says_nothing_of_another(world: World) -> None:
    """The same image without its signature, as a copy without its referrers is."""
    release = world.release()
    world.publish(release)
    subject = world.subject()
    assert said(subject.check("stable"))["signer log_entry"] == ("verified", "")
    repo, image = release.repo("stellaops/signer"), release.image("signer")
    copied = "registry.example.org/copies/signer"
    world.repos[copied] = Repo(manifests=repo.manifests, blobs=repo.blobs)
    where = f"image: registry.example.org/stellaops/signer@{image.digest}"
    release.seal(release.text().replace(where, f"image: {copied}@{image.digest}"))
    world.log_again(release)
    world.publish(release)
    assert said(subject.check("stable"))["signer log_entry"] == ("failed", "subject_mismatch")


@pytest.mark.parametrize("cycles", [0, 1])
def test_a_signature_that_is_listed_and_gone_gives_no_verdict(world: World, cycles: int) -> None:
    """A list may be stale, before the first look and after one. The check itself does not break."""
    release = world.release()
    world.publish(release)
    subject = world.subject()
    for _ in range(cycles):
        subject.check("stable")
    lose("signature")(release)
    findings = said(subject.check("stable"))
    assert findings["signer log_entry"] == ("unknown", "bad_response")
    assert findings["authority log_entry"] == ("verified", "")


def test_a_referrer_that_cannot_be_read_hides_no_signature_behind_it(world: World) -> None:
    """One good one is enough."""
    release = world.release()
    world.publish(release)
    repo, image = release.repo("stellaops/signer"), release.image("signer")
    gone = {**image.referrers["sbom"], "digest": f"sha256:{'0' * 64}"}
    repo.attached[image.digest].insert(0, gone)
    assert said(world.subject().check("stable"))["signer log_entry"] == ("verified", "")


def test_a_mirror_with_a_part_of_the_referrers_hides_no_entry(world: World) -> None:
    """It copied the SBOM and not the signature: before an entry is called another image's, every source is asked."""
    release = world.release()
    world.publish(release)
    repo, image = release.repo("stellaops/signer"), release.image("signer")
    kept = {image.digest: [image.referrers["sbom"]]}
    world.repos["mirror.example.org/stellaops/signer"] = Repo(repo.manifests, repo.blobs, repo.tags, kept)
    registries = {"hosts": {"registry.example.org": {"mirrors": [{"location": "mirror.example.org"}]}}}
    assert said(world.subject(registries=registries).check("stable"))["signer log_entry"] == ("verified", "")


def test_a_flood_of_referrers_gives_no_verdict(world: World) -> None:
    """Whoever may push can hide the signature behind others; that is no proof that there is none."""
    release = world.release()
    world.publish(release)
    repo, image = release.repo("stellaops/signer"), release.image("signer")
    flood = [
        repo.manifest({"artifactType": "x/y", "config": repo.blob(b"{}", "x/y"), "layers": [], "annotations": {"n": str(n)}},
                      "application/vnd.oci.image.manifest.v1+json") for n in range(100)
    ]  # fmt: skip
    repo.attached[image.digest] = flood + repo.attached[image.digest]
    assert said(world.subject().check("stable"))["signer log_entry"] == ("unknown", "too_large")
