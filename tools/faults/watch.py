"""The promises that no fault may break, looked at in every scrape."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from exporters import metrics as m
from exporters.bundle.history import History, HistoryError
from exporters.loop import own
from exporters.outcome import CouldNotCheck
from exporters.rekor.state import Store
from tools.faults.exporter import START, Exporter, Labels, Scrape
from tools.faults.site import BAD

EVERY = 1.0  # seconds between two scrapes
SLOWEST = 1.0  # seconds that a scrape may take
LARGEST = 150 << 20  # bytes of memory
PREFIX = {"cosign": "cosign", "rekor": "rekor", "bundle": "release"}

VERDICTS = {
    "cosign": (m.IMAGE_VERIFIED,),
    "rekor": (m.CHECKPOINT_VALID, m.REKOR_CONSISTENT),
    "bundle": (m.MANIFEST_VALID, m.REFERENCE_RESOLVABLE, m.DIGEST_MATCH),
}
# What is bad, and must never be called good; everything else is good, and must never be called bad.
BADS: Mapping[str, frozenset[tuple[str, str]]] = {
    "cosign": frozenset({("component", BAD), ("check", "signature")}),
    "rekor": frozenset({("log", "stranger")}),
    "bundle": frozenset({("channel", "edge")}),
}
# When there was a verdict, and the servers without which there is none.
AGES: Mapping[str, tuple[tuple[m.Metric, tuple[str, ...]], ...]] = {
    "cosign": ((m.IMAGE_LAST_CHECK, ("registry",)),),
    "rekor": ((m.REKOR_LAST_CHECK, ("log",)),),
    "bundle": (
        (m.MANIFEST_LAST_CHECK, ("registry",)),
        (m.REFERENCES_LAST_CHECK, ("registry", "log")),
    ),
}
ERRORS = {"cosign": m.CHECK_ERRORS, "rekor": m.PROBE_FAILURES, "bundle": m.MANIFEST_ERRORS}
ACCUSATIONS = (m.ROLLBACKS, m.SPLIT_VIEWS)
# An image's labels are part of its digest: once read, they need no answer.
TIMELESS = ("check", "labels")


@dataclass
class Figures:
    """What is counted over the whole run."""

    scrapes: list[float] = field(default_factory=list)  # seconds
    cycles: Counter[str] = field(default_factory=Counter)
    unknowns: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)  # seconds from the end of a fault


class Watch:
    """Scrapes one exporter each second. `trouble` begins with the server that is out, `calm` ends it."""

    def __init__(self, exporter: Exporter, figures: Figures, broken: list[str]) -> None:
        self.exporter = exporter
        self._figures, self._broken = figures, broken
        self._prefix = PREFIX[exporter.word]
        self._counters: dict[tuple[str, Labels], float] = {}
        self._last_cycle = 0.0
        self._out: tuple[str, str, float] | None = None  # server, fault, since when nothing answers
        self._over: tuple[str, float] | None = None  # fault, when it ended
        self.last: Scrape | None = None
        self.recovered = threading.Event()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def say(self, what: str) -> None:
        self._broken.append(f"{time.strftime('%H:%M:%S')} {self.exporter.word}: {what}")

    # ---- what happens to it ----------------------------------------------------------------------

    def trouble(self, server: str, kind: str) -> None:
        """From now on that server gives no answer at all."""
        self._out = (server, kind, time.time())

    def hold(self) -> None:
        """The fault is about to end: from now on an answer may come."""
        with self._lock:
            self._out = None

    def calm(self, kind: str) -> None:
        """Everything answers again."""
        self.recovered.clear()
        self._over = (kind, time.time())

    def killed(self, how: bool | None) -> None:
        """Kill it (`how` None), or while it persists (True); look at what is on the disk; start it again."""
        with self._lock:
            before = self.last
            if how:
                self.exporter.kill_while_it_persists(6)
            else:
                self.exporter.kill()
            self._judge_state(before)
            self._counters.clear()
            self.exporter.start()

    # ---- one look --------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            with self._lock:
                self._look()

    def _look(self) -> None:
        exporter = self.exporter
        if exporter.process.poll() is not None:
            self.say(f"it ended by itself, with exit code {exporter.process.returncode}")
            exporter.start()
            return
        try:
            found = exporter.scrape()
        except httpx.HTTPError as error:
            if not exporter.unready or time.time() - exporter.started > START:
                self.say(f"a scrape was not answered: {error!r}")
            return
        exporter.unready = False
        exporter.measure()
        self._figures.scrapes.append(found.seconds)
        self._judge(found)
        self.last = found

    def _judge(self, found: Scrape) -> None:
        if found.seconds > SLOWEST:
            self.say(f"a scrape took {found.seconds:.2f} s")
        if self.exporter.peak > LARGEST:
            self.say(f"its memory is {self.exporter.peak >> 20} MiB")
        self._judge_verdicts(found)
        self._judge_counters(found)
        began = self._cycle(found)
        if began is None:
            return
        ages = dict(self._ages(found))
        self._judge_standstill(ages, began)
        self._judge_recovery(found, ages, began)

    def _judge_verdicts(self, found: Scrape) -> None:
        word = self.exporter.word
        for metric in VERDICTS[word]:
            for labels, value in found.of(metric).items():
                is_bad = BADS[word] <= labels
                if is_bad and value == 1:
                    self.say(f"FALSE VERIFIED: {metric.name}{_shown(labels)}")
                if not is_bad and value == 0:
                    self.say(f"FALSE FAILED: {metric.name}{_shown(labels)}")
        for metric in ACCUSATIONS if word == "rekor" else ():
            for labels, value in found.of(metric).items():
                if value:
                    self.say(f"FALSE ACCUSATION: {metric.name}{_shown(labels)} is {value:g}")
        if found.one(own(self._prefix, "cycle_failures_total")):
            self.say("a check raised or hung")

    def _judge_counters(self, found: Scrape) -> None:
        errors = ERRORS[self.exporter.word].name
        for key in found.counters:
            value, before = found.samples[key], self._counters.get(key, 0.0)
            if value < before:
                self.say(f"the counter {key[0]}{_shown(key[1])} fell from {before:g} to {value:g}")
            if key[0] == errors:
                self._figures.unknowns[self.exporter.word] += round(value - before)
            self._counters[key] = value

    def _cycle(self, found: Scrape) -> float | None:
        """When the newest cycle began; None when it has been looked at."""
        ended = found.one(own(self._prefix, "last_cycle_timestamp_seconds"))
        seconds = found.one(own(self._prefix, "cycle_duration_seconds"))
        if not ended or seconds is None or ended == self._last_cycle:
            return None
        self._last_cycle = ended
        self._figures.cycles[self.exporter.word] += 1
        return ended - seconds

    def _ages(self, found: Scrape) -> Iterable[tuple[tuple[str, Labels], tuple[float, tuple[str, ...]]]]:
        for metric, servers in AGES[self.exporter.word]:
            for labels, value in found.of(metric).items():
                if TIMELESS not in labels:
                    yield (metric.name, labels), (value, servers)

    def _judge_standstill(self, ages: Mapping[tuple[str, Labels], tuple[float, tuple[str, ...]]], began: float) -> None:  # fmt: skip
        """In a cycle without a single answer no verdict's time moves."""
        if self._out is None or began <= self._out[2]:
            return
        for (name, labels), (at, servers) in ages.items():
            if self._out[0] in servers and at > began:
                self.say(f"{name}{_shown(labels)} moved while the {self._out[0]} was {self._out[1]}")

    def _judge_recovery(self, found: Scrape, ages: Mapping[tuple[str, Labels], tuple[float, tuple[str, ...]]], began: float) -> None:  # fmt: skip
        """The first cycle that begins after a fault reaches every verdict."""
        if self._over is None or began <= self._over[1]:
            return
        (kind, over), self._over = self._over, None
        behind = [f"{name}{_shown(labels)}" for (name, labels), (at, _) in ages.items() if at < over]
        if behind or not ages:
            more = f" and {len(behind) - 1} more" if len(behind) > 1 else ""
            self.say(f"not recovered in the first cycle after {kind}: {(behind or ['nothing'])[0]}{more}")
        else:
            self._figures.recoveries.append(self._last_cycle - over)
        self.recovered.set()

    # ---- what is on the disk -----------------------------------------------------------------------

    def _judge_state(self, before: Scrape | None) -> None:
        """What was published was written down before, and is whole."""
        state = self.exporter.folder / "state"
        if self.exporter.word == "rekor":
            self._judge_trees(state, {} if before is None else before.of(m.TREE_SIZE))
        if self.exporter.word == "bundle":
            try:
                known = History(state / "bundle.json").versions("stable")
            except HistoryError as error:
                self.say(f"TORN STATE: {error}")
                return
            for labels in {} if before is None else before.of(m.FIRST_SEEN):
                if (version := dict(labels)["version"]) not in known:
                    self.say(f"LOST STATE: version {version} was published and is forgotten")

    def _judge_trees(self, state: Path, published: Mapping[Labels, float]) -> None:
        for labels, size in published.items():
            log = dict(labels)["log"]
            try:
                kept = Store(state, log).load()
            except CouldNotCheck as error:
                self.say(f"TORN STATE: {error.detail}")
                continue
            largest = max((tree.head.size for tree in kept.trees.values()), default=0) if kept else 0
            if largest < size:
                self.say(f"LOST STATE: {log} had {size:g} entries and {largest} are remembered")


def _shown(labels: Labels) -> str:
    return "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels)) + "}" if labels else ""
