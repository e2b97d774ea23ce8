"""The skew rules of blueprint §1.3, over what services say of themselves; who cannot be asked is unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporters import metrics as m
from exporters.bundle.skew import role_of
from exporters.config import ConfigError
from tests.release_world import NOW, World, said

GOOD = {
    "authority": "2.4.1",
    "signer": "2.4.0",
    "attestor": "2.4.3 (2027.06)",
    "scanner-web": "2.5.0",
    "policy": "2.4.0",
    "excititor": "2.6.1",
    "concelier": "2.5.0",
    "web-ui": "2.5.0",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def url(name: str) -> str:
    return f"https://{name}.example.org/version"


def check(world: World, versions: dict[str, str], **keys: Any) -> dict[str, tuple[str, str]]:
    """Each service answers at its own address, as the platform's /version does."""
    world.files = {
        url(name): json.dumps({"service": name, "version": v, "source": "stable"}).encode()
        for name, v in versions.items()
    }
    services = [{"name": name, "url": url(name)} for name in versions]
    return said(world.subject(channels=[], skew={"services": services, **keys}).check("skew"))


def violations(world: World) -> list[float | None]:
    return [world.value(m.SKEW_VIOLATIONS, rule=rule) for rule in m.SKEW_RULES]


def test_one_minor_apart_is_allowed_but_in_the_triangle(world: World) -> None:
    """Patch versions and calendar tags do not count."""
    findings = check(world, GOOD)
    assert findings == dict.fromkeys(m.SKEW_RULES, ("verified", ""))
    assert violations(world) == [0, 0, 0]
    assert world.value(m.SKEW_LAST_CHECK, rule="triangle") == NOW


@pytest.mark.parametrize(
    ("service", "version", "counts"),
    [
        ("web-ui", "2.7.0", [6, 0, 0]),  # of seven backends only one is at 2.6
        ("excititor", "2.7.0", [1, 1, 0]),
        ("scanner-web", "2.8.0", [1, 3, 0]),
        ("signer", "2.5.0", [0, 0, 2]),
        ("attestor", "3.4.0", [1, 0, 2]),
    ],
)
def test_pairs_outside_of_the_rules_are_counted(
    world: World, service: str, version: str, counts: list[int]
) -> None:
    """Of the Web UI with each backend, the Scanner with each peer, the triangle with each other."""
    findings = check(world, {**GOOD, service: version})
    assert violations(world) == counts
    for rule, count in zip(m.SKEW_RULES, counts, strict=True):
        assert findings[rule] == (("failed", "skew") if count else ("verified", ""))


def test_the_sentence_names_the_pair_with_versions_and_channels(world: World) -> None:
    """A person reads which two do not fit."""
    check(world, {**GOOD, "scanner-web": "2.4.0", "excititor": "2.6.1"})
    subject = world.subject(
        channels=[], skew={"services": [{"name": n, "url": url(n)} for n in ("scanner-web", "excititor")]}
    )
    detail = next(f.outcome.detail for f in subject.check("skew") if f.check == "scanner")
    assert (
        detail
        == "scanner-web 2.4.0 (stable) and excititor 2.6.1 (stable): at most one minor apart is allowed"
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(503), "bad_response"),
        (httpx.Response(401), "unauthorized"),
        (httpx.Response(404), "bad_response"),
        (httpx.Response(200, text="<html>"), "bad_response"),
        (httpx.Response(200, json={"version": "unknown"}), "bad_response"),
        (httpx.Response(200, json={"version": 2.4}), "bad_response"),
        (httpx.Response(200, text='{"a":' * 100_000), "bad_response"),
        (httpx.Response(200, headers={"Content-Length": str(1 << 30)}, content=iter([b"x"])), "too_large"),
    ],
)
def test_a_service_without_an_answer_leaves_its_rules_unknown(
    world: World, answer: httpx.Response, reason: str
) -> None:
    """Not zero: what was known stays, and its age grows."""
    check(world, GOOD)
    world.now += 60
    world.broken[url("policy")] = lambda: answer
    findings = check(world, GOOD)
    assert findings == {
        "web_ui": ("unknown", reason),
        "scanner": ("unknown", reason),
        "triangle": ("verified", ""),
    }
    assert violations(world) == [0, 0, 0]
    assert world.value(m.SKEW_LAST_CHECK, rule="scanner") == NOW
    assert world.value(m.SKEW_LAST_CHECK, rule="triangle") == NOW + 60
    assert world.value(m.MANIFEST_ERRORS, reason=reason) == 2


