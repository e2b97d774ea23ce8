"""The bundle exporter, put together; it needs the extra `exporters`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from exporters.bundle.config import Config
from exporters.bundle.history import HistoryError
from exporters.bundle.subject import Releases
from exporters.collector import Instruments
from exporters.config import ConfigError
from exporters.fetch import Fetcher
from exporters.oci import Registry

__all__ = ["VERIFIER", "Config", "build"]

VERIFIER = f"sigstore-python {metadata.version('sigstore')}"


def build(config: Config, instruments: Instruments, fetcher: Fetcher, clock: Callable[[], float]) -> Releases:
    """The subject. Raises ConfigError when its state file cannot be used."""
    try:
        return Releases(config, instruments, fetcher, Registry(fetcher, config.registries), clock)
    except HistoryError as error:
        raise ConfigError(str(error)) from None
