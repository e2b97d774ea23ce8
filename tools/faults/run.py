"""One run: the servers, an injector in front of each for each exporter, and one fault after another."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests import logkit
from tests.trustkit.kit import IDENTITY, ISSUER
from tools.faults.exporter import START, Exporter
from tools.faults.injector import KINDS, PARTIAL, Fault, Injector
from tools.faults.site import RELEASES, Site
from tools.faults.watch import Figures, Watch

SERVERS = ("registry", "log")
PROCESS = ("killed", "frozen")  # done to the server itself
INTERVAL, TIMEOUT = 2.0, 2.0  # seconds, of the exporters
SHORTEST, LONGEST = 4.0, 8.0  # seconds that a fault lasts
RECOVERS_WITHIN = 30.0  # seconds until a first whole cycle is over, on a loaded machine


class Run:
    """Everything that runs, and what came of it."""

    def __init__(self, folder: Path, seed: int, *, progress: bool = False) -> None:
        self._folder, self._progress = folder, progress
        self._chance = random.Random(seed)  # noqa: S311 # the order of faults
        self.broken: list[str] = []
        self.faults: Counter[str] = Counter()
        self.versions = 0
        self.figures = Figures()
        self._injectors: dict[tuple[str, str], Injector] = {}
        self._watches: list[Watch] = []
        self._bag: list[tuple[str, str]] = []
        self._began = time.monotonic()

    # ---- start and end -----------------------------------------------------------------------------

    def start(self) -> None:
        self.site = Site(self._folder / "site", self._name)
        files = f"127.0.0.1:{self.site.logs.files.port}"
        for word in ("rekor", "bundle"):
            self._injectors[word, "log"] = Injector(files, _refutable)
        for word, config in self._configurations().items():
            exporter = Exporter(word, self._folder / word, self._common() | config)
            exporter.start()
            self._watches.append(Watch(exporter, self.figures, self.broken))
        for watch in self._watches:
            watch.start()
            watch.calm("the start")
        self._recover(START)
        self.figures.recoveries.clear()

    def _name(self, registry: str) -> Mapping[str, str]:
        """Each exporter has an injector of its own, whose address is the registry's name to it."""
        self._injectors["cosign", "registry"] = Injector(registry, lambda path: False)
        self._injectors["bundle", "registry"] = Injector(registry)
        return {word: self._injectors[word, "registry"].address for word in ("cosign", "bundle")}

    def end(self) -> None:
        """Everything ends, whatever went wrong before."""
        with ExitStack() as ending:
            if hasattr(self, "site"):
                ending.callback(self.site.close)
            for injector in self._injectors.values():
                ending.callback(injector.close)
            for watch in self._watches:
                ending.callback(self._end, watch)

    def _end(self, watch: Watch) -> None:
        watch.end()
        code, seconds = watch.exporter.end()
        if code != 0 or seconds > 5:
            watch.say(f"SIGTERM ended it with exit code {code} after {seconds:.1f} s")
        if " raised" in watch.exporter.log.read_text():
            watch.say("its log says that a check raised")

    # ---- configurations ----------------------------------------------------------------------------

    def _common(self) -> dict[str, Any]:
        return {"interval": INTERVAL, "timeout": TIMEOUT, "check_timeout": 30, "log_format": "text"}

    def _configurations(self) -> dict[str, dict[str, Any]]:
        site, policy = self.site, {"identity": IDENTITY, "issuer": ISSUER}
        own = {"kind": "v2", "origin": site.logs.python.origin}
        rekor, bundle = (f"http://{self._injectors[word, 'log'].address}" for word in ("rekor", "bundle"))
        images, releases = site.names["cosign"], site.names["bundle"]
        root = str(site.folder / "root.json")
        return {
            "cosign": {
                "trusted_root": {"file": root},
                "policies": {"all": policy},
                "manifests": [{"name": "stable", "location": f"oci://{images}/{RELEASES}:cosign"}],
                "registries": {"hosts": {images: {"plain_http": True}}},
            },
            "rekor": {
                "state": "state",
                "logs": [
                    own | {"name": "own", "url": f"{rekor}/own", "keys": [logkit.pem(site.logs.key)]},
                    own | {"name": "stranger", "url": f"{rekor}/stranger", "keys": [logkit.pem(site.trust.rekor2.key)]},
                ],
            },
            "bundle": {
                "state": "state/bundle.json",
                "trusted_root": root,
                "policy": policy,
                "soak": None,
                "check_timeout": 30,
                "channels": [
                    {"name": name, "manifest": f"oci://{releases}/{RELEASES}:{name}"} for name in ("stable", "edge")
                ],
                "charts": f"oci://{releases}/charts",
                "logs": [{"kind": "v2", "url": f"{bundle}/release", "origin": site.trust.rekor2.name, "keys": [logkit.pem(site.trust.rekor2.key)]}],
                "registries": {"hosts": {releases: {"plain_http": True}}},
            },
        }  # fmt: skip

    # ---- faults ------------------------------------------------------------------------------------

    def until(self, ends: float) -> None:
        while time.monotonic() < ends:
            self._quiet()
            self._one(*self._draw())

    def _draw(self) -> tuple[str, str]:
        """Every fault of every server once, in any order, and then again."""
        if not self._bag:
            self._bag = [(server, kind) for server in SERVERS for kind in (*KINDS, *PROCESS)]
            self._chance.shuffle(self._bag)
        return self._bag.pop()

    def _quiet(self) -> None:
        """A new release, a longer log; and now and then an exporter is killed just when it writes that down."""
        self.site.logs.grow()
        self.site.next_version()
        self.versions += 1
        if self._chance.random() < 0.5:
            word = self._chance.choice(("rekor", "bundle"))
            watch = next(w for w in self._watches if w.exporter.word == word)
            watch.killed(True)
            watch.calm("a kill while it persists")
            self._recover(START)

    def _one(self, server: str, kind: str) -> None:
        """One fault, from its begin to the first whole cycle after its end; an exporter may be killed in it."""
        self.faults[f"{server} {kind}"] += 1
        lasts = self._chance.uniform(SHORTEST, LONGEST)
        victim = self._chance.choice(self._watches) if self._chance.random() < 0.4 else None
        self._show(f"{server} {kind} for {lasts:.1f} s" + ("" if victim is None else f", {victim.exporter.word} killed"))  # fmt: skip
        self._begin(server, kind)
        if kind not in PARTIAL:
            for watch in self._watches:
                watch.trouble(server, kind)
        time.sleep(lasts / 2)
        if victim is not None:
            victim.killed(None)
        if not (server == "log" and kind == "killed"):
            self.site.logs.grow()  # who writes to the log is not behind the injectors
        time.sleep(lasts / 2)
        for watch in self._watches:
            watch.hold()
        self._finish(server, kind)
        for watch in self._watches:
            watch.calm(f"{server} {kind}")
        self._recover(START if victim is not None else RECOVERS_WITHIN)

    def _begin(self, server: str, kind: str) -> None:
        if kind == "killed":
            (self.site.registry if server == "registry" else self.site.logs).kill()
        elif kind == "frozen":
            (self.site.registry if server == "registry" else self.site.logs.files).freeze()
        else:
            for (_, of), injector in self._injectors.items():
                if of == server:
                    injector.inject(Fault(kind, self._chance.getrandbits(32)))

    def _finish(self, server: str, kind: str) -> None:
        if kind == "killed":
            (self.site.registry if server == "registry" else self.site.logs).start()
        elif kind == "frozen":
            (self.site.registry if server == "registry" else self.site.logs.files).thaw()
        else:
            for injector in self._injectors.values():
                injector.clear()

    def _recover(self, within: float) -> None:
        ends = time.monotonic() + within
        for watch in self._watches:
            if not watch.recovered.wait(max(0.0, ends - time.monotonic())):
                watch.say(f"no whole cycle within {within:g} s")
                watch.recovered.set()

    def _show(self, text: str) -> None:
        if self._progress:
            print(f"{time.monotonic() - self._began:6.0f} s  {len(self.broken)} broken  {text}", flush=True)

    # ---- the end -----------------------------------------------------------------------------------

    def table(self) -> str:
        figures, exporters = self.figures, [watch.exporter for watch in self._watches]
        scrapes, recoveries = sorted(figures.scrapes), sorted(figures.recoveries)
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        damages = sum(injector.damages for injector in self._injectors.values())

        def by_word(values: Mapping[str, int]) -> str:
            return ", ".join(f"{word} {values[word]}" for word in ("cosign", "rekor", "bundle"))

        rows = (
            ("faults", f"{sum(self.faults.values())}: {kinds}"),
            ("damaged answers", f"{damages}"),
            ("releases published meanwhile", f"{self.versions}"),
            ("cycles", by_word(figures.cycles)),
            ("answers that were unknown", by_word(figures.unknowns)),
            ("SIGKILLs of exporters", by_word({e.word: e.kills for e in exporters})),
            ("of them while persisting", by_word({e.word: e.persisting for e in exporters})),
            ("recoveries", f"{len(recoveries)}, half within {_at(recoveries, 0.5):.1f} s, all within {_at(recoveries, 1):.1f} s"),
            ("peak memory, MiB", by_word({e.word: e.peak >> 20 for e in exporters})),
            ("scrapes", f"{len(scrapes)}, p99 {1000 * _at(scrapes, 0.99):.0f} ms, slowest {1000 * _at(scrapes, 1):.0f} ms"),
            ("promises broken", f"{len(self.broken)}"),
        )  # fmt: skip
        return "\n".join(f"{name:30}{value}" for name, value in rows)


def _refutable(path: str) -> bool:
    """What a log has signed, and its entries: refused at two looks, they are failed, as they should be."""
    return path.endswith("/checkpoint") or "/tile/entries/" in path


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
