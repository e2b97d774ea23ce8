"""Definitions to Grafana dashboards."""
