"""What the demo shows while it runs: one row per SLO and group, read from the records, worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rich import box
from rich.table import Table
from rich.text import Text

from slo import names
from slo.prometheus import Prometheus, Sample

_OF_THE_BUDGET = frozenset({"__name__", "service", "owner", "tier", "window", "unit", "base", "policy"})
_RANK = {names.PAGE: 0, names.TICKET: 1, names.NO_DATA: 2}
_SHORT = {names.PAGE: "page", names.TICKET: "ticket", names.NO_DATA: "no data"}


@dataclass(slots=True)
class Row:
    """One SLO, or one group of it. None is "not recorded yet", or no traffic."""

    slo: str
    group: str
    window: str
    objective: float
    budget: float
    ratio_1h: float | None = None
    ratio_5m: float | None = None
    left: float | None = None
    firing: list[str] = field(default_factory=list)

    def burn(self, ratio: float | None) -> float | None:
        return None if ratio is None else ratio / self.budget

    @property
    def order(self) -> tuple[int, float, str]:
        """Firing pages first, then tickets, then by what is left."""
        rank = min((_RANK.get(a, 3) for a in self.firing), default=4)
        return rank, 1.0 if self.left is None else self.left, self.slo


@dataclass(frozen=True, slots=True)
class View:
    """The rows, and alerts of no SLO (monitors) that fire."""

    rows: list[Row]
    monitors: list[str]


def read(prometheus: Prometheus, stacks: Iterable[str]) -> View:
    """One query per record, whatever the number of SLOs."""
    among = "~" + "|".join(stacks)
    budgets = {
        (s.labels["stack"], s.labels["slo"]): s
        for s in prometheus.query(names.sel(names.BUDGET, stack=among))
    }
    rows: dict[tuple[str, str, str], Row] = {}
    extra = frozenset(n for s in budgets.values() for n in s.labels) - {"stack", "slo"}

    def row(sample: Sample) -> Row | None:
        stack, slo = sample.labels.get("stack", ""), sample.labels.get("slo", "")
        budget = budgets.get((stack, slo))
        if budget is None:
            return None
        group = _group(sample.labels, extra)
        value = float(budget.value)
        return rows.setdefault(
            (stack, slo, group), Row(slo, group, budget.labels.get("window", ""), 1 - value, value)
        )

    for name, attribute in (
        (names.REMAINING, "left"),
        (names.error_ratio("1h"), "ratio_1h"),
        (names.error_ratio("5m"), "ratio_5m"),
    ):
        for sample in prometheus.query(names.sel(name, stack=among)):
            found = row(sample)
            if found is not None:
                setattr(found, attribute, float(sample.value))
    known = {(stack, slo) for stack, slo, _ in rows}
    for key, sample in budgets.items():
        if key not in known:
            row(Sample({"stack": key[0], "slo": key[1]}, sample.value, sample.time))
    monitors = []
    for sample in prometheus.query(names.sel("ALERTS", alertstate="firing")):
        alert = sample.labels.get("alertname", "?")
        found = row(sample) if "slo" in sample.labels else None
        if found is not None:
            found.firing.append(alert)
        else:
            monitors.append(f"{alert} ({sample.labels.get('service', sample.labels.get('rule_group', '?'))})")
    return View(sorted(rows.values(), key=lambda r: r.order), sorted(set(monitors)))


def _group(labels: Mapping[str, str], extra: frozenset[str]) -> str:
    left = {
        k: v
        for k, v in labels.items()
        if k not in _OF_THE_BUDGET | extra | {"stack", "slo", "alertname", "alertstate", "severity"}
    }
    return ",".join(f"{k}={v}" for k, v in sorted(left.items()))


def percent(value: float | None) -> str:
    """Enough digits to tell 99.99 from 99.9; a dash for what is not known."""
    if value is None:
        return "-"
    shown = f"{100 * value:.3f}".rstrip("0").rstrip(".")
    return f"{shown}%" if abs(value) < 100 else f"{100 * value:.3g}%"


def budget_left(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}%" if value > -10 else f"{100 * value:.0f}%"


def burn_rate(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def cells(row: Row) -> tuple[str, ...]:
    return (
        row.slo + (f" [{row.group}]" if row.group else ""),
        percent(row.objective),
        row.window,
        percent(None if row.ratio_1h is None else 1 - row.ratio_1h),
        budget_left(row.left),
        burn_rate(row.burn(row.ratio_5m)),
        burn_rate(row.burn(row.ratio_1h)),
        ", ".join(_SHORT.get(a, a) for a in sorted(set(row.firing), key=lambda a: _RANK.get(a, 3))),
    )


HEADINGS = ("SLO", "objective", "window", "SLI 1h", "budget left", "burn 5m", "burn 1h", "firing")


def table(view: View, rows: int, title: str) -> Table:
    """The first `rows` rows; the title says what was left out."""
    shown = view.rows[:rows]
    out = Table(
        title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in HEADINGS:
        out.add_column(
            heading,
            justify="left" if heading in ("SLO", "window", "firing") else "right",
            no_wrap=True,
        )
    for row in shown:
        texts = cells(row)
        out.add_row(*(Text(t) for t in texts), style=_style(row))
    hidden = len(view.rows) - len(shown)
    if hidden:
        out.caption = f"and {hidden} more that are better; a taller window shows them"
    return out


def _style(row: Row) -> str:
    if names.PAGE in row.firing:
        return "bold red"
    if row.firing or (row.left is not None and row.left < 0):
        return "yellow"
    return ""


def lines(view: View) -> list[str]:
    """The whole table as plain text."""
    content = [HEADINGS, *(cells(r) for r in view.rows)]
    widths = [max(len(line[i]) for line in content) for i in range(len(HEADINGS))]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in content]
