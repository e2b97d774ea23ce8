"""Where every SLO stands: read from what the rules record, whatever the number of SLOs in three queries.

A number that is not there is None: "unknown" is shown as unknown, never as 0 or 100 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from slo import names, promql
from slo.model import SLO, Stack
from slo.names import sel
from slo.prometheus import Prometheus, Sample
from slo.quantity import Window, shortest

BURN_WINDOWS = ("5m", "1h", "6h", "1d", "3d")
STALE = 600  # seconds after which a record is no word on the present: rules run every 30 s and 2 m
UNMEASURED = Decimal("0.02")  # a share of the period without data that is worth a note
_READ = (
    names.BUDGET, names.REMAINING, names.PERIOD_RATIO, names.MEASURED, names.BUDGET_EVENTS,
    *(names.error_ratio(w) for w in BURN_WINDOWS),
)  # fmt: skip
# Labels that say what a series is; any other one is a group of the SLO (its `by`).
_KNOWN = frozenset({"__name__", "stack", "slo", "service", "owner", "tier", "window", "unit", "base", "policy",
                    "component", "part", "month", "quarter", "alertname", "alertstate", "severity", "long", "short"})  # fmt: skip
Group = tuple[tuple[str, str], ...]  # labels
Key = tuple[str, Group]


@dataclass(slots=True)
class Status:
    """One SLO, or one group of it, at one moment.

    `ratio` is the share of bad events in the period so far, `remaining` the share of the error budget left (below
    0 when overspent), `measured` the share of the period that has data, `age` how many seconds ago the rules last
    recorded it.
    """

    slo: str
    group: Group
    service: str
    owner: str
    tier: str
    window: Window
    unit: str
    budget: Decimal
    ratio: Decimal | None = None
    remaining: Decimal | None = None
    measured: Decimal | None = None
    events: Decimal | None = None
    burn: dict[str, Decimal | None] = field(default_factory=dict)
    age: Decimal | None = None
    firing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.slo + (f" [{','.join(f'{k}={v}' for k, v in self.group)}]" if self.group else "")

    @property
    def objective(self) -> Decimal:
        return 1 - self.budget

    @property
    def indicator(self) -> Decimal | None:
        """The share of good events in the period so far."""
        return None if self.ratio is None else 1 - self.ratio

    @property
    def known(self) -> bool:
        return self.remaining is not None and self.age is not None and self.age <= STALE

    def seconds_left(self, at: datetime) -> Decimal | None:
        """The budget left as time: how long everything may still be bad in this period, at even traffic."""
        if self.remaining is None:
            return None
        return self.remaining * self.budget * period_seconds(self.window, at)

    def events_left(self) -> Decimal | None:
        """The budget left in events of the traffic of late; None for a time-based SLO."""
        if self.unit != "events" or self.remaining is None or self.events is None:
            return None
        return self.remaining * self.events

    def exhaustion(self, at: datetime) -> Decimal | None:
        """Seconds until the budget is spent at the last hour's burn rate; None when it will not be in this period.

        The rest of the budget is remaining × B × P bad seconds (P the period's length), and burn × B of each
        second is bad: remaining × P / burn. A calendar period that ends before never exhausts it; nor does a
        rolling one that burns at 1 or below, because as much as is spent returns.
        """
        burn = self.burn.get("1h")
        if self.remaining is None or burn is None:
            return None
        if self.remaining <= 0:
            return Decimal(0)
        if burn <= (0 if self.window.calendar else 1):
            return None
        length = period_seconds(self.window, at)
        seconds = self.remaining * length / burn
        if self.window.calendar and seconds > Decimal((period_end(self.window, at) - at).total_seconds()):
            return None
        return seconds

    def missing(self, at: datetime) -> Decimal:
        """The share of the period so far that has no data; 0 when nothing is recorded at all."""
        if self.measured is None:
            return Decimal(0)
        start, length = period_start(self.window, at), period_seconds(self.window, at)
        elapsed = Decimal((at - start).total_seconds()) / length
        return max(1 - self.measured / elapsed, Decimal(0)) if elapsed else Decimal(0)

    @property
    def order(self) -> tuple[int, Decimal, str]:
        """Worst first: what pages, then what is not known, then by the budget left."""
        rank = 0 if names.PAGE in self.firing else 1 if not self.known else 2
        return rank, Decimal(1) if self.remaining is None else self.remaining, self.name


def period_start(window: Window, at: datetime) -> datetime:
    """The first moment of the period that holds `at` (UTC)."""
    if window.calendar is None:
        return at - timedelta(seconds=window.seconds)
    month = at.month if window.calendar == "month" else 3 * ((at.month - 1) // 3) + 1
    return datetime(at.year, month, 1, tzinfo=UTC)


def period_end(window: Window, at: datetime) -> datetime:
    if window.calendar is None:
        return at
    start = period_start(window, at)
    months = start.month - 1 + (1 if window.calendar == "month" else 3)
    return datetime(start.year + months // 12, months % 12 + 1, 1, tzinfo=UTC)


def period_seconds(window: Window, at: datetime) -> Decimal:
    """The true length of the period that holds `at`: 28 to 31 days for a month."""
    return Decimal(int((period_end(window, at) - period_start(window, at)).total_seconds()))


def firing(prometheus: Prometheus, stack: Stack, at: float) -> list[Sample]:
    """Every alert of the stack that fires, of SLOs and of monitors."""
    return prometheus.query(sel("ALERTS", alertstate="firing", stack=stack.name), at)


def read(
    prometheus: Prometheus, stack: Stack, at: float, alerts: Sequence[Sample] | None = None
) -> list[Status]:
    """The status of every SLO of the stack, worst first. QueryError when Prometheus cannot be asked.

    An SLO that nothing was recorded of has one status with a note that says so.
    """
    recorded = prometheus.query(sel("", __name__="~" + promql.any_of(_READ), stack=stack.name), at)
    ages = prometheus.query(f"time() - timestamp({sel(names.REMAINING, stack=stack.name)})", at)
    alerts = firing(prometheus, stack, at) if alerts is None else alerts
    known = describing(stack)
    rows = _rows(stack, known, recorded)
    for sample in recorded:
        row = rows.get(_key(known, sample))
        if row is not None:
            _enter(row, sample)
    for sample in ages:
        row = rows.get(_key(known, sample))
        if row is not None:
            row.age = sample.decimal
    for sample in alerts:
        key = _key(known, sample)
        # An alert that lost the group's labels concerns all groups.
        for row in [rows[key]] if key in rows else [r for (s, _), r in rows.items() if s == key[0]]:
            row.firing = tuple(sorted({*row.firing, sample.labels.get("alertname", "?")}))
    running = {s.labels.get("slo", ""): s.decimal for s in recorded if s.name == names.BUDGET}
    for row in rows.values():
        row.notes = tuple(_notes(row, running.get(row.slo), datetime.fromtimestamp(at, UTC)))
    return sorted(rows.values(), key=lambda r: r.order)


def _rows(stack: Stack, known: Set[str], recorded: Iterable[Sample]) -> dict[Key, Status]:
    """A row per SLO and group that has records; one without a group for an SLO that has none."""
    groups: dict[str, list[Group]] = {}
    for slo, group in sorted({_key(known, s) for s in recorded if s.name != names.BUDGET}):
        groups.setdefault(slo, []).append(group)
    return {(s.id, group): _empty(s, group) for s in stack.slos for group in groups.get(s.id, [()])}


def _empty(slo: SLO, group: Group) -> Status:
    return Status(
        slo=slo.id, group=group, service=slo.service.name, owner=slo.service.owner, tier=str(slo.service.tier),
        window=slo.window, unit=slo.unit, budget=slo.objective.budget, burn=dict.fromkeys(BURN_WINDOWS),
    )  # fmt: skip


def _key(known: Set[str], sample: Sample) -> Key:
    return sample.labels.get("slo", ""), group_of(known, sample.labels)


def describing(stack: Stack) -> Set[str]:
    """The labels that describe an SLO of the stack, or are the rules' own."""
    return _KNOWN.union(stack.label_names)


def group_of(known: Set[str], labels: Mapping[str, str]) -> Group:
    """The labels that set one group of an SLO apart from its others: what is left beside those of `describing`."""
    return tuple(sorted((k, v) for k, v in labels.items() if k not in known))


def _enter(row: Status, sample: Sample) -> None:
    value = sample.decimal
    match sample.name:
        case names.REMAINING:
            row.remaining = value
        case names.PERIOD_RATIO:
            row.ratio = value
        case names.MEASURED:
            row.measured = value
        case names.BUDGET_EVENTS:
            row.events = value
        case name if name.startswith("slo:error_ratio:") and value is not None:
            row.burn[name.removeprefix("slo:error_ratio:")] = value / row.budget


def _notes(row: Status, running: Decimal | None, at: datetime) -> Iterable[str]:
    if row.remaining is None:
        yield "nothing is recorded: are the rules loaded, and does the indicator have data?"
    elif row.age is None or row.age > STALE:
        yield f"its record is {row.age or 0:.0f}s old: are the rules still evaluated?"
    elif row.missing(at) > UNMEASURED:
        yield f"{percent(row.missing(at), 1)} of this period so far was not measured: the budget left is judged by the rest"
    if running is not None and running != row.budget:
        yield f"the rules in Prometheus promise {percent(1 - running)}, the definitions {percent(row.objective)}: generate and deploy"
    if names.NO_DATA in row.firing:
        yield "its indicator has no data now"


def percent(share: Decimal, digits: int = 3) -> str:
    """A share as a percentage of at most so many decimals: Decimal("0.99951") -> "99.951%".

    Rounded down: 99.9999 % is not 100 %, and a budget that is touched is not whole.
    """
    return f"{shortest((share * 100).quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR))}%"


def labels_of(status: Status) -> Mapping[str, str]:
    """What a selector may name."""
    return {
        "slo": status.slo, "service": status.service, "owner": status.owner, "tier": status.tier,
        "window": str(status.window), **dict(status.group),
    }  # fmt: skip
