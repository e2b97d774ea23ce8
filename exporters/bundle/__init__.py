"""Release bundles: manifests, what they refer to, offline kits, and version skew."""

from __future__ import annotations

from typing import Any

__all__ = ["VERIFIER", "Config", "build"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: whoever only reads a manifest needs no verifier and no decompressor."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from exporters.bundle import assembly

    return getattr(assembly, name)
