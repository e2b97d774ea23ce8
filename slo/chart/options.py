"""What can be decided when the chart is installed, and what each decision is for."""

from __future__ import annotations

from collections.abc import Mapping

from slo.chart import routing, running
from slo.chart.content import Content
from slo.chart.values import (
    DURATION,
    STRINGS,
    Node,
    Schema,
    Section,
    flag,
    free,
    items,
    keyed,
    strings,
    text,
    whole,
)

CHANNELS = ("edge", "stable", "lts")
_OVERRIDE = {"$ref": "#/definitions/override"}
_API_VERSION = r"^[a-z0-9.-]+/v[0-9]+((alpha|beta)[0-9]+)?$"


def tree(content: Content) -> dict[str, Node]:
    """All values of a chart, in the order of values.yaml."""
    return {
        **_names(content),
        **_rules(content),
        "dashboards": _dashboards(content),
        "alertmanager": _alertmanager(content),
        **_running(content),
    }


def _running(content: Content) -> dict[str, Node]:
    if not content.exporters and not content.probing.targets:
        return {}
    return {
        "monitors": running.monitors(content.scrape),
        "blackbox": running.blackbox(content.probing),
        **({"exporters": running.exporters(content)} if content.exporters else {}),
    }


def definitions(content: Content) -> Mapping[str, Schema]:
    """Schemas that the tree refers to."""
    duration = {"type": "string", "minLength": 1, "pattern": DURATION}
    override = {
        "description": "What an alert is to have instead of what was generated.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "disabled": {"type": "boolean", "description": "true drops the alert."},
            "severity": {
                "enum": list(content.severities),
                "description": "The severity label; routes exist for these values only.",
            },
            "for": {**duration, "description": "How long the condition must hold."},
            "keepFiringFor": {**duration, "description": "How long it fires on after the condition ended."},
            "labels": {**STRINGS, "description": "Labels to add or to replace."},
            "annotations": {**STRINGS, "description": "Annotations to add or to replace."},
        },
    }
    shared = {
        "type": "object",
        "additionalProperties": False,
        "properties": dict.fromkeys(content.shared, _OVERRIDE),
    }
    return {"override": override, "ofSLO": shared}


def _channels(content: Content) -> tuple[str, ...]:
    """Those that alerts read by name, as a deployment may call them otherwise."""
    read = {channel for channels in content.alerts.values() for channel in channels}
    return (
        tuple(sorted(read, key=lambda c: (CHANNELS.index(c) if c in CHANNELS else len(CHANNELS), c)))
        or CHANNELS
    )


def _names(content: Content) -> dict[str, Node]:
    channels = _channels(content)
    storage = Section(
        "The object store that the platform keeps its artefacts in.",
        {"mode": text(
            "Its kind: rules and dashboards read this store's metrics.", content.mode,
            one_of=(content.mode, *content.variants),
        )},
    )  # fmt: skip
    return {
        "global": free("Values that an umbrella chart shares with its parts. Nothing is read from here."),
        "nameOverride": text("Replaces the chart's name in names and labels."),
        "fullnameOverride": text("Replaces the whole prefix of all object names."),
        "commonLabels": strings("Labels for every object."),
        "channel": text(
            f"The release channel this installation follows: {', '.join(channels)}. Empty watches all. With one "
            "chosen, alerts that read other channels only are left out, and every object is labelled with it.",
            one_of=("", *channels),
        ),
        **({"storage": storage} if content.variants else {}),
        "links": Section(
            "Where alerts link to.",
            {
                "grafana": text("Grafana's URL, put before links to dashboards that have none.", pattern="^(https?://.+)?$"),
                "runbooks": text("URL of the folder with the runbook pages, instead of the generated one.", pattern="^(https?://.+)?$"),
            },
        ),
    }  # fmt: skip


