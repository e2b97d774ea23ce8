"""A demonstration with real servers: Prometheus, Alertmanager, blackbox exporter, a simulated platform, a webhook.

`python -m tools.demo` runs it; the modules are a library for tests/live.
"""
