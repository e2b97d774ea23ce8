"""`slo budget`, `slo gate`, `slo report` and `slo policy` as a user types them: usage, refusals, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from commandline import slo

DEAD = "http://127.0.0.1:1"
MANIFEST = f"""release: {{version: "2.4.1", channel: "edge", date: "2026-11-01T12:00:00Z", calendar: "2026.11"}}
components:
  - {{name: signer, image: registry.example.org/signer@sha256:{"ab" * 32}}}
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    file = tmp_path / "release.yaml"
    file.write_text(MANIFEST)
    return file


def test_the_default_policy_is_printed_and_can_be_given_back(tmp_path: Path, release: Path) -> None:
    """Copy, change, use."""
    file = tmp_path / "policy.yaml"
    file.write_text(slo("policy").out)
    done = slo("gate", "--release", str(release), "--from", "edge", "--to", "stable", "--policy", str(file),
               "--prometheus", DEAD)  # fmt: skip
    assert done.code == 3
    assert "policy.yaml@sha256:" in done.out


def test_the_schema_of_a_policy_accepts_the_default_one() -> None:
    """`slo schema policy` is for editors."""
    schema = json.loads(slo("schema", "policy").out)
    jsonschema.validate(yaml.safe_load(slo("policy").out), schema)


def test_a_prometheus_that_does_not_answer_is_unknown_to_the_gate(release: Path) -> None:
    """Exit code 3, with the reason, and never "promote"."""
    done = slo("gate", "--release", str(release), "--from", "edge", "--to", "stable", "--prometheus", DEAD)
    assert done.code == 3
    assert "Cannot tell whether to promote 2.4.1 from edge to stable" in done.out
    assert "Connection refused" in done.out


def test_a_prometheus_that_does_not_answer_is_an_error_of_budget_and_report() -> None:
    """They have nothing to show."""
    for command in (["budget"], ["report", "--month", "2026-10"]):
        done = slo(*command, "--prometheus", DEAD)
        assert done.code == 2
        assert done.err.startswith("slo: cannot ask http://127.0.0.1:1")


USAGE = {
    "gate": "a promotion needs --release, --from and --to",
    "gate --watch 30m --component nobody": "no SLO is of component 'nobody'",
    "gate --watch 30m": "no SLO is of component ''",
    "gate --watch 10s --component signer": "too short to watch",
    "gate --watch 30m --component signer --from edge": "--watch judges a rollout",
    "gate --release nowhere.yaml --from edge --to stable": "cannot be read",
    "gate --release nowhere.yaml --from edge --to lts": "no transition from edge to lts",
    "budget --as-of yesterday": "time 'yesterday' is not understood",
    "budget --watch --as-of 2026-10-01": "--watch looks at the present",
    "budget --http-config nowhere.yaml": "cannot be read",
    "report": "say which period",
    "report --month 2026-13": "such as 2026-10",
    "report --quarter 2026-5": "such as 2026-Q3",
    "report --month 2026-10 --quarter 2026-Q3": "say which period",
    "report --from 2026-10-01": "say which period",
    "report --from 2026-10-02 --to 2026-10-01": "from one hour to one year",
}


@pytest.mark.parametrize("command", USAGE)
def test_wrong_usage_is_one_sentence_and_exit_code_2(command: str) -> None:
    """With the remedy."""
    done = slo(*command.split(), "--prometheus", DEAD)
    assert done.code == 2
    assert USAGE[command] in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "release.yaml"),
        ("components: []", "release.yaml"),
        ("release: [", "release.yaml"),
        ("\x00", "release.yaml"),
    ],
    ids=["empty", "half", "no YAML", "binary"],
)
def test_what_is_no_release_manifest_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    """Before Prometheus is asked."""
    file = tmp_path / "release.yaml"
    file.write_text(text)
    done = slo("gate", "--release", str(file), "--from", "edge", "--to", "stable", "--prometheus", DEAD)
    assert done.code == 2
    assert sentence in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_statement_that_cannot_be_written_is_one_sentence(release: Path, tmp_path: Path) -> None:
    """No half-written file."""
    target = tmp_path / "release.yaml" / "verdict.json"
    done = slo("gate", "--release", str(release), "--from", "edge", "--to", "stable", "--prometheus", DEAD,
               "--statement", str(target))  # fmt: skip
    assert done.code == 2
    assert "cannot write" in done.err


@pytest.mark.parametrize("form", ["json", "markdown", "junit", "sarif", "table"])
def test_every_output_says_that_nothing_is_known(form: str, release: Path) -> None:
    """In its own words."""
    done = slo("gate", "--release", str(release), "--from", "edge", "--to", "stable", "--prometheus", DEAD, "--output", form)  # fmt: skip
    assert done.code == 3
    assert "Prometheus gave no answer" in done.out
