"""Is the transparency log up, does it include what it should, and has it kept its word?"""

from importlib.metadata import version

from exporters.rekor.config import Config
from exporters.rekor.subject import build, clear_latch

__all__ = ["VERIFIER", "Config", "build", "clear_latch"]

VERIFIER = f"cryptography {version('cryptography')}"
