"""The landing page: the state of every target for a person. One file of HTML, no script, light and dark."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from exporters.outcome import Verdict
from exporters.subject import Finding

ROWS = 5000  # more are left out, worst first; /metrics has them all

_WORST_FIRST = (Verdict.FAILED, Verdict.UNKNOWN, Verdict.VERIFIED)
_SIGNS = {Verdict.FAILED: "✕ failed", Verdict.UNKNOWN: "? unknown", Verdict.VERIFIED: "✓ verified"}

_STYLE = """
:root { color-scheme: light dark; --line: #d5d9df; --soft: #5b6470; --failed: #b42318; --unknown: #8a5a00; --verified: #067647; }
@media (prefers-color-scheme: dark) { :root { --line: #3a414b; --soft: #9aa4b2; --failed: #ff8a80; --unknown: #ffc53d; --verified: #6ce9a6; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } p { margin: .25rem 0 1rem; color: var(--soft); }
ul { display: flex; flex-wrap: wrap; gap: 1.5rem; list-style: none; padding: 0; font-size: 1.1rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; max-width: 90vw; color: var(--soft); padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
tbody th, td:nth-child(4) { white-space: normal; overflow-wrap: anywhere; } td:nth-child(4) { min-width: 18rem; width: 60%; }
thead th { color: var(--soft); } th { font-weight: 600; } tbody th { min-width: 9rem; }
.failed { color: var(--failed); } .unknown { color: var(--unknown); } .verified { color: var(--verified); }
"""


@dataclass(frozen=True, slots=True)
class State:
    """What the page tells besides the findings. Times are Unix times; None is not yet."""

    title: str
    version: str
    started: float
    last_cycle: float | None
    config_good: bool
    interval: float


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Failed, unknown, verified; within each by target and check."""
    return sorted(findings, key=lambda f: (_WORST_FIRST.index(f.outcome.verdict), f.target, f.check))


def age(seconds: float) -> str:
    """A time span in its two largest units: 5 s, 3 min 20 s, 2 h 5 min, 4 d 1 h."""
    whole = max(0, int(seconds))
    for size, unit, smaller, under in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {under}" if rest else "")
    return f"{whole} s"


def render(state: State, findings: Sequence[Finding], now: float) -> bytes:
    """The page. Everything that comes from a target is escaped."""
    ordered = worst_first(findings)
    counts = Counter(finding.outcome.verdict for finding in ordered)
    title = html.escape(state.title)
    cycle = (
        "No cycle has ended yet."
        if state.last_cycle is None
        else f"The last cycle over all targets ended {age(now - state.last_cycle)} ago."
    )
    if not state.config_good:
        cycle += ' <strong class="failed">The configuration on disk was refused; the former one is in use.</strong>'
    totals = "".join(f'<li class="{v}">{counts[v]} {v}</li>' for v in _WORST_FIRST)
    rows = "\n".join(_row(finding, now) for finding in ordered[:ROWS])
    shown = f"The first {ROWS} of {len(ordered)} checks" if len(ordered) > ROWS else f"{len(ordered)} checks"
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{max(10, int(state.interval))}">
<title>{title}: {counts[Verdict.FAILED]} failed, {counts[Verdict.UNKNOWN]} unknown</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{cycle} Running for {age(now - state.started)}, version {html.escape(state.version)}.
<a href="metrics">Metrics</a> · <a href="-/healthy">healthy</a> · <a href="-/ready">ready</a></p>
<ul>{totals}</ul>
<div class="scroll"><table>
<caption>{shown}, the worst first. Unknown means that a check could not be made: it is neither good nor bad.</caption>
<thead><tr><th scope="col">Target</th><th scope="col">Check</th><th scope="col">Outcome</th><th scope="col">Reason</th><th scope="col">Age</th><th scope="col">Took</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
</body>
</html>
"""
    return text.encode("utf-8", "replace")


def _row(finding: Finding, now: float) -> str:
    outcome = finding.outcome
    said = html.escape(": ".join(part for part in (outcome.reason, outcome.detail) if part))
    return (
        f'<tr><th scope="row">{html.escape(finding.target)}</th><td>{html.escape(finding.check)}</td>'
        f'<td class="{outcome.verdict}">{_SIGNS[outcome.verdict]}</td><td>{said}</td>'
        f"<td>{age(now - finding.at)}</td><td>{finding.seconds:.2f} s</td></tr>"
    )
