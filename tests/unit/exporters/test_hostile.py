"""Hostile input at the real exporters, over sockets: each case with the metrics that it moves, and those it must not.

What moves a verdict to 0 and what leaves it unknown is in the tables below. Cases that a module's own tests hold
to their metrics already are not repeated here: tests/unit/exporters/cosign, rekor and bundle.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import logkit
import pytest
import zstandard
from loopback import (
    Answer,
    Loopback,
    Misbehaviour,
    Running,
    endless,
    gigabyte,
    kept_logging,
    series,
    slow_drip,
    truncated,
)

from exporters import metrics as m
from tests.release_kit import Release, tarred
from tests.release_world import NOW, TILES, World, pem
from tests.trustkit.exporter import LABELS, sign_all
from tests.trustkit.images import Attached, digest_of, push_image
from tests.trustkit.kit import CYCLONEDX, IDENTITY, ISSUER, SIGN, SIGNED, TrustKit, raw, statement
from tests.trustkit.registry import Memory

DEEP = b'{"a":' * 100_000
LATER = 60.0  # seconds between two cycles
Samples = dict[str, float | None]


@dataclass
class Site:
    """Servers of a test, and the exporter over them. `elsewhere` is another host, which must hear nothing."""

    folder: Path
    here: Loopback
    elsewhere: Loopback
    trust: TrustKit = field(default_factory=TrustKit)

    def run(self, word: str, config: Mapping[str, Any], now: float = NOW) -> Running:
        """Started, with one good cycle behind it."""
        exporter = Running(word, self.folder, config, now)
        exporter.cycle()
        return exporter

    def faulty(self, begins: str, fault: Answer) -> None:
        """Addresses whose path begins so are answered by this from now on."""
        good = self.here.answer
        self.here.answer = lambda asked: (fault if asked.url.path.startswith(begins) else good)(asked)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with kept_logging(), Loopback() as here, Loopback() as elsewhere:
        yield Site(tmp_path, here, elsewhere)


# ---- servers that give no answer ------------------------------------------------------------------


def always(said: httpx.Response | Misbehaviour) -> Callable[[Site], Answer]:
    return lambda _: lambda _: said


def redirect(site: Site) -> Answer:
    return lambda _: httpx.Response(302, headers={"Location": f"{site.elsewhere.url}/"})


def realm(site: Site) -> Answer:
    challenge = f'Bearer realm="{site.elsewhere.url}/token",service="x"'
    return lambda _: httpx.Response(401, headers={"WWW-Authenticate": challenge})


def flood(site: Site) -> Answer:
    """100,000 referrers, a thousand a page."""

    def page(asked: httpx.Request) -> httpx.Response:
        start = int(asked.url.params.get("from", "0"))
        digests = (digest_of(str(n).encode()) for n in range(start, start + 1000))
        listed = [{"digest": digest, "size": 1, "mediaType": "x"} for digest in digests]
        more = f'<{asked.url.path}?from={start + 1000}>; rel="next"'
        return httpx.Response(
            200, json={"manifests": listed}, headers={"Link": more} if start < 99_000 else {}
        )

    return page


Fault = Callable[[Site], Answer]
# And the reason why there is no answer.
NO_ANSWER: dict[str, tuple[Fault, str]] = {
    "slow drip": (always(slow_drip), "timeout"),
    "1 GB, declared": (always(gigabyte), "too_large"),
    "1 GB, endless": (always(endless), "too_large"),
    "truncated": (always(truncated), "bad_response"),
    "redirect to another host": (redirect, "bad_response"),
    "realm on another host": (realm, "unauthorized"),
    "deep JSON": (always(httpx.Response(200, content=DEEP)), "bad_response"),
    "invalid UTF-8": (always(httpx.Response(200, content=b'{"a": "\xff\xfe"}')), "bad_response"),
}
OF_A_REGISTRY = NO_ANSWER | {"100,000 referrers": (flood, "too_large")}


def assert_exported(exporter: Running, wanted: Samples) -> None:
    """Each series with its value, None where there must be none; and nothing broke inside."""
    found = exporter.exported()
    assert {name: found.get(name) for name in wanted} == wanted
    prefix = exporter.service.kind.prefix
    assert found[f"{prefix}_exporter_cycle_failures_total"] == 0
    assert found[f"{prefix}_exporter_last_cycle_timestamp_seconds"] == exporter.now


# ---- cosign ---------------------------------------------------------------------------------------

SCANNER = {"component": "scanner", "check": "signature"}


@dataclass
class Signed:
    """An image that is signed as it should be, and an exporter that knows it."""

    site: Site
    keyed: bool = False

    def __post_init__(self) -> None:
        site, kit = self.site, self.site.trust
        self.registry = Memory(site.here.host)
        site.here.answer = self.registry.answer
        self.on = Attached(
            self.registry, "stellaops/scanner", push_image(self.registry, "stellaops/scanner", LABELS), False
        )
        self.signer = kit.key() if self.keyed else None
        kit.write_root(site.folder / "trusted_root.json")
        policy: dict[str, Any] = {"identity": IDENTITY, "issuer": ISSUER}
        if self.signer is not None:
            (site.folder / "cosign.pub").write_bytes(self.signer.pem)
            policy = {"key": "cosign.pub"}
        sign_all(kit, self.on, self.signer, ("signature",))
        config = {
            "trusted_root": {"file": "trusted_root.json"},
            "policies": {"all": policy},
            "checks": ["signature"],
            "images": [{"component": "scanner", "image": f"{site.here.host}/{self.on.name}@{self.on.image}"}],
            "registries": {"hosts": {site.here.host: {"plain_http": True, "username": "u", "password": {"env": "HOME"}}}},
        }  # fmt: skip
        self.exporter = site.run("cosign", config)

    def replace(self, bundle: dict[str, Any]) -> None:
        """What is attached to the image is this, and nothing else."""
        for key, (body, _) in list(self.registry.manifests.items()):
            if "subject" in json.loads(body):
                del self.registry.manifests[key]
        self.on.bundle(bundle)

    def failed(self, reason: str) -> Samples:
        now = self.exporter.now
        return {
            series(m.IMAGE_VERIFIED, **SCANNER): 0,
            series(m.IMAGE_LAST_CHECK, **SCANNER): now,
            series(m.IMAGE_LAST_SUCCESS, **SCANNER): now - LATER,
            series(m.CHECK_FAILURES, check="signature", reason=reason): 1,
        }

    def unknown(self, reason: str) -> Samples:
        then = self.exporter.now - LATER
        failures = {series(m.CHECK_FAILURES, check="signature", reason=r): 0 for r in m.FAILURE_REASONS}
        return failures | {
            series(m.IMAGE_VERIFIED, **SCANNER): 1,
            series(m.IMAGE_LAST_CHECK, **SCANNER): then,
            series(m.IMAGE_LAST_SUCCESS, **SCANNER): then,
            series(m.CHECK_ERRORS, check="signature", reason=reason): 1,
        }


def by_a_stranger(world: Signed) -> None:
    kit = world.site.trust
    world.replace(kit.attest(statement(world.on.image), kit.keyless("eve@example.net")))


def by_another_issuer(world: Signed) -> None:
    kit = world.site.trust
    world.replace(kit.attest(statement(world.on.image), kit.keyless(issuer="https://issuer.example.net")))


def of_another_image(world: Signed) -> None:
    world.replace(world.site.trust.attest(statement("sha256:" + "0" * 64), world.signer))


def stripped(world: Signed) -> None:
    bundle = world.site.trust.attest(statement(world.on.image), world.signer)
    bundle["verificationMaterial"]["tlogEntries"] = []
    world.replace(bundle)


def expired(world: Signed) -> None:
    world.site.trust.rekor.end = SIGNED - timedelta(days=1)
    world.site.trust.write_root(world.site.folder / "trusted_root.json")


def not_yet_valid(world: Signed) -> None:
    world.site.trust.rekor.start = SIGNED + timedelta(days=1)
    world.site.trust.write_root(world.site.folder / "trusted_root.json")


@pytest.mark.parametrize("keyed", [False, True], ids=["keyless", "by a key"])
@pytest.mark.parametrize(
    ("spoil", "reason", "by_key"),
    [
        (by_a_stranger, "identity_mismatch", "identity_mismatch"),
        (by_another_issuer, "issuer_mismatch", "identity_mismatch"),
        (of_another_image, "subject_mismatch", "subject_mismatch"),
        (stripped, "tlog", "tlog"),
        (expired, "trust_window", "trust_window"),
        (not_yet_valid, "trust_window", "trust_window"),
    ],
)
def test_a_good_image_that_turns_bad_falls_in_the_next_cycle(
    site: Site, spoil: Callable[[Signed], None], reason: str, by_key: str, keyed: bool
) -> None:
    """The verdict is 0 and new, the last success is the cycle before, and the reason is counted."""
    world = Signed(site, keyed)
    spoil(world)
    world.exporter.now += LATER
    world.exporter.cycle()
    assert_exported(world.exporter, world.failed(by_key if keyed else reason))


@pytest.mark.parametrize(("fault", "reason"), OF_A_REGISTRY.values(), ids=OF_A_REGISTRY.keys())
def test_a_hostile_registry_moves_no_verdict_on_an_image(site: Site, fault: Fault, reason: str) -> None:
    """It stays 1 and grows old; nothing is a failure; the other host is told nothing."""
    world = Signed(site)
    site.faulty("/v2/stellaops/scanner/referrers/", fault(site))
    world.exporter.now += LATER
    world.exporter.cycle()
    assert_exported(world.exporter, world.unknown(reason))
    assert site.elsewhere.asked == []
    assert len(site.here.asked) < 250


def test_an_annotation_says_nothing(site: Site) -> None:
    """Nobody signed it: what an SBOM's referrer calls a signature is none."""
    world = Signed(site)
    world.replace(site.trust.attest(statement(world.on.image, CYCLONEDX)))
    listed = world.registry.attached(world.on.name, world.on.image)
    for one in listed:
        one["annotations"] = {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": SIGN,
        }
    site.faulty("/v2/stellaops/scanner/referrers/", lambda _: httpx.Response(200, json={"manifests": listed}))
    world.exporter.now += LATER
    world.exporter.cycle()
    assert_exported(world.exporter, world.failed("no_signature"))


