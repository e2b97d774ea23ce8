"""Alertmanager's configuration as the Prometheus operator's AlertmanagerConfig says it."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

_MATCHER = re.compile(r'([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*(".*")', re.DOTALL)
_ROUTE = {
    "receiver": "receiver",
    "group_by": "groupBy",
    "group_wait": "groupWait",
    "group_interval": "groupInterval",
    "repeat_interval": "repeatInterval",
}


def receivers(text: str) -> tuple[str, ...]:
    return tuple(r["name"] for r in yaml.safe_load(text)["receivers"])


def alertmanager_config(text: str, stack: str) -> str:
    """The `spec` of an AlertmanagerConfig, as JSON.

    The object's first route joins the routes of others, so it takes this stack's alerts only.
    """
    config = yaml.safe_load(text)
    root = _route(config["route"]) | {"matchers": [{"name": "stack", "value": stack, "matchType": "="}]}
    spec = {
        "route": root,
        "receivers": config["receivers"],
        "inhibitRules": [
            {
                "sourceMatch": [_matcher(m) for m in rule["source_matchers"]],
                "targetMatch": [_matcher(m) for m in rule["target_matchers"]],
                "equal": rule["equal"],
            }
            for rule in config["inhibit_rules"]
        ],
    }
    return json.dumps(spec, indent=1, ensure_ascii=False) + "\n"


def _route(route: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {ours: route[theirs] for theirs, ours in _ROUTE.items() if theirs in route}
    if "matchers" in route:
        made["matchers"] = [_matcher(m) for m in route["matchers"]]
    if "routes" in route:
        made["routes"] = [_route(child) for child in route["routes"]]
    return made


def _matcher(text: str) -> dict[str, str]:
    found = _MATCHER.fullmatch(text)
    assert found is not None, f"alerts.alertmanager writes matchers so that they can be read: {text}"
    return {"name": found[1], "value": json.loads(found[3]), "matchType": found[2]}
