"""The HTTP section of the metric map: six families are documented, and a deployment has one of them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from slo.catalog.fields import Label, Regex, Selector, field, match
from slo.sli import Model

ServiceName: TypeAlias = Literal[
    "authority", "signer", "attestor", "scanner", "policy", "concelier", "excititor", "web_ui", "zastava"
]
Target: TypeAlias = ServiceName | Literal["registry", "token_service", "licensing"]


class ServiceValues(Model):
    """The value of the service label, for each service."""

    authority: str = field("authority", "Authority.")
    signer: str = field("signer", "Signer.")
    attestor: str = field("attestor", "Attestor.")
    scanner: str = field("scanner-webservice", "Scanner WebService.")
    policy: str = field("policy", "The policy engine.")
    concelier: str = field("concelier", "Concelier.")
    excititor: str = field("excititor", "Excititor.")
    web_ui: str = field("web-ui", "The Web UI.")
    zastava: str = field("zastava-webhook", "The admission webhook.")


class ProbeTargets(Model):
    """The value of the probe's target label, for each thing that is probed."""

    authority: str = field("authority", "Authority.")
    signer: str = field("signer", "Signer.")
    attestor: str = field("attestor", "Attestor.")
    scanner: str = field("scanner-webservice", "Scanner WebService.")
    policy: str = field("policy", "The policy engine.")
    concelier: str = field("concelier", "Concelier.")
    excititor: str = field("excititor", "Excititor.")
    web_ui: str = field("web-ui", "The Web UI.")
    zastava: str = field("zastava-webhook", "The admission webhook.")
    registry: str = field("registry", "The primary registry.")
    token_service: str = field("token-service", "The OAuth2 token service of private repositories.")
    licensing: str = field("licensing", "The licensing service's introspection endpoint.")
    mirrors: Regex = field("mirror-.*", "A regular expression for the registry mirrors.")


class Http(Model):
    """How HTTP requests are counted and timed, and how a service is told from another."""

    family: Literal["f1", "f2", "f3", "f4", "f5", "f6"] = field(
        "f1",
        "f1: .NET 8 and OpenTelemetry; f2: as the Authority playbook queries it; f3: the platform SLO guide; "
        "f4: prometheus-net; f5: the propagation contract; f6: the Router. It sets the defaults below.",
    )
    requests: Selector = field("http_server_request_duration_seconds_count", "The counter of requests.")
    duration: Selector = field(
        "http_server_request_duration_seconds", "The histogram of durations, base name, seconds."
    )
    status_label: Label = field("http_response_status_code", "The label with the outcome of a request.")
    server_error: Regex = field(
        "5..", "Outcomes that are the service's fault; 4xx, such as a PoE denial, are not."
    )
    success: Regex = field("2..", "Outcomes that are a success.")
    denied: Regex = field("403", "Outcomes that mean a denial of entitlement.")
    pending: Regex = field("202", "Outcomes that mean accepted but pending.")
    route_label: Label = field("http_route", "The label with the route.")
    service_label: Label = field("job", "The label that tells services apart.")
    services: ServiceValues = field(ServiceValues(), "The service label's values.")
    probe: Selector = field('probe_success{job="blackbox"}', "The 0/1 gauge of the blackbox prober.")
    probe_label: Label = field("target", "The prober's label that names what is probed.")
    probes: ProbeTargets = field(ProbeTargets(), "The probe label's values.")

    def of(self, service: ServiceName, route: str = "", status: str = "") -> str:
        """Requests of one service, perhaps of one route, perhaps with an outcome that matches."""
        labels = {self.service_label: getattr(self.services, service)}
        if route:
            labels[self.route_label] = route
        if status:
            labels[self.status_label] = f"~{status}"
        return match(self.requests, **labels)

    def errors(self, service: ServiceName, route: str = "") -> str:
        return self.of(service, route, self.server_error)

    def timed(self, service: ServiceName, route: str = "") -> str:
        """The histogram of one service, perhaps of one route, by base name."""
        labels = {self.service_label: getattr(self.services, service)}
        if route:
            labels[self.route_label] = route
        return match(self.duration, **labels)

    def up(self, target: Target) -> str:
        return match(self.probe, **{self.probe_label: getattr(self.probes, target)})

    def mirrors_up(self) -> str:
        return match(self.probe, **{self.probe_label: f"~{self.probes.mirrors}"})


FAMILIES: dict[str, dict[str, Any]] = {
    "f1": {},
    "f2": {
        "requests": "http_server_duration_seconds_count",
        "duration": "http_server_duration_seconds",
        "status_label": "http_status_code",
    },
    "f3": {
        "requests": "http_requests_total",
        "duration": "http_request_duration_seconds",
        "status_label": "status",
        "route_label": "route",
        "service_label": "workload",
    },
    "f4": {
        "requests": "http_requests_received_total",
        "duration": "http_request_duration_seconds",
        "status_label": "code",
        "route_label": "endpoint",
    },
    "f5": {
        "requests": "http_server_duration_seconds_count",
        "duration": "http_server_duration_seconds",
        "status_label": "result",
        "server_error": "error",
        "success": "ok",
        "denied": "denied",
        "pending": "pending",
        "route_label": "endpoint",
        "service_label": "service",
    },
    "f6": {
        "requests": "stella_requests_total",
        "duration": "stella_request_duration_seconds",
        "status_label": "status_code",
        "route_label": "path",
        "service_label": "service",
    },
}
