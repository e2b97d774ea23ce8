"""A registry in memory, behind httpx: what it is asked is counted, and it can be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.trustkit.images import INDEX, digest_of

Answer = Callable[[httpx.Request], httpx.Response | None]


@dataclass
class Memory:
    """One registry. `fault` may answer in its place; `referrers` False is a registry without that API.

    `token` makes it ask for a bearer token, of `token_life` seconds, that its own token service gives out, `bound` to the client's key.
    """

    host: str = "registry.example.org"
    referrers: bool = True
    fault: Answer | None = None
    token: bool = False
    bound: bool = False
    token_life: int = 300
    realm: str = ""
    login: str = ""
    page: int = 0
    manifests: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put_blob(self, name: str, data: bytes) -> None:
        self.blobs[name, digest_of(data)] = data

    def put_manifest(self, name: str, reference: str, body: bytes, media_type: str) -> None:
        self.manifests[name, reference] = self.manifests[name, digest_of(body)] = (body, media_type)

    @property
    def requests(self) -> Counter[str]:
        """How often each kind of address was asked."""
        kinds = ("referrers", "blobs", "manifests", "token")
        return Counter(next((k for k in kinds if f"/{k}" in r.url.path), "other") for r in self.asked)

    def answer(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.asked.append(request)
        if self.fault is not None and (said := self.fault(request)) is not None:
            return said
        if request.url.path == "/token":
            return self._token(request)
        if self.token and (refusal := self._refuse(request)) is not None:
            return refusal
        named, _, reference = request.url.path.partition("/v2/")[2].rpartition("/")
        name, _, kind = named.rpartition("/")
        serve = {"referrers": self._referrers, "manifests": self._manifest, "blobs": self._blob}.get(kind)
        return httpx.Response(404) if serve is None else serve(name, reference, request)

    # ---- what it holds: a registry over something else has these three of its own -------------

    def manifest(self, name: str, reference: str) -> tuple[bytes, str] | None:
        """By digest or tag: the bytes and their media type."""
        return self.manifests.get((name, reference))

    def blob(self, name: str, digest: str) -> bytes | None:
        return self.blobs.get((name, digest))

    def attached(self, name: str, digest: str) -> list[dict[str, Any]]:
        """Descriptors of what refers to this manifest."""
        found: dict[str, dict[str, Any]] = {}
        for (of, _), (body, media) in list(self.manifests.items()):
            content = json.loads(body)
            if of == name and (content.get("subject") or {}).get("digest") == digest:
                descriptor = {"mediaType": media, "digest": digest_of(body), "size": len(body)}
                found[digest_of(body)] = descriptor | {"artifactType": content.get("artifactType", "")}
        return list(found.values())

    # ---- answers -----------------------------------------------------------------------------

    def _manifest(self, name: str, reference: str, request: httpx.Request) -> httpx.Response:
        found = self.manifest(name, reference)
        if found is None:
            return httpx.Response(404)
        return httpx.Response(200, content=found[0], headers={"content-type": found[1]})

    def _blob(self, name: str, digest: str, request: httpx.Request) -> httpx.Response:
        found = self.blob(name, digest)
        return httpx.Response(404) if found is None else httpx.Response(200, content=found)

    def _referrers(self, name: str, digest: str, request: httpx.Request) -> httpx.Response:
        if not self.referrers:
            return httpx.Response(404)
        listed, headers = self.attached(name, digest), {"content-type": INDEX}
        if self.page:
            start = int(request.url.params.get("from", "0"))
            if start + self.page < len(listed):
                headers["link"] = f'<{request.url.path}?from={start + self.page}>; rel="next"'
            listed = listed[start : start + self.page]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        return httpx.Response(200, json=index, headers=headers)

    # ---- tokens ------------------------------------------------------------------------------

    def _refuse(self, request: httpx.Request) -> httpx.Response | None:
        wanted = "DPoP" if self.bound else "Bearer"
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        proven = not self.bound or "dpop" in request.headers
        if scheme == wanted and token in self.given and proven:
            return None
        realm = self.realm or f"https://{self.host}/token"
        challenge = f'{wanted} realm="{realm}",service="{self.host}",scope="repository:any:pull"'
        return httpx.Response(401, headers={"www-authenticate": challenge})

    def _token(self, request: httpx.Request) -> httpx.Response:
        if self.login:
            wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
            if request.headers.get("authorization") != wanted:
                return httpx.Response(401)
        value = hashlib.sha256(str(len(self.asked)).encode()).hexdigest()
        self.given.add(value)
        kind = "DPoP" if self.bound else "Bearer"
        return httpx.Response(200, json={"token": value, "expires_in": self.token_life, "token_type": kind})


def behind(*registries: Memory) -> httpx.MockTransport:
    """A network with these registries and nothing else."""
    hosts = {registry.host: registry for registry in registries}

    def answer(request: httpx.Request) -> httpx.Response:
        host = request.url.netloc.decode()
        if host not in hosts:
            raise httpx.ConnectError(f"no route to {host}", request=request)
        return hosts[host].answer(request)

    return httpx.MockTransport(answer)
