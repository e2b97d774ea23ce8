"""A read-only client of OCI registries: every answer is checked against the digest that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from exporters.fetch import Fetcher, Response
from exporters.oci_auth import Authorizer
from exporters.oci_config import Registries, Source
from exporters.oci_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX,
    MANIFEST,
    Descriptor,
    DigestMismatch,
    Manifest,
    NotThere,
    Reference,
    Repository,
    descriptors,
    digest_of,
    is_digest,
    parse_object,
    tag_of,
)
from exporters.outcome import CouldNotCheck

__all__ = [
    "Descriptor",
    "DigestMismatch",
    "Listing",
    "Manifest",
    "NotThere",
    "Reference",
    "Registries",
    "Registry",
    "Repository",
    "digest_of",
    "is_digest",
    "tag_of",
]

ACCEPT = ", ".join((INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
MOST_REFERRERS = 1_000  # of one image that are listed
MOST_PAGES = 50
_NO_REFERRERS_API = (404, 405)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing:
    """What refers to an image; not complete when there was more than is read."""

    descriptors: tuple[Descriptor, ...]
    complete: bool = True


class Registry:
    """Manifests, blobs and referrers, from mirrors and the registry itself. Safe for many threads at once.

    Every method raises CouldNotCheck when no answer was reached; NotThere is an answer: no source has it (404).
    """

    def __init__(
        self,
        fetcher: Fetcher,
        registries: Registries | None = None,
        authorizer: Authorizer | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._registries = Registries() if registries is None else registries
        self._authorizer = Authorizer(fetcher, self._registries) if authorizer is None else authorizer

    def manifest(self, reference: Reference, max_bytes: int = 4 << 20) -> Manifest:
        """By digest (compared with the bytes served) or by tag."""
        wanted = reference.digest or reference.tag or "latest"
        return self._first(reference.repository, lambda source: self._manifest(source, wanted, max_bytes))

    def tagged(
        self, reference: Reference, max_bytes: int = 4 << 20, everywhere: bool = False
    ) -> tuple[Manifest, ...]:
        """What is under a tag, or nothing: of the first source that has it; with `everywhere` of all, for tags move
        and a mirror may be behind. Then no answer of one of them raises."""
        if not everywhere:
            try:
                return (self.manifest(reference, max_bytes),)
            except NotThere:
                return ()
        found: dict[str, Manifest] = {}
        for source in self._registries.sources(reference.repository):
            try:
                manifest = self._manifest(source, reference.tag or "latest", max_bytes)
            except NotThere:
                continue
            found[manifest.digest] = manifest
        return tuple(found.values())

    def blob(self, repository: Repository, digest: str, max_bytes: int) -> bytes:
        """The content of a blob; its digest has been compared."""

        def read(source: Source) -> bytes:
            response = self._get(source, f"blobs/{digest}", max_bytes=max_bytes, redirects=True)
            return _compared(response, digest)

        return self._first(repository, read)

    def exists(self, repository: Repository, digest: str, blob: bool = False) -> bool:
        """Is there a manifest (or blob) of this digest? A 404 of all sources is False; no answer raises."""
        path = f"{'blobs' if blob else 'manifests'}/{digest}"
        # Without the types of manifests, distribution 2.8 says of an OCI manifest that it is not there.
        accept = "*/*" if blob else ACCEPT
        try:
            self._first(
                repository,
                lambda source: self._get(source, path, method="HEAD", accept=accept, redirects=blob),
            )
        except NotThere:
            return False
        return True

    def referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...]:
        """What refers to this manifest. CouldNotCheck("too_large") when there is more than is read."""
        listing = self.listing(repository, digest)
        if not listing.complete:
            raise CouldNotCheck("too_large", f"more than {MOST_REFERRERS} manifests refer to {digest}")
        return listing.descriptors

    def listing(self, repository: Repository, digest: str, everywhere: bool = False) -> Listing:
        """What refers to this manifest, by the referrers API, or the fallback tag where there is none.

        Of the first source that lists anything; with `everywhere` of all, for a mirror may hold a part only.
        Raises CouldNotCheck when nothing was found and a source gave no answer.
        """
        found: dict[str, Descriptor] = {}
        complete = True
        failure: CouldNotCheck | None = None
        for source in self._registries.sources(repository):
            try:
                listing = self._referrers(source, digest)
            except CouldNotCheck as error:
                failure = failure or error
                continue
            found |= {d.digest: d for d in listing.descriptors}
            complete = complete and listing.complete
            if found and not everywhere:
                break
        if failure is not None and (everywhere or not found):
            raise failure
        return Listing(tuple(found.values()), complete)

    def has_mirrors(self, repository: Repository) -> bool:
        return len(self._registries.sources(repository)) > 1

    # ---- one source ------------------------------------------------------------------------------

    def _manifest(self, source: Source, wanted: str, max_bytes: int) -> Manifest:
        response = self._get(source, f"manifests/{wanted}", accept=ACCEPT, max_bytes=max_bytes)
        if is_digest(wanted):
            _compared(response, wanted)
        else:
            _as_announced(response, wanted)
        content = parse_object(response.body, f"the manifest {wanted} of {source.host}")
        media = content.get("mediaType") or response.headers.get("content-type", "").partition(";")[0].strip()
        digest = wanted if is_digest(wanted) else digest_of(response.body)
        return Manifest(digest, media if isinstance(media, str) else "", response.body, content)

    def _referrers(self, source: Source, digest: str) -> Listing:
        found: list[Descriptor] = []
        path: str | None = f"referrers/{digest}"
        for page in range(MOST_PAGES):
            try:
                response = self._get(source, path or "", accept=INDEX, absent=_NO_REFERRERS_API)
            except NotThere:
                if page:
                    raise CouldNotCheck("bad_response", f"{source.host} loses a page of referrers") from None
                return self._fallback(source, digest)
            content = parse_object(response.body, f"the referrers that {source.host} lists")
            found += descriptors(content.get("manifests"), f"the referrers that {source.host} lists")
            path = _next(response)
            if path is None:
                return Listing(tuple(found[:MOST_REFERRERS]), len(found) <= MOST_REFERRERS)
            if len(found) > MOST_REFERRERS:
                break
        return Listing(tuple(found[:MOST_REFERRERS]), complete=False)

    def _fallback(self, source: Source, digest: str) -> Listing:
        """OCI distribution 1.1: the tag `sha256-<hex>` is an index of what refers to the manifest."""
        try:
            index = self._manifest(source, tag_of(digest), self._fetcher.max_bytes)
        except NotThere:
            return Listing(())
        found = index.descriptors("manifests")
        return Listing(found[:MOST_REFERRERS], len(found) <= MOST_REFERRERS)

    def _get(
        self,
        source: Source,
        path: str,
        *,
        method: str = "GET",
        accept: str = "*/*",
        max_bytes: int | None = None,
        redirects: bool = False,
        absent: tuple[int, ...] = (404,),
    ) -> Response:
        """One request, with credentials when they are asked for. NotThere for a status of `absent`."""
        url = path if "://" in path else source.url(path)
        for _ in range(3):  # a challenge, and a nonce
            shown = self._authorizer.headers(source, method, url)
            response = self._fetcher.request(
                method, url, headers={"Accept": accept, **shown}, max_bytes=max_bytes, redirects=redirects
            )
            if response.status == 200:
                if response.headers.get("content-type", "").startswith("text/html"):
                    # A proxy's page in place of the registry: neither content that differs, nor a sign that it is there.
                    raise CouldNotCheck("bad_response", f"{source.host} answers with a web page")
                return response
            if response.status in absent:
                raise NotThere(f"{source.host} has no {source.name}/{path}")
            if response.status != 401 or not self._authorizer.challenged(source, response, shown):
                break
        reason = "unauthorized" if response.status in (401, 403) else "bad_response"
        raise CouldNotCheck(
            reason, f"{source.host} answered {response.status} for {source.name}/{path[:100]}"
        )

    # ---- several sources -------------------------------------------------------------------------

    def _first(self, repository: Repository, ask: Callable[[Source], T]) -> T:
        """The first answer. It is not there only if every source says so."""
        failure: CouldNotCheck | None = None
        absent: NotThere | None = None
        for source in self._registries.sources(repository):
            try:
                return ask(source)
            except NotThere as error:
                absent = error
            except CouldNotCheck as error:
                failure = failure or error
        if failure is not None:
            raise failure
        assert absent is not None
        raise absent


def _compared(response: Response, digest: str) -> bytes:
    found = digest_of(response.body, digest)
    if found != digest:
        raise DigestMismatch(f"{urlsplit(response.url).netloc} served {found} for {digest}")
    return response.body


def _as_announced(response: Response, tag: str) -> None:
    """A tag names no digest, but a registry says whose bytes it sends: others were damaged on the way."""
    announced = response.headers.get("docker-content-digest", "")
    if is_digest(announced) and digest_of(response.body, announced) != announced:
        served = urlsplit(response.url).netloc
        raise CouldNotCheck("bad_response", f"{served} served other bytes for {tag} than it announced")


def _next(response: Response) -> str | None:
    """The address of the next page (RFC 8288), of the same host."""
    for part in response.headers.get("link", "").split(","):
        target, _, parameters = part.strip().partition(">")
        if target.startswith("<") and 'rel="next"' in parameters.replace("'", '"').replace(
            "rel=next", 'rel="next"'
        ):
            url = str(urljoin(response.url, target[1:]))
            here, there = urlsplit(response.url), urlsplit(url)
            if (here.scheme, here.netloc) != (there.scheme, there.netloc):
                raise CouldNotCheck(
                    "bad_response", f"{here.netloc} lists referrers further on {there.netloc}"
                )
            return url
    return None
