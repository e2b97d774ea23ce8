"""What a chart is made of, as plain data: the compiler hands it over, and the chart knows neither alerts nor dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: `file` is its key in a ConfigMap, `text` its JSON on one line, `folder` Grafana's folder."""

    uid: str
    file: str
    title: str
    folder: str
    text: str


@dataclass(frozen=True, slots=True)
class Variant:
    """The same stack for another mode of its platform: what it holds otherwise than the default."""

    rules: Mapping[str, str]
    boards: tuple[Board, ...]


@dataclass(frozen=True, slots=True)
class Probing:
    """What rules expect of the blackbox exporter: its job, the label that tells targets apart, and their names."""

    job: str = "blackbox"
    label: str = "target"
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """A stack, ready to be packed.

    `rules` are rule files by name. `alerts` are all alert names, each with the channels it reads where it reads
    some only. `slos` tells for each SLO the rule file that holds its alerts; `shared` are the alerts that SLOs
    share, `budget` the record that knows every SLO. `exporters` maps each exporter to the job it is scraped as.
    `scrape` is the interval that the rules are made for. `variants` are other modes of the object store, by name;
    `mode` is the default's.
    """

    name: str
    version: str
    stack: str
    description: str
    rules: Mapping[str, str]
    alerts: Mapping[str, tuple[str, ...]]
    slos: Mapping[str, str]
    shared: tuple[str, ...]
    budget: str
    severities: tuple[str, ...]
    alertmanager: str
    scrape: str
    boards: tuple[Board, ...] = ()
    probing: Probing = Probing()
    exporters: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    variants: Mapping[str, Variant] = field(default_factory=dict)
