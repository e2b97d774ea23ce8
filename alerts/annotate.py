"""What every alert must carry: labels, links, and the sentences an on-call engineer reads first."""

from __future__ import annotations

from slo import names
from slo.burn import Policy


def _lookup(query: str, show: str, missing: str = "unknown") -> str:
    return f"{{{{ with printf {query} $s | query }}}}{{{{ . | first | value | {show} }}}}{{{{ else }}}}{missing}{{{{ end }}}}"


def select_series(by: tuple[str, ...]) -> str:
    """A template prelude: $s selects the alert's own series. A label it lacks matches series that lack it."""
    labels = ("stack", "slo", *by)
    pattern = ",".join(f"{n}=%q" for n in labels)
    return f"{{{{ $s := printf {_go(pattern)} {' '.join(f'$labels.{n}' for n in labels)} }}}}"


def _go(text: str) -> str:
    """A Go string literal in backticks: PromQL's quotes stay readable."""
    return f"`{text}`"


def burn_description(policy: Policy, windows: tuple[str, ...], by: tuple[str, ...]) -> str:
    """Bad of total, burn rate, budget left, time to exhaustion."""
    said = {"1h": "hour", "6h": "6 hours", "1d": "day", "3d": "3 days"}
    spans = []
    for w in windows:
        ratio = _lookup(_go(f"{names.error_ratio(w)}{{%s}}"), "humanizePercentage")
        bad = _lookup(
            _go(f"round(max({names.bad_events(w)}{{%s}}))"),
            "humanize" if policy.unit == "events" else "humanizeDuration",
        )
        if policy.parts:
            spans.append(f"{ratio} over the last {said[w]} in its worst or weighted part")
        elif policy.unit == "events":
            total = _lookup(
                _go(f"round(max({names.bad_events(w)}{{%s}}) / max({names.error_ratio(w)}{{%[1]s}}))"),
                "humanize",
            )
            spans.append(f"{bad} of {total} events ({ratio}) over the last {said[w]}")
        else:
            spans.append(f"{bad} over the last {said[w]} ({ratio} of what was measured)")
    left = (
        f"{{{{ with printf {_go(f'{names.REMAINING}{{%s}}')} $s | query }}}}{{{{ $left := . | first | value }}}}"
        "{{ if lt $left -1.0 }}overspent more than twice{{ else }}{{ $left | humanizePercentage }}{{ end }}"
        "{{ else }}unknown{{ end }}"
    )
    gone = (
        f"{{{{ with printf {_go(f'({names.REMAINING}{{%s}} > 0) * {policy.period} / %f')} $s $value | query }}}}"
        "at this rate the rest lasts {{ . | first | value | humanizeDuration }}{{ else }}nothing is left{{ end }}"
    )
    group = "".join(f"{{{{ with $labels.{n} }}}} {n}={{{{ . }}}}{{{{ end }}}}" for n in by)
    return (
        f"{select_series(by)}{{{{ $labels.slo }}}}{group} burns its error budget {{{{ $value | humanize }}}} times as fast as "
        f"it may. Bad: {'; '.join(spans)}. Budget left in this {policy.window} window: {left}; {gone}."
    )
