"""The image that tests are about, and the policy its signatures meet."""

from __future__ import annotations

from exporters.sigstore import Policy
from tests.trustkit.kit import IDENTITY, ISSUER

IMAGE = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
KEYLESS = Policy(identity=IDENTITY, issuer=ISSUER)
