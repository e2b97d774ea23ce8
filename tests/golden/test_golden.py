"""A definition and what it compiles to, side by side. Read each difference for sense before you commit it.

`pytest tests/golden --regenerate-goldens` writes expected/ anew.
"""

from __future__ import annotations

from pathlib import Path

import promtool
import pytest

from alerts import render
from alerts.rules import rule_files
from slo.artifact import RuleFile
from slo.compile import Config, compile_stack
from slo.load import load

HERE = Path(__file__).parent
CASES = sorted(p.parent.name for p in HERE.glob("*/definition.py"))
MORE = {  # beside the rules on raw series: what else a case is about
    "ratio-bad": ("-shared.yaml", "-alerts-30d-events.yaml"),
    "composite-weighted": ("-shared.yaml",),
    "rolling-7d": ("-alerts-7d-events.yaml",),
}


def wanted(case: str) -> dict[str, str]:
    """The rules on raw series, and what else the case is about; of a quarter also the rules of its period."""
    stack = load(HERE / case / "definition.py")
    endings = ("-base-001.yaml", *MORE.get(case, ()))
    found = {
        o.path.removeprefix("prometheus/"): o.text
        for o in compile_stack(stack)
        if o.path.startswith("prometheus/") and o.path.endswith(endings)
    }
    if case == "quarter":
        groups = [g for f in rule_files(stack, Config().timing) for g in f.groups if "-period-" in g.name]
        found["golden-period.yaml"] = render.rule_file(RuleFile("period", tuple(groups)))
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_definition_compiles_to_what_was_reviewed(case: str, request: pytest.FixtureRequest) -> None:
    """Byte for byte."""
    folder = HERE / case / "expected"
    compiled = wanted(case)
    assert compiled
    if request.config.getoption("--regenerate-goldens"):
        folder.mkdir(exist_ok=True)
        for stale in folder.iterdir():
            stale.unlink()
        for name, text in compiled.items():
            (folder / name).write_text(text, encoding="utf-8")
    reviewed = {p.name: p.read_text(encoding="utf-8") for p in sorted(folder.iterdir())}
    assert compiled == reviewed, (
        "`pytest tests/golden --regenerate-goldens`, then read the difference for sense"
    )


def test_every_golden_passes_promtool() -> None:
    """What was reviewed is what Prometheus accepts."""
    files = sorted(HERE.glob("*/expected/*.yaml"))
    assert len(files) >= len(CASES)
    content, said = promtool.run("check", "rules", *files)
    assert content, said


def test_there_is_a_case_for_every_kind_and_option() -> None:
    """Listed, so that a case does not get lost."""
    assert {
        "by", "composite-weighted", "composite-worst", "freshness", "latency-milliseconds", "latency-native",
        "latency-seconds", "quarter", "ratio-bad", "ratio-good", "ratio-promql", "ratio-sides", "rolling-7d", "time-slice",
        "uptime-quorum",
    } == set(CASES)  # fmt: skip
