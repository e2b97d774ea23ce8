"""May this release be promoted? The whole way: signed images in a registry, exporters, Prometheus, rules, the gate.

The tests are the acts of one story over one running demo, in order; each spoils one thing, looks at what the gate
says, and mends it. The week on edge is the manifest's own date, from which the bundle exporter counts the first
version that it sees on a channel; that nothing paged in that week is waived, for Prometheus has run for minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from slo.gate.policy import default_text
from tools.demo import servers
from tools.demo.release import ALERT, Offered, gate_policy
from tools.demo.run import Demo, Ports, prepare
from tools.demo.simulator import switch
from tools.demo.webhook import Webhook

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.xdist_group("promotion")]

ROOT = Path(__file__).resolve().parents[2]
SLO = Path(sys.executable).with_name("slo")
TEXTFILE = ROOT / "docs" / "examples" / "textfile.sh"
SCRAPE, COMPRESS, CYCLE = "2s", 10, "3s"
KEEP_FIRING = "30s"  # instead of 10m
WITHIN = 90.0  # seconds until the gate must have noticed
RATE = 10.0
HOUR = 3600
PAGE = f"page/{ALERT}/cosign"
MISMATCH = "page/StellaReleaseDigestMismatch/releases"
SIGNER = "signer"
METRICS = {"database": {"backup": 'stella_backup_last_success_timestamp_seconds{job="textfile"}'}}
BURNED = {
    "budget/policy-availability",
    "budget/platform-journey",
}  # the journey leads through the policy engine


@dataclass(frozen=True)
class Judged:
    """What the gate said: its exit code, and its results by check."""

    code: int
    results: dict[str, dict[str, Any]]

    @property
    def bad(self) -> set[str]:
        return {check for check, r in self.results.items() if r["outcome"] in ("failed", "unknown")}

    def __str__(self) -> str:
        return "\n".join(
            [f"exit {self.code}", *(f"{c}: {self.results[c]['sentence']}" for c in sorted(self.bad))]
        )


@dataclass
class Story:
    """The running demo, and the questions to the gate."""

    folder: Path
    demo: Demo
    offered: Offered

    def gate(self, *overridden: str, prometheus: str = "") -> Judged:
        """A fresh judgement, under the default policy with these checks overridden."""
        policy = gate_policy() | {"overrides": [_override(check) for check in overridden]}
        servers.write_yaml(self.folder / "policy.yaml", policy)
        servers.write_yaml(self.folder / "metrics.yaml", METRICS)
        command = [SLO, "gate", "--release", self.offered.manifest, "--from", "edge", "--to", "stable",
                   "--policy", self.folder / "policy.yaml", "--metrics", self.folder / "metrics.yaml",
                   "--prometheus", prometheus or self.demo.prometheus.url, "--output", "json"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode in (0, 1, 3), done.stderr
        return Judged(done.returncode, {r["check"]: r for r in json.loads(done.stdout)["results"]})

    def until(self, *bad: str) -> Judged:
        """The first judgement in which exactly these checks do not pass."""
        __tracebackhide__ = True
        end = time.monotonic() + WITHIN
        while (judged := self.gate()).bad != set(bad):
            if time.monotonic() > end:
                pytest.fail(
                    f"expected {set(bad) or 'nothing'} to block; the gate says {judged}", pytrace=False
                )
            time.sleep(1)
        return judged

    def back_up(self, age: int) -> None:
        """A snapshot so many seconds old, and what the documented script says of it."""
        snapshots = self.folder / "snapshots"
        snapshots.mkdir(exist_ok=True)
        file = snapshots / "stella.archive.gz"
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
        said = subprocess.run(["sh", TEXTFILE, snapshots], capture_output=True, text=True, check=True).stdout
        (self.offered.site / "stella.prom").write_text(said)

    def scrape_textfile(self) -> None:
        """One more job for Prometheus: the file beside the release's."""
        file = self.folder / "state" / "prometheus.yaml"
        config = yaml.safe_load(file.read_text())
        target = f"127.0.0.1:{self.offered.files.port}"
        config["scrape_configs"].append(
            {
                "job_name": "textfile",
                "metrics_path": "/stella.prom",
                "static_configs": [{"targets": [target]}],
            }
        )
        servers.write_yaml(file, config)
        httpx.post(f"{self.demo.prometheus.url}/-/reload", timeout=10, trust_env=False).raise_for_status()


