"""The bad release that the demo offers, verified by the real exporters: one image is bad, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.demo import servers
from tools.demo.release import BAD, COMPONENTS, Offered
from tools.demo.run import Ports

EXPORTER = Path(sys.executable).with_name("slo-exporter")


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offered]:
    """Published; its exporters do not run."""
    offered = Offered(tmp_path_factory.mktemp("demo"), Ports.choose(None), "bad")
    offered.prepare()
    started = (offered.registry, offered.files)
    try:
        for server in started:
            server.start()
        for server in started:
            server.wait_ready()
        offered.publish()
        yield offered
    finally:
        servers.stop_all(started)


def once(offered: Offered, word: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of one cycle."""
    command = [EXPORTER, word, "--config", offered.folder / f"{word}.yaml", "--once", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def not_verified(findings: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {(f["target"], f["check"]): f["reason"] for f in findings if f["verdict"] != "verified"}


def test_only_the_bad_image_fails_and_only_by_its_signer(offered: Offered) -> None:
    """Its SBOM and provenance are genuine; so are all the other images, their labels, and the trusted root."""
    code, findings = once(offered, "cosign")
    assert (code, not_verified(findings)) == (1, {(BAD, "signature"): "identity_mismatch"})
    assert {f["target"] for f in findings if f["check"] == "labels"} == set(COMPONENTS)


def test_the_manifest_its_references_the_kit_and_the_versions_are_in_order(offered: Offered) -> None:
    """Whoever signed an image: its manifest is genuine, and names what is there."""
    code, findings = once(offered, "bundle")
    assert (code, not_verified(findings)) == (0, {})
    targets = {f["target"] for f in findings}
    assert targets == {"edge", "stellaops-kit-2.4.1-stable.tar.zst", "skew"}


def test_the_log_grows_and_stays_consistent(offered: Offered) -> None:
    """As the exporter remembers it from before."""
    once(offered, "rekor")
    offered.grow()
    code, findings = once(offered, "rekor")
    assert (code, not_verified(findings)) == (0, {})
    assert "consistency" in {f["check"] for f in findings}
