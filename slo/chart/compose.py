"""The same stack for one machine: a Compose file with Prometheus, Alertmanager, Grafana, blackbox and the exporters.

It mounts what `slo generate` writes beside it, so it holds no rule and no dashboard of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slo.artifact import HEADER, Output
from slo.chart.content import Content
from slo.chart.examples import CONFIGS
from slo.chart.running import state
from slo.chart.values import dumped

FOLDER = "compose"
# Tags, as no digest can be looked up where this is generated: .env is the place for digests.
IMAGES = {
    "PROMETHEUS_IMAGE": "prom/prometheus:v3.5.0",
    "ALERTMANAGER_IMAGE": "prom/alertmanager:v0.28.1",
    "GRAFANA_IMAGE": "grafana/grafana:12.1.1",
    "BLACKBOX_IMAGE": "prom/blackbox-exporter:v0.27.0",
}
_RESTRICTED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "restart": "unless-stopped",
}


def compose(content: Content) -> Iterator[Output]:
    """Every file of the folder."""
    for path, text in _files(content):
        yield Output(f"{FOLDER}/{path}", text)


def _files(content: Content) -> Iterator[tuple[str, str]]:
    yield "docker-compose.yml", _HEAD + dumped(_project(content))
    yield "env.template", _environment(content)
    yield "prometheus/prometheus.yml", HEADER + dumped(_prometheus(content))
    yield "prometheus/targets/blackbox.yml", _targets(content)
    yield "prometheus/targets/services.yml", _SERVICES
    yield "blackbox/blackbox.yml", HEADER + dumped(_BLACKBOX)
    yield "grafana/datasources/prometheus.yaml", HEADER + dumped(_DATASOURCE)
    yield "grafana/dashboards/slo.yaml", HEADER + dumped(_provider(content))
    for name in content.exporters:
        kept = {"state": state(name)} if state(name) else {}
        yield f"exporters/{name}.yaml", HEADER + dumped({"listen": ":9464", **CONFIGS[name], **kept})
    if content.exporters:
        yield "trust/README.md", _TRUST


_HEAD = (
    HEADER
    + """# Copy env.template to .env and put digests there: images are pulled by digest only. Then:
