"""Definitions to Grafana dashboards."""

from dashboards.build import Dashboard, build

__all__ = ["Dashboard", "build"]
