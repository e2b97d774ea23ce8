"""The registry client: every answer is compared with its digest, a 404 is an answer, and nothing else is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from exporters.fetch import Fetcher
from exporters.oci import DigestMismatch, NotThere, Reference, Registry, Repository
from exporters.oci_config import Registries
from exporters.outcome import CouldNotCheck
from tests.trustkit.images import INDEX, Attached, digest_of, push_image
from tests.trustkit.kit import TrustKit, statement
from tests.trustkit.registry import Memory, behind

HOST, NAME = "registry.example.org", "stellaops/scanner"
REPOSITORY = Repository(HOST, NAME)
ABSENT = "sha256:" + "0" * 64


def client(*registries: Memory, **options: Any) -> Registry:
    fetcher = Fetcher(transport=behind(*registries), attempts=1, sleep=lambda seconds: None)
    return Registry(fetcher, Registries.model_validate({"hosts": options.get("hosts", {})}))


def at(digest: str) -> Reference:
    return Reference(REPOSITORY, digest=digest)


# ---- references ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"registry.example.org/stellaops/scanner@{ABSENT}",
        "registry.example.org:5000/scanner:2.4.1",
        f"localhost/a/b/c:latest@{ABSENT}",
        "[::1]:5000/scanner:x",
    ],
)
def test_a_reference_is_read_and_printed_back(text: str) -> None:
    """Registry, name, tag, digest."""
    assert str(Reference.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scanner", "does not begin with a registry"),
        ("stellaops/scanner:1", "does not begin with a registry"),
        ("registry.example.org/Scanner", "no valid repository name"),
        ("registry.example.org/a/../b", "no valid repository name"),
        ("registry.example.org/a@sha256:abc", "no valid digest"),
        (f"registry.example.org/a@{ABSENT.upper()}", "no valid digest"),
        ("registry.example.org/a:", "no valid tag"),
        ("user:pass@registry.example.org/a", "no valid digest"),
        ("https://registry.example.org/a", "does not begin with a registry"),
        ("", "does not begin with a registry"),
    ],
)
def test_what_is_no_reference_is_refused_with_what_is_wrong(text: str, says: str) -> None:
    """There is no default registry, and no tag is guessed."""
    with pytest.raises(ValueError, match=says):
        Reference.parse(text)


# ---- content ------------------------------------------------------------------------------------


def test_a_manifest_is_fetched_by_digest_and_by_tag() -> None:
    """By tag its digest is computed, not believed."""
    registry = Memory()
    digest = push_image(registry, NAME, tag="2.4.1")
    assert client(registry).manifest(at(digest)).digest == digest
    assert client(registry).manifest(Reference(REPOSITORY, tag="2.4.1")).digest == digest


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_other_bytes_than_the_digest_names_are_no_answer(kind: str) -> None:
    """Damaged on the way, or forged: never the content that was asked for."""
    registry = Memory(fault=lambda r: httpx.Response(200, content=b"{}") if kind in r.url.path else None)
    ask = {
        "manifests": lambda: client(registry).manifest(at(ABSENT)),
        "blobs": lambda: client(registry).blob(REPOSITORY, ABSENT, 100),
    }
    with pytest.raises(DigestMismatch):
        ask[kind]()


def test_other_bytes_than_the_registry_announces_for_a_tag_are_no_answer() -> None:
    """A tag names no digest: a list of referrers that was damaged on the way would read as a shorter one."""
    registry = Memory()
    digest = push_image(registry, "stellaops/scanner", tag="stable")
    body, media = registry.manifests["stellaops/scanner", "stable"]

    def damaged(request: httpx.Request) -> httpx.Response:
        headers = {"content-type": media, "docker-content-digest": digest}
        return httpx.Response(200, content=body.replace(b"layers", b"lagers"), headers=headers)

    registry.fault = damaged
    with pytest.raises(CouldNotCheck, match="other bytes for stable") as caught:
        client(registry).manifest(Reference.parse("registry.example.org/stellaops/scanner:stable"))
    assert caught.value.reason == "bad_response"


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry, asked: registry.manifest(asked),
        lambda registry, asked: registry.exists(asked.repository, asked.digest),
    ],
    ids=["manifest", "exists"],
)
def test_a_web_page_in_place_of_a_registry_is_no_answer(ask: Callable[[Registry, Reference], object]) -> None:
    """A network's sign-in page, answered to everything with 200: nothing is there because of it, and nothing differs."""
    registry = Memory()
    digest = push_image(registry, "stellaops/scanner")
    registry.fault = lambda request: httpx.Response(200, html="<h1>Sign in</h1>")
    with pytest.raises(CouldNotCheck, match="web page") as caught:
        ask(client(registry), at(digest))
    assert not isinstance(caught.value, DigestMismatch)


