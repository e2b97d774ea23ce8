"""A stack's Helm chart as files, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources

from slo.artifact import HEADER, Output
from slo.chart import examples, options, readme, routing, running, values
from slo.chart.content import Content

_IGNORED = "# Not part of the packed chart.\n.git/\nci/\n*.tgz\n"


def build(content: Content) -> Iterator[Output]:
    """Every file of the chart, with paths relative to the output folder."""
    folder = f"chart/{content.name}"
    for path, text in _files(content):
        yield Output(f"{folder}/{path}", text)


def _files(content: Content) -> Iterator[tuple[str, str]]:
    tree = options.tree(content)
    title = f"Values of {content.name}"
    yield "Chart.yaml", _chart(content)
    yield ".helmignore", _IGNORED
    yield "values.yaml", HEADER + values.document(tree)
    yield (
        "values.schema.json",
        values.schema(tree, title, options.definitions(content)),
    )
    yield "README.md", readme.readme(content, tree)
    for name, text in examples.files(content).items():
        yield f"ci/{name}-values.yaml", text
    yield "files/index.json", _index(content)
    yield "files/alertmanager.yaml", content.alertmanager
    yield "files/alertmanagerconfig.json", routing.alertmanager_config(content.alertmanager, content.stack)
    for name, text in content.rules.items():
        yield f"files/rules/{name}.yaml", text
    for board in content.boards:
        yield f"files/dashboards/{board.file}", board.text
    for mode, variant in content.variants.items():
        for name, text in variant.rules.items():
            yield f"files/{mode}/rules/{name}.yaml", text
        for board in variant.boards:
            yield f"files/{mode}/dashboards/{board.file}", board.text
    yield from _templates(content)


def _chart(content: Content) -> str:
    quoted = json.dumps(content.description or f"SLOs of {content.stack}.", ensure_ascii=False)
    return (
        f"{HEADER}apiVersion: v2\nname: {content.name}\ntype: application\nversion: {content.version}\n"
        f'appVersion: "{content.version}"\ndescription: {quoted}\nkubeVersion: ">=1.25.0-0"\n'
        "keywords: [slo, error-budget, prometheus, alertmanager, grafana]\n"
        "annotations:\n  artifacthub.io/license: Apache-2.0\n"
    )


def _index(content: Content) -> str:
    """What templates must know of the files: which there are, and which alert and SLO is in which."""
    index = {
        "stack": content.stack,
        "budget": content.budget,
        "rules": list(content.rules),
        "shared": list(content.shared),
        "slos": dict(content.slos),
        "channels": {name: list(read) for name, read in content.alerts.items() if read},
        "exporters": [{"name": name, "state": running.state(name)} for name in content.exporters],
        "dashboards": [{"uid": b.uid, "file": b.file, "folder": b.folder} for b in content.boards],
    }
    return json.dumps(index, indent=1, ensure_ascii=False) + "\n"


def _templates(content: Content) -> Iterator[tuple[str, str]]:
    """The templates; what they define is named after the chart, as two charts may have one parent."""
    wanted = {
        "": True,
        "exporters": content.exporters,
        "probes": content.exporters or content.probing.targets,
    }
    root = resources.files("slo.chart") / "templates"
    for name in (n for n, needed in wanted.items() if needed):
        for file in sorted((root / name).iterdir(), key=lambda f: f.name):
            if file.is_file():
                text = file.read_text(encoding="utf-8").replace("CHART.", f"{content.name}.")
                yield f"templates/{name}/{file.name}".replace("//", "/"), text.replace("STACK", content.stack)
