"""Values files of a chart's own tests, `ci/*-values.yaml`: what `ct` installs, and what our tests render."""

from __future__ import annotations

from typing import Any

from slo.artifact import HEADER
from slo.chart import routing
from slo.chart.content import Content
from slo.chart.values import dumped

_DIGEST = "sha256:" + "0123456789abcdef" * 4


def files(content: Content) -> dict[str, str]:
    """By name: the defaults, every kind of object, and each choice that excludes another."""
    made = {
        "default": {},
        "plain": _plain(),
        "operator": _operator(content),
        "overrides": _overrides(content),
    }
    if content.exporters:
        made["exporters"] = _exporters(content)
        made["pods"] = _exporters(content) | {"monitors": {"kind": "PodMonitor"}}
        made["tls"] = _mutual(content)
    for mode in content.variants:
        made[mode] = {"storage": {"mode": mode}, "channel": "stable"}
    return {name: HEADER + dumped(values) for name, values in made.items()}


def _plain() -> dict[str, Any]:
    """No operator at all: files, and Alertmanager's own configuration."""
    return {
        "prometheusRule": {"enabled": False},
        "ruleFiles": {"enabled": True, "labels": {"rules": "slo"}},
        "alertmanager": {"kind": "secret"},
    }


def _operator(content: Content) -> dict[str, Any]:
    """Everything that an operator reads."""
    name = routing.receivers(content.alertmanager)[1]
    key = {"name": "pager", "key": "routing-key"}
    return {
        "commonLabels": {"team": "slo"},
        "prometheusRule": {"labels": {"release": "kube-prometheus-stack"}, "namespace": "monitoring"},
        "dashboards": {"operator": {"enabled": True}, "folder": "Objectives"},
        "alertmanager": {
            "kind": "alertmanagerConfig",
            "labels": {"alertmanagerConfig": "main"},
            "receivers": {name: {"pagerdutyConfigs": [{"routingKey": key}]}},
        },
    }


def _overrides(content: Content) -> dict[str, Any]:
    """One alert changed in every way, one gone, one SLO with an alert of its own."""
    names = [a for a in content.alerts if a not in content.shared]
    changed = {
        "severity": content.severities[-1], "for": "1h30m", "keepFiringFor": "15m",
        "labels": {"team": "mine"}, "annotations": {"summary": "Changed by a value."},
    }  # fmt: skip
    alerts = dict(zip(names, (changed, {"disabled": True}), strict=False))
    shared = {content.shared[0]: {"severity": content.severities[-1]}, content.shared[1]: {"disabled": True}}
    return {
        "links": {"grafana": "https://grafana.example.org", "runbooks": "https://wiki.example.org/runbooks/"},
        "ruleFiles": {"enabled": True},
        "alerts": {"labels": {"cluster": "one"}, "overrides": alerts},
        "slos": {"overrides": dict.fromkeys(list(content.slos)[:1], shared)},
    }


def _exporters(content: Content) -> dict[str, Any]:
    """Everything that runs, and everything that is probed."""
    chosen: dict[str, Any] = {
        name: {"enabled": True, "config": CONFIGS[name], "secretFiles": {"registry": "registry-credentials"}}
        for name in content.exporters
    }
    return {
        "monitors": {"labels": {"release": "kube-prometheus-stack"}},
        "blackbox": {
            "prober": {"url": "blackbox-exporter.monitoring.svc:9115"},
            "targets": {name: f"https://{name}.example.org/healthz" for name in content.probing.targets[:2]},
        },
        "exporters": {
            "image": {"digest": _DIGEST},
            "imagePullSecrets": [{"name": "registry-credentials"}],
            "trustedRoot": {"existingConfigMap": "sigstore-trusted-root"},
            "networkPolicy": {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
                ]
            },
            **chosen,
        },
    }


def _mutual(content: Content) -> dict[str, Any]:
    """Scraped over TLS, by who shows a certificate only. The kubelet has none."""
    web = {"web_config": "/etc/slo-exporter/secrets/web/web.yaml"}
    secret = {"name": "prometheus-client", "key": "tls.key"}
    chosen: dict[str, Any] = {
        name: {
            "enabled": True,
            "config": CONFIGS[name] | web,
            "secretFiles": {"web": "exporter-web-config", "registry": "registry-credentials"},
        }
        for name in content.exporters
    }
    tls = {
        "ca": {"secret": secret | {"key": "ca.crt"}},
        "cert": {"secret": secret | {"key": "tls.crt"}},
        "keySecret": secret,
        "serverName": "slo-exporter",
    }
    shared = {"image": {"digest": _DIGEST}, "scheme": "https", "probes": "tcp"}
    return {"monitors": {"tlsConfig": tls}, "exporters": shared | chosen}


_ROOT = "/etc/slo-exporter/trust/trusted_root.json"
_SIGNED = {
    "identity": "https://builds.example.org/release/stable",
    "issuer": "https://tokens.example.org",
}
_MANIFEST = "https://releases.example.org/stable/release.yaml"
# Each as its exporter reads it; a test asks them.
CONFIGS: dict[str, dict[str, Any]] = {
    "cosign": {
        "interval": "10m",
        "trusted_root": {"file": _ROOT},
        "policies": {"all": _SIGNED},
        "manifests": [{"name": "stable", "location": _MANIFEST}],
    },
    "rekor": {
        "interval": "1m",
        "logs": [
            {
                "name": "sigstore",
                "kind": "v1",
                "url": "https://rekor.sigstore.dev",
                "origin": "rekor.sigstore.dev",
                "trusted_root": _ROOT,
            }
        ],
    },
    "bundle": {
        "interval": "10m",
        "trusted_root": _ROOT,
        "policy": _SIGNED,
        "channels": [{"name": "stable", "manifest": _MANIFEST}],
    },
}
