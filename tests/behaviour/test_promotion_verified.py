"""`slo gate --verify`: the gate verifies the release itself, against a real registry, whatever metrics say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.release_kit import Release, ReleaseKit
from tests.trustkit.kit import IDENTITY, ISSUER, TrustKit
from tests.trustkit.servers import docker_registry

SLO = Path(sys.executable).parent / "slo"
POLICY = "transitions: [{from: edge, to: stable, pages: false, checks: []}]\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Release]]:
    """A signed release in Debian's registry, and configurations of both exporters beside its manifest."""
    folder = tmp_path_factory.mktemp("release")
    with docker_registry(folder / "registry") as host:
        trust = TrustKit()
        kit = ReleaseKit(
            trust, registry=host, channel="edge", date="2025-06-21T12:00:00Z", calendar="2025.06"
        )
        release = kit.build()
        release.seal("".join(x for x in release.text().splitlines(keepends=True) if "signature:" not in x))
        release.push(f"http://{host}")
        trust.write_root(folder / "root.json")
        signed_by = {"identity": IDENTITY, "issuer": ISSUER}
        hosts = {"hosts": {host: {"plain_http": True}}}
        write(folder, "cosign.yaml", trusted_root={"file": "root.json"}, policies={"all": signed_by}, registries=hosts,
              images=[{"component": "other", "image": f"{host}/other@sha256:{'0' * 64}"}])  # fmt: skip
        write(folder, "bundle.yaml", trusted_root="root.json", policy=signed_by, registries=hosts, state="state.json",
              charts=f"oci://{host}/charts",
              channels=[{"name": "edge", "manifest": "elsewhere.yaml", "require": [], "late_after": "3650d"}])  # fmt: skip
        (folder / "policy.yaml").write_text(POLICY)
        (folder / "docker-compose.yml").write_bytes(release.compose)
        yield folder, release


def write(folder: Path, name: str, **keys: Any) -> None:
    (folder / name).write_text(yaml.safe_dump(keys))


def gate(folder: Path, release: Release, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and results of a gate without any Prometheus; that one is missing is a result of its own."""
    (folder / "release.yaml").write_bytes(release.manifest)
    (folder / "release.yaml.sigstore.json").write_bytes(release.manifest_bundle)
    done = subprocess.run(
        [SLO, "gate", "--release", "release.yaml", "--from", "edge", "--to", "stable", "--policy", "policy.yaml",
         "--prometheus", "http://127.0.0.1:1", "--output", "json", *more],
        capture_output=True, text=True, check=False, cwd=folder, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    results = {r["check"]: r for r in json.loads(done.stdout)["results"]}
    assert results.pop("prometheus")["outcome"] == "unknown"
    return done.returncode, results


def test_every_image_of_this_release_is_verified_and_none_else(site: tuple[Path, Release]) -> None:
    """By who signs according to the configuration; its own list of images is not asked for."""
    folder, release = site
    _, results = gate(folder, release, "--verify", "cosign.yaml")
    verified = {c for c, r in results.items() if r["outcome"] == "passed" and c.startswith("verify-images/")}
    wanted = {
        f"verify-images/{image.name}/{check}"
        for image in release.images
        for check in ("signature", "sbom", "provenance")
    }
    assert wanted <= verified
    assert not any("other" in check for check in results)
    assert {r["outcome"] for r in results.values()} == {"passed"}


def test_the_manifest_and_what_it_refers_to_are_verified(site: tuple[Path, Release]) -> None:
    """As the channel of the configuration is signed; its own address is not asked."""
    folder, release = site
    _, results = gate(folder, release, "--verify-manifest", "bundle.yaml")
    assert results["verify-manifest/edge/signature"]["outcome"] == "passed"
    assert {r["outcome"] for r in results.values()} == {"passed"}, results


def test_a_tampered_manifest_blocks(site: tuple[Path, Release]) -> None:
    """One byte of it is another's."""
    folder, release = site
    honest = release.manifest
    try:
        release.manifest = honest.replace(b"2025-06-21", b"2025-06-20")
        code, results = gate(folder, release, "--verify-manifest", "bundle.yaml")
    finally:
        release.manifest = honest
    assert code == 1
    assert "failed" in {r["outcome"] for c, r in results.items() if c.startswith("verify-manifest/")}


def test_an_unknown_signer_blocks(site: tuple[Path, Release]) -> None:
    """Signed, and not by whom the configuration names."""
    folder, release = site
    config = yaml.safe_load((folder / "cosign.yaml").read_text())
    config["policies"]["all"]["identity"] = "somebody@example.org"
    write(folder, "other.yaml", **config)
    code, results = gate(folder, release, "--verify", "other.yaml")
    assert code == 1
    assert results["verify-images/signer/signature"]["outcome"] == "failed"
    assert "identity_mismatch" in results["verify-images/signer/signature"]["sentence"]


def test_a_channel_that_the_configuration_does_not_know_is_a_usage_error(site: tuple[Path, Release]) -> None:
    """Nothing would say who signs it."""
    folder, _ = site
    config = yaml.safe_load((folder / "bundle.yaml").read_text())
    config["channels"][0]["name"] = "stable"
    write(folder, "stable.yaml", **config)
    done = subprocess.run(
        [SLO, "gate", "--release", "release.yaml", "--from", "edge", "--to", "stable", "--verify-manifest", "stable.yaml"],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 2
    assert "has no channel edge" in done.stderr
