"""A real Prometheus that holds five weeks of a simulated Stella Ops, ready to be asked.

Three moments can be looked at: a healthy platform, one that was tampered with, one whose every service is out. The
raw series are the demo's, the records and alerts those of the generated rules (tools/demo/past.py). The metrics of
Prometheus and Alertmanager have the names and labels of real ones, which were asked while the rules ran in them.
The clock is the simulation's, so that a run depends on no date: calendar budgets stand in March, with a February.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from alerts import alertmanager, render
from alerts.recording import Timing
from alerts.rules import rule_files
from slo import SLO, AlertPolicy, Composite, Duration, Latency, Ratio, Service, Stack, catalog
from slo.artifact import Output
from tools.demo import past, rules, servers
from tools.demo.world import World

STACK = catalog.stack()
_cart = Service(name="cart", owner="shop", description="Another team's service, measured in other ways.")
_paid = Ratio(bad='shop_orders_total{result="error"}', total="shop_orders_total")
_fast = Latency(histogram="shop_order_seconds", below="500ms")
# What Stella's own catalogue has not: a quarter, weights, alerts switched off; rolling periods and groups.
SHOP = Stack(
    name="shop",
    slos=[
        SLO(service=_cart, name="payment", objective="99%", window="quarter", sli=_paid, description="Orders are paid.",
            alerts=AlertPolicy(off=("page", "ticket"))),
        SLO(service=_cart, name="journey", objective="99%", window="7d", description="From the cart to the receipt.",
            sli=Composite(parts={"paid": _paid, "fast": _fast}, weights={"paid": "0.4", "fast": "0.6"})),
    ],
)  # fmt: skip
ROLLING = Stack(
    name="rolling",
    slos=[
        SLO(service=Service(name="till", owner="shop"), name="sales", objective="99.9%", window="30d", by=["region"],
            sli=Ratio(bad='till_sales_total{code=~"5.."}', total="till_sales_total"), description="Tills sell."),
    ],
)  # fmt: skip
STACKS = (STACK, SHOP, ROLLING)
TIMING = Timing.of(Duration.of(30))
HOUR, DAY = 3600, 86400


def _utc(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp())


HEALTHY = _utc("2026-03-12 04:00")
TAMPERED = HEALTHY + 7 * HOUR // 2  # verdicts are old after three hours
EARLY = TAMPERED + 1200  # in the outage, while budgets are left
OUTAGE = TAMPERED + 2 * HOUR
START = HEALTHY - 34 * DAY
MONTH = _utc("2026-03-01 00:00")  # before it, the last hour is kept more closely: how a period ended
FINE = HEALTHY - 2 * HOUR  # from here on everything is scraped and evaluated as often as in earnest, nearly

SCRAPE, COARSE, STEP = 30, 4 * HOUR, 120
# When records are evaluated.
GRIDS = (
    past.Grid(START, MONTH - HOUR - 1, COARSE),
    past.Grid(MONTH - HOUR, MONTH - 1, 900),
    past.Grid(MONTH, FINE - 1, COARSE),
    past.Grid(FINE, OUTAGE, STEP),
)

# What an outage takes with it: an indicator has no data any more, one of our exporters and some probes are down.
GONE, BLIND = re.compile(r"ui_route_render_seconds"), "web-ui-render-latency"
DOWN = re.compile(r'up\{.*job="stella-rekor-exporter"|probe_success\{.*target="(registry|licensing)"')
# Of a server's own metrics these grow only when something is wrong.
_TROUBLE = re.compile(r"fail|missed|dropped|error|corrupt|evicted")
_OWN = re.compile(
    r"(prometheus_(rule|notifications|tsdb_head|tsdb_storage|config|target|build)|alertmanager_)\w*"
)


# Raw series


def scrapes() -> Iterator[int]:
    """When everything was scraped: twice, a minute apart, every few hours of the past; then as it should be."""
    for grid in GRIDS[:-1]:
        for t in range(grid.start, grid.end + 1, grid.step):
            yield from (t - 60, t)
    yield from range(FINE, OUTAGE + 1, SCRAPE)


def raw(stacks: tuple[Stack, ...]) -> Iterator[str]:
    """OpenMetrics lines of all that was scraped from the platform."""
    now = float(START - 120)
    world = World(*stacks, rate=1, clock=lambda: now, day=DAY, step=HOUR)
    assert world.unsolved == []
    for series in world.steady.values():
        if series.clock and not series.slope:
            series.value += HEALTHY - START  # what expires does so weeks after the last moment, not the first
    for t in scrapes():
        for moment, mode in ((HEALTHY, "tampered"), (TAMPERED, "outage")):
            if now <= moment < t:
                now = float(moment)
                world.switch(mode)
        now = float(t)
        out = world.mode.name == "outage"
        for line in world.text().splitlines():
            if not out or not GONE.match(line):
                down = out and DOWN.match(line)
                yield f"{line.rsplit(' ', 1)[0]} 0 {t}\n" if down else f"{line} {t}\n"


@dataclass(frozen=True)
class _Own:
    """A series of a server about itself."""

    head: str
    kind: str
    value: str

    def at(self, t: int) -> str:
        value = self.value
        if self.head.split("{")[0].endswith("timestamp_seconds"):
            value = str(t)
        elif self.kind != "gauge":
            grows = OUTAGE - t < HOUR if _TROUBLE.search(self.head) else True
            since = OUTAGE - HOUR if _TROUBLE.search(self.head) else FINE
            value = f"{(t - since) // 60 if grows else 0}"
        return f"{self.head} {value} {t}\n"


def own(texts: Mapping[str, str]) -> Iterator[str]:
    """OpenMetrics lines of the servers' own metrics, from what they said by job."""
    for job, text in texts.items():
        for series in _own_series(job, text):
            yield from (series.at(t) for t in range(FINE, OUTAGE + 1, STEP))


