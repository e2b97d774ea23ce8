"""What npm's @sigstore/verify says of bundles."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "verify"


def case(
    root: dict[str, Any],
    bundle: dict[str, Any],
    *,
    artifact: bytes | None = None,
    key: bytes | None = None,
    identity: str = "",
    issuer: str = "",
) -> dict[str, Any]:
    """One question; by a key (PEM), else keyless."""
    who = {"identity": identity, "issuer": issuer} if key is None else {"key": key.decode()}
    data = {} if artifact is None else {"artifact": base64.b64encode(artifact).decode()}
    return {"root": root, "bundle": bundle, **who, **data}


def opinions(cases: list[dict[str, Any]]) -> list[str]:
    """ "" for each that verifies, else what is wrong with it."""
    assert (FOLDER / "node_modules").exists(), "the verifier is missing: npm ci --prefix tests/live/verify"
    done = subprocess.run(
        ["node", FOLDER / "verify.mjs"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said: list[str] = json.loads(done.stdout)
    return said
