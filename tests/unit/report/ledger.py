"""A Prometheus that holds a ledger, for the tests of reports: it answers just the queries that a report asks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx

from slo import SLO, Composite, Ratio, Service, Stack, names
from slo.prometheus import Prometheus
from slo.report.collect import Report, collect
from slo.report.period import Period

TICK = 600  # seconds between two samples
DAY = 86400
api = Service(name="api", owner="web", tier=1)
_sli = Ratio(bad="bad_total", total="all_total")


def slo(name: str, **more: Any) -> SLO:
    given = {"objective": "99%", "window": "month", "sli": _sli, "description": "Requests succeed."} | more
    return SLO(service=api, name=name, **given)


def worst(*parts: str) -> Composite:
    return Composite(parts=dict.fromkeys(parts, _sli))


def weighted(**weights: str) -> Composite:
    return Composite(parts=dict.fromkeys(weights, _sli), weights=weights)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


Labels = Mapping[str, str]


@dataclass
class Ledger:
    """Samples of errors and total (events a second) by series; `bad` and `alerts` are times of the detail queries."""

    series: dict[tuple[tuple[str, str], ...], list[tuple[float, str, str]]] = field(default_factory=dict)
    bad: list[float] = field(default_factory=list)
    alerts: dict[str, list[float]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def write(
        self, slo: str, first: str, days: float, errors: float | str, total: float | str = 1, **labels: str
    ) -> Ledger:
        """Constant traffic for so many days, dated by its month and quarter."""
        start = at(first)
        for n in range(int(days * DAY / TICK)):
            t = start + (n + 1) * TICK
            when = datetime.fromtimestamp(t - 1, UTC)
            dated = {"month": str(when.month), "quarter": str((when.month + 2) // 3)}
            key = tuple(sorted({"stack": "web", "slo": slo, **labels, **dated}.items()))
            self.series.setdefault(key, []).append((t, str(errors), str(total)))
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = {k: v[0] for k, v in parse_qs(request.content.decode()).items()}
        self.asked.append(form["query"])
        if "time" in form:
            rows = [
                {"metric": m, "value": [0, v]} for m, v in self._instant(form["query"], float(form["time"]))
            ]
            data = {"resultType": "vector", "result": rows}
        else:
            start, end, step = (float(form[k]) for k in ("start", "end", "step"))
            times = [start + i * step for i in range(int((end - start) / step) + 1)]
            data = {"resultType": "matrix", "result": self._range(form["query"], times)}
        return httpx.Response(
            200, text=json.dumps({"status": "success", "data": data, "warnings": self.warnings})
        )

    def _instant(self, query: str, t: float) -> list[tuple[dict[str, str], str]]:
        found = re.fullmatch(r"(\w+)\((?:0\.5, )?([\w:]+)(\{.*\})\[(\d+)ms\]\)", query)
        assert found is not None, query
        function, metric, selector, seconds = found[1], found[2], found[3], (int(found[4]) + 1) // 1000
        if metric == names.LEDGER_TICK:
            return [({"stack": "web"}, str(TICK))] if self.series else []
        column = {names.ERRORS_LEDGER: 1, names.TOTAL_LEDGER: 2}[metric]
        rows = []
        for labels, points in self._select(selector):
            inside = [Decimal(p[column]) for p in points if t - seconds < p[0] <= t]
            if inside:
                rows.append((labels, str(len(inside) if function == "count_over_time" else sum(inside))))
        return rows

    def _range(self, query: str, times: list[float]) -> list[dict[str, Any]]:
        if query.startswith("ALERTS"):
            return [
                {
                    "metric": {"alertname": name},
                    "values": [[t, "1"] for t in fired if times[0] <= t <= times[-1]],
                }
                for name, fired in self.alerts.items()
            ]
        if query.startswith("max("):
            return [{"metric": {}, "values": [[t, "0.5"] for t in self.bad if times[0] <= t <= times[-1]]}]
        found = re.search(r"sum_over_time\([\w:]+(\{.*\})\[(\d+)ms\]\)", query)
        assert found is not None, query
        seconds = (int(found[2]) + 1) // 1000
        summed: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
        for labels, points in self._select(found[1]):
            kept = {k: v for k, v in labels.items() if k not in ("month", "quarter", "component", "part")}
            values = summed.setdefault(tuple(sorted(kept.items())), {})
            for t, errors, _ in points:
                index = math.ceil((t - times[0]) / seconds)  # buckets stand side by side
                if 0 <= index < len(times):
                    values[times[index]] = values.get(times[index], 0.0) + float(errors)
        return [
            {"metric": dict(key), "values": [[t, repr(v)] for t, v in sorted(values.items()) if v]}
            for key, values in summed.items()
        ]

    def _select(self, selector: str) -> list[tuple[dict[str, str], list[tuple[float, str, str]]]]:
        wanted = re.findall(r'(\w+)(=~?)"((?:[^"\\]|\\.)*)"', selector)
        return [
            (dict(key), points)
            for key, points in self.series.items()
            if all(
                re.fullmatch(value.replace("\\\\", "\\"), dict(key).get(name, "")) if sign == "=~"
                else dict(key).get(name) == value
                for name, sign, value in wanted
            )
        ]  # fmt: skip


def report(ledger: Ledger, period: Period, *slos: SLO, now: str = "2026-12-24") -> Report:
    with Prometheus("http://prometheus", httpx.MockTransport(ledger), sleep=lambda s: None) as prometheus:
        return collect(prometheus, Stack(name="web", slos=list(slos)), period, at(now))
