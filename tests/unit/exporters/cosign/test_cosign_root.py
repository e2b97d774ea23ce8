"""The trusted root's own target: its age, when it ends, and whether its mirror still serves the same."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporters import metrics as m
from exporters.config import ConfigError, load
from exporters.cosign import Config
from tests.trustkit.exporter import Exporter
from tests.trustkit.kit import BEGAN, IDENTITY, ISSUER, TrustKit
from tests.trustkit.registry import Memory, behind

IMAGES = {"images": [{"component": "scanner", "image": "registry.example.org/scanner@sha256:" + "0" * 64}]}


def exporter(folder: Path, *network: Memory, **root: Any) -> Exporter:
    config = {"trusted_root": {"file": "trusted_root.json", **root}}
    return Exporter(folder, IMAGES | config, behind(Memory(), *network))


def of(found: dict[tuple[str, str], str]) -> dict[str, str]:
    return {check: said for (target, check), said in found.items() if target == "trusted_root"}


def test_the_root_s_age_and_ends_are_published(folder: Path) -> None:
    """The age of the file in use; a kind that never ends has no series."""
    os.utime(folder / "trusted_root.json", (1_700_000_000, 1_700_000_000))
    watched = exporter(folder)
    watched.cycle()
    ends = {k: watched.value(m.ROOT_EXPIRY, kind=k) for k in ("fulcio", "ctlog", "rekor", "tsa")}
    ten_years = (BEGAN + timedelta(days=3650)).timestamp()
    assert ends == {"fulcio": ten_years, "ctlog": None, "rekor": None, "tsa": ten_years}
    assert watched.value(m.ROOT_TIMESTAMP) == 1_700_000_000


def test_a_root_that_is_replaced_is_read_and_its_ends_with_it(folder: Path, kit: TrustKit) -> None:
    """An end appears with the rotation, and goes with it."""
    watched = exporter(folder)
    watched.cycle()
    rotated = TrustKit()
    rotated.rekor.end = rotated.rekor2.end = BEGAN + timedelta(days=700)
    rotated.write_root(folder / "trusted_root.json")
    watched.cycle()
    assert watched.value(m.ROOT_EXPIRY, kind="rekor") == rotated.rekor.end.timestamp()
    kit.write_root(folder / "trusted_root.json")
    watched.cycle()
    assert watched.value(m.ROOT_EXPIRY, kind="rekor") is None


def test_a_pinned_root_is_the_pinned_one_or_none(folder: Path) -> None:
    """Another file in its place is not used."""
    right = hashlib.sha256((folder / "trusted_root.json").read_bytes()).hexdigest()
    assert of(exporter(folder, sha256=right).cycle()) == {"file": "verified"}
    assert of(exporter(folder, sha256="0" * 64).cycle()) == {"file": "trusted_root"}


def test_drift_of_the_mirror_is_seen(folder: Path) -> None:
    """1 while it serves another root, 0 again when it does not."""
    ours = (folder / "trusted_root.json").read_bytes()
    served = [ours]
    mirror = Memory("tuf.example.org", fault=lambda r: httpx.Response(200, content=served[0]))
    watched = exporter(folder, mirror, mirror={"url": "https://tuf.example.org/trusted_root.json"})
    assert of(watched.cycle()) == {"file": "verified", "mirror": "verified"}
    assert watched.value(m.ROOT_DRIFT) == 0
    served[0] = ours + b" "
    assert of(watched.cycle()) == {"file": "verified", "mirror": "drift"}
    assert (watched.value(m.ROOT_DRIFT), watched.value(m.ROOT_LAST_COMPARED)) == (1, watched.now)
    served[0] = ours
    watched.cycle()
    assert watched.value(m.ROOT_DRIFT) == 0


def test_a_mirror_that_cannot_be_read_is_no_drift(folder: Path) -> None:
    """What was compared last stands, and grows old."""
    answer = [httpx.Response(404)]
    mirror = Memory("tuf.example.org", fault=lambda r: answer[0])
    watched = exporter(folder, mirror, mirror={"url": "https://tuf.example.org/trusted_root.json"})
    assert of(watched.cycle())["mirror"] == "bad_response"
    assert (watched.value(m.ROOT_DRIFT), watched.value(m.ROOT_LAST_COMPARED)) == (None, None)
    answer[0] = httpx.Response(200, content=b"another")
    watched.cycle()
    compared = watched.now
    watched.now += 60
    answer[0] = httpx.Response(503)
    assert of(watched.cycle())["mirror"] == "bad_response"
    assert (watched.value(m.ROOT_DRIFT), watched.value(m.ROOT_LAST_COMPARED)) == (1, compared)


def test_a_mirror_may_be_a_file(folder: Path) -> None:
    """On a mounted volume."""
    (folder / "mirrored.json").write_bytes(b"another")
    assert of(exporter(folder, mirror={"file": "mirrored.json"}).cycle())["mirror"] == "drift"
    assert of(exporter(folder, mirror={"file": "missing.json"}).cycle())["mirror"] == "unreachable"


def test_the_pin_is_what_the_mirror_is_compared_with(folder: Path) -> None:
    """Even while our own file is another."""
    (folder / "mirrored.json").write_bytes(b"pinned")
    pin = hashlib.sha256(b"pinned").hexdigest()
    found = of(exporter(folder, sha256=pin, mirror={"file": "mirrored.json"}).cycle())
    assert found["file"] == "trusted_root"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": []}, "nothing to check"),
        ({"images": [{"component": "x", "image": "registry.example.org/x:latest"}]}, "no digest"),
        ({"images": IMAGES["images"] * 2}, "two images are called scanner"),
        ({"trusted_root": None}, "names no trusted_root"),
        ({"policies": {"all": {"identity": IDENTITY}}}, "could be anyone's"),
        ({"policies": {"all": {"identity": IDENTITY, "key": "x", "issuer": ISSUER}}}, "one of identity"),
        ({"policies": {"all": {"identity_pattern": "(", "issuer": ISSUER}}}, "no regular expression"),
        ({"policies": {"all": {"key": "x", "issuer": ISSUER}}}, "a key has no issuer"),
        ({"trusted_root": {"file": "x", "mirror": {}}}, "one of url and file"),
        ({"registries": {"hosts": {"x": {"username": "u"}}}}, "come together"),
        ({"registries": {"hosts": {"x": {"mirrors": [{"location": "https://x"}]}}}}, "no registry"),
        ({"nonsense": 1}, "unknown"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    change: dict[str, Any], says: str, folder: Path
) -> None:
    """In one sentence, with the key and the remedy."""
    with pytest.raises(ConfigError, match=says):
        Exporter(folder, IMAGES | change)


def test_the_example_of_the_docs_is_a_configuration(tmp_path: Path) -> None:
    """What the page shows can be used."""
    text = Path("docs/exporters.md").read_text()
    (example,) = re.findall(r"```yaml cosign\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "cosign.yaml"
    path.write_text(example)
    assert [manifest.name for manifest in load(Config, path).manifests] == ["stable", "edge"]
