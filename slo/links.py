"""Where alerts and dashboards lead: runbook pages and dashboards."""

from __future__ import annotations

from slo import names
from slo.model import Stack


def runbook_url(stack: Stack, alert: str, base: str = "", page: str = "") -> str:
    """`page` may be a full URL; else it is a page under the service's or the stack's base.

    A base may place the page's name itself: "https://docs.example.org/{alert}/".
    """
    if page.startswith(("http://", "https://")):
        return page
    root = base or stack.runbooks or "runbooks"
    name = page or alert
    return root.replace("{alert}", name) if "{alert}" in root else f"{root.rstrip('/')}/{name}.md"


def dashboard_url(stack: Stack, board: str, query: str = "") -> str:
    """A dashboard by its uid, perhaps with choices made: "var-slo=..."."""
    return f"{stack.dashboards.rstrip('/')}/d/{board}{'?' if query else ''}{query}"


def detail_url(stack: Stack) -> str:
    """The details of the SLO that an alert is about; a template over the alert's labels."""
    choices = "&".join(f"var-{name}={{{{ $labels.{name} }}}}" for name in ("stack", "slo"))
    return dashboard_url(stack, names.DETAIL, choices)


def service_url(stack: Stack, service: str) -> str:
    """The golden signals of the service that an alert is about."""
    return dashboard_url(stack, names.golden_board(service))