def _own_series(job: str, text: str) -> Iterator[_Own]:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    where = f'instance="{job}:9090",job="{job}"'
    yield _Own(f"up{{{where}}}", "gauge", "1")
    for line in text.splitlines():
        found = re.match(r"([a-z_]+)(?:\{(.*)\})? (\S+)$", line)
        if found is None or not _OWN.fullmatch(found[1]):
            continue
        base = re.sub("_(bucket|count|sum)$", "", found[1])
        kind = kinds.get(found[1]) or kinds[base]
        gauge = kind == "gauge" or 'quantile="' in (found[2] or "")
        labels = f"{found[2]},{where}" if found[2] else where
        yield _Own(f"{found[1]}{{{labels}}}", "gauge" if gauge else "counter", found[3])


def own_metrics(folder: Path, stacks: tuple[Stack, ...]) -> dict[str, str]:
    """What a real Prometheus with our rules and a real Alertmanager say of themselves, by job."""
    files = [
        Output(f"prometheus/{f.name}.yaml", render.rule_file(f))
        for s in stacks
        for f in rule_files(s, TIMING)
    ]
    written = rules.write_rules(files, folder / "rules", 1000)
    groups = sum(len(yaml.safe_load(file.read_text())["groups"]) for file in written)
    manager = servers.alertmanager(folder, servers.free_port())
    config = rules.alertmanager_config(map(alertmanager.config, stacks), "http://127.0.0.1:9", 1)
    servers.write_yaml(folder / "alertmanager.yaml", config)
    server = servers.prometheus(folder, servers.free_port())
    servers.write_yaml(
        folder / "prometheus.yaml", servers.prometheus_config("30s", folder / "rules", [], manager.port)
    )
    try:
        manager.start()
        server.start()
        server.wait_ready()
        manager.wait_ready()
        end = time.monotonic() + servers.READY_WITHIN
        while True:
            said = httpx.get(f"{server.url}/metrics", trust_env=False).text
            ran = re.findall(
                r"^prometheus_rule_group_last_duration_seconds\S* (?!0$)\S+$", said, re.MULTILINE
            )
            if len(ran) == groups and "prometheus_notifications_sent_total{" in said:
                break
            assert time.monotonic() < end, f"{len(ran)} of {groups} groups were evaluated"
            time.sleep(0.2)
        return {
            "prometheus": said,
            "alertmanager": httpx.get(f"{manager.url}/metrics", trust_env=False).text,
        }
    finally:
        servers.stop_all((server, manager))


# The server


@dataclass(eq=False)
class Asked:
    """A Prometheus server that is asked over HTTP. What it holds does not change, so it is asked everything once."""

    server: servers.Server
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=60))
    known: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str, **params: Any) -> Any:
        """The data of an answer. Raises AssertionError with Prometheus' own words where it refuses."""
        if (asked := repr((path, params))) not in self.known:
            answer = self.client.post(f"{self.server.url}/api/v1/{path}", data=params).json()
            assert answer["status"] == "success", f"{answer['error']}: {params}"
            self.known[asked] = answer["data"]
        return self.known[asked]

    def values(self, label: str, match: str, start: int, end: int) -> list[str]:
        """The values of a label among the series that match."""
        found = self.get("series", **{"match[]": match or f"{{{label}!=''}}"}, start=start, end=end)
        return sorted({series[label] for series in found if label in series})

    def stop(self) -> None:
        self.client.close()
        self.server.stop()


def serve(folder: Path) -> Asked:
    """A Prometheus over the blocks of a folder. It scrapes nothing and evaluates nothing."""
    return Asked(past.serve(folder))


def build(folder: Path, stacks: tuple[Stack, ...] = STACKS) -> None:
    """Fill the folder of a Prometheus. Takes about twenty seconds."""
    with ThreadPoolExecutor(1) as beside:
        asked_themselves = beside.submit(own_metrics, folder / "own", stacks)
        past.store(folder, raw(stacks))
        past.store(folder, own(asked_themselves.result()))
    rules_ = [r for s in stacks for f in rule_files(s, TIMING) for group in f.groups for r in group.rules]
    past.build(folder, rules_, GRIDS, past.Grid(FINE, OUTAGE, STEP))
