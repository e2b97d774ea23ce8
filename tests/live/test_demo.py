"""`make demo` as a person would run it: it starts, is quiet on a normal day, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from slo import catalog
from tools.demo.servers import DemoError, find
from tools.demo.world import World

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.live, pytest.mark.slow]
SERVERS = (
    8  # that name the demo's folder: registry, files, three exporters, blackbox, Alertmanager, Prometheus
)
STARTS_WITHIN = 90.0
ENDS_WITHIN = 40.0


@pytest.fixture(params=["good"])
def demo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo whose state is in the test's folder, and whose release is good unless the test wants another."""
    try:
        for tool in ("prometheus", "alertmanager", "blackbox_exporter", "docker-registry"):
            find(tool)
    except DemoError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    command = [sys.executable, "-m", "tools.demo", "--state", str(tmp_path / "state"), "--for", "240",
               "--release", request.param]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _ports(state: Path) -> dict[str, int]:
    """Where the demo listens, once Prometheus is ready."""
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end:
        try:
            ports: dict[str, int] = json.loads((state / "demo.json").read_text(encoding="utf-8"))["ports"]
            if (
                httpx.get(
                    f"http://127.0.0.1:{ports['prometheus']}/-/ready", timeout=2, trust_env=False
                ).status_code
                == 200
            ):
                return ports
        except (OSError, ValueError, KeyError, httpx.HTTPError):
            pass
        time.sleep(0.3)
    pytest.fail(f"the demo was not ready within {STARTS_WITHIN:.0f}s", pytrace=False)


def _children(state: Path) -> list[str]:
    """Processes whose command line names this demo's folder or its simulator's port."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(state) in line:
                found.append(line)
    return found


def test_the_demo_switches_while_it_runs_and_ends_cleanly(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    """It answers `mode`, has nothing firing on a normal day, and SIGTERM ends it and all it started."""
    state = tmp_path / "state"
    ports = _ports(state)
    time.sleep(60)  # every group has been evaluated several times
    assert len(_children(state)) >= SERVERS
    alerts = httpx.get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/alerts", timeout=10, trust_env=False)
    assert alerts.json()["data"]["alerts"] == [], "something fires or is pending on a normal day"
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--state", str(state), "mode", "outage", "--service", "signer"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "The platform: outage of signer.\n"), done.stderr
    demo.send_signal(signal.SIGTERM)
    said, _ = demo.communicate(timeout=ENDS_WITHIN)
    assert demo.returncode == 0, said
    assert "All ended." in said
    assert re.search(r"^signer-availability +99\.9% ", said, re.MULTILINE), said
    assert _children(state) == []


def _printed_gate(demo: subprocess.Popen[str]) -> list[str]:
    """The command that the demo prints once all is ready."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("Promote? "):
            return shlex.split(line.partition(") ")[2])
    pytest.fail("the demo printed no gate command", pytrace=False)


def _judged(command: list[str], wanted: set[str]) -> tuple[int, dict[str, str]]:
    """Exit code and outcomes of the checks that do not pass; asked again until they are the wanted ones, or in vain."""
    end = time.monotonic() + STARTS_WITHIN
    while True:
        done = subprocess.run(
            [*command, "--output", "json"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1, 3), done.stderr
        results = {
            r["check"]: r["outcome"] for r in json.loads(done.stdout)["results"] if r["outcome"] != "passed"
        }
        if set(results) == wanted or time.monotonic() > end:
            return done.returncode, results
        time.sleep(3)


@pytest.mark.parametrize("demo", ["bad"], indirect=True)
def test_the_bad_image_pages_and_the_printed_gate_blocks_it(demo: subprocess.Popen[str]) -> None:
    """As the demo says: by the image's check and its alert, and by nothing else."""
    page = "page/StellaImageVerificationFailed/cosign"
    code, results = _judged(_printed_gate(demo), {"images-verified", page, "soak-quiet"})
    assert (code, results) == (1, {"images-verified": "failed", page: "failed", "soak-quiet": "waived"})


def test_the_printed_gate_promotes_a_good_release(demo: subprocess.Popen[str]) -> None:
    """With the one waiver that a demo of minutes needs."""
    assert _judged(_printed_gate(demo), {"soak-quiet"}) == (0, {"soak-quiet": "waived"})


def test_killing_the_demo_leaves_no_orphan(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    """Even SIGKILL of the demo ends what it started, once all of it runs."""
    state = tmp_path / "state"
    _printed_gate(demo)
    assert len(_children(state)) >= SERVERS
    demo.kill()
    end = time.monotonic() + ENDS_WITHIN
    while _children(state) and time.monotonic() < end:
        time.sleep(0.3)
    assert _children(state) == []


def test_counters_only_grow_and_histograms_are_complete() -> None:
    """Through every mode no counter falls, and each histogram's buckets are cumulative up to its count."""
    now = [1_795_000_000.0]
    world = World(catalog.stack(), clock=lambda: now[0])
    assert world.unsolved == []
    before: dict[str, float] = {}
    for mode in ("normal", "outage", "slow-burn", "quiet", "tampered", "normal"):
        world.switch(mode)
        now[0] += 300
        samples = {k: float(v) for k, v in (line.rsplit(" ", 1) for line in world.text().splitlines())}
        for name, value in samples.items():
            if re.search(r"_(total|count|sum|bucket)(\{|$)", name):
                assert value >= before.get(name, 0.0), name
        _complete(samples)
        before = samples


def _complete(samples: dict[str, float]) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    for name, value in samples.items():
        le = re.search(r',?le="([^"]+)"', name)
        if "_bucket{" in name and le is not None:
            rest = name.replace(le[0], "").replace("_bucket", "_count").removesuffix("{}")
            found.setdefault(rest, []).append((float(le[1]), value))
    assert len(found) > 5
    for count, buckets in found.items():
        values = [value for _, value in sorted(buckets)]
        assert values == sorted(values), count
        assert values[-1] == samples[count], count
