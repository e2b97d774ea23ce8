"""The metric map: every metric and label name the catalogue reads, with defaults a deployment can replace."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from slo import Duration
from slo.catalog import sections as s
from slo.catalog import verdicts as v
from slo.catalog.fields import field
from slo.catalog.http import FAMILIES, Http
from slo.catalog.profiles import PROFILES
from slo.errors import LoadError
from slo.sli import Model

SIZE_LIMIT = 262_144  # bytes; a full map is about 12 kB


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
    data = _read(path)
    if data is None:
        return Metrics()
    if not isinstance(data, dict):
        raise LoadError(
            f"{path}: a metric map is a YAML mapping, not a {type(data).__name__}: write 'profile: otel'"
        )
    if (odd := _odd_key(data)) is not None:
        raise LoadError(
            f"{path}: key '{odd}' is no text: write it in quotes, or use one of {', '.join(_keys([]))}"
        )
    try:
        return Metrics.model_validate(data)
    except ValidationError as error:
        raise LoadError(f"{path}: {_explain(error.errors()[0])}") from None


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise LoadError(
            f"{path}: cannot be read ({error.strerror}): check the path and its permissions"
        ) from None
    if len(raw) > SIZE_LIMIT:
        raise LoadError(
            f"{path}: is larger than {SIZE_LIMIT} bytes: a metric map holds names only, remove the rest"
        )
    try:
        text = raw.decode("utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise LoadError(f"{path}: uses a YAML alias (*name), which can grow without bound: write it out")
        return yaml.safe_load(text)
    except UnicodeDecodeError:
        raise LoadError(f"{path}: is not UTF-8: save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise LoadError(f"{path}{place}: is not YAML ({reason}): mend the line") from None
    except (RecursionError, ValueError) as error:
        raise LoadError(f"{path}: is not YAML that can be read ({error}): write plain nested keys") from None


def _odd_key(data: Any, place: str = "") -> str | None:
    """The path of the first key that is no text: YAML reads `on:` and `1:` as a truth value and a number."""
    if not isinstance(data, dict):
        return None
    for key, value in data.items():
        if not isinstance(key, str):
            return f"{place}{key}"
        if (odd := _odd_key(value, f"{place}{key}.")) is not None:
            return odd
    return None


def _explain(error: ErrorDetails) -> str:
    """One problem as: key path, reason, remedy."""
    place = [str(part) for part in error["loc"]]
    key = f"key '{'.'.join(place)}'"
    if error["type"] == "extra_forbidden":
        known = _keys(place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1)
        return f"{key} is unknown: " + (
            f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
        )
    if error["type"] == "literal_error":
        return f"{key} is {error['input']!r}: use one of {error['ctx']['expected']}"  # type: ignore[index,unused-ignore]
    if error["type"] == "model_type":
        return f"{key} takes keys of its own, not {error['input']!r}: use some of {', '.join(_keys(place))}"
    if error["type"] == "string_type":
        return f"{key} is {error['input']!r}, which is no text: write it in quotes"
    return f"{key}: {error['msg'].removeprefix('Value error, ')}"


def _keys(place: list[str]) -> list[str]:
    """The keys that are known at a place of the map."""
    model: Any = Metrics
    for part in place:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