def test_a_tag_that_answers_does_not_make_an_image_be_there(site: Site) -> None:
    """By its digest it is gone, with what referred to it, as garbage collection leaves it."""
    world = Signed(site)
    image = world.registry.manifests[world.on.name, world.on.image]
    world.registry.manifests.clear()
    world.registry.manifests[world.on.name, "2.4.1"] = image
    world.exporter.now += LATER
    world.exporter.cycle()
    assert_exported(world.exporter, world.failed("no_signature"))


# ---- rekor ----------------------------------------------------------------------------------------


def logged(site: Site, kind: str) -> Running:
    """The exporter over a log that it has found to be consistent."""
    log = logkit.Log("log.example", tree=None if kind == "v2" else 1234).grow(300)
    files, api = log.files() if kind == "v2" else {}, logkit.Api(log)

    def answer(asked: httpx.Request) -> httpx.Response:
        if kind == "v1":
            found = api(asked.url.path, dict(asked.url.params))
            return httpx.Response(404) if found is None else httpx.Response(200, json=found)
        content = files.get(asked.url.path.removeprefix("/"))
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    site.here.answer = answer
    (site.folder / "state").mkdir()
    one = {"name": "main", "kind": kind, "url": site.here.url, "origin": log.origin, "keys": [pem(log.key)]}
    exporter = site.run("rekor", {"state": "state", "logs": [one]})
    exporter.cycle()
    assert exporter.exported()[series(m.REKOR_CONSISTENT, log="main")] == 1
    return exporter


