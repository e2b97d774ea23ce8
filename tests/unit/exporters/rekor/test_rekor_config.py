"""The configuration names logs, keys and a folder; a mistake gets one sentence."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import logkit
import pytest
import yaml
from rekorworld import World

from exporters import metrics as m
from exporters.config import ConfigError, validate
from exporters.rekor import Config

LOG = logkit.Log().grow(5)


def test_keys_may_be_in_files_that_change(tmp_path: Path) -> None:
    """A key file beside the configuration is read for each check: a rotated key needs no restart."""
    (tmp_path / "log.pem").write_text(logkit.pem(LOG.key))
    world = World(tmp_path).log(LOG, keys=[], key_files=["log.pem"]).exporter()
    assert world.check()["checkpoint"] == "verified"
    (tmp_path / "log.pem").write_text("gone")
    assert world.check() == {"checkpoint": "unknown trusted_root"}
    assert world.failures() == {"checkpoint internal": 1}
    assert world.value(m.REKOR_UP) == 1
    (tmp_path / "log.pem").write_text(logkit.pem(LOG.key))
    assert world.check()["consistency"] == "verified"


def test_keys_may_come_from_a_trusted_root(tmp_path: Path) -> None:
    """By the log's origin."""
    raw = base64.b64encode(logkit.spki(LOG.key)).decode()
    tlogs = [{"baseUrl": f"https://{LOG.origin}", "publicKey": {"rawBytes": raw}}]
    (tmp_path / "root.json").write_text(json.dumps({"tlogs": tlogs}))
    world = World(tmp_path).log(LOG, keys=[], trusted_root="root.json").exporter()
    assert world.check()["checkpoint"] == "verified"


def test_several_keys_may_sign(tmp_path: Path) -> None:
    """The old key and the new one, while a log rotates."""
    other = logkit.pem(logkit.Log().key)
    world = World(tmp_path).log(LOG, keys=[other, logkit.pem(LOG.key)]).exporter()
    assert world.check()["checkpoint"] == "verified"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"keys": []}, "has no key to verify checkpoints with: give keys, key_files or trusted_root"),
        ({"keys": ["ssh-rsa AAAA"]}, "it holds no public key in PEM"),
        ({"kind": "v3"}, "'v1' or 'v2'"),
        ({"name": "Main Log"}, "string should match pattern"),
        ({"name": "../main"}, "string should match pattern"),
        ({"url": "log.example"}, "is no URL"),
        ({"url": "https://user:secret@log.example"}, "carries a user"),
        ({"origin": "two words"}, "string should match pattern"),
        ({"entry": {}}, "takes one of index, uuid and bundle"),
        ({"entry": {"index": 1, "uuid": "a" * 64}}, "takes one of index, uuid and bundle"),
        ({"entry": {"uuid": "a" * 64}}, "a v2 log knows no UUIDs: give the entry's index"),
        ({"entry": {"index": -1}}, "greater than or equal to 0"),
        ({"entry": {"index": 1, "shard": "elsewhere"}}, "no shard has the entry's origin elsewhere"),
        ({"mirrors": [{"name": "main", "url": "https://x.example"}]}, "two logs or mirrors have the name main"),
        ({"shards": [{"origin": LOG.origin, "url": "https://x.example", "keys": [logkit.pem(LOG.key)]}]},
         "two shards have one origin"),
        ({"kind": "v1", "shards": [{"origin": "x", "url": "https://x.example", "keys": [logkit.pem(LOG.key)]}]},
         "a v1 log lists its own shards: remove shards"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """With the file and the key, and without what was written there."""
    world = World(tmp_path).log(LOG, **change)
    with pytest.raises(ConfigError) as caught:
        world.exporter()
    said = str(caught.value)
    assert sentence in said
    assert said.startswith(f"{tmp_path}/config.yaml: key '")
    assert "\n" not in said
    assert "secret" not in said


def test_several_logs_are_several_targets(tmp_path: Path) -> None:
    """Mirrors are targets too; one log's failure is not another's."""
    other = logkit.Log("other.example").grow(3)
    world = World(tmp_path).log(LOG, mirrors=[{"name": "copy", "url": "https://copy.example"}])
    world.log(other, name="other").exporter()
    world.hosts["main.example"] = {}
    assert world.subject.targets() == ("main", "copy", "other")
    assert world.check("main")["checkpoint"] == "unknown bad_response"
    assert world.check("other")["checkpoint"] == "verified"
    assert (world.value(m.REKOR_UP, "main"), world.value(m.REKOR_UP, "other")) == (0, 1)


def test_counters_start_at_zero(tmp_path: Path) -> None:
    """Every operation and reason of every log and mirror exists before the first event."""
    world = World(tmp_path).log(LOG, mirrors=[{"name": "copy", "url": "https://copy.example"}]).exporter()
    assert world.value(m.ROLLBACKS) == world.value(m.SPLIT_VIEWS) == 0
    for reason in m.PROBE_FAILURE_REASONS:
        assert world.value(m.PROBE_FAILURES, operation="inclusion", reason=reason) == 0
        assert world.value(m.PROBE_FAILURES, "copy", operation="checkpoint", reason=reason) == 0
    assert world.value(m.REKOR_UP) is None


def test_the_documented_configuration_can_be_used() -> None:
    """The example on the exporters' page."""
    page = (Path(__file__).parents[4] / "docs" / "exporters.md").read_text()
    example = page.split("```yaml rekor\n")[1].split("```")[0]
    config = validate(Config, yaml.safe_load(example), Path("/etc/slo-exporter/rekor.yaml"))
    assert [log.kind for log in config.logs] == ["v2", "v1"]
    assert all(log.write is None for log in config.logs)
