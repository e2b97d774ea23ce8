"""The metric map: every metric and label name the catalogue reads, with defaults a deployment can replace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, model_validator

from slo import Duration
from slo.catalog import sections as s
from slo.catalog import verdicts as v
from slo.catalog.fields import field
from slo.catalog.http import FAMILIES, Http
from slo.catalog.profiles import PROFILES
from slo.document import load_document
from slo.sli import Model


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings as one; where both have a key, `above` wins, deep down."""
    result = dict(below)
    for key, value in above.items():
        under = result.get(key)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        result[key] = merged(under, value) if both else value  # type: ignore[arg-type] # `both` says so
    return result


class Metrics(Model):
    """The metric map of one deployment.

    `profile` chooses the defaults; every other key replaces one of them. Metrics are PromQL series selectors:
    a name, or a name with matchers.
    """

    model_config = ConfigDict(title="Stella Ops metric map")

    profile: Literal["blueprint", "otel"] = field(
        "blueprint",
        "blueprint: the names of the architecture blueprint, scraped from each service; "
        "otel: the names that the platform documents, through an OpenTelemetry collector.",
    )
    scrape_interval: Duration = field(Duration.parse("30s"), "How often Prometheus scrapes.")
    http: Http = field(Http(), "HTTP requests and probes.")
    authority: s.Authority = field(s.Authority(), "Authority.")
    signer: s.Signer = field(s.Signer(), "Signer.")
    attestor: s.Attestor = field(s.Attestor(), "Attestor.")
    scanner: s.Scanner = field(s.Scanner(), "Scanner WebService and workers.")
    concelier: s.Concelier = field(s.Concelier(), "Concelier.")
    excititor: s.Excititor = field(s.Excititor(), "Excititor.")
    web_ui: s.WebUi = field(s.WebUi(), "The Web UI.")
    zastava: s.Zastava = field(s.Zastava(), "The admission webhook.")
    storage: s.Storage = field(s.Storage(), "The object store.")
    database: s.Database = field(s.Database(), "The database, its backups and retention.")
    registry: s.Registry = field(s.Registry(), "Registry tokens.")
    licensing: s.Licensing = field(s.Licensing(), "Entitlement.")
    cosign: v.Cosign = field(v.Cosign(), "The cosign exporter.")
    rekor: v.Rekor = field(v.Rekor(), "The Rekor exporter.")
    releases: v.Releases = field(v.Releases(), "The release bundle exporter.")
    ilm: s.Ilm = field(s.Ilm(), "The artefact lifecycle.")
    links: s.Links = field(s.Links(), "Where alerts link to.")
    platform: s.Platform = field(s.Platform(), "FIPS mode and exporters.")

    @model_validator(mode="before")
    @classmethod
    def _layers(cls, data: Any) -> Any:
        """The defaults, then the profile's, then the HTTP family's, then what is written."""
        if not isinstance(data, Mapping):
            return data
        defaults = {
            name: f.default.model_dump(mode="json")
            for name, f in cls.model_fields.items()
            if isinstance(f.default, Model)
        }
        http = data.get("http")
        family = http.get("family", "f1") if isinstance(http, Mapping) else "f1"
        below = PROFILES.get(str(data.get("profile", "blueprint")), {})
        for layer in (below, {"http": FAMILIES.get(str(family), {})}, data):
            defaults = merged(defaults, layer)
        return defaults

    def requests(
        self, selector: str, service: Literal["authority", "signer"], route: str, status: str
    ) -> str:
        """The selector, or where it is empty the HTTP requests of the route with the status."""
        return selector or self.http.of(service, route, status)


def load_metrics(path: Path | None) -> Metrics:
    """Read a metric map; no path means the blueprint's defaults. Raises LoadError with one sentence."""
    if path is None:
        return Metrics()
    return load_document(path, Metrics, "a metric map")
