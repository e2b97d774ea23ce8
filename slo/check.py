"""Checks of a stack: what will not work, or not as meant. Each check is one function that yields problems."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal

from alerts.monitors import expression
from alerts.promtests import monitor_untestable, untestable
from alerts.recording import Timing, le_pattern
from slo import promql
from slo.budget import budget_time
from slo.burn import resolve
from slo.errors import Problem, QueryError
from slo.model import SLO, Monitor, Stack
from slo.prometheus import Prometheus
from slo.quantity import Duration, shortest
from slo.sli import Latency, Ratio, parts_of

LOW_TRAFFIC_SHARE = Decimal("0.1")  # one error that burns this much of the budget is worth a warning
# Endings only gauges have. "_bytes" is not among them: storage servers count bytes under plain names.
GAUGE_ENDINGS = ("_seconds", "_ratio", "_celsius", "_info")
COUNTER_ENDINGS = ("_total", "_count", "_sum", "_bucket")


def static(stack: Stack, timing: Timing) -> list[Problem]:
    """Everything that can be told from the definitions alone."""
    return [p for check in STATIC for p in check(stack, timing)]


def _rate_over_gauge(stack: Stack, timing: Timing) -> Iterator[Problem]:
    for place, expr in _expressions(stack):
        for metric in promql.counters(expr):
            if metric.endswith(GAUGE_ENDINGS) and not metric.endswith(COUNTER_ENDINGS):
                yield Problem(
                    place, "rate-over-gauge", "error", expr,
                    f"rate() and increase() need a counter, and {metric} is named like a gauge.",
                    "Use deriv() or delta() for a gauge, or name the counter (*_total).",
                )  # fmt: skip


def _plain_gauge_as_events(stack: Stack, timing: Timing) -> Iterator[Problem]:
    for slo in stack.slos:
        for sli in parts_of(slo.sli).values():
            for text in (sli.total, sli.bad, sli.good) if isinstance(sli, Ratio) else ():
                selector = promql.as_selector(text) if text and promql.WINDOW not in text else None
                if selector is not None and selector.metric.endswith(GAUGE_ENDINGS):
                    yield Problem(
                        f"SLO {slo.id}", "rate-over-gauge", "error", str(selector),
                        f"A Ratio counts events with rate(), and {selector.metric} is named like a gauge.",
                        "Name a counter (*_total), or use TimeSlice for a gauge.",
                    )  # fmt: skip


def _templates(stack: Stack, timing: Timing) -> Iterator[Problem]:
    """A description may only use labels the alert has."""
    for monitor in stack.all_monitors:
        known = _output_labels(monitor)
        for label in re.findall(r"\$labels\.([A-Za-z_][A-Za-z0-9_]*)", monitor.description):
            if known is not None and label not in known:
                yield Problem(
                    f"monitor {monitor.name}", "unknown-label", "error", monitor.description,
                    f"The condition's result has no label {label!r}; it has {', '.join(sorted(known)) or 'none'}.",
                    f"Keep it with `by ({label})`, or leave it out of the description.",
                )  # fmt: skip
        if re.search(r"\$value", str(dict(monitor.labels))):
            yield Problem(
                f"monitor {monitor.name}", "value-in-label", "error", str(dict(monitor.labels)),
                "A label that changes with the value makes a new alert at every evaluation.",
                "Put the value into the description.",
            )  # fmt: skip


def _output_labels(monitor: Monitor) -> set[str] | None:
    """Labels a condition's result is known to have; None when any label may be there."""
    own = {"alertname", "severity", "stack", "service", "owner", *monitor.labels}
    kept = promql.result_labels(expression(monitor))
    return None if kept is None else own | kept


def _low_traffic(stack: Stack, timing: Timing) -> Iterator[Problem]:
    """The guard hides pages below this traffic: a plain number, so that nobody learns it at night."""
    for slo in stack.slos:
        budget = slo.objective.budget
        if slo.unit != "events":
            slices = budget_time(slo).seconds / timing.interval
            if 1 / slices >= LOW_TRAFFIC_SHARE:
                yield Problem(
                    f"SLO {slo.id}", "one-error", "warning", f"{slo.objective} over {slo.window}",
                    f"One bad slice of {timing.interval}s spends {shortest(_percent(1 / slices))}% of the budget.",
                    "Lower the objective or lengthen the window.",
                )  # fmt: skip
            continue
        # One error spends a tenth of the budget when the period has fewer events than this.
        events = 1 / (budget * LOW_TRAFFIC_SHARE)
        per_hour = events / (slo.window.days * 24)
        if per_hour >= 10:
            yield Problem(
                f"SLO {slo.id}", "one-error", "warning", f"{slo.objective} over {slo.window}",
                f"Below {shortest(_percent(per_hour / 100))} events an hour one error spends a tenth of the budget.",
                "Lower the objective, lengthen the window, or measure with a probe (Uptime).",
            )  # fmt: skip


