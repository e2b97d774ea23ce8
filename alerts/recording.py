"""Recording rules: one pair of base rules per SLO on raw series, everything else shared by the whole stack.

Errors and total are recorded apart, so that every window is weighted by events. The budget reads a ledger:

    ledger = base + (hourly - mean of base over that hour, missing samples counted as 0)

The base is current within its own length. The bracket is zero while nothing is missed, and after a gap it adds
over the following hour what the raw counters still know. Each ledger sample carries the month and quarter
(UTC) of the middle of what it covers, so a calendar period is a plain sum over its label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from slo import names, promql
from slo.artifact import RULES_PER_GROUP, Group, Rule, RuleFile, split
from slo.burn import HOUR, TIERS, Policy, window_seconds
from slo.model import SLO, Stack
from slo.names import sel
from slo.quantity import Duration, Window, shortest
from slo.sli import Composite, Freshness, Latency, Ratio, Simple, TimeSlice, Uptime, counts_time, parts_of

LONG_INTERVAL = 120  # seconds; slower rules would leave the 5-minute lookback no room
SHORT_WINDOWS = ("5m", "30m", "1h", "2h", "6h")
LONG_WINDOWS = ("1d", "3d")


@dataclass(frozen=True, slots=True)
class Timing:
    """What follows from the scrape interval: base window, evaluation interval, both in seconds."""

    base: int
    interval: int

    @classmethod
    def of(cls, scrape_interval: Duration) -> Timing:
        """Four scrapes to a base window, in whole minutes, at most the shortest alert window of 5 m."""
        minutes = -(-int(scrape_interval.seconds * 4) // 60)
        minutes = 5 if minutes == 4 else minutes
        if minutes > 5:
            raise ValueError(
                f"scrape interval {scrape_interval} is too long for a 5m window: use 75s or less"
            )
        return cls(minutes * 60, 30 if scrape_interval.seconds <= 30 else 60)

    @property
    def base_text(self) -> str:
        return str(Duration.of(self.base))

    @property
    def interval_text(self) -> str:
        return str(Duration.of(self.interval))


def by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)}) " if labels else ""


def _rate(slo: SLO, expr: str, window: str) -> str:
    """Events per second, NaN left out: one NaN sample would stay in every sum for the whole period."""
    if promql.WINDOW in expr:
        return f"sum{by(slo.by)}(({promql.in_window(slo.selects(expr), window)}) >= 0)"
    selector = promql.as_selector(expr)
    assert selector is not None  # the model refuses anything else
    return f"sum{by(slo.by)}(rate({selector.with_labels(slo.service.selector)}[{window}]) >= 0)"


def _bucket(slo: SLO, sli: Latency, suffix: str, le: str = "") -> str:
    selector = promql.as_selector(slo.selects(sli.histogram))
    assert selector is not None
    matchers = (*selector.matchers, promql.Matcher("le", "=~", le)) if le else selector.matchers
    return str(promql.Selector(selector.metric + suffix, matchers))


def le_pattern(bound: Decimal) -> str:
    """A bucket bound as a pattern: Prometheus 2 keeps le="1", Prometheus 3 writes le="1.0".

    Clients write bounds below 0.0001 and from a million with an exponent: le="5e-05".
    """
    text = shortest(bound)
    known = [text] if "." in text else [text, f"{text}.0"]
    if not Decimal("0.0001") <= bound < 1_000_000:
        digits, exponent = bound.normalize().as_tuple().digits, bound.adjusted()
        rest = "".join(map(str, digits[1:]))
        known.append(f"{digits[0]}{'.' if rest else ''}{rest}e{exponent:+03d}")
    return promql.any_of(known)


def _pair(slo: SLO, sli: Simple, window: str, total: str) -> tuple[str, str]:
    """The expressions of total and of errors; `total` selects the total just recorded."""
    group = by(slo.by)
    nothing = f"0 * sum{group}({total})"
    match sli:
        case Ratio(total=None, bad=b, good=g) if b is not None and g is not None:
            good, bad = _rate(slo, g, window), _rate(slo, b, window)
            return f"{good} + {bad}\nor\n{good}\nor\n{bad}", f"{bad}\nor\n{nothing}"
        case Ratio(total=t, bad=b) if t is not None and b is not None:
            return _rate(slo, t, window), f"{_rate(slo, b, window)}\nor\n{nothing}"
        case Ratio(total=t, good=g) if t is not None and g is not None:
            good = f"({_rate(slo, g, window)} or {nothing})"
            return _rate(slo, t, window), f"clamp_min(sum{group}({total}) - {good}, 0)"
        case Latency(native=True):
            histogram = f"sum{group}(rate({_bucket(slo, sli, '')}[{window}]))"
            slow = f"histogram_fraction({shortest(sli.bound)}, +Inf, {histogram})"
            return f"histogram_count({histogram}) >= 0", f"{slow} * sum{group}({total}) >= 0\nor\n{nothing}"
        case Latency():
            fast = f"sum{group}(rate({_bucket(slo, sli, '_bucket', le_pattern(sli.bound))}[{window}]) >= 0)"
            count = f"sum{group}(rate({_bucket(slo, sli, '_count')}[{window}]) >= 0)"
            return count, f"clamp_min(sum{group}({total}) - {fast}, 0)"
        case Uptime(quorum=quorum):
            up = f"({slo.selects(sli.gauge)} >= 0)"
            if isinstance(quorum, int):
                bad = f"sum{group}({up} > bool 0) < bool {quorum}"
            else:
                bad = f"avg{group}({up} > bool 0) < bool {shortest(Decimal(quorum[:-1]) / 100)}"
            return f"group{group}({up})", bad
        case TimeSlice(condition=condition):
            return _slice(slo, promql.in_window(slo.selects(condition), window), group)
        case Freshness(timestamp=timestamp, within=within):
            newest = f"time() - max{group}({slo.selects(timestamp)} > -Inf)"
            return f"group{group}({newest} > -Inf)", f"{newest} > bool {shortest(within.seconds)}"
    raise AssertionError(sli)


def pair_text(slo: SLO, sli: Simple, timing: Timing) -> tuple[str, str]:
    """Total and errors as a person reads them: over the base window, the zero fallback reading the total itself."""
    return _pair(slo, sli, timing.base_text, names.TOTAL)


def raw_pair(slo: SLO, sli: Simple, window: str) -> tuple[str, str]:
    """Total and errors over any window, from raw series only."""
    total, _ = _pair(slo, sli, window, "")
    return total, _pair(slo, sli, window, total)[1]


def _slice(slo: SLO, condition: str, group: str) -> tuple[str, str]:
    split_up = promql.as_comparison(condition)
    assert split_up is not None
    query, bound = f"({split_up.query})", split_up.bound
    try:
        Decimal(bound)
    except ArithmeticError:
        query, bound = f"({query} - ({bound}))", "0"
    measured = f"({query} > -Inf)"  # leaves NaN out
    return f"group{group}({measured})", f"1 - min{group}({measured} {split_up.op} bool {bound})"


def _identity(stack: Stack, slo: SLO, part: str) -> dict[str, str]:
    labels = {"stack": stack.name, "slo": slo.id}
    if isinstance(slo.sli, Composite):
        labels["component" if slo.sli.weights is None else "part"] = part
    return labels


def _base(stack: Stack, slo: SLO, window: str, total_name: str, errors_name: str) -> Iterable[Rule]:
    for part, sli in parts_of(slo.sli).items():
        if window == "1h" and counts_time(sli):
            continue  # a moment that nobody looked at cannot be looked at later
        labels = _identity(stack, slo, part)
        total, errors = _pair(slo, sli, window, sel(total_name, **labels))
        yield Rule(record=total_name, expr=total, labels=labels)
        yield Rule(record=errors_name, expr=errors, labels=labels)


def budget_labels(stack: Stack, slo: SLO, policy: Policy, timing: Timing) -> dict[str, str]:
    """All that is known of an SLO, as labels of its budget series; no history is summed over them."""
    return {
        "stack": stack.name, "slo": slo.id, "service": slo.service.name, "owner": slo.service.owner,
        "tier": str(slo.service.tier), "window": str(slo.window), "unit": slo.unit, "base": timing.base_text,
        "policy": policy.id, **slo.labels,
    }  # fmt: skip


def base_file(
    stack: Stack, slos: tuple[SLO, ...], policies: dict[str, Policy], timing: Timing, number: int
) -> RuleFile:
    """The rules of a few SLOs on raw series."""
    short: list[list[Rule]] = []
    long: list[list[Rule]] = []
    for slo in slos:
        short.append(list(_base(stack, slo, timing.base_text, names.TOTAL, names.ERRORS)))
        hourly = list(_base(stack, slo, "1h", names.TOTAL_HOURLY, names.ERRORS_HOURLY))
        if isinstance(slo.sli, Composite):
            for part, weight in (slo.sli.weights or {}).items():
                hourly.append(
                    Rule(
                        record=names.WEIGHT,
                        expr=f"vector({shortest(Decimal(weight))})",
                        labels=_identity(stack, slo, part),
                    )
                )
        labels = budget_labels(stack, slo, policies[slo.id], timing)
        hourly.append(
            Rule(record=names.BUDGET, expr=f"vector({shortest(slo.objective.budget)})", labels=labels)
        )
        long.append(hourly)
    stem = f"{stack.name}-base-{number:03d}"
    return RuleFile(
        stem,
        (
            *_packed(f"{stem}-short", timing.interval_text, short),
            *_packed(f"{stem}-long", f"{LONG_INTERVAL // 60}m", long),
        ),
    )


def _packed(name: str, interval: str, units: list[list[Rule]]) -> tuple[Group, ...]:
    """Groups that never part a total from its errors, which reads it."""
    groups: list[list[Rule]] = [[]]
    for rules in units:
        pairs = [rules[i : i + 2] for i in range(0, len(rules), 2)]
        for pair in pairs:
            if len(groups[-1]) + len(pair) > RULES_PER_GROUP:
                groups.append([])
            groups[-1] += pair
    return tuple(
        Group(f"{name}-{n:02d}", interval, tuple(rules)) for n, rules in enumerate(groups, 1) if rules
    )


def used_windows(policies: Iterable[Policy]) -> tuple[set[str], set[str]]:
    """Windows any alert looks at, and those of them that are long windows of a tier."""
    tiers = {r.tier for p in policies for r in p.tiers}
    long = {t.long for t in tiers}
    return long | {t.short for t in tiers}, long


def shared_file(stack: Stack, policies: dict[str, Policy], timing: Timing) -> RuleFile:
    """The rules that serve every SLO of the stack at once."""
    s = stack.name
    weighted = any(isinstance(x.sli, Composite) and x.sli.weights is not None for x in stack.slos)
    worst = any(isinstance(x.sli, Composite) and x.sli.weights is None for x in stack.slos)

    def whole(ratio: Callable[[dict[str, str]], str]) -> str:
        """The ratio of every SLO, the parts of composites brought together."""

        def apart(**labels: str) -> str:
            expr = ratio(labels)
            return f"max without (component) (\n{expr}\n)" if worst else expr

        if not weighted:
            return apart()
        weight = sel(names.WEIGHT, stack=s)
        parts = (
            f"sum without (part) (\n({ratio({'part': '~.+'})})\n* on (slo, part) group_left () {weight}\n)"
        )
        return f"{apart(part='')}\nor\n{parts}"

    def ratio(window: str) -> Rule:
        # Base and rest make exactly 5m; longer windows reach back by one base more.
        rest = window_seconds(window) - (timing.base if window == "5m" else 0)

        def over(name: str, labels: dict[str, str]) -> str:
            selected = sel(name, stack=s, **labels)
            return f"sum_over_time({selected}[{Duration.of(rest)}])" if rest else selected

        return Rule(
            record=names.error_ratio(window),
            expr=whole(lambda labels: f"{over(names.ERRORS, labels)}\n/\n({over(names.TOTAL, labels)} > 0)"),
        )

    def bad(window: str) -> Rule:
        tick = f"min_over_time({sel(names.TICK, stack=s)}[1h])"
        counted = f"sum_over_time({sel(names.ERRORS, stack=s)}[{window}])"
        return Rule(record=names.bad_events(window), expr=f"{counted}\n* on () group_left ()\n{tick}")

    used, long = used_windows(policies.values())
    clock = sel(names.CLOCK, stack=s)
    tick = f"min_over_time({sel(names.TICK, stack=s)}[1h])"
    short_rules = [
        *_spacing(s, names.CLOCK, names.TICK),
        Rule(record=names.HOUR_WEIGHT, labels={"stack": s},
             expr=f"clamp_max(sum(count_over_time({clock}[1h])) * sum({tick}) / {HOUR}, 1)\n/\nsum(count_over_time({clock}[1h]))"),
        *(ratio(w) for w in SHORT_WINDOWS if w in used or w in ("5m", "1h", "6h")),
        *(bad(w) for w in SHORT_WINDOWS if w in long),
    ]  # fmt: skip
    long_rules = [
        Rule(record=names.OBJECTIVE, expr=f"round(1 - {sel(names.BUDGET, stack=s)}, 1e-9)"),
        *(ratio(w) for w in LONG_WINDOWS if w in used),
        *(bad(w) for w in LONG_WINDOWS if w in long),
        *(Rule(record=names.ELAPSED, expr=expr, labels={"stack": s, "window": w})
          for w, expr in ELAPSED.items() if any(str(x.window) == w for x in stack.slos)),
        *_spacing(s, names.LEDGER_CLOCK, names.LEDGER_TICK),
        *(_ledger(s, timing, record, base, hourly) for record, base, hourly in (
            (names.TOTAL_LEDGER, names.TOTAL, names.TOTAL_HOURLY),
            (names.ERRORS_LEDGER, names.ERRORS, names.ERRORS_HOURLY))),
        *_thresholds(s, policies),
    ]  # fmt: skip
    stem = f"{s}-shared"
    groups = [
        *split(f"{stem}-short", timing.interval_text, short_rules),
        *split(f"{stem}-long", "2m", long_rules),
    ]
    windows = sorted({x.window for x in stack.slos}, key=lambda w: (w.days, str(w)))
    for window in windows:
        ids = [x.id for x in stack.slos if x.window == window]
        chosen = {"stack": s}
        if len(windows) > 1:
            chosen["slo"] = ids[0] if len(ids) == 1 else "~" + promql.any_of(ids)
        groups.append(Group(f"{stem}-period-{window}", "2m", tuple(_period(s, window, chosen, whole))))
    return RuleFile(stem, tuple(groups))


def _spacing(s: str, clock: str, tick: str) -> tuple[Rule, Rule]:
    """The seconds since the previous evaluation of a group: no rule assumes how its samples are spaced.

    After a gap one tick is long; readers take the least of an hour.
    """
    before = f"last_over_time({sel(clock, stack=s)}[1d])"
    return (
        Rule(record=tick, expr=f"vector(time()) - on () {before}", labels={"stack": s}),
        Rule(record=clock, expr="vector(time())", labels={"stack": s}),
    )


def budget_of(selector: str) -> str:
    """The budget as the one side of a join. For a few minutes after a restart with changed labels an SLO has two
    budget series; a bare join would fail then."""
    return f"max by (slo) ({selector})"


def _ledger(s: str, timing: Timing, record: str, base: str, hourly: str) -> Rule:
    now = f"avg_over_time({sel(base, stack=s)}[{Duration.of(LONG_INTERVAL)}])"
    seen = f"sum_over_time({sel(base, stack=s)}[1h]) * on () group_left () {sel(names.HOUR_WEIGHT, stack=s)}"
    middle = f"vector(time() - {(LONG_INTERVAL + timing.base) // 2})"
    dated = (
        f'count_values("month", month({middle}))\n  * on () group_left (quarter)\n'
        f'  count_values("quarter", ceil(month({middle}) / 3))'
    )
    return Rule(
        record=record,
        expr=f"(\n  {now} + ({sel(hourly, stack=s)} - {seen})\n  or\n  {now}\n)\n"
        f"* on () group_left (month, quarter) (\n  {dated}\n)",
    )


def _period(
    s: str, window: Window, chosen: dict[str, str], whole: Callable[[Callable[[dict[str, str]], str]], str]
) -> list[Rule]:
    calendar, days = window.calendar, window.longest_days

    def so_far(function: str, name: str, labels: dict[str, str]) -> str:
        summed = f"{function}({sel(name, **chosen, **labels)}[{days}d])"
        if calendar:
            current = "month()" if calendar == "month" else "ceil(month() / 3)"
            summed = f'{summed}\n  * on ({calendar}) group_left () count_values("{calendar}", {current})'
        return f"sum without (month, quarter) (\n  {summed}\n)"

    def ratio(labels: dict[str, str]) -> str:
        errors, total = (
            so_far("sum_over_time", n, labels) for n in (names.ERRORS_LEDGER, names.TOTAL_LEDGER)
        )
        return f"clamp_min({errors}, 0)\n/\n({total} > 0)"

    labels = {"window": str(window)}
    budget = budget_of(sel(names.BUDGET, stack=s, **labels))
    length = f"(86400 * {PERIOD_DAYS[calendar]})" if calendar else str(window.seconds)
    tick = f"min_over_time({sel(names.LEDGER_TICK, stack=s)}[1h])"
    divide = "on () " if calendar else ""
    samples = so_far("count_over_time", names.TOTAL_LEDGER, {})
    measured = sel(names.MEASURED, **chosen, **labels)
    spent = f"{sel(names.PERIOD_RATIO, **chosen, **labels)} / on (slo) group_left () {budget}"
    if calendar:
        spent += f"\n  * {measured}"
    recent = f"[{min(days, 7)}d]"  # a week's traffic foretells the period's
    total = sel(names.TOTAL_LEDGER, **chosen)
    return [
        Rule(record=names.PERIOD, labels={"stack": s, **labels},
             expr=f"86400 * {PERIOD_DAYS[calendar]}" if calendar else f"vector({window.seconds})"),
        Rule(record=names.MEASURED, labels=labels,
             expr=f"max without (component, part) ({samples})\n* on () group_left () ({tick} / {divide}{length})"),
        # Measured and without traffic: nothing was bad.
        Rule(record=names.PERIOD_RATIO, labels=labels,
             expr=f"{whole(ratio)}\nor\n0 * max without (window) ({measured})"),
        Rule(record=names.REMAINING, labels=labels, expr=f"1 - ({spent})"),
        Rule(record=names.BUDGET_EVENTS, labels=labels,
             expr=f"sum without (month, quarter) (sum_over_time({total}{recent}))\n/\n"
                  f"sum without (month, quarter) (count_over_time({total}{recent}))\n"
                  f"* on (slo) group_left () ({window.seconds} * {budget})"),
    ]  # fmt: skip


def _thresholds(s: str, policies: dict[str, Policy]) -> Iterable[Rule]:
    """The burn rates that alert, for dashboards to draw. One rule a tier of each policy."""
    unique = {p.id: p for p in policies.values()}
    for policy in sorted(unique.values(), key=lambda p: p.id):
        for r in policy.tiers:
            labels = {
                "stack": s,
                "policy": policy.id,
                "tier": r.tier.name,
                "long": r.tier.long,
                "short": r.tier.short,
            }
            yield Rule(record=names.THRESHOLD, expr=f"vector({shortest(r.factor)})", labels=labels)


_LEAP = "((year() % 4 == bool 0) - (year() % 100 == bool 0) + (year() % 400 == bool 0))"
_QUARTER_DAYS = f"((90 + {_LEAP}) * (month() <= bool 3) + 91 * (month() > bool 3) * (month() < bool 7) + 92 * (month() > bool 6))"
# Days of the quarter before this month.
_QUARTER_BEFORE = (
    f"(31 * (month() == bool 2) + (59 + {_LEAP}) * (month() == bool 3) + 30 * (month() == bool 5)"
    " + 61 * (month() == bool 6) + 31 * (month() == bool 8) + 62 * (month() == bool 9)"
    " + 31 * (month() == bool 11) + 61 * (month() == bool 12))"
)
_TODAY = "(day_of_month() - 1 + vector(time() % 86400 / 86400))"
PERIOD_DAYS = {"month": "days_in_month()", "quarter": _QUARTER_DAYS}
ELAPSED = {
    "month": f"{_TODAY} / days_in_month()",
    "quarter": f"({_QUARTER_BEFORE} + {_TODAY})\n/\n{_QUARTER_DAYS}",
}

assert {t.long for t in TIERS} | {t.short for t in TIERS} <= set(SHORT_WINDOWS) | set(LONG_WINDOWS)
