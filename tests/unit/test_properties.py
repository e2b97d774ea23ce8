"""Whatever a definition says: valid ones compile to rules promtool accepts, bad ones are refused in one way."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import promtool
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from slo import (
    SLO,
    Above,
    AlertPolicy,
    Below,
    Composite,
    DefinitionError,
    Duration,
    Freshness,
    GoldenSignals,
    Latency,
    Monitor,
    NearZero,
    NotExploding,
    NotMeasured,
    Ratio,
    Service,
    Signal,
    Stack,
    TimeSlice,
    Uptime,
    WhileDemand,
)
from slo.compile import Config, compile_stack
from slo.model import RESERVED
from slo.quantity import shortest

WHY = NotMeasured("nobody publishes it yet")
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
# Any text but a template's braces: those are Go's, and promtool reads them in an alert's labels.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}"), min_size=1, max_size=12)
label_names = st.one_of(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True),
    st.sampled_from(["true", "null", "on", "y", "job"]),
).filter(lambda n: n not in RESERVED and not n.startswith("__"))
labels = st.dictionaries(label_names, texts, max_size=2)
metrics = st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}_total", fullmatch=True)
gauges = st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True).filter(
    lambda g: (
        g
        not in (
            "inf",
            "nan",
            "and",
            "or",
            "by",
            "on",
            "bool",
            "unless",
            "without",
            "offset",
            "ignoring",
            "atan2",
        )
        and not g.endswith(("_bucket", "_count", "_sum"))
    )
)
matchers = st.lists(
    st.tuples(label_names, st.sampled_from(["=", "!="]), texts), max_size=2, unique_by=lambda m: m[0]
).map(lambda ms: ",".join(f"{n}{op}{_quoted(v)}" for n, op, v in ms))


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def selected(metric: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(lambda m, inside: f"{m}{{{inside}}}" if inside else m, metric, matchers)


counters = selected(metrics)
events = st.one_of(
    counters, counters.map(lambda c: f"sum(rate({c}[$window])) - sum(rate({c}[$window] offset 1h))")
)
durations = st.integers(1, 400 * 86_400_000).map(lambda n: str(Duration.of(n).__class__.parse(f"{n}ms")))
waits = st.integers(1, 400 * 86_400).map(lambda n: f"{n}s")
ratios = st.one_of(
    st.builds(Ratio, total=events, bad=events), st.builds(Ratio, total=events, good=events), st.builds(Ratio, good=events, bad=events)
)  # fmt: skip
simple = st.one_of(
    ratios,
    st.builds(Latency, histogram=selected(gauges), below=durations, unit=st.sampled_from(["seconds", "milliseconds"]), native=st.booleans()),
    st.builds(Uptime, gauge=selected(gauges), quorum=st.one_of(st.integers(1, 9), st.integers(1, 100).map(lambda n: f"{n}%"))),
    st.builds(lambda g, op, n: TimeSlice(condition=f"max({g}) {op} {n}"), selected(gauges), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.integers(-9, 9)),
    st.builds(lambda g, h: TimeSlice(condition=f"rate({g}[$window]) > {h} / 2"), counters, selected(gauges)),
    st.builds(Freshness, timestamp=selected(gauges), within=durations),
)  # fmt: skip
parts = st.dictionaries(names, simple, min_size=2, max_size=3)


def weighted(some: dict[str, Any]) -> Composite:
    first, *rest = some
    return Composite(parts=some, weights={first: str(1 - len(rest) * 0.25), **dict.fromkeys(rest, "0.25")})


indicators = st.one_of(simple, parts.map(lambda p: Composite(parts=p)), parts.map(weighted))
conditions = st.one_of(
    st.integers(0, 99).map(lambda n: Above(str(n))),
    st.decimals(0, 9, places=3).map(lambda n: Below(str(n))),
    st.just(NearZero()),
    st.builds(NotExploding, past=st.sampled_from(["1h", "1d", "7d"])),
    st.builds(WhileDemand, demand=counters),
)
camel = st.from_regex(r"[A-Z][A-Za-z0-9]{0,39}", fullmatch=True)
signals = st.builds(
    Signal,
    query=st.one_of(counters, selected(gauges), counters.map(lambda c: f"{c} or vector(0)")),
    alert=camel,
    when=conditions,
    description=texts,
    no_data=st.none() | waits,
)
services = st.builds(
    Service,
    name=names,
    owner=texts,
    tier=st.integers(0, 4),
    selector=labels,
    signals=st.none()
    | signals.map(lambda s: GoldenSignals(latency=WHY, traffic=WHY, errors=WHY, saturation=s)),
)
policies = st.builds(
    AlertPolicy,
    off=st.lists(
        st.sampled_from(["page", "ticket", "page-1h", "page-6h", "ticket-1d", "ticket-3d"]), max_size=2
    ),
    min_events=st.integers(1, 100),
    no_data=waits,
)
windows = st.one_of(st.integers(1, 400).map(lambda d: f"{d}d"), st.sampled_from(["month", "quarter"]))
objectives = st.decimals("0.001", "99.999", places=3).map(lambda d: f"{shortest(d)}%")


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """One service, one to four SLOs of it, up to two monitors."""
    service = draw(services)
    apart, carried = draw(st.lists(label_names, max_size=2, unique=True)), draw(labels)
    slos = [
        SLO(
            service=service,
            name=name,
            objective=draw(objectives),
            window=draw(windows),
            sli=draw(indicators),
            description=draw(texts),
            alerts=draw(policies),
            by=draw(st.sampled_from([[], apart])),
            labels={n: v for n, v in carried.items() if n not in apart},
        )
        for name in draw(st.lists(names, min_size=1, max_size=4, unique=True))
    ]
    taken = (
        {s.alert for s in service.signals.saturation if isinstance(s, Signal)} if service.signals else set()
    )
    monitors = [
        Monitor(
            name=name,
            service=service,
            condition=f"{draw(selected(gauges))} > {draw(st.integers(-9, 9))}",
            summary="It is so.",
            description=draw(texts),
            labels=draw(labels),
            lasting=draw(st.none() | waits),
            keep_firing=draw(st.none() | waits),
            no_data=draw(st.none() | waits),
        )
        for name in draw(st.lists(camel, max_size=2, unique=True))
        if name not in taken
    ]
    return Stack(name=draw(names), slos=slos, monitors=monitors)


scrapes = st.integers(5, 75).map(lambda n: Config(Duration.of(n)))
slowly = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=15)


@slowly
@given(st.lists(st.tuples(stacks(), scrapes), min_size=4, max_size=8))
def test_any_valid_definition_compiles_to_rules_promtool_accepts(made: list[tuple[Stack, Config]]) -> None:
    """Many definitions to one call of promtool."""
    with tempfile.TemporaryDirectory() as folder:
        for n, (stack, config) in enumerate(made):
            for o in compile_stack(stack, config):
                if o.path.startswith("prometheus/"):
                    file = Path(folder) / f"{n}-{o.path.removeprefix('prometheus/')}"
                    file.write_text(o.text, encoding="utf-8")
        content, said = promtool.run("check", "rules", *sorted(Path(folder).iterdir()))
        assert content, said


@slowly
@given(stacks(), scrapes)
def test_any_valid_definition_compiles_to_the_same_bytes_twice(stack: Stack, config: Config) -> None:
    """And every output is text that YAML or JSON reads, but for templates and text of the chart and Compose."""
    outputs = compile_stack(stack, config)
    assert outputs == compile_stack(stack, config)
    assert len({o.path for o in outputs}) == len(outputs)
    data = [o for o in outputs if "/templates/" not in o.path and o.path.endswith((".json", ".yaml", ".yml"))]
    assert len(data) > len(outputs) / 2
    for o in data:
        read = json.loads if o.path.endswith(".json") else _yaml
        assert read(o.text) is not None, o.path


def _yaml(text: str) -> object:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - the safe loader, in C


VALID: dict[type[Any], dict[str, Any]] = {
    Ratio: {"bad": "a_total", "total": "b_total"},
    Latency: {"histogram": "a_seconds", "below": "1s"},
    Uptime: {"gauge": "up", "quorum": 2},
    TimeSlice: {"condition": "a < 1"},
    Freshness: {"timestamp": "a", "within": "1h"},
    Composite: {"parts": {"a": Uptime(gauge="a"), "b": Uptime(gauge="b")}, "weights": {"a": "0.5", "b": "0.5"}},
    NotMeasured: {"reason": "nobody publishes it yet"},
    Above: {"bound": "1"},
    NearZero: {"bound": "1"},
    NotExploding: {"factor": "3", "past": "1d", "floor": "0"},
    WhileDemand: {"demand": "a_total"},
    Signal: {"query": "a", "alert": "A", "when": Above("1"), "lasting": "5m", "severity": "page", "no_data": "1h"},
    GoldenSignals: {"latency": WHY, "traffic": WHY, "errors": WHY, "saturation": "a"},
    Service: {"name": "a", "owner": "b", "tier": 1, "selector": {"a": "b"}},
    AlertPolicy: {"off": ["page"], "min_events": 5, "no_data": "15m"},
    SLO: {"service": Service(name="a", owner="b"), "name": "a", "objective": "99%", "window": "7d", "sli": Uptime(gauge="up"),
          "description": "d", "alerts": AlertPolicy(), "labels": {"a": "b"}, "by": ["c"]},
    Monitor: {"name": "A", "service": Service(name="a", owner="b"), "condition": "a > 0", "severity": "page", "lasting": "5m",
              "summary": "It is so.", "labels": {"a": "b"}, "fires": {"a": "1"}},
    Stack: {"name": "a", "slos": [], "monitors": [], "severities": {"page": "p", "ticket": "t", "info": "i"}},
}  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=3), st.decimals(),
    st.sampled_from(["NaN", "Infinity", "-0%", "1e9%", "a{", "{}", "a[5m]", "sum(", "$window", "a # b", "9" * 60, "99.9%", "1y", "\x00"]),
)  # fmt: skip
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize("kind", VALID, ids=lambda k: k.__name__)
@given(data=st.data())
def test_a_bad_definition_is_refused_in_one_way(kind: type[Any], data: st.DataObject) -> None:
    """A field with anything in it makes a definition, a ValidationError or a DefinitionError: nothing else."""
    fields = dict(VALID[kind])
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(junk)
    try:
        made = kind(**fields)
    except (ValidationError, DefinitionError):
        return
    assert isinstance(made, kind)


@pytest.mark.parametrize("kind", [k for k in VALID if k is not Stack], ids=lambda k: k.__name__)
def test_the_definitions_that_are_spoilt_above_are_sound(kind: type[Any]) -> None:
    """Or the property would prove nothing."""
    assert isinstance(kind(**VALID[kind]), kind)


@given(junk)
def test_an_slo_that_was_accepted_compiles(value: Any) -> None:
    """What is not refused at the definition does not fail later."""
    for field in ("objective", "window", "sli", "labels", "by", "alerts", "description"):
        fields = {**VALID[SLO], field: value}
        try:
            made = SLO(**fields)
        except (ValidationError, DefinitionError):
            continue
        assert compile_stack(Stack(name="a", slos=[made]))
