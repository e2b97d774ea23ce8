"""What a profile changes in the metric map: the defaults are the blueprint's, `otel` is what the platform documents."""

from __future__ import annotations

from typing import Any

_ROUTE = {"reading": "http", "metric": ""}

PROFILES: dict[str, dict[str, Any]] = {
    "blueprint": {},
    # One collector is scraped for all services, names follow the OpenTelemetry translation, and histograms have
    # OpenTelemetry's or ASP.NET's bounds: 0.25 s but no 0.3 s for HTTP, milliseconds for the worker.
    "otel": {
        "scrape_interval": "60s",
        "http": {
            "service_label": "service_name",
            "services": {
                "authority": "stellaops-authority",
                "signer": "stellaops-signer",
                "attestor": "stellaops-attestor",
                "scanner": "stellaops-scanner-web",
                "policy": "stellaops-policy",
                "concelier": "stellaops-concelier",
                "excititor": "stellaops-excititor",
                "web_ui": "stellaops-web-ui",
                "zastava": "stellaops-zastava-webhook",
            },
        },
        "authority": {"tokens_issued": ""},
        # The platform documents no metric of the Signer: a deployment provides this one, or renames it.
        "signer": {"success": "", "denied": "", "revoked": "stella_signer_revoked_requests_total"},
        "attestor": {"submit": {**_ROUTE, "below": "250ms"}},
        "scanner": {
            "scan": {
                "metric": "scanner_worker_job_duration_ms_milliseconds",
                "reading": "buckets",
                "unit": "milliseconds",
            },
            "small": "5s",
            "medium": "7500ms",
            "large": "10s",
            "compose": {
                "metric": 'scanner_worker_stage_duration_ms_milliseconds{stage="compose"}',
                "unit": "milliseconds",
            },
            "diff": {
                "metric": 'scanner_worker_stage_duration_ms_milliseconds{stage="diff"}',
                "unit": "milliseconds",
            },
        },
        "concelier": {"export": {"metric": "export_run_duration_seconds"}},
        "excititor": {"conflicts": "vex_consensus_conflicts_total"},
        "web_ui": {"render": {"reading": "quantile"}},
        "zastava": {"decision_label": "result", "latency": {"reading": "quantile"}},
        "storage": {
            "s3": {
                "requests": "minio_s3_requests_total",
                "errors": "minio_s3_requests_errors_total",
                "received": "minio_s3_traffic_received_bytes",
                "sent": "minio_s3_traffic_sent_bytes",
                "waiting": "minio_s3_requests_waiting_total",
            },
        },
    },
}