def _percent(value: Decimal) -> Decimal:
    return (value * 100).quantize(Decimal("0.1"))


def _tiers(stack: Stack, timing: Timing) -> Iterator[Problem]:
    for slo in stack.slos:
        policy = resolve(slo, timing.interval)
        if not policy.tiers:
            yield Problem(
                f"SLO {slo.id}", "no-alert", "warning", "; ".join(policy.dropped),
                "No burn-rate alert is left, so nobody is told when the budget burns.",
                "Switch a tier on again, or use a longer window.",
            )  # fmt: skip


def _tests(stack: Stack, timing: Timing) -> Iterator[Problem]:
    for slo in stack.slos:
        reason = untestable(slo)
        if reason:
            yield Problem(
                f"SLO {slo.id}", "no-test", "unknown", "", f"No test was generated: {reason}.",
                "Read each indicator from one selector, or test it by hand.",
            )  # fmt: skip
    for monitor in stack.all_monitors:
        reason = monitor_untestable(monitor)
        if reason:
            yield Problem(
                f"monitor {monitor.name}", "no-test", "unknown", monitor.condition, f"No test was generated: {reason}.",
                "Give promtool series that make it fire and stay silent with fires= and silent=.",
            )  # fmt: skip


STATIC: tuple[Callable[[Stack, Timing], Iterator[Problem]], ...] = (
    _rate_over_gauge, _plain_gauge_as_events, _templates, _low_traffic, _tiers, _tests,
)  # fmt: skip


def _expressions(stack: Stack) -> Iterator[tuple[str, str]]:
    for slo in stack.slos:
        for sli in parts_of(slo.sli).values():
            for field in ("total", "bad", "good", "condition"):
                text = getattr(sli, field, None)
                if text:
                    yield f"SLO {slo.id}", text
    for monitor in stack.all_monitors:
        yield f"monitor {monitor.name}", monitor.condition
    for service in stack.all_services:
        for kind, signals in service.signals.items() if service.signals else ():
            for signal in signals if isinstance(signals, tuple) else ():
                yield f"service {service.name}, {kind}", signal.query


# Against a live Prometheus


def live(stack: Stack, timing: Timing, url: str, server: Prometheus | None = None) -> list[Problem]:
    """What only the server knows: which metrics exist, their types and buckets, and how long it keeps data.

    A question the server does not answer becomes a finding of severity "unknown". Raises QueryError when it
    cannot be asked at all.
    """
    with server or Prometheus(url) as prometheus:
        existing = set(prometheus.get("label/__name__/values", list))
        found = [*_missing(stack, existing), *_unanswerable(stack, existing)]
        for question in (_types, _buckets):
            try:
                found += question(stack, prometheus, existing)
            except QueryError as error:
                found.append(_could_not(question.__name__.strip("_"), error))
        try:
            found += _retention(stack, prometheus)
        except QueryError as error:
            found.append(_could_not("retention", error))
        return found


def _could_not(check: str, error: QueryError) -> Problem:
    return Problem(
        stack_place(check),
        check,
        "unknown",
        "",
        f"Could not check: {error}.",
        "Ask a server that answers it.",
    )


def stack_place(check: str) -> str:
    return f"Prometheus ({check})"


def _missing(stack: Stack, existing: set[str]) -> Iterator[Problem]:
    for place, metrics, kind in _metrics(stack):
        for metric in metrics:
            if metric not in existing:
                yield Problem(
                    place, "metric-missing", "error" if kind == "SLO" else "warning", metric,
                    "This Prometheus has never seen the metric.",
                    "Correct the name (for the Stella Ops catalogue: in the file of --metrics), or check the scrape.",
                )  # fmt: skip


