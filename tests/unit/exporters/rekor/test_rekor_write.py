"""The write probe writes seldom, only when it is told to, and believes nothing but a proof."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import logkit
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from rekorworld import World

from exporters import metrics as m
from exporters.config import ConfigError


def accept(world: World, log: logkit.Log, late: int = 0, body: bytes | None = None) -> list[dict[str, Any]]:
    """A log that takes entries, and shows each only after it was asked `late` times for its checkpoint."""
    written: list[dict[str, Any]] = []
    waiting = [late]
    before = len(log.entries)

    def answer(request: httpx.Request) -> Any:
        if request.method == "POST":
            proposal = json.loads(request.content)
            written.append(proposal)
            entry = json.dumps(proposal).encode() if body is None else body
            log.entries.append(entry)
            index = len(log.entries) - 1
            content = {logkit.uuid(log, entry): {}} if log.tree is not None else {"logIndex": str(index)}
            return httpx.Response(201, json=content)
        path = request.url.path
        if path in ("/checkpoint", "/api/v1/log") and written:
            waiting[0] -= 1
        size = before if waiting[0] >= 0 and written else len(log.entries)
        if log.tree is None:
            return log.files(size).get(path.lstrip("/"), 404)
        api = logkit.Api(log)
        api.sizes[log.tree] = size
        found = api(path, dict(request.url.params))
        return 404 if found is None else json.dumps(found).encode()

    world.hosts["main.example"] = answer
    return written


LOGS = [
    lambda: logkit.Log().grow(5),
    lambda: logkit.Log("rekor.example", ec.generate_private_key(ec.SECP256R1()), tree=7).grow(5),
]


@pytest.mark.parametrize("make", LOGS, ids=["v2", "v1"])
def test_an_entry_is_written_and_found(tmp_path: Path, make: Callable[[], logkit.Log]) -> None:
    """The time until it is proven to be in the log is observed, waiting included."""
    log = make()
    world = World(tmp_path).log(log, write={"every": "1h"}).exporter()
    accept(world, log, late=3)
    assert world.check()["write"] == "verified"
    assert world.value(m.WRITE_DURATION) == 1
    assert b"rekor_write_duration_seconds_sum" in world.instruments.render(False)
    seconds = world.instruments.render(False).split(b"rekor_write_duration_seconds_sum")[1].split()[1]
    assert float(seconds) >= 3
    assert world.value(m.PROBES, operation="write") == 1
    assert world.failures() == {}


def test_what_is_written_is_signed_by_a_key_of_its_own(tmp_path: Path) -> None:
    """Rekor checks it: a valid signature over the digest, by a key that no other write uses."""
    log = logkit.Log().grow(5)
    world = World(tmp_path).log(log, write={"every": 300}).exporter()
    written = accept(world, log)
    world.check()
    world.ticks += 300
    world.check(after=300)
    keys = set()
    for proposal in written:
        request = proposal["hashedRekordRequestV002"]
        der = base64.b64decode(request["signature"]["verifier"]["publicKey"]["rawBytes"])
        key = serialization.load_der_public_key(der)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        signature = base64.b64decode(request["signature"]["content"])
        key.verify(signature, base64.b64decode(request["digest"]), ec.ECDSA(Prehashed(hashes.SHA256())))
        keys.add(der)
    assert len(keys) == 2


def test_nothing_is_written_unless_configured(tmp_path: Path) -> None:
    """Off by default: not one request but GET, and no series of writes."""
    log = logkit.Log().grow(5)
    world = World(tmp_path).log(log).exporter()
    written = accept(world, log)
    for _ in range(3):
        assert "write" not in world.check(after=86_400)
    assert written == []
    assert {r.method for r in world.asked} == {"GET"}
    assert world.value(m.PROBES, operation="write") is None


def test_writes_are_spaced_over_restarts(tmp_path: Path) -> None:
    """A process that is restarted again and again writes no more often; a write that fails counts as one."""
    log = logkit.Log().grow(5)
    world = World(tmp_path).log(log, write={"every": "5m"}).exporter()
    written = accept(world, log)
    for _ in range(6):
        world.check(after=50)
        world.exporter()
    assert len(written) == 1
    world.check(after=50)
    assert len(written) == 2


def test_a_clock_set_back_does_not_stop_the_writes(tmp_path: Path) -> None:
    """Nor does it hasten them: the time that passed in the process still spaces them."""
    log = logkit.Log().grow(5)
    world = World(tmp_path).log(log, write={"every": "5m"}).exporter()
    written = accept(world, log)
    world.check()
    for _ in range(4):
        world.check(after=-86_400)
    assert len(written) == 1
    world.ticks += 300
    world.check(after=-86_400)
    assert len(written) == 2


@pytest.mark.parametrize("every", [0, 60, "4m59s"])
def test_more_than_one_write_in_five_minutes_is_refused(tmp_path: Path, every: object) -> None:
    """Entries are public and stay for ever."""
    world = World(tmp_path).log(logkit.Log(), write={"every": every})
    with pytest.raises(ConfigError, match="greater than or equal to 300"):
        world.exporter()


def test_a_wait_longer_than_a_check_is_refused(tmp_path: Path) -> None:
    """It would be given up each time."""
    world = World(tmp_path).log(logkit.Log(), write={"within": "2m"})
    with pytest.raises(ConfigError, match=r"lower write\.within or raise check_timeout"):
        world.exporter()


def test_an_entry_that_never_appears_is_a_timeout(tmp_path: Path) -> None:
    """The log took it and does not show it within the time: a failure of the probe, no verdict on the log."""
    log = logkit.Log().grow(5)
    world = World(tmp_path).log(log, write={"within": "10s"}).exporter()
    accept(world, log, late=10_000)
    assert world.check()["write"] == "unknown timeout"
    assert world.failures() == {"write timeout": 1}
    assert world.value(m.WRITE_DURATION) is None
    assert world.value(m.REKOR_UP) == 1


def test_an_entry_of_somebody_else_is_not_the_one_that_was_written(tmp_path: Path) -> None:
    """The log answers with the place of another entry: ours is not in the log."""
    log = logkit.Log().grow(5)
    world = World(tmp_path).log(log, write={"within": "5s"}).exporter()
    accept(world, log, body=b"an entry of somebody else")
    assert world.check()["write"] == "unknown timeout"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(400, json={"code": 3}), "unknown bad_response"),
        (httpx.Response(405), "unknown bad_response"),
        (httpx.Response(403), "unknown unauthorized"),
        (httpx.Response(503), "unknown bad_response"),
        (httpx.Response(429), "unknown rate_limited"),
        (httpx.Response(201, content=b"<html>"), "unknown bad_response"),
        (httpx.Response(201, json={"logIndex": "-1"}), "unknown bad_response"),
        (httpx.Response(201, json={"logIndex": []}), "unknown bad_response"),
        (httpx.Response(201, json={"logIndex": "9" * 5000}), "unknown bad_response"),
        (httpx.ReadTimeout("slow"), "unknown timeout"),
    ],
)
def test_a_refused_write_is_a_failed_probe(
    tmp_path: Path, answer: httpx.Response | Exception, outcome: str
) -> None:
    """It is sent once, and says nothing about the log's honesty."""
    log = logkit.Log().grow(5)
    world = World(tmp_path).log(log, write={}).exporter()
    files, posts = log.files(), []

    def host(request: httpx.Request) -> Any:
        if request.method == "POST":
            posts.append(request)
            return answer
        return files.get(request.url.path.lstrip("/"), 404)

    world.hosts["main.example"] = host
    assert world.check()["write"] == outcome
    assert len(posts) == 1
    assert world.value(m.CHECKPOINT_VALID) == 1
