"""Pictures of the generated dashboards: Grafana's own components, headless Chromium, a real Prometheus."""
