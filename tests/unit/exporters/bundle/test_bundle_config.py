"""A configuration is refused in one sentence with the remedy; the one in the documentation is a good one."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exporters import strict_yaml
from exporters.bundle.config import Config
from exporters.config import ConfigError, validate
from tests.release_world import World

PAGE = Path(__file__).parents[4] / "docs" / "exporters.md"


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_configuration_is_accepted() -> None:
    """As it stands on the page."""
    config = validate(
        Config, strict_yaml.parse(block("yaml bundle").encode(), "page"), Path("/etc/bundle.yaml")
    )
    assert [c.name for c in config.channels] == ["edge", "stable", "lts", "airgap"]
    assert config.skew is not None
    assert [s.role for s in config.skew.expected][:4] == ["authority", "signer", "attestor", "scanner"]


def test_the_documented_command_computes_the_checksum(tmp_path: Path) -> None:
    """With the tools of a shell."""
    world = World(tmp_path)
    release = world.release()
    world.publish(release)
    shell = shutil.which("sh")
    assert shell is not None
    said = subprocess.run(
        [shell, "-c", block("sh")], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    digest = said.stdout.split()[0]
    assert f'sha256: "{digest}"'.encode() in release.manifest
    assert digest != hashlib.sha256(release.manifest).hexdigest()


POLICY = {"identity": "x", "issuer": "https://y"}
CHANNEL = {"name": "stable", "manifest": "release.yaml"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, "there is nothing to check: give channels, kits or skew"),
        ({"channels": [CHANNEL], "state": "s"}, "policy is missing: it says who must have signed"),
        ({"channels": [CHANNEL], "policy": POLICY}, "state is missing: the soak on edge must survive a restart; name a file"),
        ({"channels": [CHANNEL, CHANNEL], "policy": POLICY, "state": "s"}, "two channels have the name stable"),
        ({"channels": [{**CHANNEL, "name": "skew"}], "policy": POLICY, "state": "s"}, "a channel cannot be named skew"),
        ({"channels": [{**CHANNEL, "manifest": "ftp://x/y"}], "policy": POLICY, "state": "s"},
         "is of no kind that is read: write oci://, https:// or a path"),
        ({"channels": [{**CHANNEL, "manifest": "https://user:pw@x/y"}], "policy": POLICY, "state": "s"},
         "carries a user in its URL: use one that needs none"),
        ({"channels": [{**CHANNEL, "manifest": "oci://x"}], "policy": POLICY, "state": "s"}, "does not begin with a registry"),
        ({"channels": [{**CHANNEL, "manifests": "x"}], "policy": POLICY, "state": "s"}, "did you mean 'manifest'?"),
        ({"kits": {"paths": ["https://x/kit"]}, "policy": POLICY}, "kits are files: write paths"),
        ({"skew": {"services": [{"name": "a", "url": "http://a"}, {"name": "a", "url": "http://b"}]}}, "two services have the name a"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(content: dict[str, Any], sentence: str) -> None:
    """With the remedy."""
    with pytest.raises(ConfigError) as caught:
        validate(Config, content, Path("/etc/bundle.yaml"))
    assert sentence in str(caught.value)
    assert "pw" not in str(caught.value)