@pytest.mark.parametrize(("kind", "path"), [("v1", "/api/v1/log"), ("v2", "/checkpoint")])
@pytest.mark.parametrize(("fault", "reason"), NO_ANSWER.values(), ids=NO_ANSWER.keys())
def test_a_hostile_log_s_answer_is_no_verdict(
    site: Site, fault: Fault, reason: str, kind: str, path: str
) -> None:
    """It is down, and neither a forger nor consistent anew."""
    exporter = logged(site, kind)
    site.faulty(path, fault(site))
    exporter.now += LATER
    exporter.cycle()
    counted = reason if reason in m.PROBE_FAILURE_REASONS else "bad_response"
    failures = {
        series(m.PROBE_FAILURES, log="main", operation="checkpoint", reason=r): float(r == counted)
        for r in m.PROBE_FAILURE_REASONS
    }
    wanted: Samples = {
        series(m.REKOR_UP, log="main"): 0,
        series(m.REKOR_CONSISTENT, log="main"): 1,
        series(m.CHECKPOINT_VALID, log="main"): 1,
        series(m.REKOR_LAST_CHECK, log="main"): exporter.now - LATER,
        series(m.ROLLBACKS, log="main"): 0,
        series(m.SPLIT_VIEWS, log="main"): 0,
    }
    assert_exported(exporter, wanted | failures)
    assert site.elsewhere.asked == []


