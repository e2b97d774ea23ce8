"""Both shapes of a release manifest are read strictly where a slip would hide something, and say what they lack."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

import pytest

from exporters.bundle.document import read
from exporters.bundle.manifest import Entry, Release, parse
from exporters.outcome import Refused

A, B, C = ("sha256:" + letter * 64 for letter in "abc")
UUID = "24296fb24b8ad77a" + "9" * 64
YAML = f"""\
release:
  version: "2.4.1"
  channel: "stable"
  date: "2027-06-20T12:00:00Z"
  calendar: "2027.06"
components:
  - name: scanner-webservice
    image: registry.example.org/stellaops/scanner-web@{A}
    sbom: oci://registry.example.org/stellaops/scanner-web/referrers/cdx-json@{B}
    provenance: oci://registry.example.org/stellaops/scanner-web/attest/provenance@{C}
    signature: {{ rekorUUID: "{UUID}" }}
  - name: signer
    image: registry.example.org/stellaops/signer@{B}
    signature: {{ logIndex: 0, origin: log.example.org }}
charts:
  - name: platform
    version: "2.4.1"
    digest: "{C}"
compose:
  file: "docker-compose.yml"
  digest: "{A}"
checksums:
  sha256: "VALUE"
"""
PUBLIC = {
    "release_id": "suite-2025.09",
    "version": "2025.09.2-airgap",
    "codename": "not read",
    "released_at": "2025-09-30T08:00:00+02:00",
    "services": [
        {"service_id": "authority", "image": "registry.example.org:5000/stellaops/authority", "digest": A, "tag": "x"}
    ],
    "signatures": [],
}  # fmt: skip


def sealed(text: str) -> str:
    """The text with its own digest in the place of VALUE."""
    return text.replace("VALUE", hashlib.sha256(text.replace("VALUE", "").encode()).hexdigest())


def manifest(text: str) -> Release:
    return parse(read(text.encode(), "release.yaml"), "release.yaml")


def refusal(text: str) -> str:
    with pytest.raises(Refused) as caught:
        manifest(text)
    assert caught.value.reason == "malformed"
    return caught.value.detail


def test_the_blueprint_s_manifest_is_read_whole() -> None:
    """Every section of release.yaml."""
    found = manifest(sealed(YAML))
    assert (str(found.version), found.channel, found.calendar) == ("2.4.1", "stable", "2027.06")
    assert found.date == datetime(2027, 6, 20, 12, tzinfo=UTC)
    scanner, signer = found.components
    assert str(scanner.image) == f"registry.example.org/stellaops/scanner-web@{A}"
    assert scanner.sbom is not None
    assert scanner.sbom.digest == B
    assert scanner.provenance is not None
    assert scanner.provenance.digest == C
    assert scanner.entry == Entry(uuid=UUID)
    assert signer.entry == Entry(index=0, origin="log.example.org")
    assert signer.sbom is None
    (chart,) = found.charts
    assert (chart.name, chart.version, chart.digest) == ("platform", "2.4.1", C)
    assert found.compose is not None
    assert (found.compose.file, found.compose.digest) == ("docker-compose.yml", A)


def test_the_checksum_is_that_of_the_file_with_the_value_blanked() -> None:
    """So that a shell can make it: sha256sum, then write it in. Any other change of a byte changes it."""
    good = manifest(sealed(YAML))
    assert good.checksum == good.computed
    moved = manifest(sealed(YAML).replace("compose:\n", "compose:  \n"))
    assert moved.checksum != moved.computed


def test_a_checksum_that_cannot_be_located_is_refused() -> None:
    """An escape would make the value that is read another one than the bytes that are blanked."""
    text = YAML.replace("VALUE", "\\x61" + "b" * 63)
    assert refusal(text).endswith("checksums.sha256 must be written once, as plain text on one line")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("    sbom: oci", "    sboms: oci", "components.0.sboms: is not a key that is known here"),
        (f"scanner-web@{A}", "scanner-web:2.4.1",
         "components.0.image: 'registry.example.org/stellaops/scanner-web:2.4.1' has no digest: "
         "releases are pulled by digest only, name@sha256:..."),
        (f"signer@{B}", "signer@sha256:aa", "components.1.image: 'registry.example.org/stellaops/signer@sha256:aa' "
         "has no valid digest after @: write sha256: and 64 hex digits"),
        ("name: signer", "name: scanner-webservice", "release.yaml names scanner-webservice twice"),
        ("12:00:00Z", "12:00:00", "release.date: '2027-06-20T12:00:00' is no date and time with its zone, "
         "such as 2027-06-20T12:00:00Z"),
        ('"2027.06"', '"2027.6"', "release.calendar: String should match pattern"),
        ('  version: "2.4.1"\n  channel', '  version: "latest"\n  channel', "release.version: 'latest' is no version"),
        ("  channel: \"stable\"\n", "", "release.channel: is missing"),
        ("logIndex: 0, ", "", "component signer: the signature gives no log entry; write rekorUUID, or logIndex and origin"),
        ("logIndex: 0", "logIndex: -1", "components.1.signature.logIndex: Input should be greater than or equal to 0"),
        ('file: "docker-compose.yml"', 'file: "../../etc/passwd"', "compose.file: String should match pattern"),
        ('version: "2.4.1"\n    digest', 'version: "../x"\n    digest', "charts.0.version: String should match pattern"),
    ],
)  # fmt: skip
def test_a_slip_is_refused_with_its_place(before: str, after: str, sentence: str) -> None:
    """One sentence: the key, and what is wrong with it."""
    assert before in YAML
    assert sentence in refusal(sealed(YAML.replace(before, after)))


def test_a_section_that_is_not_known_is_left_out_and_named() -> None:
    """The public tree pins MongoDB and RustFS there as well; what we do not judge we say."""
    assert manifest(sealed(YAML + "infrastructure:\n  mongo: x\n")).ignored == ("infrastructure",)


def test_the_public_json_is_read_and_its_extra_keys_are_not() -> None:
    """Its schema is published in part only, so keys that are not known may be anything."""
    found = manifest(json.dumps(PUBLIC))
    assert (str(found.version), found.channel, found.seen_as) == ("2025.09.2-airgap", "airgap", "2025.09.2")
    assert (found.calendar, found.date) == ("2025.09", datetime(2025, 9, 30, 6, tzinfo=UTC))
    (service,) = found.components
    assert (service.name, str(service.image)) == (
        "authority",
        f"registry.example.org:5000/stellaops/authority@{A}",
    )


def test_a_tag_in_the_public_json_s_image_means_nothing() -> None:
    """The port is no tag, the tag is dropped, the digest counts."""
    service = {"service_id": "a", "image": "localhost:5000/a:latest", "digest": B}
    found = manifest(json.dumps({**PUBLIC, "services": [service]}))
    assert str(found.components[0].image) == f"localhost:5000/a@{B}"


def test_the_public_json_s_own_digest_is_read_by_the_same_rule() -> None:
    """The bytes with the value blanked."""
    text = json.dumps({**PUBLIC, "manifest_digest": "VALUE"})
    digest = "sha256:" + hashlib.sha256(text.replace("VALUE", "").encode()).hexdigest()
    found = manifest(text.replace("VALUE", digest))
    assert "sha256:" + found.checksum == digest == "sha256:" + found.computed


@pytest.mark.parametrize(
    ("version", "channel", "seen"),
    [("2.4.1", "edge", "2.4.1"), ("2.4.1-edge.3", "edge", "2.4.1"), ("2.4.1-rc.1", "edge", "2.4.1-rc.1")],
)
def test_edge_and_stable_name_the_same_release_alike(version: str, channel: str, seen: str) -> None:
    """The soak is the time between the two; a candidate is another release."""
    text = YAML.replace(
        'version: "2.4.1"\n  channel: "stable"', f'version: "{version}"\n  channel: "{channel}"'
    )
    assert manifest(sealed(text)).seen_as == seen


@pytest.mark.parametrize("text", ["[]", "just text", "{}", '{"services": []}', '{"release": {}}'])
def test_what_is_no_manifest_is_malformed(text: str) -> None:
    """Whatever is missing first is named."""
    assert refusal(text).startswith("release.yaml")
