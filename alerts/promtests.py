"""Generated promtool tests: one file per SLO and per monitor, each scenario a sentence about behaviour.

Expectations are on the ALERTS series that firing alerts write, so wording may change without breaking a test.
promtool evaluates all groups at one interval and holds no month: what it cannot show is proven elsewhere,
in a real server over simulated time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from alerts import monitors as monitor_rules
from alerts import render, witness
from alerts.recording import Timing
from alerts.rules import SLOS_PER_FILE, alert_file_name, monitor_file_name, policies
from alerts.simulate import TRAFFIC, Phase, Simulator
from alerts.witness import Inputs, Leaf, Unsolvable
from slo import names
from slo.artifact import RuleFile
from slo.burn import Policy, Resolved, detection, window_seconds
from slo.model import SLO, Monitor, Stack
from slo.quantity import Duration, shortest
from slo.sli import Composite, Ratio, counts_time, parts_of

STEP = 60  # seconds between evaluations in a test: half the work of 30, and nothing assumes the spacing
HEALTHY = 15 * 60  # seconds of health before an incident
CLEARS = 50 * 60  # the slower page window (30m), the base, keep_firing_for, and some evaluations


@dataclass(frozen=True, slots=True)
class Check:
    """At a time, a query yields exactly this value, or nothing (None)."""

    at: int
    expr: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One `tests:` entry of promtool."""

    name: str
    series: dict[str, str]
    interval: int
    checks: tuple[Check, ...]


