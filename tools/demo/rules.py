"""Generated files made ready for the demo: shorter evaluation intervals, and receivers that lead to its webhook.

Only how often rules are evaluated and how long Alertmanager waits is changed, never an expression or a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from slo.artifact import Output
from slo.quantity import Duration, shortest

_INTERVAL = re.compile(r"^(\s+interval: )(\S+)$", re.MULTILINE)
_KEEP_FIRING = re.compile(r"^(\s+keep_firing_for: )(\S+)$", re.MULTILINE)
_WAITS = ("group_wait", "group_interval")


def shorter(duration: str, factor: int) -> str:
    """A duration divided, in whole seconds, at least one."""
    seconds = max(Decimal(1), Duration.parse(duration).seconds / factor)
    return f"{shortest(seconds.quantize(Decimal(1)))}s"


def compressed(rules: str, factor: int, keep_firing: str = "") -> str:
    """A rule file whose groups are evaluated `factor` times as often. `keep_firing` replaces keep_firing_for."""
    text = _INTERVAL.sub(lambda m: m[1] + shorter(m[2], factor), rules)
    return _KEEP_FIRING.sub(lambda m: m[1] + keep_firing, text) if keep_firing else text


def write_rules(outputs: Iterable[Output], folder: Path, factor: int, keep_firing: str = "") -> list[Path]:
    """The rule files of a compiled stack, compressed, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for output in outputs:
        if output.path.startswith("prometheus/"):
            file = folder / Path(output.path).name
            file.write_text(compressed(output.text, factor, keep_firing), encoding="utf-8")
            written.append(file)
    return written


def alertmanager_text(outputs: Iterable[Output]) -> str:
    """The generated Alertmanager configuration of a compiled stack."""
    return next(o.text for o in outputs if o.path == "alertmanager/alertmanager.yaml")


def alertmanager_config(texts: Iterable[str], webhook: str, factor: int) -> dict[str, Any]:
    """The generated configurations as one, every receiver filled with the webhook, waits divided."""
    merged: dict[str, Any] = {}
    for text in texts:
        config = yaml.safe_load(text)
        if not merged:
            merged = config
            continue
        merged["route"]["routes"] += config["route"].get("routes", [])
        merged["route"]["group_by"] = sorted({*merged["route"]["group_by"], *config["route"]["group_by"]})
        merged["inhibit_rules"] += config.get("inhibit_rules", [])
        known = {r["name"] for r in merged["receivers"]}
        merged["receivers"] += [r for r in config["receivers"] if r["name"] not in known]
    for receiver in merged["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}]
    _shorten(merged["route"], factor)
    return merged


def _shorten(route: dict[str, Any], factor: int) -> None:
    for wait in _WAITS:
        if wait in route:
            route[wait] = shorter(route[wait], factor)
    for child in route.get("routes", []):
        _shorten(child, factor)