def test_what_is_not_there_is_an_answer() -> None:
    """404 and nothing else."""
    registry = client(Memory())
    with pytest.raises(NotThere):
        registry.manifest(at(ABSENT))
    with pytest.raises(NotThere):
        registry.blob(REPOSITORY, ABSENT, 100)
    assert registry.exists(REPOSITORY, ABSENT) is False
    assert registry.referrers(REPOSITORY, ABSENT) == ()


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "unauthorized"), (403, "unauthorized"), (429, "rate_limited"), (500, "bad_response"), (400, "bad_response"), (301, "bad_response")]
)  # fmt: skip
def test_every_other_status_is_no_answer(status: int, reason: str) -> None:
    """Least of all to the question whether something exists."""
    registry = client(Memory(fault=lambda r: httpx.Response(status)))
    asks: list[Callable[[], object]] = [
        lambda: registry.manifest(at(ABSENT)),
        lambda: registry.blob(REPOSITORY, ABSENT, 100),
        lambda: registry.exists(REPOSITORY, ABSENT),
        lambda: registry.referrers(REPOSITORY, ABSENT),
    ]
    for ask in asks:
        with pytest.raises(CouldNotCheck) as caught:
            ask()
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"\xff", b"[" * 99_999, b'{"manifests": 1}', b'{"manifests": [1]}', b'{"manifests": [{"digest": "sha256:../x", "size": 1}]}'],
)  # fmt: skip
def test_a_list_of_referrers_in_another_shape_is_no_answer(body: bytes) -> None:
    """An error page, deep JSON, a digest that is a path."""
    registry = client(Memory(fault=lambda r: httpx.Response(200, content=body)))
    with pytest.raises(CouldNotCheck) as caught:
        registry.referrers(REPOSITORY, ABSENT)
    assert caught.value.reason == "bad_response"


def test_null_is_an_empty_list() -> None:
    """As Go writes one."""
    registry = client(Memory(fault=lambda r: httpx.Response(200, content=b'{"manifests": null}')))
    assert registry.referrers(REPOSITORY, ABSENT) == ()


# ---- referrers ----------------------------------------------------------------------------------


def attached(registry: Memory, count: int) -> str:
    image = push_image(registry, NAME)
    on = Attached(registry, NAME, image, fallback=not registry.referrers)
    kit = TrustKit()
    for _ in range(count):
        on.bundle(kit.attest(statement(image)))
    return image


@pytest.mark.parametrize("api", [True, False])
def test_referrers_are_found_by_api_and_by_fallback_tag(api: bool) -> None:
    """The same ones."""
    registry = Memory(referrers=api)
    image = attached(registry, 3)
    assert len(client(registry).referrers(REPOSITORY, image)) == 3


def test_pages_of_referrers_are_followed() -> None:
    """RFC 8288."""
    registry = Memory(page=2)
    image = attached(registry, 5)
    assert len({d.digest for d in client(registry).referrers(REPOSITORY, image)}) == 5


@pytest.mark.parametrize(
    "there", ["https://evil.example.org/v2/x", "http://registry.example.org/v2/x", "//evil.example.org/x"]
)
def test_a_page_on_another_host_is_not_followed(there: str) -> None:
    """It would be sent our token."""
    link = {"link": f'<{there}>; rel="next"'}
    registry = Memory(fault=lambda r: httpx.Response(200, json={"manifests": []}, headers=link))
    with pytest.raises(CouldNotCheck) as caught:
        client(registry).referrers(REPOSITORY, ABSENT)
    assert (caught.value.reason, len(registry.asked)) == ("bad_response", 1)


def test_pages_without_end_do_end() -> None:
    """Each leads to the next."""
    link = {"link": '</v2/x/referrers/y>; rel="next"'}
    registry = Memory(fault=lambda r: httpx.Response(200, json={"manifests": []}, headers=link))
    assert client(registry).listing(REPOSITORY, ABSENT).complete is False
    assert len(registry.asked) == 50


def test_a_hundred_thousand_referrers_are_a_list_that_is_not_complete() -> None:
    """In pages: what is read is read, and the rest is known to be missing."""
    descriptors = [
        {"digest": digest_of(str(n).encode()), "size": 1, "mediaType": "x"} for n in range(100_000)
    ]

    def page(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params.get("from", "0"))
        headers = {"link": f'<{request.url.path}?from={start + 500}>; rel="next"'}
        return httpx.Response(200, json={"manifests": descriptors[start : start + 500]}, headers=headers)

    registry = Memory(fault=page)
    listing = client(registry).listing(REPOSITORY, ABSENT)
    assert (len(listing.descriptors), listing.complete, len(registry.asked)) == (1000, False, 3)
    with pytest.raises(CouldNotCheck) as caught:
        client(registry).referrers(REPOSITORY, ABSENT)
    assert caught.value.reason == "too_large"


