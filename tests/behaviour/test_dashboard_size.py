"""The overview of five hundred objectives: as many lines as objectives, and no more work for each than for ten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import dashboards
from slo import names, promql
from tests import grafana, prom_world
from tests.grafana import View
from tests.prom_world import HEALTHY, ROLLING, STACK, STEP, TIMING, Asked
from tools.demo import past

OVERVIEW = next(d for d in dashboards.build(STACK, TIMING) if d.uid == names.OVERVIEW)
FEW, MANY = 10, 500
LINES = 20  # that a graph can show, and a reader can follow


@pytest.fixture(scope="module")
def crowd(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Two stacks of copies of one objective's records: "few" and "many"."""
    folder = tmp_path_factory.mktemp("crowd")
    past.store(folder, _copies(asked))
    server = prom_world.serve(folder)
    yield server
    server.stop()


def _copies(asked: Asked) -> Iterator[str]:
    records = asked.get(
        "query_range", query=f'{{__name__=~"slo:.*",stack="{ROLLING.name}"}}',
        start=HEALTHY - 5 * STEP, end=HEALTHY, step=STEP,
    )["result"]  # fmt: skip
    for stack, count in (("few", FEW), ("many", MANY)):
        for series in records:
            labels = {n: v for n, v in series["metric"].items() if n != "__name__"} | {"stack": stack}
            for n in range(count) if "slo" in labels else [0]:
                if "slo" in labels:
                    labels["slo"] = f"service-{n:03d}"
                head = promql.series(series["metric"]["__name__"], labels)
                yield from (f"{head} {value} {t}\n" for t, value in series["values"])


def _view(crowd: Asked, stack: str) -> View:
    return View(crowd, OVERVIEW.json, HEALTHY, {"stack": stack})


def _read(crowd: Asked, stack: str, panel: dict[str, Any]) -> int:
    """The samples that Prometheus reads for a panel."""
    view = _view(crowd, stack)
    found = 0
    for target in panel["targets"]:
        path, params = view.request(panel, target)
        found += crowd.get(path, **params, stats="all")["stats"]["samples"]["totalQueryableSamples"]
    return found


PANELS = [pytest.param(p, id=p["title"]) for p in grafana.drawn(OVERVIEW.json) if p.get("targets")]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_reads_no_more_for_each_of_many_objectives_than_for_each_of_few(
    crowd: Asked, panel: dict[str, Any]
) -> None:
    """Work grows with the number of objectives, never with its square."""
    few, many = _read(crowd, "few", panel), _read(crowd, "many", panel)
    assert few > 0
    assert many / MANY <= few / FEW * 1.05, f"{few} samples for {FEW} objectives, {many} for {MANY}"


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_stays_readable(crowd: Asked, panel: dict[str, Any]) -> None:
    """A table has one line for each objective, a number is one, a graph has as many lines as can be followed."""
    answers = [_view(crowd, "many").run(panel, target) for target in panel["targets"]]
    if panel["type"] == "table":
        assert len(grafana.rows(answers)) == MANY
        assert all(len(series) <= MANY for series in answers)
    elif panel["type"] == "stat":
        assert all(len(series) <= 1 for series in answers)
    else:
        assert all(0 < len(series) <= LINES for series in answers)
