"""Where documents come from: a file, a URL, or an artifact in a registry."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path

from exporters.fetch import Fetcher
from exporters.oci import Descriptor, Manifest, NotThere, Reference, Registry, Repository
from exporters.outcome import CouldNotCheck

OCI = "oci://"
HTTP = ("http://", "https://")
TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes, and for an artifact its repository and the manifest that named them."""

    data: bytes
    repository: Repository | None = None
    manifest: Manifest | None = None


class Sources:
    """Reads a location: `oci://host/name:tag`, `https://...`, or a path."""

    def __init__(self, fetcher: Fetcher, registry: Registry) -> None:
        self._fetcher = fetcher
        self._registry = registry

    def read(self, location: str, max_bytes: int, title: str = "") -> Fetched:
        """Raises NotThere (a 404, no such file) and CouldNotCheck (no answer). `title` chooses among files."""
        if location.startswith(OCI):
            return self._artifact(location, max_bytes, title)
        if location.startswith(HTTP):
            return Fetched(self._url(location, max_bytes))
        return Fetched(_file(Path(location), max_bytes))

    def _url(self, url: str, max_bytes: int) -> bytes:
        # What a cache kept of a manifest that has been replaced would look like a rollback.
        response = self._fetcher.get(url, max_bytes=max_bytes, headers={"Cache-Control": "no-cache"})
        if response.status in (404, 410):
            raise NotThere(f"{response.url.partition('?')[0]} answered {response.status}")
        if response.status in (401, 403):
            raise CouldNotCheck(
                "unauthorized", f"{response.url.partition('?')[0]} answered {response.status}"
            )
        if response.status != 200:
            raise CouldNotCheck(
                "bad_response", f"{response.url.partition('?')[0]} answered {response.status}"
            )
        if response.headers.get("content-type", "").startswith("text/html"):
            raise CouldNotCheck("bad_response", f"{response.url.partition('?')[0]} answers with a web page")
        return response.body

    def _artifact(self, location: str, max_bytes: int, title: str) -> Fetched:
        try:
            reference = Reference.parse(location)
        except ValueError as error:
            raise CouldNotCheck("bad_response", str(error)) from None
        manifest = self._registry.manifest(reference)
        layer = _chosen(manifest.descriptors("layers"), title, location)
        data = self._registry.blob(reference.repository, layer.digest, max_bytes)
        return Fetched(data, reference.repository, manifest)


def _chosen(layers: tuple[Descriptor, ...], title: str, location: str) -> Descriptor:
    named = [layer for layer in layers if title and layer.annotations.get(TITLE) == title]
    found = named or list(layers)
    if len(found) != 1:
        raise CouldNotCheck(
            "bad_response",
            f"{location} holds {len(found)} files: one is expected, or one titled {title or 'release.yaml'}",
        )
    return found[0]


def _file(path: Path, max_bytes: int) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise CouldNotCheck("unreachable", f"{path} is no file")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotThere(f"{path} does not exist") from None
    except PermissionError:
        raise CouldNotCheck("unauthorized", f"{path} may not be read") from None
    except OSError as error:
        raise CouldNotCheck("unreachable", f"{path} cannot be read: {error.strerror}") from None
    if len(data) > max_bytes:
        raise CouldNotCheck("too_large", f"{path} is larger than the {max_bytes} bytes that are read")
    return data


def beside(location: str, name: str) -> str:
    """The location of a file in the same folder; for an artifact, in the same artifact."""
    if location.startswith(OCI):
        return location
    if location.startswith(HTTP):
        bare = location.partition("?")[0]
        return f"{bare.rpartition('/')[0]}/{name}"
    return posixpath.join(posixpath.dirname(location), name)


def within(base: str, name: str) -> str:
    """The location of a file in this folder."""
    return f"{base.rstrip('/')}/{name}"
