"""The examples in docs/examples: what reads them takes them, and every command in them is one that `slo` has."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from slo.catalog.metrics import Metrics
from tests import gatekit
from tools.demo.servers import find

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
KUBERNETES = "1.31"  # the oldest that is still maintained upstream, and one that kubernetes-validate holds
NOBODY = "http://127.0.0.1:9"


def text(name: str) -> str:
    return (EXAMPLES / name).read_text(encoding="utf-8")


def document(name: str) -> Any:
    return yaml.safe_load(text(name))


# ---- what reads them --------------------------------------------------------------------------------------------


def jobs() -> list[dict[str, Any]]:
    """The Kubernetes jobs: the hook's own, and the one that the analysis makes."""
    template = document("argo-rollouts.yaml")
    (metric,) = template["spec"]["metrics"]
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "analysis"}}
    return [document("helm-hook.yaml"), made | {"spec": metric["provider"]["job"]["spec"]}]


@pytest.mark.parametrize("job", jobs(), ids=["helm-hook", "argo-rollouts"])
def test_kubernetes_takes_the_jobs(job: dict[str, Any]) -> None:
    """Unknown fields refused."""
    kubernetes_validate.validate(job, KUBERNETES, strict=True)


@pytest.mark.parametrize("job", jobs(), ids=["helm-hook", "argo-rollouts"])
def test_a_verdict_is_asked_for_once(job: dict[str, Any]) -> None:
    """A job that is tried again until it says yes is no gate."""
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["spec"]["activeDeadlineSeconds"] > 0


def test_the_analysis_gets_its_component() -> None:
    """Every argument in braces is one that the template declares."""
    template = document("argo-rollouts.yaml")
    declared = {a["name"] for a in template["spec"]["args"]}
    used = set(re.findall(r"\{\{args\.([\w-]+)\}\}", text("argo-rollouts.yaml")))
    assert template["kind"] == "AnalysisTemplate"
    assert used == declared == {"component"}


@pytest.mark.parametrize(
    ("name", "schema"), [("github.yaml", "vendor.github-workflows"), ("gitlab.yaml", "vendor.gitlab-ci")]
)
def test_the_pipelines_follow_their_schemas(name: str, schema: str, tmp_path: Path) -> None:
    """As GitHub and GitLab publish them; a key that nobody knows is refused."""
    assert checked(EXAMPLES / name, schema) == 0
    wrong = tmp_path / name
    wrong.write_text(text(name).replace("script:", "scripts:").replace("runs-on:", "runs-at:"))
    assert checked(wrong, schema) == 1


def checked(file: Path, schema: str) -> int:
    tool = Path(sys.executable).parent / "check-jsonschema"
    return subprocess.run(
        [tool, "--builtin-schema", schema, file], capture_output=True, check=False
    ).returncode


# ---- the commands in them ---------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `slo` command of the examples, with the place, as words of a shell."""
    for job, name in zip(jobs(), ("helm-hook.yaml", "argo-rollouts.yaml"), strict=True):
        for container in job["spec"]["template"]["spec"]["containers"]:
            yield name, [a.replace("{{args.component}}", "signer") for a in container["args"]]
    for name in ("github.yaml", "gitlab.yaml"):
        for line in re.findall(r"(?:^|script: |run: ) *slo (.*)$", text(name), re.MULTILINE):
            words = shlex.split(line.replace('"$at"', "1795000000"), comments=True)
            ends = [n for n, word in enumerate(words) if word in (">", ">>", "||", "&&")]
            yield name, words[: min(ends, default=len(words))]


COMMANDS = [pytest.param(words, id=f"{name}-{n}") for n, (name, words) in enumerate(commands())]


def test_every_example_has_a_command() -> None:
    """The test looks for them rightly."""
    assert {name for name, _ in commands()} == {f.name for f in EXAMPLES.glob("*.yaml")}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gatekit.small_release(tmp_path_factory.mktemp("release"))


@pytest.mark.parametrize("words", COMMANDS)
def test_slo_takes_the_command(words: list[str], manifest: Path) -> None:
    """Where nobody answers the verdict is unknown, which is 3; a wrong option would be 2."""
    given = [str(manifest) if w.endswith("release.yaml") else w for w in words]
    quick = ["--every", "5s"] if "--watch" in given else []
    given = ["5m" if w == "30m" else w for w in given]
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE, *given, *quick], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "SLO_PROMETHEUS_URL": NOBODY},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr


