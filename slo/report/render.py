"""A report as a page and as Markdown: pure functions of what was collected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from slo import names
from slo.markdown import escaped
from slo.quantity import Duration
from slo.report.collect import Line, Report
from slo.status import percent

SIGNS = {"kept": "✔", "at risk": "!", "missed": "✘", "not measured": "?"}
_ALERTS = {names.PAGE: "page", names.TICKET: "ticket", names.NO_DATA: "no data"}


def as_html(report: Report, chart: Callable[[str, tuple[Line, ...]], str]) -> str:
    """A page that needs nothing else. `chart` draws a service's lines as SVG, "" for none."""
    env = Environment(
        loader=PackageLoader("slo.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    env.filters |= {
        "percent": percent, "share": share, "good": good, "width": _width, "moment": moment, "length": length,
        "alert": _alert, "sentence": lambda line: sentence(report, line), "result": lambda line: state(report, line),
        "before": lambda line: before(report, line),
    }  # fmt: skip
    return env.get_template("page.html.j2").render(
        report=report, span=span(report), signs=SIGNS, gaps=gaps(report),
        charts={service: chart(service, lines) for service, lines in report.services.items()},
    )  # fmt: skip


def as_markdown(report: Report) -> str:
    lines = [
        f"# Error budgets of {report.stack}, {report.period.title}",
        "",
        report.headline,
        "",
        span(report),
        "",
    ]
    lines += ["| result | SLO | objective | SLI | budget left | spent before |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {SIGNS[x.state]} {state(report, x)} | {escaped(x.name)} | {percent(x.objective)} | {good(x.ratio)} | {share(x.left)} | {before(report, x)} |"
        for x in report.lines
    ]
    if report.incidents:
        lines += [
            "",
            "## What cost most",
            "",
            "| from (UTC) | length | SLO | budget spent | alerts |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {moment(i.start)} | {length(i.seconds)} | {escaped(i.slo)} | {share(i.spent)} | "
            f"{', '.join(f'{escaped(_alert(n))} after {length(s)}' for n, s in i.alerts) or 'none'} |"
            for i in report.incidents[:12]
        ]
    lines += ["", "## What could not be measured", ""]
    lines += [f"- {escaped(x.name)}: {text}" for x, text in gaps(report)] or ["Nothing."]
    return (
        "\n".join([*lines, *(f"\n> The data may be partial: {escaped(w)}" for w in report.warnings)]) + "\n"
    )


def as_data(report: Report) -> dict[str, Any]:
    """The report for machines: decimals as text, null where nothing is known."""
    return {
        "stack": report.stack,
        "from": report.period.start.isoformat(),
        "to": report.period.end.isoformat(),
        "until": report.until.isoformat(),
        "summary": report.headline,
        "slos": [
            {
                "slo": x.slo, "group": dict(x.group), "service": x.service, "owner": x.owner, "state": x.state,
                "complete": x.left is not None and x not in report.incomplete,
                "objective": str(x.objective), "sli": _text(None if x.ratio is None else 1 - x.ratio),
                "budget_left": _text(x.left), "spent_before": _text(x.before), "measured": _text(x.measured),
                "incidents": [
                    {"start": moment(i.start), "seconds": int(i.seconds), "spent": _text(i.spent),
                     "alerts": [{"name": n, "after_seconds": int(s)} for n, s in i.alerts]}
                    for i in x.incidents
                ],
            }
            for x in report.lines
        ],
        "warnings": list(report.warnings),
    }  # fmt: skip


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value.quantize(Decimal("0.000001")).normalize(), "f")


def state(report: Report, line: Line) -> str:
    """The result in a word; a period with gaps is no whole one."""
    return f"{line.state}, incomplete" if line in report.incomplete else line.state


def span(report: Report) -> str:
    until = f"{report.until:%Y-%m-%d %H:%M} UTC"
    return f"{report.period.start:%Y-%m-%d %H:%M} to {until}. Each objective is judged over this period."


def sentence(report: Report, line: Line) -> str:
    """One SLO's period in words."""
    if line.left is None or line.ratio is None:
        return "not measured in this period."
    seconds = abs(line.left) * line.budget * report.period.seconds
    spare = Duration.of(seconds.quantize(Decimal(1))).human
    kept = f"{good(line.ratio)} against {percent(line.objective)}"
    left = (
        f"{share(line.left)} of the budget left ({spare})"
        if line.left >= 0
        else f"overspent by {share(line.left).removeprefix('-')} ({spare})"
    )
    many = len(line.incidents)
    cost = sum((i.spent for i in line.incidents), Decimal(0))
    about = f"; {many} incident{'' if many == 1 else 's'} cost {share(cost)}" if many else ""
    return f"{kept}: {left}{about}. {line.description}"


def gaps(report: Report) -> list[tuple[Line, str]]:
    """Every SLO without data for a part of the period, and how much of it."""
    found = []
    for line in report.lines:
        missing = report.missing(line)
        if line.left is None:
            found.append((line, "no data at all: nothing is known of it, neither good nor bad"))
        elif line in report.incomplete:
            lost = Duration.of((missing * report.elapsed * report.period.seconds).quantize(Decimal(1))).human
            found.append((line, f"{share(missing)} of the period ({lost}): its budget is judged by the rest"))
    return found


def share(value: Decimal | None) -> str:
    return "unknown" if value is None else percent(value, 1)


def before(report: Report, line: Line) -> str:
    """What the period before had spent; a plain range has none."""
    return "" if report.period.before is None else share(line.before)


def good(ratio: Decimal | None) -> str:
    return "unknown" if ratio is None else percent(1 - ratio)


def _width(value: Decimal) -> str:
    return format(min(max(value * 100, Decimal(0)), Decimal(100)).quantize(Decimal("0.1")), "f")


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def length(seconds: float) -> str:
    return Duration.of(max(int(seconds), 0)).human


def _alert(name: str) -> str:
    return _ALERTS.get(name, name)
