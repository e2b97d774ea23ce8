"""Definitions to Prometheus rules, Alertmanager routes, promtool tests and runbooks."""
