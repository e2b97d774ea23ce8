"""Run a real promtool: check rules, and test them over simulated time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo import Stack
from slo.compile import Config, compile_stack
from slo.quantity import Duration

ROOT = Path(__file__).resolve().parent.parent
INSTALLED = ROOT / ".tools" / "bin" / "promtool"


def path() -> str:
    """PROMTOOL, else the project's own, else the one on PATH. Its absence fails the test: never a skip."""
    named = os.environ.get("PROMTOOL") or (str(INSTALLED) if INSTALLED.exists() else "promtool")
    found = shutil.which(named)
    if found is None:
        pytest.fail(
            f"{named} is not installed: `make test` installs it, or name one in PROMTOOL", pytrace=False
        )
    return found


def run(*arguments: str | Path, cwd: Path | None = None) -> tuple[bool, str]:
    """Whether promtool is content, and what it said."""
    done = subprocess.run(
        [path(), *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd
    )
    return done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Value:
    """At a time, a query yields exactly these samples: labels in promtool's notation, and values."""

    at: str
    expr: str
    samples: Mapping[str, float]


def nothing(at: str, expr: str) -> Value:
    """At a time, a query yields no sample."""
    return Value(at, expr, {})


def number(at: str, expr: str, value: float) -> Value:
    """At a time, a query that aggregates all labels away yields this number."""
    return Value(at, expr, {"{}": value})


def rounded(expr: str) -> str:
    """To four decimals, without the noise that PromQL's own round() adds."""
    return f"round(10000 * sum({expr})) / 10000"


def firing(alert: str, **labels: str) -> str:
    """How many alerts of this name fire."""
    inside = ",".join(f'{k}="{v}"' for k, v in {"alertname": alert, "alertstate": "firing", **labels}.items())
    return f"count(ALERTS{{{inside}}})"


def holds(
    folder: Path,
    stack: Stack,
    series: Mapping[str, str],
    values: Iterable[Value] = (),
    *,
    alerts: Iterable[Mapping[str, Any]] = (),
    step: str = "1m",
    interval: str = "30s",
    scrape: str = "30s",
) -> None:
    """Assert what the stack's rules yield from these raw series, evaluated every `step`."""
    __tracebackhide__ = True
    outputs = compile_stack(stack, Config(Duration.parse(scrape)))
    rules = {o.path.removeprefix("prometheus/"): o.text for o in outputs if o.path.startswith("prometheus/")}
    for name, text in rules.items():
        (folder / name).write_text(text, encoding="utf-8")
    order = sorted(rules, key=lambda n: (0 if "-base-" in n else 1 if n.endswith("-shared.yaml") else 2, n))
    test = {
        "rule_files": order,
        "evaluation_interval": step,
        "group_eval_order": [g["name"] for n in order for g in yaml.safe_load(rules[n])["groups"]],
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": name, "values": text} for name, text in series.items()],
                "promql_expr_test": [
                    {
                        "expr": v.expr,
                        "eval_time": v.at,
                        "exp_samples": [{"labels": labels, "value": n} for labels, n in v.samples.items()],
                    }
                    for v in values
                ],
                "alert_rule_test": list(alerts),
            }
        ],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump(test, sort_keys=False), encoding="utf-8")
    content, said = run("test", "rules", file.name, cwd=folder)
    assert content, said