def test_a_service_never_heard_of_has_no_series(world: World) -> None:
    """From the start a rule without answer is absent, not 0."""
    world.broken[url("signer")] = lambda: httpx.Response(500)
    check(world, GOOD)
    assert world.value(m.SKEW_VIOLATIONS, rule="triangle") is None


def test_a_certain_violation_counts_while_another_service_is_silent(world: World) -> None:
    """Two corners differ, whatever the third one says."""
    world.broken[url("attestor")] = lambda: httpx.Response(500)
    findings = check(world, {**GOOD, "signer": "2.3.0"})
    assert findings["triangle"] == ("failed", "skew")
    assert world.value(m.SKEW_VIOLATIONS, rule="triangle") == 1


def test_a_rule_with_nothing_to_compare_is_unknown(world: World) -> None:
    """A check that finds nothing to check is not a good one."""
    findings = check(world, {"authority": "2.4.0", "signer": "2.4.0"})
    assert findings == dict.fromkeys(m.SKEW_RULES, ("unknown", "internal"))


PROMETHEUS = "https://prometheus.example.org"


def vector(*samples: dict[str, str]) -> bytes:
    result = [{"metric": sample, "value": [1, "1"]} for sample in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def by_prometheus(world: World, body: bytes) -> dict[str, tuple[str, str]]:
    world.files = {f"{PROMETHEUS}/api/v1/query?query=build_info": body}
    services = [{"name": name} for name in ("authority", "signer", "attestor")]
    skew = {"services": services, "prometheus": PROMETHEUS, "query": "build_info"}
    return said(world.subject(channels=[], skew=skew).check("skew"))


def test_prometheus_knows_every_instance(world: World) -> None:
    """Half an upgraded Signer is a violation with itself and with the others."""
    samples = [{"service": "stellaops-signer", "version": v, "channel": "stable"} for v in ("2.4.0", "2.5.0")]
    samples += [{"job": name, "version": "2.4.0"} for name in ("authority", "attestor")]
    assert by_prometheus(world, vector(*samples))["triangle"] == ("failed", "skew")
    assert world.value(m.SKEW_VIOLATIONS, rule="triangle") == 3


def test_a_service_that_prometheus_does_not_list_is_unknown(world: World) -> None:
    """It is expected to run."""
    samples = [{"service": name, "version": "2.4.0"} for name in ("authority", "attestor")]
    assert by_prometheus(world, vector(*samples))["triangle"] == ("unknown", "unreachable")


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": {"resultType": "matrix", "result": []}}', b"no"])
def test_what_is_no_vector_is_no_answer(world: World, body: bytes) -> None:
    """And no empty one."""
    assert by_prometheus(world, body)["triangle"] == ("unknown", "bad_response")


def test_one_bad_line_of_an_inventory_does_not_hide_the_others(world: World) -> None:
    """Only the service whose version cannot be read is unknown."""
    listed = [{"service": n, "version": v} for n, v in {**GOOD, "policy": "latest"}.items()]
    world.files = {"https://inventory.example.org": json.dumps({"services": listed}).encode()}
    services = [{"name": name} for name in GOOD]
    skew = {"services": services, "inventory": "https://inventory.example.org"}
    findings = said(world.subject(channels=[], skew=skew).check("skew"))
    assert findings["triangle"] == ("verified", "")
    assert findings["scanner"] == ("unknown", "bad_response")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("stellaops-authority", "authority"),
        ("scanner_worker", "scanner"),
        ("scanner-webservice", "scanner"),
        ("Web-UI", "web_ui"),
        ("console", "web_ui"),
        ("policy-engine", "policy"),
        ("signers", "other"),
        ("notify", "other"),
    ],
)
def test_a_service_s_name_says_its_role(name: str, role: str) -> None:
    """With the platform's prefix or without; any other service is a backend of the Web UI."""
    assert role_of(name) == role


def test_without_skew_in_the_configuration_its_series_go(world: World) -> None:
    """After a reload."""
    check(world, GOOD)
    world.subject()
    assert violations(world) == [None, None, None]


def test_a_service_that_nobody_can_be_asked_about_is_refused(world: World) -> None:
    """At the start, with the remedy."""
    with pytest.raises(ConfigError, match="nobody can be asked about signer: give it a url"):
        world.subject(
            channels=[],
            skew={"services": [{"name": "authority", "url": url("authority")}, {"name": "signer"}]},
        )