def _unanswerable(stack: Stack, existing: set[str]) -> Iterator[Problem]:
    """Checks of a release that nothing here can answer: the gate will not be able to tell."""
    for check in stack.checks:
        selected = {s.metric for s in promql.selectors(check.query) if s.metric}
        absent = sorted(m for m in selected - existing if m != "ALERTS" and not m.startswith("slo:"))
        if absent:
            yield Problem(
                f"check {check.name}", "metric-missing", "warning", ", ".join(absent),
                "This Prometheus has never seen it, so the gate cannot tell, and does not promote.",
                f"Provide it, or waive {check.name} in the gate's policy with the reason.",
            )  # fmt: skip


def _metrics(stack: Stack) -> Iterator[tuple[str, list[str], str]]:
    for slo in stack.slos:
        names: list[str] = []
        for sli in parts_of(slo.sli).values():
            if isinstance(sli, Latency):
                selector = promql.as_selector(sli.histogram)
                assert selector is not None
                names += (
                    [selector.metric]
                    if sli.native
                    else [f"{selector.metric}_bucket", f"{selector.metric}_count"]
                )
        names += [s.metric for s in slo.metrics() if s.metric and not _is_histogram(slo, s.metric)]
        yield f"SLO {slo.id}", list(dict.fromkeys(names)), "SLO"
    for monitor in stack.all_monitors:
        yield (
            f"monitor {monitor.name}",
            [s.metric for s in promql.selectors(monitor.condition) if s.metric],
            "monitor",
        )


def _is_histogram(slo: SLO, metric: str) -> bool:
    for sli in parts_of(slo.sli).values():
        selector = promql.as_selector(sli.histogram) if isinstance(sli, Latency) else None
        if selector is not None and selector.metric == metric:
            return True
    return False


def _types(stack: Stack, prometheus: Prometheus, existing: set[str]) -> Iterator[Problem]:
    metadata = prometheus.get("metadata", dict)
    for place, expr in _expressions(stack):
        for metric in promql.counters(expr):
            kinds = {m.get("type") for m in metadata.get(metric, ()) if isinstance(m, dict)}
            if kinds and not kinds & {"counter", "histogram", "summary", "unknown"}:
                yield Problem(
                    place, "rate-over-gauge", "error", expr, f"The server says {metric} is a {', '.join(sorted(map(str, kinds)))}.",
                    "rate() and increase() need a counter: use deriv() or delta(), or name the counter.",
                )  # fmt: skip


def _buckets(stack: Stack, prometheus: Prometheus, existing: set[str]) -> Iterator[Problem]:
    for slo in stack.slos:
        for sli in parts_of(slo.sli).values():
            if not isinstance(sli, Latency) or sli.native:
                continue
            selector = promql.as_selector(slo.selects(sli.histogram))
            assert selector is not None
            bucket = promql.Selector(f"{selector.metric}_bucket", selector.matchers)
            if bucket.metric not in existing:
                continue
            bounds = {s.labels.get("le", "") for s in prometheus.query(f"group by (le) ({bucket})")}
            if not bounds:
                yield Problem(
                    f"SLO {slo.id}", "bucket", "unknown", str(bucket), "No series matches these labels now, so the bound cannot be checked.",
                    "Check the labels, or run this again while the service is scraped.",
                )  # fmt: skip
            elif not any(re.fullmatch(le_pattern(sli.bound), b) for b in bounds):
                yield Problem(
                    f"SLO {slo.id}", "bucket", "error", str(bucket),
                    f"{sli.below} is no bucket of the histogram, so the share below it cannot be counted. Buckets: {', '.join(_sorted(bounds))}.",
                    "Set below= to one of them, or give the histogram this bucket.",
                )  # fmt: skip


def _sorted(bounds: set[str]) -> list[str]:
    return sorted(bounds, key=lambda b: float(b) if re.fullmatch(r"[0-9.e+-]+", b) else float("inf"))


def _retention(stack: Stack, prometheus: Prometheus) -> Iterator[Problem]:
    flags = prometheus.get("status/flags", dict)
    text = flags.get("storage.tsdb.retention.time") or flags.get("storage.tsdb.retention") or "0s"
    kept = (
        Duration.parse(text) if text not in ("0s", "0") else Duration.parse("15d")
    )  # the server's own default
    for slo in stack.slos:
        if kept.seconds < slo.window.longest_days * 86400:
            yield Problem(
                f"SLO {slo.id}", "retention", "error", f"{slo.window} window, {kept.human} kept",
                "Prometheus forgets before the window ends: the budget would silently be that of a shorter one.",
                f"Start it with --storage.tsdb.retention.time={slo.window.longest_days + 2}d or more.",
            )  # fmt: skip