# ---- bundle ---------------------------------------------------------------------------------------

STABLE = {"channel": "stable"}
KIT = "kit.tar.zst"


@dataclass
class Published:
    """A good release on a channel, its images, log and kit, and an exporter that has seen it all."""

    site: Site

    def __post_init__(self) -> None:
        site = self.site
        self.net = World(site.folder, site.trust)
        self.release = self.net.release(registry=site.here.host, log="v2", components=("signer",))
        self.publish()
        self.kit = self.release.write_kit(site.folder / KIT)
        os.utime(self.kit, (1, 1))
        site.here.answer = self.answer
        log = {
            "kind": "v2",
            "url": f"{site.here.url}/log",
            "origin": site.trust.rekor2.name,
            "keys": [pem(site.trust.rekor2.key)],
        }
        config = self.net.config(
            channels=[{"name": "stable", "manifest": f"{site.here.url}/release.yaml"}],
            registries={"hosts": {site.here.host: {"plain_http": True}}},
            charts=f"oci://{site.here.host}/charts",
            logs=[log],
            kits={"paths": ["*.tar.zst"]},
        )
        self.exporter = site.run("bundle", config)

    def answer(self, asked: httpx.Request) -> httpx.Response:
        path = asked.url.path
        if path.startswith("/log/"):
            return self.net.answer(httpx.Request("GET", TILES + path.removeprefix("/log")))
        return self.net.answer(asked)

    def publish(self) -> None:
        parts = {"": self.release.manifest, ".sigstore.json": self.release.manifest_bundle}
        self.net.files |= {f"{self.site.here.url}/release.yaml{end}": data for end, data in parts.items()}
        self.net.files[f"{self.site.here.url}/docker-compose.yml"] = self.release.compose

    def sign(self, bundle: dict[str, Any]) -> None:
        self.release.manifest_bundle = raw(bundle)
        self.publish()

    def write_kit(self, data: bytes) -> None:
        self.kit.write_bytes(data)
        os.utime(self.kit, (2, 2))

    def reference(self, kind: str, resolvable: float, match: float | None) -> Samples:
        labels = STABLE | {"component": "signer", "kind": kind}
        return {
            series(m.REFERENCE_RESOLVABLE, **labels): resolvable,
            series(m.DIGEST_MATCH, **labels): match,
        }


def manifest_by_a_stranger(world: Published) -> None:
    kit = world.site.trust
    world.sign(kit.sign_blob(world.release.manifest, kit.keyless("eve@example.net")))


def manifest_by_another_issuer(world: Published) -> None:
    kit = world.site.trust
    world.sign(kit.sign_blob(world.release.manifest, kit.keyless(issuer="https://issuer.example.net")))


def another_manifest_s_bundle(world: Published) -> None:
    world.sign(world.site.trust.sign_blob(b"another manifest"))


def stripped_manifest(world: Published) -> None:
    bundle = json.loads(world.release.manifest_bundle)
    bundle["verificationMaterial"]["tlogEntries"] = []
    world.sign(bundle)


def root(world: Published, edge: str, days: int) -> None:
    setattr(world.site.trust.fulcio, edge, SIGNED + timedelta(days=days))
    world.site.trust.write_root(world.site.folder / "root.json")


OF_A_MANIFEST: dict[str, Callable[[Published], None]] = {
    "wrong identity": manifest_by_a_stranger,
    "wrong issuer": manifest_by_another_issuer,
    "another manifest's bundle": another_manifest_s_bundle,
    "stripped log entry": stripped_manifest,
    "expired root": lambda world: root(world, "end", -1),
    "not yet valid root": lambda world: root(world, "start", 1),
}


@pytest.mark.parametrize("spoil", OF_A_MANIFEST.values(), ids=OF_A_MANIFEST.keys())
def test_a_good_manifest_that_turns_bad_falls(site: Site, spoil: Callable[[Published], None]) -> None:
    """After the one cycle that a publication under way is given; in that one nothing moves."""
    world = Published(site)
    began = world.exporter.now
    spoil(world)
    for valid, judged in ((1, began), (0, began + 2 * LATER)):
        world.exporter.now += LATER
        world.exporter.cycle()
        wanted: Samples = {
            series(m.MANIFEST_VALID, **STABLE): valid,
            series(m.MANIFEST_LAST_CHECK, **STABLE): judged,
            series(m.MANIFEST_INFO, **STABLE, version="2.4.1"): 1,
            series(m.MANIFEST_ERRORS, reason="bad_response"): 1,
        }
        assert_exported(world.exporter, wanted)


