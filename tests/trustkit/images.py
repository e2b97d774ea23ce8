"""Images and what is attached to them, pushed to anything that takes blobs and manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from tests.trustkit.kit import BUNDLE

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = b"{}"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Store(Protocol):
    """A registry that is written to."""

    def put_blob(self, name: str, data: bytes) -> None: ...
    def put_manifest(self, name: str, reference: str, body: bytes, media_type: str) -> None: ...


@dataclass
class Remote:
    """A registry on this machine, over HTTP. `referrers`: it keeps referrers itself."""

    address: str
    referrers: bool
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def put_blob(self, name: str, data: bytes) -> None:
        started = self.client.post(f"http://{self.address}/v2/{name}/blobs/uploads/")
        assert started.status_code == 202, started.text
        location = httpx.URL(f"http://{self.address}").join(started.headers["location"])
        url = location.copy_merge_params({"digest": digest_of(data)})
        done = self.client.put(url, content=data, headers={"Content-Type": "application/octet-stream"})
        assert done.status_code == 201, done.text

    def put_manifest(self, name: str, reference: str, body: bytes, media_type: str) -> None:
        done = self.client.put(
            f"http://{self.address}/v2/{name}/manifests/{reference}",
            content=body,
            headers={"Content-Type": media_type},
        )
        assert done.status_code == 201, done.text


def _descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)} | more


def _manifest(store: Store, name: str, content: dict[str, Any], reference: str = "") -> str:
    body = json.dumps({"schemaVersion": 2, **content}).encode()
    store.put_manifest(name, reference or digest_of(body), body, content["mediaType"])
    return digest_of(body)


def push_image(
    store: Store, name: str, labels: Mapping[str, str] | None = None, *, salt: str = "", tag: str = ""
) -> str:
    """A one-layer image; returns its digest. `salt` makes it another image."""
    layer = f"layer {name} {salt}".encode()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": dict(labels or {})},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    ).encode()
    for data in (layer, config):
        store.put_blob(name, data)
    content = {
        "mediaType": MANIFEST,
        "config": _descriptor(config, CONFIG),
        "layers": [_descriptor(layer, "application/vnd.oci.image.layer.v1.tar")],
    }
    digest = _manifest(store, name, content)
    if tag:
        _manifest(store, name, content, tag)
    return digest


def push_index(store: Store, name: str, images: Sequence[str], sizes: Mapping[str, int] | None = None) -> str:
    """A multi-arch index over images that are there already."""
    architectures = ("amd64", "arm64", "s390x")
    manifests = [
        {
            "mediaType": MANIFEST,
            "digest": digest,
            "size": (sizes or {}).get(digest, 500),
            "platform": {"os": "linux", "architecture": architecture},
        }
        for digest, architecture in zip(images, architectures, strict=False)
    ]
    return _manifest(store, name, {"mediaType": INDEX, "manifests": manifests})


@dataclass
class Attached:
    """What was attached, for the fallback tag: the tag is written as a whole."""

    store: Store
    name: str
    image: str
    fallback: bool
    descriptors: list[dict[str, Any]] = field(default_factory=list)

    def bundle(self, bundle: dict[str, Any] | bytes, *, artifact_type: str = BUNDLE) -> str:
        """As cosign 3 attaches one. With `fallback` the tag's index is rewritten, its hints left empty."""
        raw = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
        for data in (EMPTY, raw):
            self.store.put_blob(self.name, data)
        content = {
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": _descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
            "layers": [_descriptor(raw, BUNDLE)],
            "subject": {"mediaType": MANIFEST, "digest": self.image, "size": 500},
        }
        digest = _manifest(self.store, self.name, content)
        self.descriptors.append({"mediaType": MANIFEST, "digest": digest, "size": 500})
        if self.fallback:
            index = {"mediaType": INDEX, "manifests": self.descriptors}
            _manifest(self.store, self.name, index, self.image.replace(":", "-"))
        return digest

    def legacy(self, suffix: str, layers: Sequence[tuple[bytes, Mapping[str, str]]]) -> None:
        """As cosign 2 does: a tag, a layer for each signature."""
        media = {
            "sig": "application/vnd.dev.cosign.simplesigning.v1+json",
            "att": "application/vnd.dsse.envelope.v1+json",
        }[suffix]
        config = json.dumps(
            {"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
        ).encode()
        for data in (config, *(payload for payload, _ in layers)):
            self.store.put_blob(self.name, data)
        content = {
            "mediaType": MANIFEST,
            "config": _descriptor(config, CONFIG),
            "layers": [_descriptor(payload, media, annotations=dict(said)) for payload, said in layers],
        }
        _manifest(self.store, self.name, content, f"{self.image.replace(':', '-')}.{suffix}")