def _override(check: str) -> dict[str, str]:
    expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return {"check": check, "reason": "The test answers for it.", "who": "me@example.org", "expires": expires}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The demo with a good release, just started."""
    folder = tmp_path_factory.mktemp("promotion")
    state = folder / "state"
    prepare(state)
    ports = Ports.choose(None)
    offered = Offered(state, ports, "good", CYCLE)
    demo = Demo(state, ports, SCRAPE, COMPRESS, None, RATE, offered, KEEP_FIRING)
    story = Story(folder, demo, offered)
    try:
        demo.start(Webhook(ports.webhook, state / "webhook.jsonl"))
        story.back_up(HOUR)
        story.scrape_textfile()
        yield story
    finally:
        demo.stop()


def test_a_release_in_order_is_promoted(story: Story) -> None:
    """Every check of the default policy for edge to stable passes; only the quiet week is waived."""
    judged = story.until()
    assert judged.code == 0
    assert {c: r["outcome"] for c, r in judged.results.items() if r["outcome"] != "passed"} == {
        "soak-quiet": "waived"
    }
    assert judged.results["edge-soak"]["sentence"].startswith("2.5.0 has been on edge for 7d: yes")
    assert {"mongo-fcv", "compliance-kept", "kit-valid", "log-consistent"} <= judged.results.keys()
    assert (
        yaml.safe_load(default_text())["transitions"][0].keys() | {"waive"}
        == gate_policy()["transitions"][0].keys()
    )


def test_a_tampered_image_blocks(story: Story) -> None:
    """A stranger's signature takes the genuine one's place: the image fails, the release's log entry is nobody's
    any more, and both page."""
    genuine = story.offered.tamper(SIGNER)
    try:
        judged = story.until("images-verified", "references-match", PAGE, MISMATCH)
        overridden = story.gate("images-verified")
    finally:
        story.offered.sign(story.offered.release.image(SIGNER), genuine)
    assert judged.code == 1
    assert judged.results["images-verified"]["outcome"] == "failed"
    assert judged.results["images-verified"]["sentence"] == (
        "All 5 images of the release are verified by digest: no (good and fresh verdicts: 93.333%)."
    )
    assert (overridden.code, overridden.bad) == (1, {"references-match", PAGE, MISMATCH})
    assert overridden.results["images-verified"]["outcome"] == "overridden"


def test_a_page_blocks_until_it_is_over(story: Story) -> None:
    """The image is right again; the alerts still fire, as long as their rules keep them."""
    judged = story.until(PAGE, MISMATCH)
    overridden = story.gate(PAGE, MISMATCH)
    assert judged.code == 1
    assert judged.results[PAGE]["sentence"] == f"{ALERT} of cosign pages now."
    assert (overridden.code, overridden.bad) == (0, set())
    assert story.until().code == 0


def test_a_skewed_version_blocks(story: Story) -> None:
    """The Signer was upgraded without the Authority and the Attestor; a minor apart is well for the others."""
    story.offered.runs({SIGNER: "2.5.0"})
    try:
        judged = story.until("skew-triangle")
        overridden = story.gate("skew-triangle")
    finally:
        story.offered.runs({})
    assert judged.code == 1
    assert judged.results["skew-triangle"]["sentence"] == (
        "Authority, Signer, Attestor run one minor: no (pairs out of skew in the triangle: 2)."
    )
    assert (overridden.code, overridden.bad) == (0, set())
    assert story.until().code == 0


def test_an_old_backup_blocks(story: Story) -> None:
    """The last snapshot is of the day before yesterday, says the script that the docs give."""
    story.back_up(49 * HOUR)
    try:
        judged = story.until("backup-fresh")
        overridden = story.gate("backup-fresh")
    finally:
        story.back_up(HOUR)
    assert judged.code == 1
    assert judged.results["backup-fresh"]["sentence"].startswith(
        "The database is backed up: no (age of the last snapshot: 2d 1h"
    )
    assert (overridden.code, overridden.bad) == (0, set())
    assert story.until().code == 0


def test_a_dead_exporter_leaves_its_checks_unknown(story: Story) -> None:
    """Killed: what it had verified is no word on now. Neither good nor bad; the others' checks stand."""
    story.offered.cosign.kill()
    try:
        judged = story.until("images-verified", "roots-unchanged")
        overridden = story.gate("images-verified")
    finally:
        story.offered.cosign.start()
        story.offered.cosign.wait_ready()
    assert judged.code == 3
    assert judged.results["images-verified"]["outcome"] == "unknown"
    assert judged.results["images-verified"]["sentence"] == (
        "All 5 images of the release are verified by digest: cannot tell (good and fresh verdicts: unknown)."
    )
    assert (overridden.code, overridden.bad) == (3, {"roots-unchanged"})
    assert story.until().code == 0


def test_a_burned_budget_blocks(story: Story) -> None:
    """An outage of the policy engine, over already, burned too much in too short a time."""
    switch(story.demo.simulator.url, "outage", "policy")
    try:
        judged = story.until(*BURNED)
    finally:
        switch(story.demo.simulator.url, "normal", "")
    sentence = judged.results["budget/policy-availability"]["sentence"]
    assert judged.code == 1
    assert sentence.startswith("policy-availability burns ")
    assert "x as fast as it may over 1h (at most 6x)" in sentence
    one, both = story.gate("budget/policy-availability"), story.gate(*BURNED)
    assert (one.code, one.bad) == (1, {"budget/platform-journey"})
    assert (both.code, both.bad) == (0, set())


def test_without_data_nothing_is_good(story: Story) -> None:
    """A Prometheus that scrapes nothing: every check is unknown, none is passed, none is failed."""
    folder = story.folder / "bare"
    servers.write_yaml(folder / "prometheus.yaml", {"global": {"scrape_interval": "15s"}})
    bare = servers.prometheus(folder, servers.free_port())
    bare.start()
    try:
        bare.wait_ready()
        judged = story.gate(prometheus=bare.url)
        overridden = story.gate("edge-soak", prometheus=bare.url)
    finally:
        bare.stop()
    assert judged.code == 3
    assert {r["outcome"] for c, r in judged.results.items() if c != "soak-quiet"} == {"unknown"}
    assert judged.results["budget/signer-uptime"]["sentence"].startswith("signer-uptime is not measured: ")
    assert judged.results["page"]["sentence"] == "No alert pages, but no rule was evaluated lately either."
    assert (overridden.code, judged.bad - overridden.bad) == (3, {"edge-soak"})
