"""Is the transparency log up, does it include what it should, and has it kept its word?"""

from exporters.rekor.config import Config
from exporters.rekor.subject import build, clear_latch

__all__ = ["Config", "build", "clear_latch"]
