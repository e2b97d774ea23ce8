"""One running exporter: the subject in its loop, the server, the pusher, signals and reloads."""

from __future__ import annotations

import importlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from exporters import logs, page, strict_yaml
from exporters import metrics as m
from exporters.backoff import LONGEST, Backoff
from exporters.collector import Instruments
from exporters.config import Common, ConfigError, validate
from exporters.exposition import Exposition
from exporters.fetch import Fetcher
from exporters.loop import Loop, own
from exporters.outcome import CouldNotCheck
from exporters.server import Server, Site
from exporters.subject import Finding, Subject
from exporters.webconfig import Guard

if TYPE_CHECKING:
    from exporters.otlp import Pusher

log = logging.getLogger(__name__)

# Seconds between two threads' turns at the interpreter's lock, instead of 5 ms: with eight checks that only compute, a
# scrape waits for its turns a tenth as long, for a tenth of their speed (tools/bench_scrape.py).
SWITCH = 0.0002
LOOK = 2.0  # seconds between two looks at the configuration file
GRACE = 2.0  # seconds for checks under way when the process is told to end
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RESTART = ("listen", "web_config", "otlp")  # keys that a reload does not change


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the three exporters: its word on the command line, the prefix of its metrics, and the metrics."""

    word: str
    prefix: str
    metrics: Sequence[m.Metric]

    def module(self) -> ModuleType:
        """The module with its `Config` and `build`; imported when it is used, since verifiers load slowly."""
        return importlib.import_module(f"exporters.{self.word}")

    def config(self) -> type[Common]:
        found: type[Common] = self.module().Config
        return found


KINDS: Mapping[str, Kind] = {
    kind.word: kind
    for kind in (
        Kind("cosign", "cosign", m.COSIGN),
        Kind("rekor", "rekor", m.REKOR),
        Kind("bundle", "release", m.BUNDLE),
    )
}


class _Owned:
    """A subject together with the connections it was built with."""

    def __init__(self, subject: Subject, fetcher: Fetcher) -> None:
        self._subject, self._fetcher = subject, fetcher

    @property
    def name(self) -> str:
        return self._subject.name

    def targets(self) -> Sequence[str]:
        return self._subject.targets()

    def check(self, target: str) -> Sequence[Finding]:
        return self._subject.check(target)

    def close(self) -> None:
        try:
            self._subject.close()
        finally:
            self._fetcher.close()


class Service:
    """Raises ConfigError or CouldNotCheck while it is built: nothing runs yet. `overrides` win over the file."""

    def __init__(
        self,
        kind: Kind,
        path: Path,
        overrides: Mapping[str, object],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.kind, self._path, self._overrides, self._clock = kind, path, overrides, clock
        self.stop = threading.Event()
        self._started = clock()
        self._config_good = True
        self._raw, self.config = self._load()
        logs.configure(self.config.log_level, self.config.log_format)
        self.instruments = Instruments(kind.metrics)
        self.loop = Loop(self._build(self.config), self.instruments, self.config, stop=self.stop, clock=clock)
        self._accepted(True)
        verifier = getattr(kind.module(), "VERIFIER", "none")
        self.instruments.set(own(kind.prefix, "info"), 1, version=version("stella-slo"), verifier=verifier)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ConfigError when the address or the web configuration is no good."""
        sys.setswitchinterval(SWITCH)
        exposition = Exposition(self.instruments, self.stop)
        self.loop.cycled = exposition.refresh
        site = Site(self.loop, exposition, Guard(self.config.web_config), self._state, self._clock)
        pusher = self._pusher(exposition)
        try:
            server = Server(self.config.listen, site)
        except OSError as error:
            raise ConfigError(f"{self.config.listen}: cannot listen there ({error.strerror or error}): choose another address with --listen") from None  # fmt: skip
        # Waited for, not handled: a handler would run between any two steps, and could not even set an event.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for work in (server.serve_forever, exposition.run, self.loop.run, *((pusher.run,) if pusher else ())):
            threading.Thread(target=work, name=work.__qualname__, daemon=True).start()
        log.info(
            "the %s exporter serves %s",
            self.kind.word,
            self.config.listen,
            extra={"port": server.server_port},
        )
        self._supervise()
        ended = self.loop.halt(GRACE)
        if pusher is not None:
            pusher.last()
        server.shutdown()
        server.server_close()
        log.info("the exporter ends%s", "" if ended else " while checks are under way")

    def once(self) -> list[Finding]:
        """One cycle, without a server. Raises CouldNotCheck when it could not be made at all."""
        self.loop.cycle()
        if self.instruments.value(own(self.kind.prefix, "last_cycle_timestamp_seconds")) is None:
            raise CouldNotCheck("internal", "the cycle ended early; the log says why")
        self.loop.halt(0)
        return self.loop.findings()

    # ---- configuration -----------------------------------------------------------------------

    def _load(self) -> tuple[bytes, Common]:
        raw, content = strict_yaml.read(self._path)
        if content is None or isinstance(content, dict):
            content = {**(content or {}), **self._overrides}
        return raw, validate(self.kind.config(), content, self._path)

    def _build(self, config: Common) -> Subject:
        fetcher = Fetcher(
            timeout=config.timeout,
            max_bytes=config.max_bytes,
            verify=config.tls.context(),
            sleep=self.stop.wait,
            # A host that is back is asked in the next cycle, however short the interval is.
            backoff=Backoff(time.monotonic, longest=min(LONGEST, config.interval / 2)),
        )
        try:
            subject: Subject = self.kind.module().build(config, self.instruments, fetcher, self._clock)
        except BaseException:
            fetcher.close()
            raise
        return _Owned(subject, fetcher)

    def _accepted(self, good: bool) -> None:
        self._config_good = good
        self.instruments.set(own(self.kind.prefix, "config_last_reload_successful"), float(good))
        if good:
            name = own(self.kind.prefix, "config_last_reload_success_timestamp_seconds")
            self.instruments.set(name, self._clock())

    def _supervise(self) -> None:
        """Until the end: look at the file now and then, at its content, which a ConfigMap's symlink changes too."""
        while True:
            got = signal.sigtimedwait(SIGNALS, LOOK)
            if got is not None and got.si_signo != signal.SIGHUP:
                return
            if got is not None or self._changed():
                self._try_reload()

    def _changed(self) -> bool:
        try:
            with self._path.open("rb") as file:
                return file.read(strict_yaml.LARGEST + 1) != self._raw
        except OSError:
            return False  # a ConfigMap is being replaced, or was deleted: what is in use stays

    def _try_reload(self) -> None:
        try:
            self._raw = self._path.read_bytes()  # what was refused is not tried again until it changes
            raw, config = self._load()
            subject = self._build(config)
        except (ConfigError, CouldNotCheck) as error:
            log.error("the configuration stays as it was: %s", error)
            self._accepted(False)
            return
        except Exception:
            log.exception("the configuration stays as it was: %s could not be used", self._path)
            self._accepted(False)
            return
        self._raw = raw
        for key in RESTART:
            if getattr(config, key) != getattr(self.config, key):
                log.warning("%s: a change of %s takes effect at the next start", self._path, key)
        self.config = config
        logs.configure(config.log_level, config.log_format)
        self.loop.replace(subject, config)
        self._accepted(True)
        log.info("the configuration was read again: %s", self._path)

    # ---- the rest ----------------------------------------------------------------------------

    def _pusher(self, exposition: Exposition) -> Pusher | None:
        settings = self.config.otlp
        if settings is None:
            return None
        try:
            from exporters import otlp
        except ModuleNotFoundError:
            raise ConfigError(
                f"{self._path}: key 'otlp' needs an extra: pip install 'stella-slo[otlp]'"
            ) from None
        fetcher = Fetcher(timeout=settings.timeout, verify=self.config.tls.context(), sleep=self.stop.wait)
        return otlp.Pusher(
            settings,
            (self.instruments, exposition.process),
            fetcher,
            service=f"stella-{self.kind.word}-exporter",
            version=version("stella-slo"),
            stop=self.stop,
            clock=self._clock,
        )

    def _state(self) -> page.State:
        return page.State(
            title=f"Stella Ops {self.kind.word} exporter",
            version=version("stella-slo"),
            started=self._started,
            last_cycle=self.instruments.value(own(self.kind.prefix, "last_cycle_timestamp_seconds")),
            config_good=self._config_good,
            interval=self.config.interval,
        )
