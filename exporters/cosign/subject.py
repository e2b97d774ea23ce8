"""The cosign exporter's subject: each image is a target, and so are the trusted root and each release manifest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from exporters import metrics as m
from exporters.bundle.source import Sources
from exporters.collector import Instruments
from exporters.cosign.config import ROOT, Config
from exporters.cosign.evidence import Examiner
from exporters.cosign.images import Image, Images
from exporters.cosign.labels import check_labels
from exporters.cosign.root import RootWatch
from exporters.cosign.verdicts import Kept, verdict
from exporters.fetch import Fetcher
from exporters.oci import NotThere, Registry
from exporters.outcome import CouldNotCheck, Outcome, Refused, Verdict
from exporters.subject import Finding


class Cosign:
    """See `exporters.subject.Subject`."""

    name = "cosign"

    def __init__(
        self,
        images: Images,
        examiner: Examiner,
        registry: Registry,
        root: RootWatch,
        instruments: Instruments,
        *,
        watches_root: bool,
        cache_size: int,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._list = images
        self._examiner = examiner
        self._registry = registry
        self._root = root
        self._instruments = instruments
        self._watches_root = watches_root
        self._labels: Kept[Refused | None] = Kept(cache_size)
        self._clock, self._monotonic = clock, monotonic
        self._images: dict[str, Image] = {}
        self._lock = threading.Lock()

    def targets(self) -> Sequence[str]:
        """Reads the manifests, so that what was released since is checked in this cycle."""
        images = self._list.refresh()
        with self._lock:
            for component in self._images.keys() - images.keys():
                self._instruments.forget(component)
            for component, image in images.items():
                self._introduce(image, self._images.get(component))
            self._images = images
        return [*([ROOT] if self._watches_root else []), *self._list.findings, *images]

    def check(self, target: str) -> Sequence[Finding]:
        """A target that went away meanwhile has no findings."""
        if target == ROOT and self._watches_root:
            return self._root.check()
        if target in self._list.findings:
            return [self._list.findings[target]]
        image = self._images.get(target)
        return [] if image is None else self._check(image)

    def close(self) -> None:
        """The fetcher, the only thing that stays open, is not ours."""

    def _introduce(self, image: Image, before: Image | None) -> None:
        """A component with another digest is another image: what was known of the former is not about it."""
        info = {
            "component": image.component,
            "repository": str(image.reference.repository),
            "digest": image.reference.digest,
        }
        if before is None:  # at the start, or after a reload: a former configuration may have named another
            known = self._instruments.series(m.IMAGE_INFO, component=image.component)
            changed = any(labels != info for labels in known)
        else:
            changed = before.reference != image.reference
        if changed:
            self._instruments.forget(image.component)
        self._instruments.set(m.IMAGE_INFO, 1, **info)

    def _check(self, image: Image) -> Sequence[Finding]:
        began = self._monotonic()
        outcomes = self._examiner.examine(image, self._root.current)
        seconds = self._monotonic() - began
        found = [Finding(image.component, c, o, seconds, self._clock()) for c, o in outcomes.items()]
        if "labels" in image.checks:
            began = self._monotonic()
            outcome = self._compare_labels(image)
            seconds = self._monotonic() - began
            found.append(Finding(image.component, "labels", outcome, seconds, self._clock()))
        with self._lock:
            if self._images.get(image.component) == image:  # it may have become another image meanwhile
                for finding in found:
                    self._publish(finding)
        return found

    def _compare_labels(self, image: Image) -> Outcome:
        """An image's labels never change: they are read once for what they are compared with."""
        wanted = image.labels
        assert wanted is not None
        try:
            refused = self._labels.get(
                (image.reference, wanted.model_dump_json()),
                lambda: verdict(lambda: check_labels(self._registry, image.reference, wanted)),
            )
        except NotThere as error:
            return Outcome(Verdict.FAILED, "label_mismatch", f"the image has no labels: {error.detail}")
        except CouldNotCheck as error:
            return error.outcome
        return Outcome(Verdict.VERIFIED) if refused is None else refused.outcome

    def _publish(self, finding: Finding) -> None:
        of = {"component": finding.target, "check": finding.check}
        outcome, check = finding.outcome, finding.check
        self._instruments.inc(m.CHECKS_TOTAL, check=check)
        self._instruments.observe(m.CHECK_DURATION, finding.seconds, check=check)
        if outcome.verdict is Verdict.UNKNOWN:
            self._instruments.inc(m.CHECK_ERRORS, check=check, reason=outcome.reason)
            return
        good = outcome.verdict is Verdict.VERIFIED
        self._instruments.set(m.IMAGE_VERIFIED, good, **of)
        self._instruments.set(m.IMAGE_LAST_CHECK, finding.at, **of)
        if good:
            self._instruments.set(m.IMAGE_LAST_SUCCESS, finding.at, **of)
        else:
            self._instruments.inc(m.CHECK_FAILURES, check=check, reason=outcome.reason)


def build(
    config: Config, instruments: Instruments, fetcher: Fetcher, clock: Callable[[], float] = time.time
) -> Cosign:
    """The subject of a configuration. Nothing is asked yet."""
    registry = Registry(fetcher, config.registries)
    return Cosign(
        Images(config, Sources(fetcher, registry), clock),
        Examiner(registry, config.max_bundle_bytes, config.cache_size),
        registry,
        RootWatch(config.trusted_root, instruments, fetcher, clock),
        instruments,
        watches_root=config.trusted_root is not None,
        cache_size=config.cache_size,
        clock=clock,
    )
