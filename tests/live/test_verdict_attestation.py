"""The gate's verdict as an attestation: the commands of docs/gate.md, run with real cosign, without any network."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slo.gate.outputs import PREDICATE
from tests import gatekit
from tests.trustkit.servers import TOOLS

pytestmark = pytest.mark.live

DOC = Path(__file__).resolve().parents[2] / "docs" / "gate.md"
IMAGE = "0123456789abcdef" * 4


def shown(word: str) -> list[str]:
    """The commands of a block of the page, one a line."""
    (block,) = [b for b in re.findall(r"```sh\n(.*?)```", DOC.read_text(), re.DOTALL) if word in b]
    return [line for line in block.replace("\\\n", " ").splitlines() if line]


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """As a person types it, with a proxy that nobody answers on: whatever asks the network fails."""
    cosign = TOOLS / "cosign3"
    assert (cosign / "cosign").exists(), "cosign is missing: run tools/peers cosign3"
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PATH": f"{cosign}:{gatekit.SLO.parent}:{os.environ['PATH']}", "HOME": str(folder), "COSIGN_PASSWORD": "",
        "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "SLO_PROMETHEUS_URL": nowhere,
    }  # fmt: skip
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all commands but the last have been run."""
    folder = tmp_path_factory.mktemp("verdict")
    gatekit.small_release(folder)
    judged = run(folder, *shown("--statement verdict.json\n"))
    assert judged.returncode == 3, judged.stderr  # nobody answers: an honest unknown, and a statement of it
    made = run(folder, "cosign generate-key-pair --output-key-prefix cosign")
    assert made.returncode == 0, made.stderr
    for command in shown("cosign attest-blob")[:-1]:
        done = run(folder, command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    return folder


VERIFY = shown("cosign attest-blob")[-1]


def test_the_verdict_is_verified_for_its_manifest(signed: Path) -> None:
    """By the key's other half, and without asking anybody."""
    done = run(signed, VERIFY)
    assert done.returncode == 0, done.stderr
    assert "Verified OK" in done.stderr


def test_what_is_signed_is_the_verdict(signed: Path) -> None:
    """The statement's predicate is the gate's whole answer, and its subjects are the manifest and its images."""
    envelope = json.loads((signed / "verdict.sigstore.json").read_text())["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["predicateType"] == PREDICATE
    assert statement["predicate"]["decision"] == "unknown"
    assert [s["name"] for s in statement["subject"]] == [
        "release.yaml", f"registry.example.org/stellaops/signer@sha256:{IMAGE}",
    ]  # fmt: skip
    assert statement["subject"][1]["digest"] == {"sha256": IMAGE}


def better(bundle: Any) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    assert b'"unknown"' in payload
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b'"unknown"', b'"promote"')).decode()


def unsigned(bundle: Any) -> None:
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(b"0" * 70).decode()


@pytest.mark.parametrize("tamper", [better, unsigned])
def test_a_tampered_verdict_fails(signed: Path, tamper: Callable[[Any], None]) -> None:
    """An unknown that was made a promotion; a signature of nobody."""
    bundle = json.loads((signed / "verdict.sigstore.json").read_text())
    tamper(bundle)
    (signed / "tampered.json").write_text(json.dumps(bundle))
    assert run(signed, VERIFY.replace("verdict.sigstore.json", "tampered.json")).returncode != 0


def test_another_manifest_fails(signed: Path) -> None:
    """The verdict is about one release."""
    (signed / "other.yaml").write_text((signed / "release.yaml").read_text().replace("2.5.0", "2.6.0"))
    done = run(signed, VERIFY.replace(" release.yaml", " other.yaml"))
    assert done.returncode != 0


def test_another_key_fails(signed: Path) -> None:
    """Somebody else's."""
    assert run(signed, "cosign generate-key-pair --output-key-prefix other").returncode == 0
    assert run(signed, VERIFY.replace("cosign.pub", "other.pub")).returncode != 0


def test_another_predicate_fails(signed: Path) -> None:
    """A statement of another kind is no verdict."""
    assert run(signed, VERIFY.replace(PREDICATE, "https://slsa.dev/provenance/v1")).returncode != 0