def test_a_list_that_is_larger_than_what_is_read_is_no_answer() -> None:
    """All hundred thousand on one page."""
    descriptors = [{"digest": digest_of(str(n).encode()), "size": 1} for n in range(100_000)]
    body = json.dumps({"mediaType": INDEX, "manifests": descriptors}).encode()
    registry = client(Memory(fault=lambda r: httpx.Response(200, content=body)))
    with pytest.raises(CouldNotCheck) as caught:
        registry.listing(REPOSITORY, ABSENT)
    assert caught.value.reason == "too_large"


# ---- mirrors ------------------------------------------------------------------------------------

MIRRORED = {HOST: {"mirrors": [{"location": "one.example.org"}, {"location": "two.example.org/mirror"}]}}


def network() -> tuple[Memory, Memory, Memory]:
    return Memory("one.example.org"), Memory("two.example.org"), Memory(HOST)


def test_mirrors_are_asked_in_order_before_the_registry() -> None:
    """The first that has it, under the mirror's own path."""
    one, two, own = network()
    image = push_image(two, f"mirror/{NAME}")
    assert client(one, two, own, hosts=MIRRORED).manifest(at(image)).digest == image
    assert [len(r.asked) for r in (one, two, own)] == [1, 1, 0]


@pytest.mark.parametrize("status", [404, 500, 403])
def test_a_mirror_that_has_it_not_or_is_broken_is_passed_over(status: int) -> None:
    """The registry itself has the last word."""
    one, two, own = network()
    one.fault = two.fault = lambda r: httpx.Response(status)
    image = push_image(own, NAME)
    registry = client(one, two, own, hosts=MIRRORED)
    assert registry.manifest(at(image)).digest == image
    assert registry.exists(REPOSITORY, image) is True


def test_a_mirror_that_serves_other_bytes_is_passed_over() -> None:
    """Its answer is compared with the digest, as any other."""
    one, two, own = network()
    one.fault = lambda r: httpx.Response(200, content=b"{}")
    image = push_image(own, NAME)
    assert client(one, two, own, hosts=MIRRORED).manifest(at(image)).digest == image


def test_it_is_not_there_only_if_every_source_says_so() -> None:
    """One that cannot be asked may have it."""
    one, two, own = network()
    assert client(one, two, own, hosts=MIRRORED).exists(REPOSITORY, ABSENT) is False
    with pytest.raises(CouldNotCheck) as caught:
        client(one, own, hosts=MIRRORED).exists(REPOSITORY, ABSENT)  # two is down
    assert caught.value.reason == "unreachable"


def test_a_mirror_without_referrers_leads_to_the_registry() -> None:
    """It copied the image and not what is attached to it."""
    one, two, own = network()
    image = attached(own, 2)
    assert len(client(one, two, own, hosts=MIRRORED).referrers(REPOSITORY, image)) == 2


def test_all_sources_are_asked_where_a_mirror_may_hold_a_part() -> None:
    """On demand: the union."""
    one, two, own = network()
    image = attached(own, 2)
    assert attached(one, 1) == image
    registry = client(one, two, own, hosts=MIRRORED)
    assert len(registry.listing(REPOSITORY, image).descriptors) == 1
    assert len(registry.listing(REPOSITORY, image, everywhere=True).descriptors) == 3


# ---- addresses ----------------------------------------------------------------------------------


def test_plain_http_is_asked_only_where_it_is_configured() -> None:
    """And https everywhere else."""
    registry = Memory()
    image = push_image(registry, NAME)
    client(registry).manifest(at(image))
    client(registry, hosts={HOST: {"plain_http": True}}).manifest(at(image))
    assert [r.url.scheme for r in registry.asked] == ["https", "http"]


def test_docker_hub_is_asked_where_it_answers() -> None:
    """docker.io has no registry."""
    registry = Memory("registry-1.docker.io")
    image = push_image(registry, "library/mongo")
    reference = Reference.parse(f"docker.io/library/mongo@{image}")
    assert client(registry).manifest(reference).digest == image


def test_a_blob_may_lie_on_another_host_and_a_manifest_may_not() -> None:
    """Registries send blobs to a CDN."""
    registry = Memory()
    image = push_image(registry, NAME)
    cdn = Memory("cdn.example.org", fault=lambda r: httpx.Response(200, content=b"blob"))
    away = {"location": "https://cdn.example.org/x"}
    registry.fault = lambda r: httpx.Response(307, headers=away)
    assert client(registry, cdn).blob(REPOSITORY, digest_of(b"blob"), 100) == b"blob"
    with pytest.raises(CouldNotCheck) as caught:
        client(registry, cdn).manifest(at(image))
    assert caught.value.reason == "bad_response"