# What is answered in full is judged: such manifests are malformed (test_bundle_channel). A redirect is followed.
OF_A_FILE = {k: v for k, v in NO_ANSWER.items() if k not in ("deep JSON", "invalid UTF-8")} | {
    "redirect to another host": (redirect, "bad_response")
}


@pytest.mark.parametrize(("fault", "reason"), OF_A_FILE.values(), ids=OF_A_FILE.keys())
def test_a_hostile_server_of_a_manifest_moves_no_verdict(site: Site, fault: Fault, reason: str) -> None:
    """It stays 1 and grows old. Another host may serve the file, which is signed, and learns nothing from who asks."""
    world = Published(site)
    site.faulty("/release.yaml", fault(site))
    world.exporter.now += LATER
    world.exporter.cycle()
    wanted: Samples = {
        series(m.MANIFEST_VALID, **STABLE): 1,
        series(m.MANIFEST_LAST_CHECK, **STABLE): world.exporter.now - LATER,
        series(m.MANIFEST_ERRORS, reason=reason): 1,
    }
    assert_exported(world.exporter, wanted)
    assert len(site.elsewhere.asked) == (fault is redirect)
    assert not any("authorization" in asked.headers for asked in site.elsewhere.asked)


@pytest.mark.parametrize(("fault", "reason"), OF_A_REGISTRY.values(), ids=OF_A_REGISTRY.keys())
def test_a_hostile_registry_moves_no_verdict_on_a_reference(site: Site, fault: Fault, reason: str) -> None:
    """Which signatures an image has is not known, so its log entry stays what it was, and the whole grows old."""
    world = Published(site)
    before = world.exporter.exported()[series(m.MANIFEST_ERRORS, reason=reason)]
    site.faulty("/v2/stellaops/signer/referrers/", fault(site))
    world.exporter.now += LATER
    world.exporter.cycle()
    wanted: Samples = {
        series(m.MANIFEST_VALID, **STABLE): 1,
        series(m.MANIFEST_LAST_CHECK, **STABLE): world.exporter.now,
        series(m.REFERENCES_LAST_CHECK, **STABLE): world.exporter.now - LATER,
        series(m.MANIFEST_ERRORS, reason=reason): before + 1,
    }
    assert_exported(world.exporter, wanted | world.reference("log_entry", 1, 1))
    assert site.elsewhere.asked == []


def tampered(world: Published, note: str) -> httpx.Response:
    """Its size was changed, and its signature was not."""
    head, size, *rest = note.split("\n")
    return httpx.Response(200, text="\n".join([head, str(int(size) + 1), *rest]))


def forked(world: Published, note: str) -> httpx.Response:
    """By the log's own key, with another root: what it serves is not in the tree that it signs."""
    log = world.site.trust.rekor2
    return httpx.Response(200, text=signed(world, len(log.tree.leaves), b"\1" * 32))


def shrunk(world: Published, note: str) -> httpx.Response:
    """By the log's own key, a tree that ends before the entry."""
    return httpx.Response(200, text=signed(world, 0, None))


def signed(world: Published, size: int, digest: bytes | None) -> str:
    log = world.site.trust.rekor2
    note = logkit.Log(log.name, log.key)
    return note.checkpoint(size, digest).decode()


@pytest.mark.parametrize(
    ("spoil", "resolvable", "match", "known"),
    [(tampered, 1, 0, True), (forked, 1, 1, False), (shrunk, 0, None, True)],
)
def test_a_log_that_lies_about_a_manifest_s_entry(
    site: Site,
    spoil: Callable[[Published, str], httpx.Response],
    resolvable: float,
    match: float | None,
    known: bool,
) -> None:
    """A forged checkpoint is not the log's; one that the log signed without the entry says that it is not there;
    tiles that do not lead to the signed root prove nothing."""
    world = Published(site)
    note = world.answer(httpx.Request("GET", f"{site.here.url}/log/checkpoint")).text
    site.faulty("/log/checkpoint", lambda _: spoil(world, note))
    world.exporter.now += LATER
    world.exporter.cycle()
    checked = {series(m.REFERENCES_LAST_CHECK, **STABLE): world.exporter.now - (0 if known else LATER)}
    assert_exported(world.exporter, checked | world.reference("log_entry", resolvable, match))


