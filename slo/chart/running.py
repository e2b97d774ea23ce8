"""What can be decided of the exporters, of how Prometheus finds them, and of what the blackbox exporter probes."""

from __future__ import annotations

from collections.abc import Mapping

from slo.chart.content import Content, Probing
from slo.chart.examples import CONFIGS
from slo.chart.values import (
    DURATION,
    Json,
    Node,
    Section,
    Value,
    dumped,
    flag,
    free,
    items,
    strings,
    text,
    whole,
)

DIGEST = "^(sha256:[0-9a-f]{64})?$"
_SECRET = {
    "type": "object",
    "additionalProperties": False,
    "required": ["secret", "key"],
    "properties": {"secret": {"type": "string"}, "key": {"type": "string"}},
}
_POD_SECURITY: Mapping[str, Json] = {
    "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
_SECURITY: Mapping[str, Json] = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
# What each exporter checks, what it keeps, and how much memory its work needs.
_WORK = {
    "cosign": ("Checks the signatures, SBOMs and provenance of images.", "", "256Mi"),
    "rekor": ("Checks a transparency log: answers, inclusion, consistency.", "/var/lib/slo-exporter", "192Mi"),
    "bundle": ("Checks release manifests, offline kits and version skew.", "/var/lib/slo-exporter/seen.json", "256Mi"),
}  # fmt: skip


def state(exporter: str) -> str:
    """Where an exporter keeps what must outlive its pod; empty where it keeps nothing."""
    return _WORK[exporter][1]


def monitors(scrape: str) -> Section:
    duration = f"^$|{DURATION}"
    return Section(
        "ServiceMonitor or PodMonitor objects for the exporters, and Probe objects for the blackbox targets.",
        {
            "kind": text("How exporters are found; none also leaves out the probes.", "ServiceMonitor", one_of=("ServiceMonitor", "PodMonitor", "none")),
            "apiVersion": text("The objects' API.", "monitoring.coreos.com/v1", pattern=r"^[a-z0-9.-]+/v[0-9]+((alpha|beta)[0-9]+)?$"),
            "namespace": text("Their namespace. Empty: the release's."),
            "labels": strings("Labels that Prometheus' selectors for monitors and probes ask for; without them they are ignored.", example="release: kube-prometheus-stack\n"),
            "annotations": strings("Annotations."),
            "interval": text("How often to scrape; the rules are made for this. Empty: as Prometheus does by default.", scrape, pattern=duration),
            "scrapeTimeout": text("When a scrape is given up. Empty: as Prometheus does by default.", pattern=duration),
            "relabelings": items("More relabelings; the job is set already."),
            "metricRelabelings": items("Relabelings of samples."),
            "tlsConfig": free("TLS settings of the scrape, where exporters.scheme is https."),
            "basicAuth": free("References to a Secret with the user name and password of the scrape."),
        },
    )  # fmt: skip


def blackbox(probing: Probing) -> Section:
    example = "" if probing.targets else "my-service: https://my-service.example/healthz\n"
    return Section(
        "What the blackbox exporter probes. The exporter itself is not part of this chart.",
        {
            "prober": Section(
                "Where it is.",
                {
                    "url": text("Its address, HOST:PORT.", pattern="^([^/]+(:[0-9]+)?)?$"),
                    "scheme": text("How to speak to it.", "http", one_of=("http", "https")),
                    "path": text("Its path.", "/probe"),
                },
            ),
            "module": text("Its module.", "http_2xx"),
            "interval": text("How often to probe. Empty: monitors.interval.", pattern=f"^$|{DURATION}"),
            "job": text("The job label that rules select probes by.", probing.job),
            "label": text("The label that tells targets apart.", probing.label),
            "targets": strings(
                "What is probed: a name that rules know, and its URL. Without a URL it is not probed, and its SLO "
                "has no data. More names are welcome, such as mirrors of the registry.",
                dict.fromkeys(probing.targets, ""), example,
            ),
        },
    )  # fmt: skip


def exporters(content: Content) -> Section:
    return Section(
        "The exporters that check signatures, the transparency log and release bundles. They are off until they "
        "have an image and a configuration. A changed configuration is read without a restart.",
        {
            **_image(),
            **_pod(),
            **{name: _exporter(name, job) for name, job in content.exporters.items()},
        },
    )  # fmt: skip


def _image() -> dict[str, Node]:
    image = Section(
        "Their image, one for all three.",
        {
            "registry": text("The registry; a mirror is put here.", "registry.stella-ops.org"),
            "repository": text("The repository.", "stellaops/slo-exporter"),
            "digest": text("The digest. Images are pulled by digest, which stands in the release manifest.", pattern=DIGEST),
            "tag": text("A tag, for development only: used where there is no digest."),
            "pullPolicy": text("When to pull.", "IfNotPresent", one_of=("Always", "IfNotPresent", "Never")),
        },
    )  # fmt: skip
    return {
        "image": image,
        "imagePullSecrets": items("References to Secrets with the registry's credentials, for the kubelet.", default=[], example="- name: registry-credentials\n"),
        "trustedRoot": Section(
            "The Sigstore trusted root, mounted as /etc/slo-exporter/trust/trusted_root.json.",
            {
                "existingConfigMap": text("A ConfigMap that holds it under the key trusted_root.json."),
                "content": text("Its text: --set-file exporters.trustedRoot.content=trusted_root.json"),
            },
        ),
        "scheme": text("https where config.web_config serves TLS: how kubelet and Prometheus ask.", "http", one_of=("http", "https")),
        "probes": text(
            "How the kubelet probes: http asks /-/healthy and /-/ready, by exporters.scheme; tcp only opens a "
            "connection, which is what is left where the web configuration has client_auth_type: "
            "RequireAndVerifyClientCert, since a kubelet has no certificate to show.",
            "http", one_of=("http", "tcp"),
        ),
    }  # fmt: skip


def _pod() -> dict[str, Node]:
    return {
        "serviceAccount": Section(
            "Their service account. It has no rights, and its token is not mounted.",
            {
                "create": flag("Create it.", True),
                "name": text("Its name. Empty: made of the release's."),
                "annotations": strings("Annotations."),
            },
        ),
        "podSecurityContext": free("Security of the pods: Kubernetes' restricted profile.", _POD_SECURITY),
        "securityContext": free("Security of the containers: the restricted profile, and a read-only root.", _SECURITY),
        "podDisruptionBudget": Section(
            "How many of an exporter's pods may be evicted at once. There is one pod each.",
            {"enabled": flag("Install them.", True), "maxUnavailable": whole("How many.", 1, 0)},
        ),
        "networkPolicy": Section(
            "What may reach the exporters, and what they may reach.",
            {
                "enabled": flag("Install them.", True),
                "from": items("Who may scrape, as NetworkPolicy peers. Empty: everyone.", example="- namespaceSelector:\n    matchLabels:\n      kubernetes.io/metadata.name: monitoring\n"),
                "egressPorts": items("TCP ports they may connect to, besides DNS.", {"type": "integer", "minimum": 1, "maximum": 65535}, [443]),
                "extraEgress": items("More egress rules, as NetworkPolicy says them."),
            },
        ),
        "podLabels": strings("Labels of the pods."),
        "podAnnotations": strings("Annotations of the pods."),
        "nodeSelector": strings("Which nodes may run them."),
        "tolerations": items("Taints they tolerate."),
        "affinity": free("Affinity."),
        "priorityClassName": text("Their priority class."),
    }  # fmt: skip


def _exporter(name: str, job: str) -> Section:
    says, kept, memory = _WORK[name]
    resources: Mapping[str, Json] = {
        "requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": memory},
    }  # fmt: skip
    persistence = Section(
        "A small volume for what it must remember over restarts.",
        {
            "enabled": flag("Use one. Without it, a restart forgets, and the first check after it compares with nothing.", True),
            "existingClaim": text("A claim that exists."),
            "size": text("How large a new claim is.", "64Mi", pattern="^[0-9]+(Ki|Mi|Gi)$"),
            "storageClass": text("Its storage class. Empty: the cluster's default."),
            "accessModes": items("Its access modes.", {"type": "string"}, ["ReadWriteOnce"]),
            "annotations": strings("Annotations.", {"helm.sh/resource-policy": "keep"}),
        },
    )  # fmt: skip
    return Section(
        says,
        {
            "enabled": flag("Run it.", False),
            "job": text("The job label it is scraped as; rules select by it.", job),
            "config": free(_config_says(name), example=dumped(CONFIGS[name])),
            "existingConfigMap": text(f"A ConfigMap with the whole configuration under the key config.yaml, instead; {_owned(name)} as in the chart's own."),
            "env": Value("Environment variables, each from a key of a Secret.", {}, {"type": "object", "additionalProperties": _SECRET}, "REGISTRY_TOKEN: {secret: registry-credentials, key: token}\n"),
            "secretFiles": strings("Secrets mounted as folders below /etc/slo-exporter/secrets, by folder name.", example="registry: registry-credentials\n"),
            "resources": free("CPU and memory.", resources),
            **({"persistence": persistence} if kept else {}),
            "extraVolumes": items("More volumes of the pod."),
            "extraVolumeMounts": items("Where they are mounted."),
        },
    )  # fmt: skip


def _owned(name: str) -> str:
    """What of its configuration is decided by the pod: the port, and where the volume is."""
    kept = state(name)
    return f"listen is :9464{f', and state {kept},' if kept else ''}"


def _config_says(name: str) -> str:
    return (
        f"Its configuration, as `slo-exporter {name} --config` reads it. The chart itself says where it listens and "
        "keeps its state; secrets are referred to, by env or by file."
    )
