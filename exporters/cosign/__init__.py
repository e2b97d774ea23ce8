"""Are the release's images signed, with SBOM and provenance, by whom they must be, and logged?"""

from exporters.cosign.config import Config
from exporters.cosign.subject import build
from exporters.cosign.verdicts import VERIFIER

__all__ = ["VERIFIER", "Config", "build"]
