"""Rules as YAML text. Our own few lines: ten times faster than a general dumper, and stable byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from slo.artifact import HEADER, Group, Rule, RuleFile

__all__ = ["HEADER", "block", "groups", "prometheus_rule", "rule", "rule_file", "scalar", "value"]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_:./ -]*[A-Za-z0-9_)]|[A-Za-z]")
# What a literal block cannot hold: control characters, other line breaks, trailing space.
_ODD = re.compile(r"[^ -~\n\u00a1-\u1fff]|\s\Z")
_LINE = re.compile(r"^(?=.)", re.MULTILINE)
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def scalar(text: str) -> str:
    """A one-line YAML string: plain where that is safe, else double-quoted."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and ": " not in text:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_escaped, quoted))


def _escaped(c: str) -> str:
    """A character YAML may not hold as it is, as its double-quoted strings write it."""
    if c.isprintable():
        return c
    return f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"


def block(text: str, indent: str) -> str:
    """A literal block: what Prometheus reads is what a person reads."""
    # Where the text starts with space, YAML must be told how far the block is indented.
    start = "|2-\n" if text[:1] in (" ", "\n") else "|-\n"
    return start + "\n".join(f"{indent}{line}" if line else "" for line in text.split("\n"))


def value(text: str, indent: str) -> str:
    readable = not _ODD.search(text)
    return block(text, indent) if readable and ("\n" in text or '"' in text) else scalar(text)


def _mapping(name: str, items: Mapping[str, str], pad: str) -> str:
    if not items:
        return ""
    return f"{pad}{name}:\n" + "".join(f"{pad}  {k}: {value(v, pad + '    ')}\n" for k, v in items.items())


def rule(r: Rule, pad: str) -> str:
    inner = pad + "  "
    lines = [f"{pad}- record: {r.record}\n" if r.record else f"{pad}- alert: {r.alert}\n"]
    lines.append(f"{inner}expr: {value(r.expr, inner + '  ')}\n")
    if r.lasting:
        lines.append(f"{inner}for: {r.lasting}\n")
    if r.keep_firing:
        lines.append(f"{inner}keep_firing_for: {r.keep_firing}\n")
    lines.append(_mapping("labels", r.labels, inner))
    lines.append(_mapping("annotations", r.annotations, inner))
    return "".join(lines)


def groups(items: tuple[Group, ...], pad: str = "") -> str:
    out = [f"{pad}groups:\n"]
    for g in items:
        out.append(f"{pad}  - name: {g.name}\n{pad}    interval: {g.interval}\n{pad}    rules:\n")
        out += [rule(r, pad + "      ") for r in g.rules]
    return "".join(out)


def rule_file(file: RuleFile) -> str:
    """A file for `rule_files:` of Prometheus, or for the rulers of Mimir and Thanos."""
    return HEADER + groups(file.groups)


def prometheus_rule(name: str, rules: str, stack: str) -> str:
    """A rule file's text as a PrometheusRule object of the Prometheus operator: the same groups, indented."""
    body = _LINE.sub("  ", rules.removeprefix(HEADER))
    return (
        f"{HEADER}apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: {name}\n"
        f"  labels:\n    app.kubernetes.io/name: stella-slo\n    app.kubernetes.io/part-of: {stack}\nspec:\n{body}"
    )
