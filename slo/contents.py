"""A compiled stack as the plain data that a chart is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from alerts.recording import Timing
from alerts.rules import alert_file_name, policies
from slo import names, promql
from slo.artifact import Rule, RuleFile
from slo.chart import Board, Content, Probing, Variant
from slo.errors import OutputError
from slo.model import Stack

CHANNEL = "channel"  # the label of a release channel, as our exporters publish it
PROBE = "probe_success"  # the blackbox exporter's metric


def content(
    stack: Stack,
    timing: Timing,
    files: Sequence[RuleFile],
    texts: Mapping[str, str],
    alertmanager: str,
    boards: Sequence[Board] = (),
) -> Content:
    """`texts` are the rule files' texts by name, `boards` the dashboards."""
    rules = [r for f in files for g in f.groups for r in g.rules if r.alert]
    by_slo = policies(stack, timing)
    return Content(
        name=stack.chart.name or f"{stack.name}-slo",
        version=stack.chart.version,
        stack=stack.name,
        description=stack.description,
        rules=texts,
        alerts={r.alert: _channels(r) for r in rules},
        slos={slo.id: alert_file_name(stack, by_slo[slo.id]) for slo in stack.slos},
        shared=(names.PAGE, names.TICKET, names.NO_DATA),
        budget=names.BUDGET,
        severities=tuple(dict.fromkeys(stack.severities.values())),
        alertmanager=alertmanager,
        scrape=f"{timing.base // 4}s",
        boards=tuple(boards),
        probing=_probing(files),
        exporters={str(name): job for name, job in stack.chart.exporters.items()},
    )


def _selectors(rule: Rule, word: str) -> tuple[promql.Selector, ...]:
    """The selectors of an expression that has this word; parsing all of them would cost more than compiling."""
    return promql.selectors(rule.expr) if word in rule.expr else ()


def _channels(rule: Rule) -> tuple[str, ...]:
    """The release channels that an alert reads, where it reads some only."""
    found = [
        m.value
        for s in _selectors(rule, f"{CHANNEL}=")
        for m in s.matchers
        if (m.name, m.op) == (CHANNEL, "=")
    ]
    return tuple(dict.fromkeys(found))


def _probing(files: Sequence[RuleFile]) -> Probing:
    """What rules read of the blackbox exporter. It is asked one way: one job, one label for the target."""
    read = [
        s for f in files for g in f.groups for r in g.rules for s in _selectors(r, PROBE) if s.metric == PROBE
    ]
    jobs = [m.value for s in read for m in s.matchers if (m.name, m.op) == ("job", "=")]
    known = [m for s in read for m in s.matchers if m.op == "=" and m.name not in ("job", "instance")]
    label = Counter(m.name for m in known).most_common(1)
    if not label:
        return Probing()
    name = label[0][0]
    return Probing((*jobs, "blackbox")[0], name, tuple(sorted({m.value for m in known if m.name == name})))


def variant(default: Content, other: Content) -> Variant:
    """What another mode of the platform holds otherwise. Both must have the same files."""
    for what, one, two in (
        ("rule files", set(default.rules), set(other.rules)),
        ("dashboards", {b.file for b in default.boards}, {b.file for b in other.boards}),
    ):
        if one != two:
            raise OutputError(
                f"the modes of {default.stack} have different {what} ({', '.join(sorted(one ^ two))}): "
                "name them alike, so that one chart can hold both"
            )
    rules = {name: text for name, text in other.rules.items() if text != default.rules[name]}
    return Variant(rules, tuple(b for b in other.boards if b not in default.boards))
