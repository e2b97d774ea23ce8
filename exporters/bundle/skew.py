"""Version skew (blueprint §1.3): which versions run, as the services themselves say, and which pairs may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any
from urllib.parse import quote

from exporters.bundle.version import Version
from exporters.fetch import Fetcher
from exporters.outcome import CouldNotCheck, Outcome, Verdict

LARGEST = 1 << 20  # bytes of an answer
MOST = 5000  # services and samples of an answer
SAID = 3  # pairs that a sentence lists

TRIANGLE = ("authority", "signer", "attestor")
PEERS = ("policy", "excititor", "concelier")
# A service's role by how its name begins, without "stellaops-"; the longest fits first.
_ROLES = {
    "web-ui": "web_ui", "webui": "web_ui", "ui": "web_ui", "console": "web_ui", "scanner": "scanner",
    **{name: name for name in (*TRIANGLE, *PEERS)},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Running:
    """A version that a service says it runs, and the channel it says it is of."""

    service: str
    role: str
    version: Version
    channel: str = ""

    def __str__(self) -> str:
        return f"{self.service} {self.version}{f' ({self.channel})' if self.channel else ''}"


@dataclass(frozen=True, slots=True)
class Service:
    """One that is expected to run. Without `url` it is looked up in what the inventories say."""

    name: str
    role: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Ruled:
    """The outcome of a rule; `violations` is None when nobody can say."""

    rule: str
    outcome: Outcome
    violations: int | None


Answers = Mapping[str, Sequence[Running] | CouldNotCheck]  # by service


def role_of(name: str) -> str:
    """web_ui, scanner, a corner of the triangle, a peer of the scanner, or "other" (a backend of the Web UI)."""
    bare = name.casefold().replace("_", "-").removeprefix("stellaops-").removeprefix("stella-")
    return next(
        (role for begins, role in _ROLES.items() if bare == begins or bare.startswith(f"{begins}-")), "other"
    )


def _bare(name: str) -> str:
    return name.casefold().replace("_", "-").removeprefix("stellaops-").removeprefix("stella-")


# ---- the rules -----------------------------------------------------------------------------------


def judge(services: Sequence[Service], answers: Answers) -> list[Ruled]:
    """All three rules. A rule with a service that gave no answer is unknown, unless a violation is certain anyway."""
    roles: dict[str, list[Service]] = {}
    for service in services:
        roles.setdefault(service.role, []).append(service)
    backends = [s for s in services if s.role != "web_ui"]
    peers = [s for s in services if s.role in PEERS]
    missing = [role for role in TRIANGLE if role not in roles]
    corners = [roles.get(role, []) for role in TRIANGLE]
    triangle = [pair for one, other in combinations(corners, 2) for pair in product(one, other)]
    # Instances of one corner must agree with each other as well: a signer of two minors is half an upgrade.
    triangle += [(s, s) for corner in corners for s in corner]
    return [
        _rule(
            "web_ui",
            list(product(roles.get("web_ui", []), backends)),
            1,
            answers,
            ["a Web UI and its backend"],
        ),
        _rule(
            "scanner", list(product(roles.get("scanner", []), peers)), 1, answers, ["a Scanner and its peers"]
        ),
        _rule("triangle", [] if len(missing) > 1 else triangle, 0, answers, missing),
    ]


def _rule(
    rule: str, pairs: list[tuple[Service, Service]], allowed: int, answers: Answers, missing: list[str]
) -> Ruled:
    if not pairs:
        detail = f"nothing to compare: add {', '.join(missing)} to skew.services"
        return Ruled(rule, Outcome(Verdict.UNKNOWN, "internal", detail), None)
    concerned = {service.name for pair in pairs for service in pair}
    running = {n: found for n in concerned if not isinstance(found := answers[n], CouldNotCheck)}
    silent = {n: found for n in sorted(concerned) if isinstance(found := answers[n], CouldNotCheck)}
    broken = {
        pair
        for one, other in pairs
        if one.name in running and other.name in running
        for pair in _compared(running[one.name], running[other.name], one is other)
        if not _within(*pair, allowed)
    }
    if broken:
        listed = sorted(f"{one} and {other}" for one, other in broken)
        more = f", and {len(listed) - SAID} more" if len(listed) > SAID else ""
        said = f"{', '.join(listed[:SAID])}{more}: {'the same minor is' if allowed == 0 else 'at most one minor apart is'} allowed"
        return Ruled(rule, Outcome(Verdict.FAILED, "skew", said), len(broken))
    if silent:
        first = next(iter(silent.values()))
        detail = f"{', '.join(silent)} could not be asked: {first.detail}"
        return Ruled(rule, Outcome(Verdict.UNKNOWN, first.reason, detail), None)
    if rule == "triangle" and missing:
        detail = f"{', '.join(missing)} is not among skew.services, and belongs to the triangle"
        return Ruled(rule, Outcome(Verdict.UNKNOWN, "internal", detail), None)
    said = ", ".join(sorted({str(r) for found in running.values() for r in found}))
    return Ruled(rule, Outcome(Verdict.VERIFIED, "", said), 0)


def _compared(
    ours: Sequence[Running], theirs: Sequence[Running], same: bool
) -> Iterable[tuple[Running, Running]]:
    return combinations(ours, 2) if same else product(ours, theirs)


def _within(one: Running, other: Running, allowed: int) -> bool:
    apart = one.version.minors_from(other.version)
    return apart is not None and apart <= allowed


# ---- asking --------------------------------------------------------------------------------------


def ask(
    fetcher: Fetcher,
    services: Sequence[Service],
    *,
    inventory: str = "",
    prometheus: str = "",
    query: str = "",
) -> dict[str, Sequence[Running] | CouldNotCheck]:
    """What each service runs: its own answer, or the inventory's, or Prometheus'. Never raises."""
    listed: dict[str, list[Running | CouldNotCheck]] = {}
    failure = CouldNotCheck("unreachable", "it has no `url`, and no inventory names it")
    for where, read in ((inventory, _inventory), (_query(prometheus, query), _samples)):
        if where:
            try:
                for name, found in read(fetcher, where):
                    listed.setdefault(_bare(name), []).append(found)
            except CouldNotCheck as error:
                failure = error
    return {
        service.name: _own(fetcher, service) if service.url else _listed(service, listed, failure)
        for service in services
    }


def _listed(
    service: Service, listed: Mapping[str, Sequence[Running | CouldNotCheck]], failure: CouldNotCheck
) -> Sequence[Running] | CouldNotCheck:
    """The distinct versions of its instances. One that cannot be read makes the service unknown."""
    found = listed.get(_bare(service.name), [failure])
    for one in found:
        if isinstance(one, CouldNotCheck):
            return one
    known = {r for r in found if isinstance(r, Running)}
    return sorted((Running(service.name, service.role, r.version, r.channel) for r in known), key=str)


def _query(prometheus: str, query: str) -> str:
    return f"{prometheus.rstrip('/')}/api/v1/query?query={quote(query, safe='')}" if prometheus else ""


def _own(fetcher: Fetcher, service: Service) -> Sequence[Running] | CouldNotCheck:
    """A service's own answer, such as the platform's /version: {"service", "version", "source": channel}."""
    try:
        found = _get(fetcher, service.url)
        if not isinstance(found, dict):
            raise CouldNotCheck("bad_response", f"{service.url} answers with no JSON object")
        said = _running(service.name, service.role, found, service.url)
        return said if isinstance(said, CouldNotCheck) else [said]
    except CouldNotCheck as error:
        return error


def _inventory(fetcher: Fetcher, url: str) -> list[tuple[str, Running | CouldNotCheck]]:
    """A list of such objects, or {"services": [...]}; each names its service."""
    found = _get(fetcher, url)
    items = found.get("services") if isinstance(found, dict) else found
    if not isinstance(items, list) or len(items) > MOST:
        raise CouldNotCheck("bad_response", f"{url} answers with no list of services")
    return _each(items, lambda item: item, url)


def _samples(fetcher: Fetcher, url: str) -> list[tuple[str, Running | CouldNotCheck]]:
    """A vector with labels service, version and perhaps channel, such as a build_info."""
    found = _get(fetcher, url)
    bare = url.partition("?")[0]
    data = found.get("data") if isinstance(found, dict) else None
    result = data.get("result") if isinstance(data, dict) and data.get("resultType") == "vector" else None
    if not isinstance(result, list) or len(result) > MOST:
        raise CouldNotCheck("bad_response", f"{bare} answers with no vector")
    return _each(result, lambda item: item.get("metric"), bare)


def _each(
    items: list[Any], labels: Callable[[dict[str, Any]], Any], where: str
) -> list[tuple[str, Running | CouldNotCheck]]:
    found: list[tuple[str, Running | CouldNotCheck]] = []
    for item in items:
        said = labels(item) if isinstance(item, dict) else None
        name = (
            (said.get("service") or said.get("name") or said.get("job")) if isinstance(said, dict) else None
        )
        if not isinstance(said, dict) or not isinstance(name, str):
            raise CouldNotCheck("bad_response", f"{where} lists something without a service's name")
        found.append((name, _running(name, role_of(name), said, where)))
    return found


def _running(name: str, role: str, said: Mapping[str, Any], where: str) -> Running | CouldNotCheck:
    version = said.get("version")
    channel = said.get("channel") or said.get("source") or ""
    try:
        parsed = Version.parse(version if isinstance(version, str) else "")
    except ValueError as error:
        return CouldNotCheck("bad_response", f"{name} says of itself at {where.partition('?')[0]}: {error}")
    return Running(name, role, parsed, channel if isinstance(channel, str) else "")


def _get(fetcher: Fetcher, url: str) -> Any:
    response = fetcher.get(url, max_bytes=LARGEST)
    bare = url.partition("?")[0]
    if response.status != 200:
        reason = "unauthorized" if response.status in (401, 403) else "bad_response"
        raise CouldNotCheck(reason, f"{bare} answered {response.status}")
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        raise CouldNotCheck("bad_response", f"{bare} answers with no JSON") from None
