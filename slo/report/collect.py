"""What a report says, as data, from the ledger: the one record that every budget is summed from.

Spent = (bad / all events of the period) / B x the measured share of the period, for every SLO: a rolling one is judged
over the report's period too, so that all lines compare. An SLO that was not measured is listed as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from slo import names, promql
from slo.errors import DefinitionError
from slo.model import SLO, Stack
from slo.prometheus import Prometheus, Sample, Series
from slo.report.period import Period
from slo.sli import Composite
from slo.status import Group, Key, describing, group_of, percent

SETTLED = 7200  # seconds after a period's end until the ledger has healed what its last hour missed
STEP = 600  # seconds of one bucket of spending
MOST_POINTS = 8000  # of one series in a range query; Prometheus refuses 11,000
CHUNK = 60  # SLOs of one range query: its answer stays well below the client's cap
PAUSE = 3  # quiet buckets that do not end an incident
WORTH = Decimal("0.01")  # the share of a budget that makes spending an incident
DETAILED = 12  # incidents whose edges and alerts are looked up
GAP = Decimal("0.005")  # the share of a period without data that makes it incomplete
AT_RISK = Decimal("0.25")  # of the budget left


@dataclass(slots=True)
class Incident:
    """A stretch in which an SLO spent its budget faster than evenly. Times in Unix seconds."""

    slo: str
    start: float
    end: float
    spent: Decimal
    alerts: tuple[tuple[str, float], ...] = ()  # what fired, and how many seconds after the start
    exact: bool = False  # whether the edges were looked up, or are those of the buckets

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(slots=True)
class Line:
    """One SLO, or one group of it, over the period. None is what could not be measured."""

    slo: str
    group: Group
    service: str
    owner: str
    description: str
    window: str
    objective: Decimal
    budget: Decimal
    ratio: Decimal | None = None
    measured: Decimal = Decimal(0)
    before: Decimal | None = None  # the share of the budget spent in the period before
    spending: tuple[tuple[float, Decimal], ...] = ()  # (time, share of the budget spent since the last one)
    incidents: tuple[Incident, ...] = ()
    ended: bool = False  # whether the period is over

    @property
    def name(self) -> str:
        return self.slo + (f" [{','.join(f'{k}={v}' for k, v in self.group)}]" if self.group else "")

    @property
    def spent(self) -> Decimal | None:
        return None if self.ratio is None else self.ratio / self.budget * self.measured

    @property
    def left(self) -> Decimal | None:
        return None if self.spent is None else 1 - self.spent

    @property
    def state(self) -> str:
        """kept, at risk, missed or not measured.

        A period that is over is judged by what was measured, too: gaps in it do not make it better.
        """
        if self.left is None or self.ratio is None:
            return "not measured"
        return (
            "missed"
            if self.left < 0 or (self.ended and self.ratio > self.budget)
            else "at risk"
            if self.left < AT_RISK
            else "kept"
        )

    @property
    def order(self) -> tuple[Decimal, str]:
        # Rounded: servers add up in different orders, and what looks the same stays in the order of names.
        return Decimal(2) if self.left is None else round(self.left, 6), self.name


@dataclass(slots=True)
class Report:
    stack: str
    period: Period
    until: datetime  # the end of the period, or the moment it was read when that is earlier
    lines: tuple[Line, ...]
    warnings: tuple[str, ...] = ()

    @property
    def unfinished(self) -> bool:
        return self.until < self.period.end

    @property
    def elapsed(self) -> Decimal:
        return self.period.elapsed(self.until)

    def missing(self, line: Line) -> Decimal:
        """The share of the elapsed period without data."""
        return max(1 - line.measured / self.elapsed, Decimal(0)) if self.elapsed else Decimal(0)

    def of(self, *states: str) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.state in states)

    @property
    def incomplete(self) -> tuple[Line, ...]:
        """Lines whose data has gaps: what they say holds for the rest of the period."""
        return tuple(x for x in self.lines if x.left is not None and self.missing(x) > GAP)

    @property
    def headline(self) -> str:
        """The month in one sentence."""
        measured = len(self.lines) - len(self.of("not measured"))
        parts = [f"{len(self.of('kept', 'at risk'))} of {measured} SLOs kept their objective"]
        for state, said in (("missed", "missed it"), ("at risk", "with less than a quarter of their budget left"),
                            ("not measured", "not measured")):  # fmt: skip
            found = self.of(state)
            if found:
                parts.append(f"{len(found)} {said}")
        if self.incomplete:
            parts.append(f"{len(self.incomplete)} with gaps in their data")
        return ", ".join(parts) + "."

    @property
    def services(self) -> Mapping[str, tuple[Line, ...]]:
        """Lines by service, the service with the worst line first."""
        found: dict[str, list[Line]] = {}
        for line in self.lines:
            found.setdefault(line.service, []).append(line)
        return {k: tuple(v) for k, v in found.items()}

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """All of them, the costliest first."""
        every = (i for line in self.lines for i in line.incidents)
        return tuple(sorted(every, key=lambda i: (-i.spent, i.start, i.slo)))


def collect(prometheus: Prometheus, stack: Stack, period: Period, now: float) -> Report:
    """Read everything of a report. QueryError when Prometheus cannot be asked, DefinitionError for the future.

    Asks eight queries, one for every CHUNK SLOs, and two for each of the costliest incidents.
    """
    until = min(period.end, datetime.fromtimestamp(now, UTC))
    if until <= period.start:
        raise DefinitionError(f"{period.title} has not begun: choose a period of the past, or this one")
    sums = _sums(prometheus, stack, period, now)
    earlier = _sums(prometheus, stack, period.before, now) if period.before is not None else {}
    lines = []
    for slo in stack.slos:
        for group in sorted({g for s, g in sums if s == slo.id}) or [()]:
            line = _line(slo, group)
            line.ended = until == period.end
            if (found := sums.get((slo.id, group))) is not None:
                line.ratio, line.measured = found
            if (past := earlier.get((slo.id, group))) is not None:
                line.before = past[0] / line.budget * past[1]
            lines.append(line)
    _spend(prometheus, stack, period, until.timestamp(), lines)
    report = Report(stack.name, period, until, tuple(sorted(lines, key=lambda x: x.order)))
    for incident in report.incidents[:DETAILED]:
        _detail(prometheus, stack, incident, next(x for x in lines if x.name == incident.slo), period)
    report.warnings = tuple(prometheus.warnings)
    return report


def _line(slo: SLO, group: Group) -> Line:
    return Line(
        slo.id, group, slo.service.name, slo.service.owner, slo.description, str(slo.window),
        slo.objective.ratio, slo.objective.budget,
    )  # fmt: skip


def _sums(
    prometheus: Prometheus, stack: Stack, period: Period, now: float
) -> dict[Key, tuple[Decimal, Decimal]]:
    """Error ratio and measured share of the period, by SLO and group."""
    at = min(period.end.timestamp() + SETTLED, now)
    span = int(at - period.start.timestamp())
    if span < 1:
        return {}
    labels = {"stack": stack.name}
    if period.label:
        labels[period.label] = period.value  # what the last hour heals arrives after the end, dated before it
    else:
        at = min(period.end.timestamp(), now)
        span = int(at - period.start.timestamp())

    def asked(function: str, name: str) -> list[Sample]:
        return prometheus.query(f"{function}({names.sel(name, **labels)}[{_over(span)}])", at)

    errors = _by_part(stack, asked("sum_over_time", names.ERRORS_LEDGER), Decimal.__add__)
    total = _by_part(stack, asked("sum_over_time", names.TOTAL_LEDGER), Decimal.__add__)
    count = _by_part(stack, asked("count_over_time", names.TOTAL_LEDGER), Decimal.__add__)
    tick = prometheus.query(
        f"quantile_over_time(0.5, {names.sel(names.LEDGER_TICK, stack=stack.name)}[{_over(span)}])", at
    )
    spacing = next((s.decimal for s in tick if s.decimal), Decimal(0)) or Decimal(0)
    found: dict[Key, tuple[Decimal, Decimal]] = {}
    for slo in stack.slos:
        for group in {g for s, g, _ in total if s == slo.id}:
            parts = {p for s, g, p in total if (s, g) == (slo.id, group)}
            ratios = {
                p: max(errors.get((slo.id, group, p), Decimal(0)), Decimal(0)) / total[slo.id, group, p]
                if total[slo.id, group, p] > 0 else Decimal(0)
                for p in parts
            }  # fmt: skip
            seen = max(count.get((slo.id, group, p), Decimal(0)) for p in parts)
            found[slo.id, group] = _whole(slo, ratios), min(seen * spacing / period.seconds, Decimal(1))
    return found


def _over(seconds: int) -> str:
    """A range that holds its end and not its beginning. Prometheus 2 would count what lies just there twice, in two
    buckets that meet; Prometheus 3 and others would not. Timestamps are whole milliseconds."""
    return f"{seconds * 1000 - 1}ms"


def _whole(slo: SLO, ratios: Mapping[str, Decimal]) -> Decimal:
    """One ratio of a composite's parts: the largest, or the weighted sum."""
    if not isinstance(slo.sli, Composite):
        return ratios[""]
    if slo.sli.weights is None:
        return max(ratios.values())
    return sum((Decimal(w) * ratios.get(p, Decimal(0)) for p, w in slo.sli.weights.items()), Decimal(0))


