"""The gate, the budgets and the report over a real Prometheus that holds a simulated Stella Ops of five weeks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.gatekit import SOAKED, policy, release, slo
from tests.prom_world import EARLY, HEALTHY, OUTAGE, TAMPERED, Asked

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


def bad(results: dict[str, dict[str, Any]]) -> set[str]:
    return {check for check, r in results.items() if r["outcome"] in ("failed", "unknown")}


def test_a_healthy_release_is_promoted(asked: Asked, tmp_path: Path) -> None:
    """A week on edge, and everything holds."""
    code, results = judged(asked, release(asked, tmp_path), HEALTHY)
    assert bad(results) == set()
    assert code == 0
    assert len([c for c in results if c.startswith("budget/")]) == 32


def longer(folder: Path) -> str:
    """A platform whose releases soak for two weeks."""
    file = folder / "metrics.yaml"
    file.write_text("releases: {soak: 14d}\n")
    return str(file)


def test_a_release_that_only_lacks_its_soak_is_not(asked: Asked, tmp_path: Path) -> None:
    """A week on edge is not two; all else holds."""
    code, results = judged(asked, release(asked, tmp_path), HEALTHY, "--metrics", longer(tmp_path))
    assert bad(results) == {"edge-soak"}
    assert results["edge-soak"]["sentence"].startswith("2.5.0 has been on edge for 14d: no (time on edge: 7d")
    assert code == 1


def test_an_override_of_exactly_that_check_promotes(asked: Asked, tmp_path: Path) -> None:
    """And is shown, with who answers for it."""
    chosen = policy(tmp_path, edge_soak="The fix of a wrong signature cannot wait.")
    more = ("--policy", chosen, "--metrics", longer(tmp_path))
    code, results = judged(asked, release(asked, tmp_path), HEALTHY, *more)
    assert code == 0
    assert results["edge-soak"]["outcome"] == "overridden"
    assert "me@example.org" in results["edge-soak"]["reason"]


def test_an_override_lets_nothing_else_pass(asked: Asked, tmp_path: Path) -> None:
    """Overridden is one check of several that fail."""
    chosen = policy(tmp_path, manifest_valid="The signer's key was changed, and the old one is published.")
    code, results = judged(asked, release(asked, tmp_path), TAMPERED, "--policy", chosen)
    assert code == 1
    assert results["manifest-valid"]["outcome"] == "overridden"
    assert "images-verified" in bad(results)


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