#   docker compose up --detach
#   docker compose --profile exporters up --detach     once .env names the exporters' image and exporters/ is yours
# Prometheus: http://127.0.0.1:9090, Alertmanager: http://127.0.0.1:9093, Grafana: http://127.0.0.1:3000
"""
)


def _project(content: Content) -> dict[str, Any]:
    services = {
        "prometheus": _service(
            "PROMETHEUS_IMAGE", ["127.0.0.1:9090:9090"],
            ["./prometheus:/etc/prometheus:ro", "../prometheus:/etc/prometheus-rules:ro", "prometheus-data:/prometheus"],
            command=["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus", "--storage.tsdb.retention.time=100d"],
        ),
        "alertmanager": _service(
            "ALERTMANAGER_IMAGE", ["127.0.0.1:9093:9093"],
            ["../alertmanager:/etc/alertmanager:ro", "alertmanager-data:/alertmanager"],
            command=["--config.file=/etc/alertmanager/alertmanager.yaml", "--storage.path=/alertmanager", "--cluster.listen-address="],
        ),
        "grafana": _service(
            "GRAFANA_IMAGE", ["127.0.0.1:3000:3000"],
            ["./grafana/datasources:/etc/grafana/provisioning/datasources:ro", "./grafana/dashboards:/etc/grafana/provisioning/dashboards:ro",
             "../grafana:/var/lib/grafana/dashboards/slo:ro", "grafana-data:/var/lib/grafana"],
            # Dashboards are generated, so nobody needs to log in to change one; it listens on this machine only.
            environment={"GF_AUTH_ANONYMOUS_ENABLED": "true", "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer", "GF_AUTH_DISABLE_LOGIN_FORM": "true",
                         "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true", "GF_ANALYTICS_REPORTING_ENABLED": "false"},
            tmpfs=["/tmp"],  # noqa: S108 # in the container
        ),
        "blackbox": _service(
            "BLACKBOX_IMAGE", [], ["./blackbox:/etc/blackbox:ro"], command=["--config.file=/etc/blackbox/blackbox.yml"],
        ),
        **{f"{name}-exporter": _exporter(name, content) for name in content.exporters},
    }  # fmt: skip
    volumes = ["prometheus-data", "alertmanager-data", "grafana-data"]
    volumes += [f"{name}-state" for name in content.exporters if state(name)]
    return {"name": content.name, "services": services, "volumes": {v: {} for v in volumes}}


def _service(image: str, ports: list[str], volumes: list[str], **more: Any) -> dict[str, Any]:
    return {
        "image": f"${{{image}:-{IMAGES[image]}}}",
        **more,
        **({"ports": ports} if ports else {}),
        "volumes": volumes,
        **_RESTRICTED,
    }


def _exporter(name: str, content: Content) -> dict[str, Any]:
    volumes = [
        "${EXPORTERS_CONFIG:-./exporters}:/etc/slo-exporter/config:ro",
        "./trust:/etc/slo-exporter/trust:ro",
    ]
    if state(name):
        volumes.append(f"{name}-state:/var/lib/slo-exporter")
    alive = "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/-/healthy', timeout=3)"
    return {
        "image": f"${{EXPORTER_IMAGE:-{exporter_image(content)}}}",
        "profiles": ["exporters"],
        "command": [name, "--config", f"/etc/slo-exporter/config/{name}.yaml"],
        "user": "65532:65532",
        "volumes": volumes,
        "tmpfs": ["/tmp"],  # noqa: S108 # in the container
        "healthcheck": {"test": ["CMD", "python", "-c", alive], "interval": "30s", "timeout": "5s", "retries": 3},
        "mem_limit": "256m",
        **_RESTRICTED,
    }  # fmt: skip


def exporter_image(content: Content) -> str:
    return f"registry.stella-ops.org/stellaops/slo-exporter:{content.version}"


def _environment(content: Content) -> str:
    images = IMAGES | ({"EXPORTER_IMAGE": exporter_image(content)} if content.exporters else {})
    lines = "".join(
        f"# {tag.rpartition(':')[2]}\n{name}={tag.rpartition(':')[0]}@sha256:\n"
        for name, tag in images.items()
    )
    own = (
        "\n# Where your configuration of the exporters is; the generated one is an example.\n#EXPORTERS_CONFIG=./my-exporters\n"
        if content.exporters
        else ""
    )
    return (
        f"{HEADER}# Copy this file to .env. Images are pulled by digest only: put after each sha256: what its publisher says, or the\n"
        "# release manifest. A line that is left out falls back to the tag in docker-compose.yml, which can be moved.\n"
        f"{lines}{own}"
    )


def _prometheus(content: Content) -> dict[str, Any]:
    folder = "/etc/prometheus/targets"
    probing = content.probing
    jobs: list[dict[str, Any]] = [
        {"job_name": "prometheus", "static_configs": [{"targets": ["127.0.0.1:9090"]}]},
        {"job_name": "alertmanager", "static_configs": [{"targets": ["alertmanager:9093"]}]},
        # What you run, each with a job label of its own.
        {"job_name": "services", "file_sd_configs": [{"files": [f"{folder}/services*.yml"]}]},
        {
            "job_name": probing.job,
            "metrics_path": "/probe",
            "params": {"module": ["http_2xx"]},
            "file_sd_configs": [{"files": [f"{folder}/blackbox*.yml"]}],
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"target_label": "__address__", "replacement": "blackbox:9115"},
            ],
        },
        # By name service: an exporter that is not started is absent, not down.
        *(
            {"job_name": job, "dns_sd_configs": [{"names": [f"{name}-exporter"], "type": "A", "port": 9464}]}
            for name, job in content.exporters.items()
        ),
    ]
    return {
        "global": {"scrape_interval": content.scrape, "evaluation_interval": content.scrape},
        "rule_files": ["/etc/prometheus-rules/*.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": jobs,
    }


def _targets(content: Content) -> str:
    probing = content.probing
    wanted = "".join(
        f"# - targets: [https://{t}.example.org/healthz]\n#   labels: {{{probing.label}: {t}}}\n"
        for t in probing.targets
    )
    return (
        f"{HEADER}# What the blackbox exporter probes: write blackbox-mine.yml beside this file, which is read too."
        f"{' The rules ask for:' if wanted else ''}\n{wanted}[]\n"
    )


_SERVICES = (
    HEADER
    + "# What Prometheus scrapes: write services-mine.yml beside this file, which is read too, such as\n"
    "# - targets: [authority:8080]\n#   labels: {job: authority}\n[]\n"
)
_BLACKBOX: dict[str, Any] = {
    "modules": {
        "http_2xx": {
            "prober": "http",
            "timeout": "5s",
            "http": {"preferred_ip_protocol": "ip4", "follow_redirects": True},
        }
    }
}
_DATASOURCE: dict[str, Any] = {
    "apiVersion": 1,
    "datasources": [
        {
            "name": "Prometheus",
            "uid": "prometheus",
            "type": "prometheus",
            "access": "proxy",
            "url": "http://prometheus:9090",
            "isDefault": True,
        }
    ],
}


def _provider(content: Content) -> dict[str, Any]:
    folder = content.boards[0].folder if content.boards else content.stack
    provider = {
        "name": content.name,
        "folder": folder,
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": "/var/lib/grafana/dashboards/slo"},
    }
    return {"apiVersion": 1, "providers": [provider]}


_TRUST = """# Trust

Put the Sigstore trusted root here, as `trusted_root.json`: the exporters read it as
`/etc/slo-exporter/trust/trusted_root.json`, again whenever it changes.
"""