def tests(stack: Stack, files: tuple[RuleFile, ...], timing: Timing) -> Iterator[tuple[str, str]]:
    """(file stem, text) of every test file. What could not be derived yields no scenario; `validate` says so."""
    by_slo = policies(stack, timing)
    by_name = {f.name: f for f in files}
    base = [f for f in files if "-base-" in f.name]
    for i, slo in enumerate(stack.slos):
        policy = by_slo[slo.id]
        used = (
            base[i // SLOS_PER_FILE],
            by_name[f"{stack.name}-shared"],
            by_name[alert_file_name(stack, policy)],
        )
        try:
            world = Simulator(slo)
            fast, slow = scenarios(slo, policy, timing, world), slow_burn(slo, policy, timing, world)
            step, blind = health(slo, policy, timing, world)
        except Unsolvable:
            continue
        if step == STEP:
            fast = (*fast, blind)
        else:
            yield f"slo-{slo.id}.health", _file(used, step, (blind,))
        yield f"slo-{slo.id}", _file(used, STEP, fast)
        if slow is not None:
            yield f"slo-{slo.id}.slow", _file(used, slow[0], (slow[1],))
    for monitor in stack.all_monitors:
        found = monitor_scenarios(monitor)
        if found:
            yield f"monitor-{monitor.name}", _file((by_name[monitor_file_name(stack, monitor)],), 60, found)


def alert(name: str, **labels: str) -> str:
    return f"count({names.sel('ALERTS', alertname=name, alertstate='firing', **labels)})"


def untestable(slo: SLO) -> str:
    """Why no test could be generated for an SLO; empty when one could."""
    try:
        Simulator(slo).run((Phase(60, TRAFFIC, Decimal(0)),), 30)
    except Unsolvable as error:
        return str(error)
    return ""


def scenarios(slo: SLO, policy: Policy, timing: Timing, world: Simulator) -> tuple[Scenario, ...]:
    """What an SLO's alerts do within hours."""
    step = timing.base // 4
    found = []

    def add(name: str, phases: tuple[Phase, ...], checks: list[Check]) -> None:
        found.append(Scenario(f"{slo.id}: {name}", world.run(phases, step), step, tuple(checks)))

    def silent(at: int, *alerts: str) -> list[Check]:
        return [
            Check(at, alert(a, slo=slo.id), None) for a in alerts or (names.PAGE, names.TICKET, names.NO_DATA)
        ]

    normal = Phase(HEALTHY, TRAFFIC, Decimal(0))
    pages = [t for r in policy.of("page") if (t := _pages_after(slo, policy, r, timing)) is not None]
    if pages:
        fires = HEALTHY + _step_up(min(pages), STEP)
        outage = Phase(max(fires - HEALTHY, 600), TRAFFIC, Decimal(1))
        over = HEALTHY + outage.seconds
        add(
            f"a total outage pages within {fires - HEALTHY}s, and the page clears",
            (normal, outage, Phase(CLEARS + 600, TRAFFIC, Decimal(0))),
            [
                *silent(HEALTHY),
                Check(fires, alert(names.PAGE, slo=slo.id), "1"),
                *silent(over + CLEARS, names.PAGE),
            ],
        )
    quiet = Phase(HEALTHY + 600, TRAFFIC, Decimal(0) if _time_based(slo) else slo.objective.budget / 2)
    add("health at half the budget's pace is silent", (quiet,), silent(HEALTHY + 600))
    counting = [p for p in parts_of(slo.sli).values() if not counts_time(p)]
    if len(counting) == len(parts_of(slo.sli)):
        add(
            "a counter reset is silent",
            (Phase(HEALTHY, TRAFFIC, Decimal(0)), Phase(900, TRAFFIC, Decimal(0), reset=True)),
            [c for at in (HEALTHY + 60, HEALTHY + 900) for c in silent(at)],
        )
        ratio = names.sel(names.error_ratio("5m"), slo=slo.id)
        add(
            "no traffic burns nothing and is not called missing data",
            (Phase(HEALTHY, Decimal(0), Decimal(0)),),
            [*silent(HEALTHY), Check(HEALTHY, f"count({ratio})", None)],
        )
        add(
            "one error at ten events an hour is silent",
            (
                Phase(3600, Decimal(10) / 3600, Decimal(0)),
                Phase(360, Decimal(10) / 3600, Decimal(1)),
                Phase(3600, Decimal(10) / 3600, Decimal(0)),
            ),
            [c for at in (1560, 1800, 3000) for c in silent(at, names.PAGE, names.TICKET)],
        )
        if all(isinstance(p, Ratio) and p.bad is not None for p in counting):
            add(
                "an error series that was never born is silent, and counts as no errors",
                (Phase(HEALTHY, TRAFFIC, Decimal(0), unborn=True),),
                [*silent(HEALTHY), Check(HEALTHY, f"sum({ratio})", "0")],
            )
    return tuple(found)


def health(slo: SLO, policy: Policy, timing: Timing, world: Simulator) -> tuple[int, Scenario]:
    """An indicator without any data: the health alert, and nothing else. (evaluation step, scenario)"""
    waits = int(Duration.parse(policy.no_data).seconds)
    step = STEP if waits <= 3600 else 600
    end = _step_up(Decimal(waits), step) + 3 * step
    checks = (
        Check(end, alert(names.NO_DATA, slo=slo.id), "1"),
        *(Check(end, alert(name, slo=slo.id), None) for name in (names.PAGE, names.TICKET)),
    )
    series = world.run((Phase(end, TRAFFIC, Decimal(0), missing=True),), timing.base // 4)
    name = f"{slo.id}: no data raises the health alert and nothing else"
    return step, Scenario(name, series, timing.base // 4, checks)


def _time_based(slo: SLO) -> bool:
    return any(counts_time(p) for p in parts_of(slo.sli).values())


def _step_up(seconds: Decimal, step: int) -> int:
    return -(-int(seconds) // step) * step


def _pages_after(slo: SLO, policy: Policy, r: Resolved, timing: Timing) -> Decimal | None:
    """Seconds until a tier must fire in a total outage: its computed time, the guard, and two evaluations."""
    seconds = detection(r, slo.objective.budget, Decimal(1), timing.base, 2 * timing.interval)
    if seconds is None:
        return None
    guard = policy.min_bad + 2 * STEP if policy.unit == "seconds" else 0
    return max(seconds, Decimal(guard)) + 2 * STEP


def slow_burn(slo: SLO, policy: Policy, timing: Timing, world: Simulator) -> tuple[int, Scenario] | None:
    """A burn between ticket and page: the ticket fires, the page never does. (evaluation step, scenario)"""
    if not policy.of("ticket") or isinstance(slo.sli, Composite):
        return None
    step = _blip(slo, policy, timing) if counts_time(slo.sli) else 600
    chosen = _between(slo, policy, step) if step else None
    if chosen is None:
        return None
    ticket, burn = chosen
    length = _step_up(ticket.share * policy.period / burn * Decimal("1.15") + 3600, step)
    interval = step if counts_time(slo.sli) else timing.base // 4
    phase = Phase(length + 2 * step, TRAFFIC, burn * slo.objective.budget, blip=step)
    ever = f"[{length}s]"
    checks = (
        Check(length, f"count(max_over_time({alert_series(names.TICKET, slo)}{ever}))", "1"),
        Check(length, f"count(max_over_time({alert_series(names.PAGE, slo)}{ever}))", None),
    )
    name = f"{slo.id}: a slow burn of {shortest(burn)}x raises the ticket and never the page"
    return step, Scenario(name, world.run((phase,), interval), interval, checks)


def _blip(slo: SLO, policy: Policy, timing: Timing) -> int:
    """How long one bad moment of a time-based indicator may last: it must not fill a page's hour on its own."""
    factor = min((r.factor for r in policy.of("page") if r.tier.long == "1h"), default=Decimal(6))
    fits = factor * slo.objective.budget * 3600 * Decimal("0.6")
    return min(600, int(fits) // timing.interval * timing.interval)


def _between(slo: SLO, policy: Policy, step: int) -> tuple[Resolved, Decimal] | None:
    """A ticket tier and a burn rate above it and below every page, as fast as possible; None where none fits."""
    budget, ticket = slo.objective.budget, policy.of("ticket")[0]
    pages = policy.of("page")
    high = min((r.factor for r in pages), default=ticket.factor * 2)
    for nearness in ("0.8", "0.5", "0.3"):
        burn = (
            (ticket.factor + Decimal(nearness) * (high - ticket.factor)).quantize(Decimal("0.01")).normalize()
        )
        if not ticket.factor < burn < high or burn * budget >= 1:
            continue
        if not counts_time(slo.sli):
            return ticket, burn
        every = int(1 / (burn * budget))  # evaluations from one blip to the next
        if all(_densest(r, step, every) < r.factor * budget for r in pages):
            return ticket, burn
    return None


def _densest(r: Resolved, step: int, every: int) -> Decimal:
    """The largest share of a long window's evaluations (both ends count) that blips so far apart can be."""
    evaluations = window_seconds(r.tier.long) // step + 1
    return Decimal((evaluations - 1) // every + 1) / evaluations


def alert_series(name: str, slo: SLO) -> str:
    return names.sel("ALERTS", alertname=name, alertstate="firing", slo=slo.id)


# Monitors


def monitor_untestable(monitor: Monitor) -> str:
    """Why no test could be generated for a monitor; empty when one could."""
    try:
        _monitor_series(monitor)
    except Unsolvable as error:
        return str(error)
    return ""


def monitor_scenarios(monitor: Monitor) -> tuple[Scenario, ...]:
    """The condition fires after it has held for `lasting`, stays silent otherwise, and says when it is blind."""
    try:
        fires, silent = _monitor_series(monitor)
    except Unsolvable:
        return ()
    lasting = int(monitor.lasting.seconds) if monitor.lasting else 0
    settle = 3600 if witness.growth(monitor_rules.expression(monitor)) else 600
    # Series by hand are judged at their last sample, derived ones go on long enough.
    by_hand = bool(monitor.fires or monitor.silent)
    derived = _step_up(Decimal(settle + lasting), 60)
    end, calm = (_length(fires), _length(silent)) if by_hand else (derived, derived)
    found = [
        Scenario(
            f"{monitor.name}: fires when its condition holds",
            fires,
            60,
            (Check(end, _any_of(monitor.name), "1"),),
        ),
        Scenario(
            f"{monitor.name}: is silent when it does not",
            silent,
            60,
            (Check(calm, _any_of(monitor.name), None),),
        ),
    ]
    if monitor.no_data is not None:
        blind = int(monitor.no_data.seconds) + 180
        expr = f"count({names.sel('ALERTS', alertname=names.MONITOR_NO_DATA, alertstate='firing', monitor=monitor.name)})"
        found.append(
            Scenario(
                f"{monitor.name}: is reported blind when its series are absent",
                {},
                60,
                (Check(blind, expr, "1"),),
            )
        )
        found.append(
            Scenario(
                f"{monitor.name}: is not reported blind when they are there",
                silent,
                60,
                (Check(calm, expr, None),),
            )
        )
    return tuple(found)


def _length(series: dict[str, str]) -> int:
    """Seconds until the last sample of promtool's notation, at a sample a minute."""

    def samples(item: str) -> int:
        times = item.rpartition("x")[2] if "x" in item else ""
        return int(times) + (not item.startswith("_")) if times else 1

    return max((sum(map(samples, values.split())) - 1 for values in series.values()), default=0) * 60


def _any_of(name: str) -> str:
    return f"count(count by (alertname) ({names.sel('ALERTS', alertname=name, alertstate='firing')}))"


def _monitor_series(monitor: Monitor) -> tuple[dict[str, str], dict[str, str]]:
    if monitor.fires or monitor.silent:
        return dict(monitor.fires), dict(monitor.silent)
    expr = monitor_rules.expression(monitor)
    growth = witness.growth(expr)
    if growth is not None:
        calm, grown = growth
        return _notation(calm, grown), _notation(calm, calm)
    return _notation(witness.truth(expr, True)), _notation(witness.truth(expr, False))


_LONG = 3 * 1440  # minutes of samples; more than any `lasting`


def _notation(before: Inputs, after: Inputs | None = None) -> dict[str, str]:
    """promtool's notation at one sample a minute: 50 minutes of `before` when a growth is shown, then `after`."""
    after = before if after is None else after
    out = {}
    for name, leaf in after.items():
        first = before.get(name, leaf)
        out[name] = (
            _steady(leaf, 0.0)
            if first == leaf
            else f"{_run(first, 0.0, 50)} {_run(leaf, _end(first, 51), _LONG)}"
        )
    return out


def _steady(leaf: Leaf, start: float) -> str:
    return _run(leaf, start, _LONG)


def _end(leaf: Leaf, samples: int) -> float:
    return leaf.number * 60 * samples if leaf.kind == "counter" else 0.0


def _run(leaf: Leaf, start: float, count: int) -> str:
    if leaf.kind == "gauge":
        return f"{_n(leaf.number)}x{count}"
    if leaf.kind == "counter":
        return f"{_n(start)}+{_n(leaf.number * 60)}x{count}"
    return f"{_n(leaf.number)}+60x{count}"


def _n(value: float) -> str:
    return format(value, ".12g")


# Text


def _file(files: tuple[RuleFile, ...], step: int, scenarios: tuple[Scenario, ...]) -> str:
    order = [g.name for f in files for g in f.groups]
    out = [render.HEADER, "rule_files:\n", *(f"  - ../prometheus/{f.name}.yaml\n" for f in files)]
    out += [
        f"evaluation_interval: {step}s\n",
        "group_eval_order:\n",
        *(f"  - {name}\n" for name in order),
        "tests:\n",
    ]
    for s in scenarios:
        out.append(f"  - name: {render.scalar(s.name)}\n    interval: {s.interval}s\n")
        out.append("    input_series:\n" if s.series else "    input_series: []\n")
        out += [
            f"      - series: {_single(name)}\n        values: {_single(values)}\n"
            for name, values in s.series.items()
        ]
        out.append("    promql_expr_test:\n")
        for c in s.checks:
            out.append(f"      - expr: {_single(c.expr)}\n        eval_time: {c.at}s\n")
            out.append(
                "        exp_samples: []\n"
                if c.value is None
                else f"        exp_samples:\n          - labels: '{{}}'\n            value: {c.value}\n"
            )
    return "".join(out)


def _single(text: str) -> str:
    """A single-quoted YAML string: series names are full of double quotes."""
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else render.scalar(text)
