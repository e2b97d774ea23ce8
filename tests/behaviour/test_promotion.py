"""The gate, the budgets and the report over a real Prometheus that holds a simulated Stella Ops of five weeks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporters.bundle import document
from tests.prom_world import EARLY, HEALTHY, OUTAGE, TAMPERED, Asked

SLO = Path(sys.executable).parent / "slo"
SOAKED = "2.4.1"  # on edge for twenty days, and the newest there no more


def slo(asked: Asked, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SLO, *arguments, "--prometheus", asked.server.url], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "NO_COLOR": "1", "COLUMNS": "80"},
    )  # fmt: skip


def release(asked: Asked, folder: Path, version: str = "2.5.0", swap: str = "") -> Path:
    """The manifest of a version that holds the images the world runs; `swap` gives one component another digest."""
    images = asked.get(
        "query", query="max by (component, repository, digest) (cosign_image_info)", time=HEALTHY
    )
    lines = [
        f'release:\n  version: "{version}"\n  channel: "edge"\n  date: "2026-03-01T12:00:00Z"\n  calendar: "2026.03"'
    ]
    lines.append("components:")
    for row in images["result"]:
        name, repository, digest = (row["metric"][k] for k in ("component", "repository", "digest"))
        digest = "sha256:" + "0" * 64 if name == swap else digest
        lines.append(f"  - name: {name}\n    image: {repository}@{digest}")
    text = "\n".join([*lines, "checksums:", f'  sha256: "{"f" * 64}"', ""])
    read = document.read(text.encode(), "release.yaml")
    file = folder / "release.yaml"
    file.write_text(text.replace("f" * 64, read.digest_without(*read.spans["checksums", "sha256"])))
    return file


Judged = tuple[int, dict[str, dict[str, Any]]]
_KNOWN: dict[tuple[str, int, tuple[str, ...]], Judged] = {}


def judged(asked: Asked, file: Path, at: int, *more: str) -> Judged:
    """Exit code, and results by check; the same question is asked once."""
    key = (file.read_text(), at, more)
    if key not in _KNOWN:
        _KNOWN[key] = _judge(asked, file, at, *more)
    return _KNOWN[key]


def _judge(asked: Asked, file: Path, at: int, *more: str) -> Judged:
    done = slo(asked, "gate", "--release", str(file), "--from", "edge", "--to", "stable", "--as-of", str(at),
               "--output", "json", *more)  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    return done.returncode, {r["check"]: r for r in json.loads(done.stdout)["results"]}


def policy(folder: Path, **overrides: str) -> str:
    """The default policy, with overrides of the named checks."""
    text = subprocess.run([SLO, "policy"], capture_output=True, text=True, check=True).stdout
    entries = "".join(
        f'\n  - {{check: {c.replace("_", "-")}, reason: "{why}", who: me@example.org, expires: 2026-03-20T00:00:00Z}}'
        for c, why in overrides.items()
    )
    file = folder / "policy.yaml"
    file.write_text(text.replace("overrides: []", f"overrides:{entries}"))
    return str(file)


def bad(results: dict[str, dict[str, Any]]) -> set[str]:
    return {check for check, r in results.items() if r["outcome"] in ("failed", "unknown")}


def test_a_healthy_release_only_lacks_its_soak(asked: Asked, tmp_path: Path) -> None:
    """Three days on edge are not seven; all else holds."""
    code, results = judged(asked, release(asked, tmp_path), HEALTHY)
    assert bad(results) == {"edge-soak"}
    assert results["edge-soak"]["sentence"] == "2.5.0 has been on edge for 7d: no (time on the channel: 3d)."
    assert code == 1
    assert len([c for c in results if c.startswith("budget/")]) == 32


def test_an_override_of_exactly_that_check_promotes(asked: Asked, tmp_path: Path) -> None:
    """And is shown, with who answers for it."""
    chosen = policy(tmp_path, edge_soak="The fix of a wrong signature cannot wait.")
    code, results = judged(asked, release(asked, tmp_path), HEALTHY, "--policy", chosen)
    assert code == 0
    assert results["edge-soak"]["outcome"] == "overridden"
    assert "me@example.org" in results["edge-soak"]["reason"]


def test_an_image_that_nobody_verified_is_unknown(asked: Asked, tmp_path: Path) -> None:
    """A digest that the exporter does not know is neither good nor bad."""
    _, results = judged(asked, release(asked, tmp_path, swap="signer"), HEALTHY)
    assert results["images-verified"]["outcome"] == "unknown"


def test_another_version_than_the_exporter_judged_fails(asked: Asked, tmp_path: Path) -> None:
    """The manifest on the channel is not this release's."""
    _, results = judged(asked, release(asked, tmp_path, SOAKED), HEALTHY)
    assert results["edge-soak"]["outcome"] == "passed"
    assert results["manifest-valid"]["outcome"] == "failed"


