"""A throwaway Sigstore, its root, and policies that its signatures meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporters.sigstore import Policy, Trust, load_trust
from tests.trustkit.kit import Signer, TrustKit


@pytest.fixture(scope="session")
def kit() -> TrustKit:
    return TrustKit()


@pytest.fixture(scope="session")
def trust(kit: TrustKit, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return load_trust(kit.write_root(tmp_path_factory.mktemp("root") / "trusted_root.json"))


@pytest.fixture(scope="session")
def signer(kit: TrustKit) -> Signer:
    """A signer by key."""
    return kit.key()


@pytest.fixture(scope="session")
def by_key(signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    path: Path = tmp_path_factory.mktemp("key") / "cosign.pub"
    path.write_bytes(signer.pem)
    return Policy(key=path)