# The command, in a process in which waiting takes no time.
AT_ONCE = """
import sys, time
now = time.time()
def sleep(seconds):
    global now
    now += max(seconds, 1)
time.sleep, time.time = sleep, lambda: now
from slo.cli import main
sys.argv[0] = "slo"
main()
"""


def test_gitlab_lets_nothing_through_but_a_preview_s_no() -> None:
    """Exit code 3 is never swallowed, and what promotes allows no failure."""
    pipeline = document("gitlab.yaml")
    allowed = {name: job["allow_failure"] for name, job in pipeline.items() if "allow_failure" in job}
    assert allowed == {"preview": {"exit_codes": [1]}}
    assert pipeline["stages"] == ["judge", "promote", "watch"]


def test_github_s_step_ends_as_the_gate_does(tmp_path: Path) -> None:
    """With the gate's exit code, a summary, and a SARIF file for the upload, whatever it says."""
    steps = document("github.yaml")["jobs"]["promote"]["steps"]
    (step,) = [s["run"] for s in steps if "--output markdown" in s.get("run", "")]
    gatekit.small_release(tmp_path)
    for code in (0, 1, 3):
        fake = tmp_path / "slo"
        fake.write_text(f"#!/bin/sh\necho said\nexit {code}\n")
        fake.chmod(0o755)
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step], cwd=tmp_path, capture_output=True, check=False,
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": str(tmp_path / f"summary{code}")},
        )  # fmt: skip
        assert done.returncode == code
        assert (tmp_path / f"summary{code}").read_text() == (tmp_path / "gate.sarif").read_text() == "said\n"


# ---- the textfile -----------------------------------------------------------------------------------------------


def textfile(folder: Path, *arguments: str) -> str:
    """What the script writes, with a mongosh that says 7.0 of one address and fails at others."""
    shell = folder / "mongosh"
    shell.write_text('#!/bin/sh\n[ "$2" = mongodb://db ] && echo 7.0\n')
    shell.chmod(0o755)
    done = subprocess.run(
        ["sh", EXAMPLES / "textfile.sh", *arguments], capture_output=True, text=True, check=True,
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
    )  # fmt: skip
    return done.stdout


def full(folder: Path) -> str:
    for name, age in (("old.archive.gz", 90000), ("new.archive.gz", 3600), ("other.txt", 0)):
        (folder / name).write_text("")
        moment = int(time.time()) - age
        os.utime(folder / name, (moment, moment))
    (folder / "plan").write_text("short a\nshort b\ncompliance report-7\n")
    return textfile(folder, str(folder), str(folder / "plan"), "mongodb://db")


def test_the_textfile_is_what_prometheus_reads(tmp_path: Path) -> None:
    """Real promtool has nothing to say against it, and the names are those that the gate asks."""
    written = full(tmp_path)
    done = subprocess.run(
        [find("promtool"), "check", "metrics"], input=written, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    metrics = Metrics()
    names = set(re.findall(r"^([a-z_]+)", written, re.MULTILINE))
    assert names == {
        metrics.database.backup,
        metrics.ilm.last_run,
        metrics.ilm.upcoming,
        metrics.database.mongo.fcv,
    }


def test_the_textfile_tells_the_newest_snapshot_and_what_is_due(tmp_path: Path) -> None:
    """Of snapshots only; of each class."""
    values = dict(line.rsplit(" ", 1) for line in full(tmp_path).splitlines() if not line.startswith("#"))
    assert abs(float(values["stella_backup_last_success_timestamp_seconds"]) - (time.time() - 3600)) < 60
    assert values['stella_ilm_upcoming_purges{class="short"}'] == "2"
    assert values['stella_ilm_upcoming_purges{class="default"}'] == "0"
    assert values['stella_ilm_upcoming_purges{class="compliance"}'] == "1"
    assert values["mongodb_fcv_feature_compatibility_version"] == "7.0"


def test_the_textfile_says_nothing_of_what_it_cannot_read(tmp_path: Path) -> None:
    """No snapshot, no plan, a database that does not answer: no sample, and so no check that passes."""
    assert textfile(tmp_path, str(tmp_path), str(tmp_path / "none"), "mongodb://elsewhere") == ""
    assert textfile(tmp_path, str(tmp_path / "none")) == ""
