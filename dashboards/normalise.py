"""What grafanalib writes, without what Grafana has left behind: one pass over plain data."""

from __future__ import annotations

import json
from typing import Any

from dashboards.fields import JSON

# Keys of Grafana 6 and before, and grafanalib's defaults that halve a panel's resolution.
_DASHBOARD = {"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style"}
_PANEL = {
    "cacheTimeout", "cards", "color", "columns", "dataFormat", "editable", "error", "fontSize", "heatmap", "height",
    "hideZeroBuckets", "highlightCards", "legend", "mappings", "minSpan", "repeatDirection",
    "reverseYBuckets", "span", "tooltip", "xAxis", "xBucketNumber", "xBucketSize", "yAxis", "yBucketBound",
    "yBucketNumber", "yBucketSize",
}  # fmt: skip
_TARGET = {"intervalFactor", "metric", "query", "step", "target"}
_VARIABLE = {"auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags"}
_TIMEPICKER = {"nowDelay", "time_options"}
# Where an absent key and an empty value mean the same.
_EMPTY = {"links", "transformations", "overrides", "options", "mappings", "tags", "targets", "interval", "regex",
          "allValue", "current", "legendFormat", "description", "axisLabel", "stacking", "sortBy", "tooltip"}  # fmt: skip
_FALSE = {"hideTimeOverride", "transparent", "hide"}


def normalise(dashboard: JSON) -> JSON:
    """The dashboard without nulls (but for the base of thresholds), legacy keys and empty defaults, keys sorted."""
    d = {k: v for k, v in dashboard.items() if k not in _DASHBOARD}
    d["timepicker"] = {k: v for k, v in d.get("timepicker", {}).items() if k not in _TIMEPICKER}
    d["panels"] = [_panel(p) for p in d["panels"]]
    d["templating"] = {"list": [_variable(v) for v in d["templating"]["list"]]}
    cleaned: JSON = _clean(d)
    return cleaned | {"links": dashboard["links"], "tags": dashboard["tags"]}


def _panel(panel: JSON) -> JSON:
    p = {k: v for k, v in panel.items() if k not in _PANEL}
    if "targets" in p:
        p["targets"] = [{k: v for k, v in t.items() if k not in _TARGET} for t in p["targets"]]
    if p["type"] in ("row", "text"):
        for key in ("fieldConfig", "targets", "datasource", "maxDataPoints"):
            p.pop(key, None)
    if "panels" in p:
        p["panels"] = [_panel(inner) for inner in p["panels"]]
    return p


def _variable(variable: JSON) -> JSON:
    v = {k: value for k, value in variable.items() if k not in _VARIABLE}
    if v["type"] == "datasource":
        v = {k: value for k, value in v.items() if k not in ("datasource", "sort", "current")}
    return v


def _clean(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        kept = {k: _clean(v, k) for k, v in sorted(value.items())}
        if "color" in kept and "value" in kept and key == "steps":
            return kept
        return {k: v for k, v in kept.items() if not _idle(k, v)}
    if isinstance(value, list):
        return [_clean(v, key) for v in value]
    return value


def _idle(key: str, value: Any) -> bool:
    if value is None:
        return True
    if key in _EMPTY and value in ("", [], {}):
        return True
    return key in _FALSE and value is False


def plain(value: Any) -> Any:
    """grafanalib's objects as the dicts and lists they stand for."""
    given = getattr(value, "to_json_data", None)
    if given is not None:
        return plain(given())
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def compact(dashboard: JSON) -> str:
    """One line."""
    return json.dumps(dashboard, separators=(",", ":"), ensure_ascii=False)


def pretty(dashboard: JSON) -> str:
    """For reading and for differences."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
