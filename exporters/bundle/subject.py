"""Channels, kits and the skew rules as targets: checked in turn, and what is found becomes metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from exporters import metrics as m
from exporters.bundle import consistency, skew
from exporters.bundle.config import DAY, SKEW, Channel, Config
from exporters.bundle.entries import Entries
from exporters.bundle.history import History
from exporters.bundle.judge import Judge, SigstoreJudge
from exporters.bundle.kit import Limits
from exporters.bundle.kits import Kits
from exporters.bundle.manifest import Release
from exporters.bundle.manifest_check import Judgement, judge_manifest
from exporters.bundle.references import Checked, References
from exporters.bundle.source import Sources
from exporters.collector import Instruments
from exporters.fetch import Fetcher
from exporters.oci import Registry
from exporters.outcome import CouldNotCheck, Outcome, Verdict
from exporters.sigstore import Policy
from exporters.subject import Finding

log = logging.getLogger(__name__)

Judges = Callable[[Policy], Judge]


class Releases:
    """The subject of `slo-exporter bundle`. `clock` is Unix time and may jump."""

    name = "release"

    def __init__(
        self,
        config: Config,
        instruments: Instruments,
        fetcher: Fetcher,
        registry: Registry,
        clock: Callable[[], float],
        judges: Judges | None = None,
    ) -> None:
        """Raises HistoryError when the state file cannot be used."""
        self._config, self._instruments, self._fetcher, self._clock = config, instruments, fetcher, clock
        self._registry = registry
        self._judges = judges or (lambda policy: SigstoreJudge(policy, config.trusted_root, clock))
        self._sources = Sources(fetcher, registry)
        self._references = References(
            registry, self._sources, charts=config.charts or "", compose=config.compose or ""
        )
        self._entries = Entries(fetcher, registry, config.logs)
        self._history = History(config.state)
        self._channels = {c.name: (c, self._judges(_policy(c.policy, config))) for c in config.channels}
        self._kits = self._build_kits()
        self._valid: dict[str, Release] = {}  # the newest valid manifest of each channel
        self._graced: set[str] = set()  # channels whose manifest is given one more cycle
        self._last: dict[str, Verdict] = {}
        self._published = _published(instruments)
        self._shown: dict[str, set[str]] = {}  # versions of each channel that have series
        for name in self._channels:
            self._publish_history(name)
        if config.skew is None:
            for rule in m.SKEW_RULES:
                instruments.remove(m.SKEW_VIOLATIONS, rule=rule)
                instruments.remove(m.SKEW_LAST_CHECK, rule=rule)

    def targets(self) -> Sequence[str]:
        kits = () if self._kits is None else self._kits.found()
        return [*self._channels, *kits, *([SKEW] if self._config.skew is not None else [])]

    def check(self, target: str) -> Sequence[Finding]:
        if target in self._channels:
            found = self._check_channel(*self._channels[target])
        elif target == SKEW:
            found = self._check_skew()
        else:
            found = self._check_kit(target)
        findings = list(_timed(target, found, self._clock))
        for finding in findings:
            if finding.outcome.verdict is Verdict.UNKNOWN:
                reason = finding.outcome.reason
                self._instruments.inc(
                    m.MANIFEST_ERRORS, reason=reason if reason in m.ERROR_REASONS else "internal"
                )
        return findings

    def close(self) -> None:
        if self._kits is not None:
            self._kits.close()

    # ---- channels ----------------------------------------------------------------------------------

    def _check_channel(self, channel: Channel, judge: Judge) -> Iterator[tuple[str, Outcome]]:
        name = channel.name
        found = judge_manifest(
            channel,
            sources=self._sources,
            registry=self._registry,
            judge=judge,
            newest=self._history.newest(name, channel.withdrawn),
            now=self._clock(),
        )
        self._forgive(name, found)
        verdict = found.verdict
        if verdict is not Verdict.UNKNOWN:
            self._last[name] = verdict
            self._instruments.set(m.MANIFEST_VALID, float(verdict is Verdict.VERIFIED), channel=name)
            self._instruments.set(m.MANIFEST_LAST_CHECK, self._clock(), channel=name)
        yield from found.checks.items()
        if verdict is Verdict.VERIFIED and found.release is not None:
            yield from self._accept(channel, found.release, found.sha256)
        release = self._valid.get(name)
        if release is not None:
            yield from self._check_calendar(channel, release)
            yield from self._check_references(channel, release)

    def _forgive(self, name: str, found: Judgement) -> None:
        """A manifest and its signature are two uploads, and caches are many. After a good one, what a publication
        under way looks like is unknown for one cycle."""
        if not found.torn:
            self._graced.discard(name)
        elif self._last.get(name) is Verdict.VERIFIED and name not in self._graced:
            self._graced.add(name)
            for check, outcome in found.checks.items():
                if outcome.verdict is Verdict.FAILED:
                    detail = f"{outcome.detail}; the last one was good, and this may be a publication under way: it is read once more"
                    found.checks[check] = Outcome(Verdict.UNKNOWN, "bad_response", detail)

    def _accept(self, channel: Channel, release: Release, sha256: str) -> Iterator[tuple[str, Outcome]]:
        self._valid[channel.name] = release
        try:
            seen = consistency.seen(release, sha256, self._clock())
            self._history.note(channel.name, release.seen_as, seen)
        except OSError as error:
            said = f"{self._config.state} cannot be written ({error.strerror}): the soak will not survive a restart"
            yield "state", Outcome(Verdict.UNKNOWN, "internal", said)
        self._publish_history(channel.name)

    def _check_calendar(self, channel: Channel, release: Release) -> Iterator[tuple[str, Outcome]]:
        late = channel.cadence
        if late is not None and release.date is not None:
            yield "cadence", consistency.cadence(release, late, self._clock())
        soak = self._config.soak
        if soak is None or channel.name != soak.before or soak.on not in self._channels:
            return
        here = self._history.versions(channel.name).get(release.seen_as)
        if here is not None:
            there = dict(self._history.versions(soak.on))
            yield "soak", consistency.soak(release.seen_as, here, there, soak.time / DAY, soak.on)

    def _check_references(self, channel: Channel, release: Release) -> Iterator[tuple[str, Outcome]]:
        asked: set[tuple[str, str]] = set()
        unknown = False
        for source in (
            self._references.check(release, channel.manifest),
            self._entries.check(release.components),
        ):
            for one in source:
                asked.add((one.component, one.kind))
                unknown |= one.outcome.verdict is Verdict.UNKNOWN
                self._publish_reference(channel.name, one)
                yield f"{one.component} {one.kind}", one.outcome
        for component, kind in self._published.get(channel.name, set()) - asked:
            for metric in (m.REFERENCE_RESOLVABLE, m.DIGEST_MATCH):
                self._instruments.remove(metric, channel=channel.name, component=component, kind=kind)
        self._published[channel.name] = asked
        if not unknown:
            self._instruments.set(m.REFERENCES_LAST_CHECK, self._clock(), channel=channel.name)

    def _publish_reference(self, channel: str, one: Checked) -> None:
        if one.outcome.verdict is Verdict.UNKNOWN:
            return
        labels = {"channel": channel, "component": one.component, "kind": one.kind}
        self._instruments.set(m.REFERENCE_RESOLVABLE, float(one.resolvable), **labels)
        if one.resolvable:
            self._instruments.set(m.DIGEST_MATCH, float(one.match), **labels)
        else:
            self._instruments.remove(m.DIGEST_MATCH, **labels)

    def _publish_history(self, name: str) -> None:
        """What is known of a channel's past, which a restart does not change."""
        channel = self._channels[name][0]
        versions = self._history.versions(name)
        newest = self._history.newest(name, channel.withdrawn)
        for version, seen in versions.items():
            self._instruments.set(m.FIRST_SEEN, seen.first, channel=name, version=version)
        for version in self._shown.get(name, set()) - versions.keys():
            self._instruments.remove(m.FIRST_SEEN, channel=name, version=version)
        for version in self._shown.get(name, set()) | versions.keys():
            if newest is None or version != newest[0]:
                self._instruments.remove(m.MANIFEST_INFO, channel=name, version=version)
        self._shown[name] = set(versions)
        if newest is not None:
            version, seen = newest
            self._instruments.set(m.MANIFEST_INFO, 1, channel=name, version=version)
            if seen.date is not None:
                self._instruments.set(m.MANIFEST_TIMESTAMP, seen.date, channel=name)

    # ---- kits --------------------------------------------------------------------------------------

    def _build_kits(self) -> Kits | None:
        kits = self._config.kits
        if kits is None:
            return None
        return Kits(
            kits.paths,
            judge=self._judges(_policy(kits.policy, self._config)),
            published=self._published_as,
            limits=Limits(kits.max_ratio, kits.max_expanded_bytes, kits.max_members),
            folders=kits.folders,
            require=kits.require,
            settled=kits.settled,
            again_after=kits.again_after,
            timeout=self._config.check_timeout * 0.9,
            clock=self._clock,
        )

    def _published_as(self, release: Release) -> str | None:
        for name in self._channels:
            if name.casefold() == release.channel.casefold():
                seen = self._history.versions(name).get(release.seen_as)
                return None if seen is None else seen.sha256
        return None

    def _check_kit(self, name: str) -> Iterator[tuple[str, Outcome]]:
        assert self._kits is not None
        try:
            judged = self._kits.check(name)
        except CouldNotCheck as error:
            yield "archive", error.outcome
            return
        found = {outcome.verdict for _, outcome in judged.checks}
        if Verdict.FAILED in found or Verdict.UNKNOWN not in found:
            self._instruments.set(m.KIT_VALID, float(Verdict.FAILED not in found), kit=name)
            self._instruments.set(m.KIT_LAST_CHECK, judged.at, kit=name)
        yield from judged.checks

    # ---- skew --------------------------------------------------------------------------------------

    def _check_skew(self) -> Iterator[tuple[str, Outcome]]:
        settings = self._config.skew
        assert settings is not None
        services = settings.expected
        answers = skew.ask(
            self._fetcher,
            services,
            inventory=settings.inventory or "",
            prometheus=settings.prometheus or "",
            query=settings.query,
        )
        for ruled in skew.judge(services, answers):
            if ruled.violations is not None:
                self._instruments.set(m.SKEW_VIOLATIONS, ruled.violations, rule=ruled.rule)
                self._instruments.set(m.SKEW_LAST_CHECK, self._clock(), rule=ruled.rule)
            yield ruled.rule, ruled.outcome


def _policy(own: Policy | None, config: Config) -> Policy:
    found = config.policy if own is None else own
    assert found is not None  # the configuration has asked for one
    return found


def _timed(
    target: str, found: Iterator[tuple[str, Outcome]], clock: Callable[[], float]
) -> Iterator[Finding]:
    began = time.monotonic()
    for check, outcome in found:
        ended = time.monotonic()
        yield Finding(target, check, outcome, ended - began, clock())
        began = ended


def _published(instruments: Instruments) -> dict[str, set[tuple[str, str]]]:
    """References that a former configuration published: those that are gone are removed with the next check."""
    found: dict[str, set[tuple[str, str]]] = {}
    for family in instruments.collect():
        if family.name == m.REFERENCE_RESOLVABLE.name:
            for sample in family.samples:
                pair = (sample.labels["component"], sample.labels["kind"])
                found.setdefault(sample.labels["channel"], set()).add(pair)
    return found