def _by_part(
    stack: Stack, samples: Iterable[Sample], join: Callable[[Decimal, Decimal], Decimal]
) -> dict[tuple[str, Group, str], Decimal]:
    """Values by SLO, group and part; those of several months are brought together."""
    found: dict[tuple[str, Group, str], Decimal] = {}
    known = describing(stack)
    for sample in samples:
        value = sample.decimal
        if value is not None:
            part = sample.labels.get("component", sample.labels.get("part", ""))
            key = (sample.labels.get("slo", ""), group_of(known, sample.labels), part)
            found[key] = join(found[key], value) if key in found else value
    return found


# ---- spending over time -----------------------------------------------------------------------------------------


def _spend(prometheus: Prometheus, stack: Stack, period: Period, until: float, lines: Sequence[Line]) -> None:
    """Give each line its spending by bucket and its incidents."""
    start = period.start.timestamp()
    step = max(STEP, -(-int(until - start) // MOST_POINTS))
    if until <= start + step:
        return
    by_key: dict[Key, Series] = {}
    known = describing(stack)
    ids = [slo.id for slo in stack.slos]
    for chunk in (ids[i : i + CHUNK] for i in range(0, len(ids), CHUNK)):
        ledger = names.sel(names.ERRORS_LEDGER, stack=stack.name, slo="~" + promql.any_of(chunk))
        summed = (
            f"sum without (month, quarter, component, part) (sum_over_time({ledger}[{_over(step)}])) != 0"
        )
        for series in prometheus.range(summed, start + step, until, step):
            by_key[series.labels.get("slo", ""), group_of(known, series.labels)] = series
    for line in lines:
        found = by_key.get((line.slo, line.group))
        if found is None or not line.spent:
            continue
        line.spending = _shares(found, line.spent)
        line.incidents = tuple(_incidents(line, step, step / period.seconds))


def _shares(series: Series, spent: Decimal) -> tuple[tuple[float, Decimal], ...]:
    """What each bucket spent; together exactly what the period spent."""
    values = [(t, Decimal(v)) for t, v in series.points if v not in ("NaN", "+Inf", "-Inf")]
    total = sum((v for _, v in values), Decimal(0))
    return tuple((t, v / total * spent) for t, v in values) if total > 0 else ()


def _incidents(line: Line, step: int, even: float) -> Iterable[Incident]:
    """Runs of buckets above the even burn, together worth at least WORTH of the budget."""
    run: list[tuple[float, Decimal]] = []
    for point in [*(p for p in line.spending if p[1] > Decimal(even)), (float("inf"), Decimal(0))]:
        if run and point[0] - run[-1][0] > (PAUSE + 1) * step:
            spent = sum((v for _, v in run), Decimal(0))
            if spent >= WORTH:
                yield Incident(line.name, run[0][0] - step, run[-1][0], spent)
            run = []
        run.append(point)


def _detail(prometheus: Prometheus, stack: Stack, incident: Incident, line: Line, period: Period) -> None:
    """The edges of an incident within the period, and the alerts that it raised."""
    before = max(incident.start - 900, period.start.timestamp())
    after = min(incident.end + 900, period.end.timestamp())
    step = max(30, int((after - before) / 2000))
    labels = {"stack": stack.name, "slo": line.slo, **dict(line.group)}
    ratio = f"max({names.sel(names.ERRORS, **labels)} / ({names.sel(names.TOTAL, **labels)} > 0)) > {line.budget:f}"
    bad = [t for s in prometheus.range(ratio, before, after, step) for t, _ in s.points]
    if edges := _edges(bad, incident, 10 * step):
        incident.start, incident.end, incident.exact = edges[0], edges[1] + step, True
    firing = names.sel("ALERTS", alertstate="firing", **labels)
    first: dict[str, float] = {}
    for series in prometheus.range(firing, before, after, step):
        name = series.labels.get("alertname", "?")
        if series.points:
            first[name] = min(first.get(name, float("inf")), series.points[0][0])
    incident.alerts = tuple(
        (name, at - incident.start) for name, at in sorted(first.items(), key=lambda x: x[1]) if at >= incident.start
    )  # fmt: skip


def _edges(bad: Sequence[float], incident: Incident, pause: float) -> tuple[float, float] | None:
    """The first and the last bad moment of an incident.

    A single error of a quiet night is a bad moment too: a run of them counts when it reaches into the incident's
    buckets and is no mere twentieth of the longest.
    """
    runs: list[list[float]] = []
    for t in sorted(bad):
        if runs and t - runs[-1][-1] <= pause:
            runs[-1].append(t)
        else:
            runs.append([t])
    inside = [r for r in runs if r[-1] >= incident.start and r[0] <= incident.end]
    longest = max(map(len, inside), default=0)
    kept = [r for r in inside if 20 * len(r) >= longest]
    return (kept[0][0], kept[-1][-1]) if kept else None


def cumulative(line: Line, start: float) -> list[tuple[float, Decimal]]:
    """The budget left over time, as the corners of a line that falls."""
    left, points = Decimal(1), [(start, Decimal(1))]
    for at, share in line.spending:
        points.append((at, left))
        left -= share
        points.append((at, left))
    return points


def said(line: Line) -> str:
    return "unknown" if line.left is None else percent(line.left, 1)