def _rules(content: Content) -> dict[str, Node]:
    alert, slo = next(iter(content.alerts)), next(iter(content.slos), "")
    example = f'{alert}:\n  severity: {content.severities[0]}\n  for: 30m\n  labels:\n    team: mine\n'  # fmt: skip
    of_slo = f"{slo}:\n  {content.shared[0]}:\n    severity: {content.severities[-1]}\n" if slo else ""
    return {
        "prometheusRule": Section(
            "The rules as objects of the Prometheus operator, one for each rule file.",
            {
                "enabled": flag("Install them.", True),
                "apiVersion": text("Their API; monitoring.rhobs/v1 and azmonitoring.coreos.com/v1 are others.", "monitoring.coreos.com/v1", pattern=_API_VERSION),
                "namespace": text("Their namespace. Empty: the release's."),
                "labels": strings("Labels that Prometheus' ruleSelector asks for; without them the rules are ignored.", example="release: kube-prometheus-stack\n"),
                "annotations": strings("Annotations."),
            },
        ),
        "ruleFiles": Section(
            "The same rules as plain files in ConfigMaps: for a Prometheus without the operator, and for the "
            "rulers of Mimir and Thanos.",
            {
                "enabled": flag("Install them.", False),
                "namespace": text("Their namespace. Empty: the release's."),
                "labels": strings("Labels, such as those that a sidecar looks for."),
                "annotations": strings("Annotations."),
                "maxBytes": whole("How much one ConfigMap may hold before the next is begun. kubectl and Argo CD repeat an object in an annotation of at most 262144 bytes.", 200000, 50000, 1000000),
            },
        ),
        "alerts": Section(
            "Changes to alerts, without generating anew.",
            {
                "labels": strings("Labels added to every alert."),
                "annotations": strings("Annotations added to every alert."),
                "overrides": keyed("By alert name: severity, for, keepFiringFor, labels, annotations, disabled. Disabling a monitor also drops the MonitorNoData alert about it.", list(content.alerts), _OVERRIDE, example),
            },
        ),
        "slos": Section(
            "Changes for single SLOs.",
            {
                "overrides": keyed("By SLO, then by alert: the alerts are shared by SLOs, so the SLO is taken out of the shared alert and gets one of its own.", list(content.slos), {"$ref": "#/definitions/ofSLO"}, of_slo),
            },
        ),
    }  # fmt: skip


def _dashboards(content: Content) -> Section:
    operator = Section(
        "GrafanaDashboard objects for the Grafana operator, which read the ConfigMaps.",
        {
            "enabled": flag("Install them.", False),
            "apiVersion": text("Their API.", "grafana.integreatly.org/v1beta1", pattern=_API_VERSION),
            "labels": strings("Labels."),
            "instanceSelector": free("Which Grafana takes them. It cannot be changed later: Kubernetes refuses.", {"matchLabels": {"dashboards": "grafana"}}),
            "resyncPeriod": text("How often the operator puts them back.", "10m", pattern=DURATION),
            "allowCrossNamespaceImport": flag("Let a Grafana of another namespace take them.", True),
        },
    )  # fmt: skip
    return Section(
        "Dashboards, each in a ConfigMap of its own, as Grafana's sidecar looks for them.",
        {
            "enabled": flag("Install them.", True),
            "namespace": text("Their namespace. Empty: the release's."),
            "label": text("The label that the sidecar looks for.", "grafana_dashboard"),
            "labelValue": text("Its value.", "1"),
            "folderAnnotation": text("The annotation that names the folder; the sidecar's folderAnnotation must be the same.", "grafana_folder"),
            "folder": text("The folder. Empty: each dashboard's own."),
            "exclude": items("Dashboards to leave out, by uid: those that another chart installs already.", {"enum": [b.uid for b in content.boards]}),
            "labels": strings("More labels."),
            "annotations": strings("More annotations."),
            "operator": operator,
        },
    )  # fmt: skip


def _alertmanager(content: Content) -> Section:
    names = routing.receivers(content.alertmanager)
    example = (
        f"{names[1]}:\n  pagerduty_configs:\n    - routing_key_file: /etc/alertmanager/secrets/pager/key\n"
    )
    return Section(
        "Who is told: routes by owner and severity, and what silences what.",
        {
            "kind": text(
                "secret: Alertmanager's whole configuration, for the operator's configSecret or a mount; "
                "alertmanagerConfig: an object that joins the configuration of others; none: neither.",
                "secret", one_of=("secret", "alertmanagerConfig", "none"),
            ),
            "apiVersion": text("The AlertmanagerConfig's API.", "monitoring.coreos.com/v1alpha1", pattern=_API_VERSION),
            "namespace": text("The object's namespace. Empty: the release's."),
            "labels": strings("Labels, such as those that Alertmanager's alertmanagerConfigSelector asks for."),
            "annotations": strings("Annotations."),
            "global": free("Alertmanager's global settings, for kind secret. Secrets by file only."),
            "receivers": keyed(
                "Settings of the receivers, by name, in the words of the chosen kind: Alertmanager's own with "
                "secrets by file, or the operator's with references to Secrets. Without any, nobody is told.",
                names, {"type": "object"}, example,
            ),
        },
    )  # fmt: skip