# ---- offline kits ---------------------------------------------------------------------------------


def zip_slip(release: Release) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("images/../../etc/passwd"))
    return zstandard.compress(out.getvalue())


def bomb(release: Release) -> bytes:
    """A gigabyte of zeros in 32 KB."""
    info = tarfile.TarInfo("images/blobs/sha256/" + "0" * 64)
    info.size = 1 << 30
    out = io.BytesIO()
    with zstandard.ZstdCompressor(level=1).stream_writer(out, closefd=False) as writer:
        writer.write(info.tobuf())
        for _ in range(256):
            writer.write(bytes(4 << 20))
    return out.getvalue()


def by_a_stranger_in_a_kit(release: Release) -> bytes:
    kit = release.kit.trust
    stranger = kit.keyless("eve@example.net")
    signed = raw(kit.sign_blob(release.manifest, stranger, log="v2"))
    return packed(release.members() | {"manifest/release.yaml.sigstore.json": signed})


def aliases(release: Release) -> bytes:
    bombed = b"a: &a [x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n"
    return packed(release.members() | {"manifest/release.yaml": bombed})


def deep_index(release: Release) -> bytes:
    return packed(release.members() | {"images/index.json": DEEP})


def not_utf_8(release: Release) -> bytes:
    return packed(release.members() | {"images/index.json": b'{"manifests": "\xff\xfe"}'})


def packed(members: Mapping[str, bytes]) -> bytes:
    return zstandard.compress(tarred(members))


OF_A_KIT: dict[str, Callable[[Release], bytes]] = {
    "zip slip": zip_slip,
    "zstd bomb": bomb,
    "truncated": lambda release: packed(release.members())[:-2000],
    "wrong identity": by_a_stranger_in_a_kit,
    "YAML aliases": aliases,
    "deep JSON": deep_index,
    "invalid UTF-8": not_utf_8,
}


@pytest.mark.parametrize("spoil", OF_A_KIT.values(), ids=OF_A_KIT.keys())
def test_a_kit_that_turns_bad_falls(site: Site, spoil: Callable[[Release], bytes]) -> None:
    """Its verdict is 0 and new; nothing is unpacked."""
    world = Published(site)
    assert world.exporter.exported()[series(m.KIT_VALID, kit=KIT)] == 1
    before = sorted(p.name for p in site.folder.iterdir())
    world.write_kit(spoil(world.release))
    world.exporter.now += LATER
    world.exporter.cycle()
    wanted: Samples = {
        series(m.KIT_VALID, kit=KIT): 0,
        series(m.KIT_LAST_CHECK, kit=KIT): world.exporter.now,
        series(m.MANIFEST_VALID, **STABLE): 1,
    }
    assert_exported(world.exporter, wanted)
    assert sorted(p.name for p in site.folder.iterdir()) == before


# ---- time -----------------------------------------------------------------------------------------


def test_time_that_runs_backwards_breaks_no_exporter(site: Site) -> None:
    """By a month: verdicts stand, and each is as old as the clock says."""
    image, back = Signed(site), -30 * 86_400.0
    image.exporter.now += back
    image.exporter.cycle()
    wanted: Samples = {
        series(m.IMAGE_VERIFIED, **SCANNER): 1,
        series(m.IMAGE_LAST_CHECK, **SCANNER): image.exporter.now,
    }
    assert_exported(image.exporter, wanted)
    log = logged(site, "v2")
    log.now += back
    log.cycle()
    wanted = {
        series(m.REKOR_CONSISTENT, log="main"): 1,
        series(m.REKOR_LAST_CHECK, log="main"): log.now,
    }
    assert_exported(log, wanted)
    release = Published(site)
    release.exporter.now += back
    release.exporter.cycle()
    wanted = {
        series(m.MANIFEST_VALID, **STABLE): 1,
        series(m.KIT_VALID, kit=KIT): 1,
        series(m.KIT_LAST_CHECK, kit=KIT): release.exporter.now,
        series(m.FIRST_SEEN, **STABLE, version="2.4.1"): datetime(2027, 6, 20, 12, tzinfo=UTC).timestamp(),
    }
    assert_exported(release.exporter, wanted)
