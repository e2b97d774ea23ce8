"""A Rekor exporter over logs in memory: hosts are dictionaries of files, and time is a number."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import logkit
import yaml

from exporters import config as common
from exporters import metrics as m
from exporters.collector import Instruments
from exporters.fetch import Fetcher
from exporters.outcome import Verdict
from exporters.rekor import Config, build
from exporters.rekor.state import State, Store
from exporters.rekor.subject import Rekor

Answer = bytes | int | Exception | httpx.Response
Host = Mapping[str, Answer] | Callable[[httpx.Request], Answer]


class World:
    """`hosts` answer by name; `asked` are the requests made. `exporter` starts it, again after a restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "state").mkdir()
        self.hosts: dict[str, Host] = {}
        self.now = 1_800_000_000.0
        self.ticks = 0.0
        self.asked: list[httpx.Request] = []
        self.config: dict[str, Any] = {"state": "state", "logs": []}

    def log(self, log: logkit.Log, **more: Any) -> World:
        """Configure a log, found at https://NAME.example, and serve a v2 log's files there."""
        name = more.setdefault("name", "main")
        settings = {"kind": "v2" if log.tree is None else "v1", "url": f"https://{name}.example"}
        keys = {"origin": log.origin, "keys": [logkit.pem(log.key)]}
        self.config["logs"].append({**settings, **keys, **more})
        if log.tree is None:
            self.serve(log, f"{name}.example")
        else:
            self.serve_api(logkit.Api(log), f"{name}.example")
        return self

    def serve(self, log: logkit.Log, host: str = "main.example", size: int | None = None) -> None:
        self.hosts[host] = log.files(size)

    def serve_api(self, api: logkit.Api, host: str = "main.example") -> logkit.Api:
        def answer(request: httpx.Request) -> Answer:
            found = api(request.url.path, dict(request.url.params))
            return 404 if found is None else json.dumps(found).encode()

        self.hosts[host] = answer
        return api

    def exporter(self) -> World:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config))
        self.instruments = Instruments(m.REKOR)
        fetcher = Fetcher(transport=httpx.MockTransport(self._answer), sleep=lambda _: None)
        self.subject: Rekor = build(
            common.load(Config, path),
            self.instruments,
            fetcher,
            lambda: self.now,
            monotonic=self._monotonic,
            sleep=self._sleep,
        )
        return self

    def check(self, target: str = "main", after: float = 60) -> dict[str, str]:
        """One check, `after` seconds later: "verified", or the reason why not, by kind of check."""
        self.now += after
        found = {f.check: f.outcome for f in self.subject.check(target)}
        return {
            check: "verified" if o.verdict is Verdict.VERIFIED else f"{o.verdict} {o.reason}"
            for check, o in found.items()
        }

    def value(self, metric: m.Metric, log: str = "main", **labels: str) -> float | None:
        return self.instruments.value(metric, log=log, **labels)

    def failures(self, log: str = "main") -> dict[str, float]:
        """How often each operation failed, and why; what never failed is left out."""
        found = {
            f"{operation} {reason}": self.instruments.value(
                m.PROBE_FAILURES, log=log, operation=operation, reason=reason
            )
            for operation in m.REKOR_OPERATIONS
            for reason in m.PROBE_FAILURE_REASONS
        }
        return {key: value for key, value in found.items() if value}

    def state(self, log: str = "main") -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "state" / f"{log}.json").read_text())["state"]
        return content

    def remember(self, state: dict[str, Any], log: str = "main") -> None:
        """Put another state in place."""
        Store(self.folder / "state", log).save(State.model_validate_json(json.dumps(state)))

    def _sleep(self, seconds: float) -> None:
        self.ticks += seconds
        self.now += seconds

    def _monotonic(self) -> float:
        self.ticks += 0.001
        return self.ticks

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        host = self.hosts[request.url.host]
        path = request.url.raw_path.decode().lstrip("/")
        answer = host(request) if callable(host) else host.get(path, 404)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(answer) if isinstance(answer, int) else httpx.Response(200, content=answer)
