"""Verification by the gate itself: the exporters' own checks, made once, of exactly this release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from slo.errors import LoadError, SLOError
from slo.gate.verdict import Evidence, Outcome, Result

if TYPE_CHECKING:
    from exporters.subject import Finding

GROUP = "direct verification"
_OUTCOMES = {"verified": Outcome.PASSED, "failed": Outcome.FAILED, "unknown": Outcome.UNKNOWN}


def images(config: Path, release: Path) -> list[Result]:
    """Signature, SBOM and provenance of every image of the release, by a configuration of `slo-exporter cosign`."""
    manifest = {"name": "release", "location": str(release.absolute())}
    found = _run("cosign", config, lambda written: {"images": [], "manifests": [manifest]})
    return _results("verify-images", found)


def manifest(config: Path, release: Path, channel: str) -> list[Result]:
    """The manifest's signature and everything it refers to, by a configuration of `slo-exporter bundle`.

    How the channel is signed is taken from the configuration; kits, skew and its memory of older releases are not.
    """

    def of_this_release(written: Mapping[str, Any]) -> dict[str, object]:
        channels = written.get("channels")
        known = [c for c in channels if isinstance(c, dict)] if isinstance(channels, list) else []
        own = next((c for c in known if c.get("name") == channel), None)
        if own is None:
            raise LoadError(
                f"{config}: has no channel {channel}: --verify-manifest takes from it who signs the manifest"
            )
        only = {**own, "manifest": str(release.absolute())}
        return {"channels": [only], "kits": None, "skew": None, "soak": None, "state": f"{memory}/state.json"}

    with TemporaryDirectory(prefix="slo-gate-") as memory:
        return _results("verify-manifest", _run("bundle", config, of_this_release))


def _run(
    kind: str, config: Path, changes: Callable[[Mapping[str, Any]], Mapping[str, object]]
) -> list[Finding]:
    """One cycle of an exporter; LoadError for a configuration that cannot be used, SLOError without its packages."""
    try:
        from exporters import strict_yaml
        from exporters.config import ConfigError
        from exporters.outcome import CouldNotCheck
        from exporters.service import KINDS, Service

        KINDS[kind].module()
    except ModuleNotFoundError as error:
        raise SLOError(
            f"direct verification needs {error.name}: pip install 'stella-slo[exporters]'"
        ) from None
    try:
        _, written = strict_yaml.read(config)
        overrides = changes(written if isinstance(written, dict) else {})
        return Service(KINDS[kind], config, {**overrides, "log_level": "error", "log_format": "text"}).once()
    except (ConfigError, CouldNotCheck) as error:
        raise LoadError(f"direct verification: {error}") from None


def _results(check: str, findings: Iterable[Finding]) -> list[Result]:
    results = [
        Result(
            f"{check}/{f.target}/{f.check}", GROUP, _OUTCOMES[f.outcome.verdict],
            f"{f.target}, {f.check}: {f.outcome.verdict}{f' ({said})' if (said := _said(f)) else ''}.",
            (Evidence("the exporters' own verification", str(f.outcome.verdict), "verified"),),
            "" if f.outcome.verdict == "verified" else "Do not deploy it before it is verified.",
        )
        for f in findings
    ]  # fmt: skip
    nothing = Result(
        check, GROUP, Outcome.UNKNOWN, "Nothing was verified: the release names nothing to check."
    )
    return results or [nothing]


def _said(finding: Finding) -> str:
    return ": ".join(part for part in (finding.outcome.reason, finding.outcome.detail) if part)
