"""A throwaway Sigstore for all tests of the cosign exporter; its root lies in each test's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trustkit.kit import TrustKit


@pytest.fixture(scope="session")
def kit() -> TrustKit:
    return TrustKit()


@pytest.fixture
def folder(kit: TrustKit, tmp_path: Path) -> Path:
    kit.write_root(tmp_path / "trusted_root.json")
    return tmp_path
