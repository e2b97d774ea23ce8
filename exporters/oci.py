"""A read-only client of OCI registries: every answer is checked against the digest that was asked for."""

from __future__ import annotations

from exporters.oci_types import (
    Descriptor,
    DigestMismatch,
    Manifest,
    NotThere,
    Reference,
    Repository,
    digest_of,
    is_digest,
)

__all__ = [
    "Descriptor",
    "DigestMismatch",
    "Manifest",
    "NotThere",
    "Reference",
    "Registry",
    "Repository",
    "digest_of",
    "is_digest",
]


class Registry:
    """Manifests, blobs and referrers. Safe for many threads at once.

    Every method raises CouldNotCheck when no answer was reached; NotThere is an answer (404).
    """

    def manifest(self, reference: Reference, max_bytes: int = 4 << 20) -> Manifest:
        """By digest (compared with the bytes served) or by tag."""
        raise NotImplementedError

    def blob(self, repository: Repository, digest: str, max_bytes: int) -> bytes:
        """The content of a blob; its digest has been compared."""
        raise NotImplementedError

    def exists(self, repository: Repository, digest: str, blob: bool = False) -> bool:
        """Is there a manifest (or blob) of this digest? A 404 is False; whatever is no answer raises."""
        raise NotImplementedError

    def referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...]:
        """What refers to this manifest: the referrers API, or the fallback tag where there is none."""
        raise NotImplementedError
