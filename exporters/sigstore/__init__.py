"""Signatures of images and files: trusted root, policy, and verification of what cosign writes."""

from exporters.sigstore.bundle import Signed, Statement, verify_blob, verify_statement
from exporters.sigstore.policy import Policy
from exporters.sigstore.trust import Trust, load_trust

__all__ = ["Policy", "Signed", "Statement", "Trust", "load_trust", "verify_blob", "verify_statement"]
