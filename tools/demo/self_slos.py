"""SLOs of the monitoring itself: real requests of the Prometheus and the Alertmanager that run the demo.

Nothing here is simulated. The jobs are those of `servers.scrape_jobs`.
"""

from slo import SLO, GoldenSignals, Latency, Monitor, NotMeasured, Ratio, Service, Signal, Stack, Uptime

prometheus = Service(
    name="prometheus",
    owner="monitoring",
    tier=1,
    signals=GoldenSignals(
        latency='prometheus_http_request_duration_seconds_bucket{job="prometheus"}',
        traffic='prometheus_http_requests_total{job="prometheus"}',
        errors='prometheus_http_requests_total{job="prometheus",code=~"5.."}',
        saturation=Signal(query='prometheus_tsdb_head_series{job="prometheus"}', title="Series in memory"),
    ),
)
alertmanager = Service(
    name="alertmanager",
    owner="monitoring",
    tier=1,
    signals=GoldenSignals(
        latency='alertmanager_http_request_duration_seconds_bucket{job="alertmanager"}',
        traffic='alertmanager_notifications_total{job="alertmanager"}',
        errors='alertmanager_notifications_failed_total{job="alertmanager"}',
        saturation=NotMeasured("Alertmanager publishes no queue of notifications that wait."),
    ),
)

stack = Stack(
    name="monitoring",
    slos=[
        SLO(
            service=prometheus, name="availability", objective="99.9%",
            sli=Ratio(
                bad='prometheus_http_requests_total{job="prometheus",code=~"5.."}',
                total='prometheus_http_requests_total{job="prometheus"}',
            ),
            description="Prometheus answers its HTTP requests without a server error.",
        ),
        SLO(
            service=prometheus, name="query-latency", objective="99%", window="7d",
            sli=Latency(
                histogram='prometheus_http_request_duration_seconds{job="prometheus",handler="/api/v1/query"}',
                below="400ms",
            ),
            description="Instant queries are answered within 400 ms.",
        ),
        SLO(
            service=prometheus, name="uptime", objective="99.9%",
            sli=Uptime(gauge='probe_success{job="self-probe",target="prometheus"}'),
            description="The blackbox exporter finds Prometheus ready.",
        ),
        SLO(
            service=alertmanager, name="availability", objective="99.9%",
            sli=Ratio(
                bad='promhttp_metric_handler_requests_total{job="alertmanager",code=~"5.."}',
                total='promhttp_metric_handler_requests_total{job="alertmanager"}',
            ),
            description="Alertmanager answers its scrapes without a server error.",
        ),
        SLO(
            service=alertmanager, name="latency", objective="99%", window="7d",
            sli=Latency(
                histogram='alertmanager_http_request_duration_seconds{job="alertmanager"}', below="250ms"
            ),
            description="Alertmanager answers its HTTP requests within 250 ms.",
        ),
        SLO(
            service=alertmanager, name="delivery", objective="99%", window="30d",
            sli=Ratio(
                bad='alertmanager_notifications_failed_total{job="alertmanager",integration="webhook"}',
                total='alertmanager_notifications_total{job="alertmanager",integration="webhook"}',
            ),
            description="Notifications reach their webhook.",
        ),
        SLO(
            service=alertmanager, name="uptime", objective="99.9%",
            sli=Uptime(gauge='probe_success{job="self-probe",target="alertmanager"}'),
            description="The blackbox exporter finds Alertmanager ready.",
        ),
        SLO(
            service=prometheus, name="targets-up", objective="99.5%", window="7d",
            sli=Uptime(gauge='up{job=~"prometheus|alertmanager|blackbox"}', quorum="100%"),
            description="Every server of the monitoring can be scraped.",
        ),
    ],
    monitors=[
        Monitor(
            name="MonitoringConfigRejected", service=prometheus,
            condition='prometheus_config_last_reload_successful{job="prometheus"} < 1',
            summary="Prometheus runs with an old configuration: it refused the newest one.",
        ),
    ],
    description="What the demo measures of the servers it runs on.",
)  # fmt: skip
