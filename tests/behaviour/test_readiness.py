"""The checks of a release, evaluated by promtool: what passes, what fails, and what nobody can say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from promtool import run

from slo.catalog import Metrics, stack
from slo.catalog.boards.words import READINESS

NOW = 864_000  # seconds: ten days after promtool's epoch
DAY, HOUR = 86_400, 3_600
CHECKS = {c.name: c for c in stack().checks}
VERDICT = next(b for b in stack().boards if b.name == READINESS).panels[0].queries[0].expr

IMAGE = 'cosign_image_{}{{component="signer",check="{}"}}'
HEALTHY: dict[str, float] = {
    'slo:error_budget:ratio{stack="stella-ops",slo="sign",tier="0"}': 0.001,
    'slo:error_budget_remaining:ratio{stack="stella-ops",slo="sign",window="month"}': 0.5,
    'slo:clock:seconds{stack="stella-ops"}': NOW,
    'release_channel_first_seen_timestamp_seconds{channel="edge",version="2.4.0"}': NOW - 60 * DAY,
    'release_channel_first_seen_timestamp_seconds{channel="stable",version="2.4.0"}': NOW - 50 * DAY,
    'release_channel_first_seen_timestamp_seconds{channel="edge",version="2.5.0"}': NOW - 8 * DAY,
    'release_manifest_valid{channel="edge"}': 1,
    'release_manifest_last_check_timestamp_seconds{channel="edge"}': NOW - HOUR,
    'release_manifest_info{channel="edge",version="2.5.0"}': 1,
    'release_digest_match{channel="edge",component="signer",kind="image"}': 1,
    'release_reference_resolvable{channel="edge",component="signer",kind="image"}': 1,
    'release_references_last_check_timestamp_seconds{channel="edge"}': NOW - HOUR,
    'release_kit_valid{kit="edge.tar.zst"}': 1,
    'release_kit_last_check_timestamp_seconds{kit="edge.tar.zst"}': NOW - HOUR,
    'cosign_image_info{component="signer",digest="sha256:aa"}': 1,
    **{IMAGE.format("verified", c): 1 for c in ("signature", "sbom", "provenance")},
    **{IMAGE.format("last_check_timestamp_seconds", c): NOW - HOUR for c in ("signature", "sbom", "provenance")},
    "cosign_trusted_root_drift": 0,
    "cosign_trusted_root_last_compared_timestamp_seconds": NOW - 60,
    'rekor_consistent{log="a"}': 1,
    'rekor_checkpoint_valid{log="a"}': 1,
    'rekor_last_check_timestamp_seconds{log="a"}': NOW - 60,
    **{f'release_version_skew_violations{{rule="{r}"}}': 0 for r in ("web_ui", "scanner", "triangle")},
    **{
        f'release_version_skew_last_check_timestamp_seconds{{rule="{r}"}}': NOW - HOUR
        for r in ("web_ui", "scanner", "triangle")
    },
    "stella_backup_last_success_timestamp_seconds": NOW - 20 * HOUR,
    'stella_ilm_upcoming_purges{class="compliance"}': 0,
    'stella_ilm_purged_total{class="compliance"}': 0,
    "stella_ilm_last_run_timestamp_seconds": NOW - HOUR,
    'mongodb_fcv_feature_compatibility_version{rs="0"}': 4.4,
}  # fmt: skip
GONE: dict[str, None] = dict.fromkeys(HEALTHY)

# check, what differs from health (None: the series is absent), verdict (None: nobody can say)
CASES: tuple[tuple[str, Mapping[str, float | None], float | None], ...] = (
    ("budgets-left", {'slo:error_budget_remaining:ratio{stack="stella-ops",slo="sign",window="month"}': -0.1}, 0),
    ("budgets-left", {'slo:error_budget:ratio{stack="stella-ops",slo="new",tier="1"}': 0.01}, None),
    ("budgets-left", {'slo:error_budget:ratio{stack="stella-ops",slo="web",tier="2"}': 0.01}, 1),
    ("budgets-left",
     {'ALERTS{alertname="SLONoData",alertstate="firing",stack="stella-ops",slo="sign",severity="warning"}': 1}, None),
    ("alerts-quiet", {'ALERTS{alertname="A",alertstate="firing",stack="stella-ops",severity="critical"}': 1}, 0),
    ("alerts-quiet", {'ALERTS{alertname="A",alertstate="firing",stack="stella-ops",severity="warning"}': 1}, 1),
    ("alerts-quiet", {'ALERTS{alertname="A",alertstate="pending",stack="stella-ops",severity="critical"}': 1}, 1),
    ("alerts-quiet", {'slo:clock:seconds{stack="stella-ops"}': None}, None),
    ("edge-soak", {'release_channel_first_seen_timestamp_seconds{channel="edge",version="2.5.0"}': NOW - 6 * DAY}, 0),
    ("edge-soak", {'release_channel_first_seen_timestamp_seconds{channel="stable",version="2.5.0"}': NOW - DAY}, 0),
    ("edge-soak", {'release_channel_first_seen_timestamp_seconds{channel="edge",version="2.3.9"}': NOW - 61 * DAY,
                   'release_channel_first_seen_timestamp_seconds{channel="edge",version="2.5.0"}': None}, 0),
    ("edge-soak", {'release_channel_first_seen_timestamp_seconds{channel="stable",version="2.4.0"}': None}, 1),
    ("manifest-valid", {'release_manifest_valid{channel="edge"}': 0}, 0),
    ("manifest-valid", {'release_manifest_last_check_timestamp_seconds{channel="edge"}': NOW - 4 * HOUR}, None),
    ("manifest-valid", {'release_manifest_valid{channel="stable"}': 1}, None),  # never dated
    ("references-match", {'release_digest_match{channel="edge",component="signer",kind="image"}': 0}, 0),
    ("references-match", {'release_reference_resolvable{channel="edge",component="signer",kind="image"}': 0}, 0),
    ("references-match", {'release_references_last_check_timestamp_seconds{channel="edge"}': NOW - 4 * HOUR}, None),
    ("kit-valid", {'release_kit_valid{kit="edge.tar.zst"}': 0}, 0),
    ("kit-valid", {'release_kit_last_check_timestamp_seconds{kit="edge.tar.zst"}': NOW - 4 * HOUR}, None),
    ("images-verified", {IMAGE.format("verified", "sbom"): 0}, 0),
    ("images-verified", {IMAGE.format("verified", "sbom"): None}, None),  # one check was never made
    ("images-verified", {IMAGE.format("last_check_timestamp_seconds", "sbom"): NOW - 4 * HOUR}, None),
    ("images-verified", {'cosign_image_info{component="scanner",digest="sha256:bb"}': 1}, None),
    ("roots-unchanged", {"cosign_trusted_root_drift": 1}, 0),
    ("roots-unchanged", {"cosign_trusted_root_last_compared_timestamp_seconds": NOW - 4 * HOUR}, None),
    ("log-consistent", {'rekor_consistent{log="a"}': 0}, 0),
    ("log-consistent", {'rekor_checkpoint_valid{log="a"}': 0}, 0),
    ("log-consistent", {'rekor_last_check_timestamp_seconds{log="a"}': NOW - 2 * HOUR}, None),
    ("skew-services", {'release_version_skew_violations{rule="scanner"}': 1}, 0),
    ("skew-services", {'release_version_skew_violations{rule="triangle"}': 1}, 1),
    ("skew-services", {'release_version_skew_last_check_timestamp_seconds{rule="web_ui"}': NOW - 4 * HOUR}, None),
    ("skew-triangle", {'release_version_skew_violations{rule="triangle"}': 1}, 0),
    ("skew-triangle", {'release_version_skew_last_check_timestamp_seconds{rule="triangle"}': None}, None),
    ("backup-fresh", {"stella_backup_last_success_timestamp_seconds": NOW - 25 * HOUR}, 0),
    ("compliance-kept", {'stella_ilm_upcoming_purges{class="compliance"}': 3}, 0),
    ("compliance-kept", {"stella_ilm_last_run_timestamp_seconds": NOW - 2 * DAY}, None),
    ("mongo-fcv", {'mongodb_fcv_feature_compatibility_version{rs="1"}': 4.0}, 0),
)  # fmt: skip


def _test(differs: Mapping[str, float | None], expected: Mapping[str, float | None]) -> dict[str, object]:
    """One promtool test: constant series, and what each query yields ten days in."""
    series = HEALTHY | differs
    return {
        "interval": "10m",
        "input_series": [{"series": s, "values": f"{v}+0x1440"} for s, v in series.items() if v is not None],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": "10d",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for expr, value in expected.items()
        ],
    }


def _holds(folder: Path, *tests: dict[str, object]) -> None:
    __tracebackhide__ = True
    file = folder / "test.yaml"
    file.write_text(
        yaml.safe_dump({"rule_files": [], "tests": list(tests)}, sort_keys=False), encoding="utf-8"
    )
    content, said = run("test", "rules", file)
    assert content, said


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_passes_fails_or_cannot_say(tmp_path: Path, name: str) -> None:
    """Healthy series pass; each way to be bad fails; what is absent or too old is neither."""
    check = CHECKS[name]
    told = [(differs, verdict) for case, differs, verdict in CASES if case == name]
    assert any(verdict == 0 for _, verdict in told)
    cases = [({}, 1), (GONE, None), *told]
    _holds(tmp_path, *(_test(differs, {check.query: verdict}) for differs, verdict in cases))


def test_a_failed_verdict_stays_failed_when_it_grows_old(tmp_path: Path) -> None:
    """Nobody may wait until a failure is forgotten."""
    differs = {
        IMAGE.format("verified", "sbom"): 0,
        IMAGE.format("last_check_timestamp_seconds", "sbom"): NOW - 9 * DAY,
    }
    _holds(tmp_path, _test(differs, {CHECKS["images-verified"].query: 0}))


def test_every_check_shows_its_evidence(tmp_path: Path) -> None:
    """One number each, wherever there is a verdict."""
    shown = {f"count({c.evidence})": 1.0 for c in CHECKS.values()}
    _holds(tmp_path, _test({}, shown))


@pytest.mark.parametrize(
    ("differs", "verdict"),
    [
        ({}, 1),
        ({"cosign_trusted_root_drift": 1}, 0),
        ({"cosign_trusted_root_drift": None}, -1),
        ({"cosign_trusted_root_drift": None, 'release_kit_valid{kit="edge.tar.zst"}': 0}, 0),
        (GONE, None),
    ],
    ids=["all pass", "one fails", "one unknown", "one fails, one unknown", "nothing is known"],
)
def test_the_board_says_ready_only_when_every_check_passes(
    tmp_path: Path, differs: Mapping[str, float | None], verdict: float | None
) -> None:
    """1 ready, 0 not, -1 unknown; without any answer there is no number, which is drawn as unknown, too."""
    _holds(tmp_path, _test(differs, {VERDICT: verdict}))


def test_every_deployment_is_asked_what_it_can_answer() -> None:
    """A PostgreSQL has no compatibility version; everything else is asked everywhere."""
    other = stack(Metrics.model_validate({"database": {"mode": "postgresql"}}))
    assert {c.name for c in stack().checks} - {c.name for c in other.checks} == {"mongo-fcv"}
