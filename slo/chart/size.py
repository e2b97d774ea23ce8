"""How large Helm's record of a release will be: it keeps chart and manifest in one Secret, and a Secret has a limit."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Mapping

from slo.artifact import Output

LIMIT = 1 << 20  # bytes of a Secret's data, which Kubernetes refuses to exceed
WARN = 800 << 10
_IGNORED = "ci/"  # as .helmignore says


def stored(files: Mapping[str, str], manifest: str) -> int:
    """Bytes of the record: a release as JSON, gzipped and in base64. `files` are the chart's, by path within it.

    Helm: pkg/storage/driver/util.go (encodeRelease) and the JSON fields of its chart and release.
    """
    kept = {p: t for p, t in files.items() if not p.startswith(_IGNORED)}

    def listed(templates: bool) -> list[dict[str, str]]:
        return [
            {"name": p, "data": base64.b64encode(t.encode()).decode()}
            for p, t in kept.items()
            if p.startswith("templates/") is templates
        ]

    release = {
        "chart": {"templates": listed(True), "files": listed(False)},
        "manifest": manifest,
    }
    packed = gzip.compress(json.dumps(release).encode(), compresslevel=9, mtime=0)
    return len(base64.b64encode(packed))


def warning(outputs: Iterable[Output]) -> str:
    """One sentence where a stack's chart comes near the limit with its default values; else nothing."""
    files = {p.partition("/")[2]: t for p, t in _chart(outputs)}
    size = stored(files, _manifest(files))
    if size < WARN:
        return ""
    return (
        f"the chart's release record will be about {size >> 10} KiB, and Helm cannot store more than "
        f"{LIMIT >> 10} KiB: split the stack, or install rules and dashboards apart (prometheusRule.enabled, "
        "dashboards.enabled)"
    )


def _chart(outputs: Iterable[Output]) -> Iterable[tuple[str, str]]:
    return ((o.path.removeprefix("chart/"), o.text) for o in outputs if o.path.startswith("chart/"))


def _manifest(files: Mapping[str, str]) -> str:
    """About what the default values render: each file once more, with the head of its object."""
    head = "---\n# Source: x\napiVersion: a/v1\nkind: Kind\nmetadata:\n  name: n\n  labels: {a: b, c: d}\nspec:\n"
    return "".join(
        head + t
        for p, t in files.items()
        if p.startswith(("files/rules/", "files/dashboards/", "files/alertmanager.yaml"))
    )
