"""The cosign exporter over registries that tests fill: what it is configured with, and what it says."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from exporters import metrics as m
from exporters.collector import Instruments
from exporters.config import validate
from exporters.cosign import Config, build
from exporters.fetch import Fetcher
from exporters.metrics import Metric
from tests.trustkit.images import Attached, Store, push_image
from tests.trustkit.kit import CYCLONEDX, IDENTITY, ISSUER, SIGN, SLSA, Signer, TrustKit, statement

KINDS = {"signature": SIGN, "sbom": CYCLONEDX, "provenance": SLSA}
LABELS = {
    "org.opencontainers.image.version": "2.4.1",
    "org.opencontainers.image.revision": "0123456789abcdef",
    "org.stellaops.release.channel": "stable",
    "org.stellaops.release.calendar": "2027.06",
}


def sign_all(
    kit: TrustKit,
    on: Attached,
    signer: Signer | None = None,
    kinds: tuple[str, ...] = tuple(KINDS),
    log: str = "v1",
) -> None:
    """Signature, SBOM and provenance, as a release has them."""
    for kind in kinds:
        on.bundle(kit.attest(statement(on.image, KINDS[kind]), signer, log=log))


def signed_image(
    kit: TrustKit, store: Store, name: str, *, fallback: bool = False, salt: str = "", **how: Any
) -> Attached:
    """An image with all that it needs."""
    on = Attached(store, name, push_image(store, name, LABELS, salt=salt), fallback)
    sign_all(kit, on, **how)
    return on


class Exporter:
    """The subject of a configuration, its metrics, and the time."""

    def __init__(
        self, folder: Path, config: dict[str, Any], transport: httpx.BaseTransport | None = None, **fetch: Any
    ) -> None:
        self.now = 1_800_000_000.0
        policies = {"policies": {"all": {"identity": IDENTITY, "issuer": ISSUER}}}
        root = {"trusted_root": {"file": str(folder / "trusted_root.json")}}
        self.config = validate(Config, root | policies | config, folder / "cosign.yaml")
        self.instruments = Instruments(m.COSIGN)
        fetcher = Fetcher(transport=transport, sleep=lambda seconds: None, **{"attempts": 1} | fetch)
        self.subject = build(self.config, self.instruments, fetcher, lambda: self.now)

    def cycle(self) -> dict[tuple[str, str], str]:
        """One cycle: by target and check the verdict, or why there is none or a bad one."""
        found = {}
        for target in self.subject.targets():
            for finding in self.subject.check(target):
                found[target, finding.check] = finding.outcome.reason or str(finding.outcome.verdict)
        return found

    def value(self, metric: Metric, **labels: str) -> float | None:
        return self.instruments.value(metric, **labels)

    def verified(self, component: str, check: str) -> float | None:
        return self.value(m.IMAGE_VERIFIED, component=component, check=check)


def images(registry: str, *, plain_http: bool = False, **named: Attached) -> dict[str, Any]:
    """The part of a configuration that lists these images."""
    listed = [{"component": c, "image": f"{registry}/{on.name}@{on.image}"} for c, on in named.items()]
    hosts = {"hosts": {registry: {"plain_http": True}}} if plain_http else {}
    return {"images": listed, "registries": hosts}


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that another process does."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)
