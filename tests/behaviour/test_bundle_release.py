"""`slo-exporter bundle` with a whole signed release in Debian's registry: good, spoilt, and without an answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.release_kit import Release, ReleaseKit, digest_of
from tests.trustkit.kit import IDENTITY, ISSUER, TrustKit
from tests.trustkit.servers import docker_registry, free_port, wait_for

EXPORTER = Path(sys.executable).parent / "slo-exporter"
WHEN = {"date": "2025-06-21T12:00:00Z", "calendar": "2025.06"}


@dataclass
class Site:
    """A registry, a folder, and a release in both."""

    folder: Path
    host: str
    trust: TrustKit
    release: Release

    def publish(self, release: Release) -> None:
        (self.folder / "release.yaml").write_bytes(release.manifest)
        (self.folder / "release.yaml.sigstore.json").write_bytes(release.manifest_bundle)
        (self.folder / "docker-compose.yml").write_bytes(release.compose)

    def config(self, **keys: Any) -> Path:
        self.trust.write_root(self.folder / "root.json")
        config = {
            "state": "state.json",
            "trusted_root": "root.json",
            "policy": {"identity": IDENTITY, "issuer": ISSUER},
            "channels": [
                {"name": "stable", "manifest": "release.yaml", "require": [], "late_after": "3650d"}
            ],
            "charts": f"oci://{self.host}/charts",
            "registries": {"hosts": {self.host: {"plain_http": True}}},
            "kits": {"paths": ["*.tar.zst"]},
            **keys,
        }
        path = self.folder / "bundle.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def once(self, **keys: Any) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit code, and findings by "target check"."""
        command = [
            str(EXPORTER),
            "bundle",
            "--config",
            str(self.config(**keys)),
            "--once",
            "--output",
            "json",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.stdout, ended.stderr
        found = json.loads(ended.stdout)["findings"]
        return ended.returncode, {f"{f['target']} {f['check']}": f for f in found}


def without_entries(release: Release) -> str:
    """release.yaml without log entries: there is no log here to look them up in."""
    return "".join(line for line in release.text().splitlines(keepends=True) if "signature:" not in line)


def unlogged(release: Release) -> Release:
    release.seal(without_entries(release))
    return release


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with docker_registry(tmp_path / "registry") as host:
        trust = TrustKit()
        release = unlogged(ReleaseKit(trust, registry=host, **WHEN).build())
        release.push(f"http://{host}")
        site = Site(tmp_path, host, trust, release)
        site.publish(release)
        release.write_kit(tmp_path / "stellaops-kit-2.4.1-stable.tar.zst")
        yield site


def test_a_good_release_exits_0_with_a_line_for_each_check(site: Site) -> None:
    """Manifest, references in a real registry, and the kit."""
    code, found = site.once()
    bad = {name: f["detail"] for name, f in found.items() if f["verdict"] != "verified"}
    assert bad == {}
    assert code == 0
    assert {
        "stable signature",
        "stable signer image",
        "stable signer sbom",
        "stable platform chart",
    } <= found.keys()
    assert "stellaops-kit-2.4.1-stable.tar.zst signatures" in found


def test_a_deleted_sbom_exits_1_and_is_named(site: Site) -> None:
    """As garbage collection leaves it: the tag may still be there, the manifest is not."""
    # Debian's registry deletes nothing unless told to, so the manifest names one that was never pushed.
    gone = digest_of(b"never pushed")
    digest = site.release.image("signer").referrers["sbom"]["digest"]
    site.release.seal(without_entries(site.release).replace(digest, gone))
    site.publish(site.release)
    code, found = site.once(kits=None)
    assert code == 1
    finding = found["stable signer sbom"]
    assert (finding["verdict"], finding["reason"]) == ("failed", "missing")
    assert finding["detail"].startswith(
        f"component signer: sbom digest {gone[:19]}… is not there: {site.host} has no"
    )


def test_a_tampered_manifest_exits_1_and_nothing_in_it_is_asked_for(site: Site) -> None:
    """Signature and checksum both say so."""
    path = site.folder / "release.yaml"
    path.write_bytes(path.read_bytes().replace(b"platform", b"platfork"))
    code, found = site.once(kits=None)
    assert code == 1
    assert found["stable signature"]["reason"] == "bad_signature"
    assert found["stable checksum"]["reason"] == "checksum"
    assert not any("image" in name for name in found)


def test_a_registry_that_is_down_exits_3(site: Site) -> None:
    """Nothing is wrong with the release as far as anyone can tell, and nothing is known to be right."""
    registries = {"hosts": {site.host: {"plain_http": True}}}
    unreachable = unlogged(ReleaseKit(site.trust, registry=f"127.0.0.1:{free_port()}", **WHEN).build())
    site.publish(unreachable)
    code, found = site.once(kits=None, registries=registries, timeout="1s")
    assert code == 3
    assert found["stable signature"]["verdict"] == "verified"
    assert found["stable signer image"]["verdict"] == "unknown"


def test_a_running_exporter_follows_the_channel_and_ends_on_sigterm(site: Site) -> None:
    """Metrics over HTTP; a new release is seen in the next cycle; a kit that comes is found."""
    port = free_port()
    kit = site.folder / "stellaops-kit-2.4.1-stable.tar.zst"
    whole = kit.read_bytes()
    kit.unlink()
    config = site.config(interval="1s", listen=f"127.0.0.1:{port}")
    with (site.folder / "log").open("wb") as log:
        process = subprocess.Popen([str(EXPORTER), "bundle", "--config", str(config)], stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/-/healthy", process)
        eventually(port, 'release_manifest_valid{channel="stable"} 1.0')
        newer = unlogged(
            ReleaseKit(
                site.trust, registry=site.host, version="2.4.2", **{**WHEN, "date": "2025-06-22T12:00:00Z"}
            ).build()
        )
        newer.push(f"http://{site.host}")
        site.publish(newer)
        eventually(port, 'release_manifest_info{channel="stable",version="2.4.2"} 1.0')
        kit.write_bytes(whole)
        eventually(port, f'release_kit_valid{{kit="{kit.name}"}} 1.0')
        kit.unlink()
        eventually(port, f'release_kit_valid{{kit="{kit.name}"}}', there=False)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.wait()


def eventually(port: int, line: str, there: bool = True, seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    text = ""
    while time.monotonic() < ends:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        if (line in text) == there:
            return
        time.sleep(0.1)
    raise AssertionError(f"{line} {'never came' if there else 'stayed'}:\n{text}")