TAMPERING = {
    "images-verified", "manifest-valid", "references-match", "kit-valid", "log-consistent", "roots-unchanged",
    "skew-services", "skew-triangle",
}  # fmt: skip


@pytest.mark.parametrize("check", sorted(TAMPERING))
def test_each_tampering_blocks(asked: Asked, tmp_path: Path, check: str) -> None:
    """A tampered image, another digest, a skewed version, a drifted root: each is a check that fails."""
    code, results = judged(asked, release(asked, tmp_path), TAMPERED)
    assert code == 1
    assert results[check]["outcome"] == "failed"
    assert results[check]["remedy"]


def test_what_pages_blocks_by_its_name(asked: Asked, tmp_path: Path) -> None:
    """Each alert is a check of its own."""
    _, results = judged(asked, release(asked, tmp_path), TAMPERED)
    assert "page/StellaImageVerificationFailed/cosign" in bad(results)
    assert "budget/signer-uptime" not in bad(results)


def test_an_outage_blocks_by_its_burn_before_the_budget_is_spent(asked: Asked, tmp_path: Path) -> None:
    """Twenty minutes in, budget is left, and is burning."""
    _, results = judged(asked, release(asked, tmp_path), EARLY)
    assert "burns" in results["budget/scanner-uptime"]["sentence"]
    assert "of its budget left" not in results["budget/scanner-uptime"]["sentence"]
    assert results["backup-fresh"]["outcome"] == "failed"


def test_a_spent_budget_blocks(asked: Asked, tmp_path: Path) -> None:
    """With how much is left and how much the policy wants."""
    _, results = judged(asked, release(asked, tmp_path), OUTAGE)
    assert (
        "of its budget left, and the policy wants at least 10%" in results["budget/signer-uptime"]["sentence"]
    )


def test_a_time_without_data_is_unknown(asked: Asked, tmp_path: Path) -> None:
    """Before anything was recorded nothing is good, and nothing is bad."""
    code, results = judged(asked, release(asked, tmp_path), HEALTHY - 100 * 86400)
    assert code == 3
    assert {r["outcome"] for r in results.values()} == {"unknown"}


def test_budgets_of_the_past_are_what_was_recorded(asked: Asked) -> None:
    """Worst first; an overspent budget is below zero."""
    rows = json.loads(slo(asked, "budget", "--as-of", str(OUTAGE), "--output", "json").stdout)
    assert len(rows) == 32
    recorded = {
        r["metric"]["slo"]: float(r["value"][1])
        for r in asked.get(
            "query", query='slo:error_budget_remaining:ratio{stack="stella-ops"}', time=OUTAGE
        )["result"]
    }
    assert {r["slo"]: float(r["budget_left"]) for r in rows} == pytest.approx(recorded, abs=1e-6)
    assert float(rows[0]["budget_left"]) < 0
    assert "SLOErrorBudgetBurnFast" in rows[0]["firing"]


def test_budgets_of_a_time_without_data_are_unknown(asked: Asked) -> None:
    """Never 100 %."""
    rows = json.loads(slo(asked, "budget", "--as-of", "2025-01-01", "--output", "json").stdout)
    assert {r["budget_left"] for r in rows} == {None}


def test_the_table_fits_eighty_columns(asked: Asked) -> None:
    """Names whole, numbers whole."""
    done = slo(asked, "budget", "--as-of", str(OUTAGE))
    table = done.stdout.splitlines()[:33]
    assert max(len(line.rstrip()) for line in table) <= 80
    assert "…" not in done.stdout


def test_the_report_names_the_incident_and_the_alerts(asked: Asked, tmp_path: Path) -> None:
    """March's outage, what it cost, and how soon it paged."""
    file = tmp_path / "report.json"
    done = slo(asked, "report", "--month", "2026-03", "--json", str(file))
    assert done.returncode == 0, done.stderr
    slos = {s["slo"]: s for s in json.loads(file.read_text())["slos"]}
    (incident,) = slos["signer-uptime"]["incidents"]
    began = datetime.strptime(incident["start"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
    assert abs(began - TAMPERED) <= 300
    assert incident["alerts"][0]["name"] == "SLOErrorBudgetBurnFast"
    assert float(slos["signer-uptime"]["budget_left"]) < 0
    assert slos["signer-uptime"]["complete"] is False


def test_the_report_of_a_month_that_nobody_measured_says_so(asked: Asked) -> None:
    """Every objective is listed as not measured."""
    done = slo(asked, "report", "--month", "2025-01")
    assert "32 not measured" in done.stdout
    assert "kept" not in done.stdout.replace("0 of 0 SLOs kept their objective", "")
