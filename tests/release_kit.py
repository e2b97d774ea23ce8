"""A whole release, made by hand and signed by a throwaway Sigstore: images, SBOMs, provenance, chart, compose file,
release.yaml, and the offline kit of it all. For tests, the demo, and whoever needs a release to judge.

    release = ReleaseKit(trust, registry="127.0.0.1:5000").build()
    release.push("http://127.0.0.1:5000")
    (folder / "release.yaml").write_bytes(release.manifest)
    (folder / "release.yaml.sigstore.json").write_bytes(release.manifest_bundle)
    release.write_kit(folder / "stellaops-kit-2.4.1-stable.tar.zst")

Everything but the signatures is byte-stable.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import zstandard

from tests.trustkit.kit import BUNDLE, CYCLONEDX, SIGN, SLSA, Signer, TrustKit, raw, statement

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
COMPONENTS = ("authority", "signer", "scanner-webservice")
PLATFORMS = ("amd64", "arm64")
KINDS = ("signature", "sbom", "provenance")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encoded(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


@dataclass
class Repo:
    """What one repository holds; `attached` lists the referrers of each manifest."""

    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    attached: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def blob(self, data: bytes, media: str) -> dict[str, Any]:
        self.blobs[digest_of(data)] = data
        return {"mediaType": media, "digest": digest_of(data), "size": len(data)}

    def manifest(self, content: dict[str, Any], media: str, tag: str = "") -> dict[str, Any]:
        data = encoded({"schemaVersion": 2, "mediaType": media, **content})
        self.manifests[digest_of(data)] = (media, data)
        if tag:
            self.tags[tag] = digest_of(data)
        return {"mediaType": media, "digest": digest_of(data), "size": len(data)}

    def image(self, name: str, labels: Mapping[str, str], tag: str) -> dict[str, Any]:
        """A multi-platform image of one layer each."""
        children = []
        for platform in PLATFORMS:
            layer = gzip.compress(f"{name} for {platform}".encode() * 20, mtime=0)
            config = {"architecture": platform, "os": "linux", "config": {"Labels": dict(labels)}}
            child = self.manifest(
                {"config": self.blob(encoded(config), CONFIG), "layers": [self.blob(layer, LAYER)]}, MANIFEST
            )
            children.append({**child, "platform": {"architecture": platform, "os": "linux"}})
        return self.manifest({"manifests": children}, INDEX, tag)

    def attach(self, subject: dict[str, Any], bundle: bytes) -> dict[str, Any]:
        """A Sigstore bundle as a referrer, as cosign 3 writes it."""
        content = {
            "artifactType": BUNDLE,
            "config": self.blob(b"{}", EMPTY),
            "layers": [self.blob(bundle, BUNDLE)],
            "subject": {k: subject[k] for k in ("mediaType", "digest", "size")},
        }
        found = {**self.manifest(content, MANIFEST), "artifactType": BUNDLE}
        self.attached.setdefault(subject["digest"], []).append(found)
        return found

    def artifact(self, title: str, data: bytes, tag: str) -> dict[str, Any]:
        """A file as an artifact, such as release.yaml or a chart."""
        layer = {
            **self.blob(data, "application/octet-stream"),
            "annotations": {"org.opencontainers.image.title": title},
        }
        return self.manifest({"config": self.blob(b"{}", EMPTY), "layers": [layer]}, MANIFEST, tag)


@dataclass
class Image:
    """One component: its image, and what is attached to it, by kind: the referrer and its bundle."""

    name: str
    repository: str
    descriptor: dict[str, Any]
    referrers: dict[str, dict[str, Any]] = field(default_factory=dict)
    bundles: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return str(self.descriptor["digest"])


@dataclass
class ReleaseKit:
    """What to release. `log` is where signatures are logged: v1 or v2 of Rekor.

    `signers` sign the image of a component in place of `signer`.
    """

    trust: TrustKit
    registry: str = "registry.example.org"
    version: str = "2.4.1"
    channel: str = "stable"
    date: str = "2027-06-20T12:00:00Z"
    calendar: str = "2027.06"
    components: tuple[str, ...] = COMPONENTS
    log: str = "v1"
    signer: Signer | None = None
    signers: Mapping[str, Signer] = field(default_factory=dict)

    def build(self) -> Release:
        release = Release(self)
        for name in self.components:
            release.images.append(self._image(name, release))
        release.chart = gzip.compress(b"chart " * 50, mtime=0)
        release.repo("charts/platform").artifact(f"platform-{self.version}.tgz", release.chart, self.version)
        release.compose = b"services: {}\n"
        release.seal()
        return release

    def _image(self, name: str, release: Release) -> Image:
        repository = f"stellaops/{name}"
        repo = release.repo(repository)
        labels = {
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.revision": "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c",
            "org.stellaops.release.calendar": self.calendar,
            "org.stellaops.release.channel": self.channel,
        }
        image = Image(name, repository, repo.image(f"{name} {self.version}", labels, self.version))
        predicates: tuple[tuple[str, str, Any], ...] = (
            ("signature", SIGN, {}),
            ("sbom", CYCLONEDX, release.sbom(name)),
            ("provenance", SLSA, {"buildDefinition": {"buildType": "https://example.org/build"}}),
        )
        for kind, predicate_type, predicate in predicates:
            payload = statement(image.digest, predicate_type, predicate)
            signer = self.signers.get(name, self.signer) if kind == "signature" else self.signer
            bundle = raw(self.trust.attest(payload, signer, log=self.log))
            image.bundles[kind] = bundle
            image.referrers[kind] = repo.attach(image.descriptor, bundle)
        return image


@dataclass
class Release:
    """A release that was built. Change any part, then `seal` again (or not, to have it tampered with)."""

    kit: ReleaseKit
    repos: dict[str, Repo] = field(default_factory=dict)
    images: list[Image] = field(default_factory=list)
    chart: bytes = b""
    compose: bytes = b""
    manifest: bytes = b""
    manifest_bundle: bytes = b""

    def repo(self, name: str) -> Repo:
        return self.repos.setdefault(name, Repo())

    def image(self, name: str) -> Image:
        return next(image for image in self.images if image.name == name)

    def sbom(self, name: str) -> dict[str, Any]:
        return {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "components": [{"type": "library", "name": name}],
        }

    # ---- release.yaml ------------------------------------------------------------------------------

    def text(self) -> str:
        """release.yaml with an empty checksum."""
        kit, parts = self.kit, []
        for image in self.images:
            where = f"{kit.registry}/{image.repository}"
            parts += [
                f"  - name: {image.name}",
                f"    image: {where}@{image.digest}",
                f"    sbom: oci://{where}/referrers/cdx-json@{image.referrers['sbom']['digest']}",
                f"    provenance: oci://{where}/attest/provenance@{image.referrers['provenance']['digest']}",
                f"    signature: {self.entry(image)}",
            ]
        return "\n".join(
            [
                "release:",
                f'  version: "{kit.version}"',
                f'  channel: "{kit.channel}"',
                f'  date: "{kit.date}"',
                f'  calendar: "{kit.calendar}"',
                "components:",
                *parts,
                "charts:",
                f'  - name: platform\n    version: "{kit.version}"\n    digest: "{digest_of(self.chart)}"',
                f'compose:\n  file: "docker-compose.yml"\n  digest: "{digest_of(self.compose)}"',
                'checksums:\n  sha256: ""\n',
            ]
        )

    def entry(self, image: Image) -> str:
        """Where the image's signature is logged, as the manifest writes it."""
        logged = json.loads(image.bundles["signature"])["verificationMaterial"]["tlogEntries"][0]
        if self.kit.log == "v2":
            return f"{{ logIndex: {logged['logIndex']}, origin: {self.kit.trust.rekor2.name} }}"
        leaf = hashlib.sha256(b"\0" + base64.b64decode(logged["canonicalizedBody"])).hexdigest()
        return f'{{ rekorUUID: "{self.kit.trust.rekor.TREE_ID:016x}{leaf}" }}'

    def seal(self, text: str | None = None) -> None:
        """Write the checksum into the text, and sign it."""
        self.manifest = sealed(self.text() if text is None else text)
        self.manifest_bundle = raw(self.kit.trust.sign_blob(self.manifest, self.kit.signer, log=self.kit.log))

    # ---- the offline kit ---------------------------------------------------------------------------

    def members(self) -> dict[str, bytes]:
        """The kit's files by path (blueprint §3.3)."""
        files = {"images/oci-layout": encoded({"imageLayoutVersion": "1.0.0"})}
        entries: list[dict[str, Any]] = []
        for image in self.images:
            repo = self.repos[image.repository]
            for digest, data in (
                *repo.blobs.items(),
                *((d, body) for d, (_, body) in repo.manifests.items()),
            ):
                files[f"images/blobs/sha256/{digest.removeprefix('sha256:')}"] = data
            name = f"{self.kit.registry}/{image.repository}:{self.kit.version}"
            entries.append({**image.descriptor, "annotations": {"org.opencontainers.image.ref.name": name}})
            entries += image.referrers.values()
            files[f"sboms/{image.name}.cdx.json"] = encoded(self.sbom(image.name))
            for kind in KINDS:
                files[f"attest/{image.name}.{kind}.sigstore.json"] = image.bundles[kind]
        files["images/index.json"] = encoded({"schemaVersion": 2, "manifests": entries})
        files[f"charts/platform-{self.kit.version}.tgz"] = self.chart
        files["compose/docker-compose.yml"] = self.compose
        files["compose/.env.template"] = b"CHANNEL=\n"
        files["plugins/connector.dll"] = b"a connector"
        files["policy/example.yaml"] = b"policy: example\n"
        files["manifest/release.yaml"] = self.manifest
        files["manifest/release.yaml.sigstore.json"] = self.manifest_bundle
        return files

    def write_kit(self, path: Path, members: Mapping[str, bytes] | None = None) -> Path:
        return pack(path, tarred(self.members() if members is None else members))

    # ---- a registry --------------------------------------------------------------------------------

    def push(self, url: str, referrers: str = "tag") -> None:
        """Put everything into a registry. `referrers`: "tag" writes the fallback tags, "api" leaves it to the server."""
        with httpx.Client(base_url=url, timeout=30) as client:
            for name, repo in self.repos.items():
                for digest, data in repo.blobs.items():
                    where = client.post(f"/v2/{name}/blobs/uploads/").raise_for_status().headers["location"]
                    mark = "&" if "?" in where else "?"
                    client.put(f"{where}{mark}digest={digest}", content=data).raise_for_status()
                for digest, (media, data) in repo.manifests.items():
                    _put(client, name, digest, media, data)
                for tag, digest in repo.tags.items():
                    _put(client, name, tag, *repo.manifests[digest])
                for subject, found in repo.attached.items() if referrers == "tag" else ():
                    listed = encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": found})
                    _put(client, name, subject.replace(":", "-"), INDEX, listed)


def _put(client: httpx.Client, name: str, reference: str, media: str, data: bytes) -> None:
    path = f"/v2/{name}/manifests/{reference}"
    client.put(path, content=data, headers={"Content-Type": media}).raise_for_status()


def sealed(text: str) -> bytes:
    """The text with its own digest: sha256 of the text with an empty value, written into the value."""
    empty = 'checksums:\n  sha256: ""'
    assert text.count(empty) == 1
    return text.replace(empty, f'{empty[:-1]}{hashlib.sha256(text.encode()).hexdigest()}"').encode()


def tarred(members: Mapping[str, bytes]) -> bytes:
    """A tar archive of these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pack(path: Path, archive: bytes) -> Path:
    path.write_bytes(zstandard.ZstdCompressor(level=3, write_checksum=True).compress(archive))
    return path
