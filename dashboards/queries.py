"""PromQL that dashboards share. It serves any stack: groups of an SLO (its `by` labels) stay apart unnamed.

A row is one SLO, or one group of it, with the labels stack, slo, window, service, owner, tier and its group's. Every
column of a table has the same labels, so that rows meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slo import names
from slo.board import Value
from slo.names import sel
from slo.promql import WINDOW

KNOWN = "service, owner, tier"
ALERT = (
    Value(of="3", text="PAGE", colour="bad"),
    Value(of="2", text="Ticket", colour="warning"),
    Value(of="1", text="No data", colour="unknown"),
    Value(of="0", text="–"),
    Value(of="absent", text="–"),
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which SLOs: `stack` are matchers of every record, `chosen` those of the series that knows owner and service."""

    stack: Mapping[str, str]
    chosen: Mapping[str, str]

    def record(self, name: str) -> str:
        return sel(name, **self.stack)

    @property
    def budget(self) -> str:
        return sel(names.BUDGET, **self.chosen)

    @property
    def info(self) -> str:
        """One budget series for each SLO. After a restart with changed labels there are two for a few minutes, and a
        bare join would fail then."""
        return f"topk by (stack, slo) (1, {self.budget})"

    @property
    def one(self) -> str:
        return f"(0 * {self.info} + 1)"

    @property
    def left(self) -> str:
        """The share of the budget that is left."""
        return f"{self.record(names.REMAINING)} * on (stack, slo) group_left ({KNOWN}) {self.one}"

    @property
    def rows(self) -> str:
        """Every row with its objective. An SLO without data has a row too, without groups."""
        objective = f"max by (stack, slo, window, {KNOWN}) ({sel(names.OBJECTIVE, **self.chosen)})"
        return (
            f"(0 * ({self.left}) + on (stack, slo) group_left () max by (stack, slo) ({objective}))\n"
            f"or\n({objective} unless on (stack, slo) {self.record(names.REMAINING)})"
        )

    def burn(self, window: str) -> str:
        """How many times as fast as it may each row burns its budget."""
        return f"{self.record(names.error_ratio(window))} / on (stack, slo) group_left (window, {KNOWN}) {self.info}"

    def indicator(self, window: str) -> str:
        """The share of good events within a window."""
        ratio = self.record(names.error_ratio(window))
        return f"1 - ({ratio} * on (stack, slo) group_left (window, {KNOWN}) {self.one})"

    def gone_in(self, window: str) -> str:
        """Seconds until the budget is spent, burning on as in the window; only where that is within one period."""
        period = f"on (stack, window) group_left () {self.record(names.PERIOD)}"
        return f"(({self.left}) > 0) / ({self.burn(window)} > 0) * {period} < {period}"

    def gone_or_lasts(self, window: str) -> str:
        """The same, and -1 where the budget is known and lasts."""
        return f"{self.gone_in(window)}\nor\n0 * ({self.left}) - 1"

    def counted(self, rows: str) -> str:
        """How many, or 0 where there are SLOs to count among: nothing recorded at all is no zero."""
        return f"count({rows}) or 0 * count({self.info})"

    @property
    def no_data(self) -> str:
        return f"{self.info} unless on (stack, slo) {self.record(names.ERRORS)}"

    @property
    def alert(self) -> str:
        """The gravest alert of every row, 0 without one."""
        return f"0 * ({self.rows})\n+ on (stack, slo) group_left ()\n{worst_alert(**self.stack)}\nor\n0 * ({self.rows})"


def firing(alert: str, **labels: str) -> str:
    return sel("ALERTS", alertname=alert, alertstate="firing", **labels)


def begins(alert: str, **labels: str) -> str:
    """Where an alert that did not fire fires, at whatever distance Grafana asks: an alert between two of its points too."""
    fires = firing(alert, **labels)
    return f"max_over_time({fires}[{WINDOW}]) unless {fires} offset {WINDOW}"


def worst_alert(**labels: str) -> str:
    """3 where a page fires, 2 a ticket, 1 that data is missing; by stack and SLO, all of its groups together."""
    weighed = " or ".join(
        f"{weight} * {firing(alert, **labels)}"
        for weight, alert in ((3, names.PAGE), (2, names.TICKET), (1, names.NO_DATA))
    )
    return f"max by (stack, slo) ({weighed})"
