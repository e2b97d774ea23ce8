"""A network in memory around a release: its registry, its transparency log, and files at URLs; each can be broken."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exporters import metrics as m
from exporters.backoff import Backoff
from exporters.bundle.config import Config
from exporters.bundle.subject import Releases
from exporters.collector import Instruments
from exporters.config import validate
from exporters.fetch import Fetcher
from exporters.oci import Registry
from exporters.subject import Finding
from tests.release_kit import Image, Release, ReleaseKit, Repo
from tests.trustkit.kit import IDENTITY, ISSUER, SIGN, TrustKit, raw, statement
from tests.trustkit.registry import Memory

NOW = datetime(2027, 7, 1, 12, tzinfo=UTC).timestamp()
REKOR = "https://rekor.example.org"
TILES = "https://tiles.example.org"


class Patient(Backoff):
    """Asks a host that has just failed again at once: cycles follow each other without time between them."""

    def wait(self, host: str) -> tuple[float, str, str]:
        return 0.0, "", ""


@dataclass
class World:
    """`broken` answers for a URL (or every URL that begins with it) before anything else does."""

    folder: Path
    trust: TrustKit = field(default_factory=TrustKit)
    repos: dict[str, Repo] = field(default_factory=dict)  # by host/name
    files: dict[str, bytes] = field(default_factory=dict)  # by URL
    broken: dict[str, Callable[[], httpx.Response]] = field(default_factory=dict)
    entries: dict[int, dict[str, Any]] = field(default_factory=dict)  # of Rekor v1, by index
    bodies: dict[int, bytes] = field(default_factory=dict)  # of Rekor v2
    now: float = NOW
    instruments: Instruments = field(default_factory=lambda: Instruments(m.BUNDLE))
    requests: list[str] = field(default_factory=list)

    # ---- a release in it ---------------------------------------------------------------------------

    def release(self, **parts: Any) -> Release:
        """Build a release; its images are in its registry, its signatures in the logs."""
        release = ReleaseKit(self.trust, **parts).build()
        self.serve(release)
        return release

    def serve(self, release: Release) -> None:
        self.repos |= {f"{release.kit.registry}/{name}": repo for name, repo in release.repos.items()}
        for bundle in (b for image in release.images for b in image.bundles.values()):
            self.log(json.loads(bundle))
        self.log(json.loads(release.manifest_bundle))

    def log(self, bundle: dict[str, Any]) -> None:
        for entry in bundle["verificationMaterial"]["tlogEntries"]:
            index = int(entry["logIndex"])
            if "inclusionPromise" in entry:
                self.entries[index] = entry
            else:
                self.bodies[index] = base64.b64decode(entry["canonicalizedBody"])

    def signed_again(self, image: Image) -> bytes:
        """A new signature of an image by the same signer, with a log entry of its own."""
        bundle = raw(self.trust.attest(statement(image.digest, SIGN, {})))
        self.log(json.loads(bundle))
        return bundle

    def log_again(self, release: Release) -> None:
        """The manifest was sealed anew: its new signature is logged."""
        self.log(json.loads(release.manifest_bundle))

    def publish(self, release: Release, name: str = "release.yaml") -> None:
        """Put the manifest, its signature and the compose file into the folder."""
        (self.folder / name).write_bytes(release.manifest)
        (self.folder / f"{name}.sigstore.json").write_bytes(release.manifest_bundle)
        (self.folder / "docker-compose.yml").write_bytes(release.compose)

    # ---- the subject in it -------------------------------------------------------------------------

    def config(self, **keys: Any) -> dict[str, Any]:
        """A configuration of one channel with everything, overridden by `keys`."""
        self.trust.write_root(self.folder / "root.json")
        keys = {
            "state": "state.json",
            "trusted_root": "root.json",
            "policy": {"identity": IDENTITY, "issuer": ISSUER},
            "channels": [{"name": "stable", "manifest": "release.yaml"}],
            "charts": "oci://registry.example.org/charts",
            "logs": [
                {
                    "kind": "v1",
                    "url": REKOR,
                    "origin": self.trust.rekor.name,
                    "keys": [pem(self.trust.rekor.key)],
                },
                {
                    "kind": "v2",
                    "url": TILES,
                    "origin": self.trust.rekor2.name,
                    "keys": [pem(self.trust.rekor2.key)],
                },
            ],
            **keys,
        }
        return {key: value for key, value in keys.items() if value is not None}

    def subject(self, **keys: Any) -> Releases:
        config = validate(Config, self.config(**keys), self.folder / "bundle.yaml")
        fetcher = Fetcher(
            transport=httpx.MockTransport(self.answer), attempts=1, backoff=Patient(time.monotonic)
        )
        return Releases(
            config, self.instruments, fetcher, Registry(fetcher, config.registries), lambda: self.now
        )

    def value(self, metric: m.Metric, **labels: str) -> float | None:
        return self.instruments.value(metric, **labels)

    # ---- the network -------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        self.requests.append(url)
        for begins, broken in self.broken.items():
            if url.startswith(begins):
                return broken()
        if url in self.files:
            return httpx.Response(200, content=self.files[url])
        if url.startswith(REKOR):
            return self._rekor(request)
        if url.startswith(TILES):
            return self._tile(url.removeprefix(f"{TILES}/"))
        if request.url.path.startswith("/v2/"):
            return _Held(request.url.netloc.decode(), self.repos).answer(request)
        return httpx.Response(404)

    def _rekor(self, request: httpx.Request) -> httpx.Response:
        wanted = request.url.path.rpartition("/")[2]
        for entry in self.entries.values():
            leaf = hashlib.sha256(b"\0" + base64.b64decode(entry["canonicalizedBody"])).hexdigest()
            uuid = f"{self.trust.rekor.TREE_ID:016x}{leaf}"
            if wanted == uuid:
                proof = entry["inclusionProof"]
                sent = {
                    "logIndex": int(proof["logIndex"]),
                    "rootHash": base64.b64decode(proof["rootHash"]).hex(),
                    "treeSize": int(proof["treeSize"]),
                    "hashes": [base64.b64decode(h).hex() for h in proof["hashes"]],
                    "checkpoint": proof["checkpoint"]["envelope"],
                }
                served = {"body": entry["canonicalizedBody"], "verification": {"inclusionProof": sent}}
                return httpx.Response(200, json={uuid: served})
        return httpx.Response(404)

    def _tile(self, path: str) -> httpx.Response:
        log = self.trust.rekor2
        if path == "checkpoint":
            return httpx.Response(200, text=log._checkpoint(log.name, log.id, log.key.sign))
        if path == f"tile/0/000.p/{len(log.tree.leaves)}":
            return httpx.Response(200, content=b"".join(log.tree.leaves))
        if path == f"tile/entries/000.p/{len(log.tree.leaves)}":
            bodies = (self.bodies[i] for i in range(len(log.tree.leaves)))
            return httpx.Response(200, content=b"".join(len(b).to_bytes(2, "big") + b for b in bodies))
        return httpx.Response(404)


class _Held(Memory):
    """The registry of one host over a release's repositories, as tests have changed them by now."""

    def __init__(self, host: str, repos: Mapping[str, Repo]) -> None:
        super().__init__(host)
        self._repos = repos

    def _repo(self, name: str) -> Repo:
        return self._repos.get(f"{self.host}/{name}", Repo())

    def manifest(self, name: str, reference: str) -> tuple[bytes, str] | None:
        repo = self._repo(name)
        found = repo.manifests.get(repo.tags.get(reference, reference))
        return None if found is None else (found[1], found[0])

    def blob(self, name: str, digest: str) -> bytes | None:
        return self._repo(name).blobs.get(digest)

    def attached(self, name: str, digest: str) -> list[dict[str, Any]]:
        return self._repo(name).attached.get(digest, [])


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def said(findings: Iterable[Finding]) -> dict[str, tuple[str, str]]:
    """Verdict and reason by check."""
    return {f.check: (str(f.outcome.verdict), f.outcome.reason) for f in findings}
