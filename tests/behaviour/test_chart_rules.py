"""Rules come out of the chart as they went in, unless a value says otherwise: real Helm 3 and 4, real promtool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm
import promtool
import pytest
import yaml
from given import slo
from given import stack as stack_of
from helm import HELMS, of_kind

from slo.catalog import Metrics, stack
from slo.compile import compile_stack

Rule = dict[str, Any]


@pytest.fixture(scope="module")
def stella(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helm.stella(tmp_path_factory.mktemp("stella"))


def rule_files(chart: Path) -> dict[str, str]:
    """What was generated for Prometheus itself, by file name."""
    folder = chart.parent.parent / "prometheus"
    return {f.name: f.read_text(encoding="utf-8") for f in sorted(folder.glob("*.yaml"))}


def in_config_maps(found: list[helm.Object]) -> dict[str, str]:
    """Every rule file in every ConfigMap of rules."""
    maps = [o for n, o in of_kind(found, "ConfigMap").items() if "-rules-" in n]
    return {file: text for o in maps for file, text in o["data"].items()}


def in_dashboards(found: list[helm.Object]) -> dict[str, Any]:
    maps = [o for n, o in of_kind(found, "ConfigMap").items() if "-dashboard-" in n]
    return {file: json.loads(text) for o in maps for file, text in o["data"].items()}


def alerts(found: list[helm.Object]) -> list[Rule]:
    groups = [g for o in of_kind(found, "PrometheusRule").values() for g in o["spec"]["groups"]]
    return [r for g in groups for r in g["rules"] if "alert" in r]


def by_name(found: list[helm.Object], name: str) -> list[Rule]:
    return [r for r in alerts(found) if r["alert"] == name]


def changed(tmp_path: Path, chart: Path, name: str, content: dict[str, Any]) -> tuple[list[Rule], list[Rule]]:
    """All alerts before and after some values, as the given Helm renders them."""
    file = helm.values(tmp_path, content)
    return alerts(helm.objects(name, chart)), alerts(helm.objects(name, chart, file))


def test_the_chart_holds_the_bytes_that_prometheus_gets(stella: Path) -> None:
    """File by file: what is reviewed and tested is what is installed."""
    held = {f.name: f.read_text(encoding="utf-8") for f in sorted((stella / "files" / "rules").iterdir())}
    assert held == rule_files(stella)
    assert len(held) > 20


@pytest.mark.parametrize("name", HELMS)
def test_rule_files_leave_the_chart_byte_for_byte(name: str, stella: Path) -> None:
    """Through the template engine, templates of alerts and all."""
    found = helm.objects(name, stella, settings={"ruleFiles.enabled": "true"})
    assert in_config_maps(found) == rule_files(stella)


@pytest.mark.parametrize("name", HELMS)
def test_objects_hold_the_same_groups(name: str, stella: Path) -> None:
    """A PrometheusRule for each file, none more."""
    found = of_kind(helm.objects(name, stella), "PrometheusRule")
    generated = {f"demo-stella-slo-{n.removeprefix('stella-ops-').removesuffix('.yaml')}": yaml.safe_load(t)["groups"]
                 for n, t in rule_files(stella).items()}  # fmt: skip
    assert {n: o["spec"]["groups"] for n, o in found.items()} == generated


@pytest.mark.parametrize("name", HELMS)
def test_rendered_rules_pass_promtool(name: str, stella: Path, tmp_path: Path) -> None:
    """Both forms, without values and with every kind of override."""
    for case in ("plain", "operator", "overrides"):
        found = helm.objects(name, stella, stella / "ci" / f"{case}-values.yaml")
        texts = in_config_maps(found) | {
            f"{n}.yaml": yaml.safe_dump(o["spec"]) for n, o in of_kind(found, "PrometheusRule").items()
        }
        folder = tmp_path / case
        folder.mkdir()
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        good, said = promtool.run("check", "rules", "--lint=all", "--lint-fatal", *sorted(folder.iterdir()))
        assert good, said
        assert len(texts) > 20


@pytest.mark.parametrize("name", HELMS)
def test_an_override_changes_what_it_names(name: str, stella: Path, tmp_path: Path) -> None:
    """Severity, wait, hold, a label and an annotation of one alert; every other rule is as it was."""
    change = {
        "severity": "critical", "for": "30m", "keepFiringFor": "1h",
        "labels": {"team": "dba"}, "annotations": {"summary": "Changed."},
    }  # fmt: skip
    before, after = changed(tmp_path, stella, name, {"alerts": {"overrides": {"StellaBackupStale": change}}})
    (old,) = [r for r in before if r["alert"] == "StellaBackupStale"]
    new = old | {
        "for": "30m", "keep_firing_for": "1h",
        "labels": old["labels"] | {"severity": "critical", "team": "dba"},
        "annotations": old["annotations"] | {"summary": "Changed."},
    }  # fmt: skip
    assert after == [new if r is old else r for r in before]


@pytest.mark.parametrize("name", HELMS)
def test_a_disabled_alert_takes_the_alert_that_it_is_blind_along(
    name: str, stella: Path, tmp_path: Path
) -> None:
    """Who does not want the alert does not want to hear that it cannot fire."""
    before, after = changed(
        tmp_path, stella, name, {"alerts": {"overrides": {"StellaBackupStale": {"disabled": True}}}}
    )
    gone = [r for r in before if r not in after]
    assert [(r["alert"], r["labels"].get("monitor")) for r in gone] == [
        ("StellaBackupStale", None), ("MonitorNoData", "StellaBackupStale"),
    ]  # fmt: skip
    assert [r for r in before if r not in gone] == after


@pytest.mark.parametrize("name", HELMS)
def test_an_slo_gets_an_alert_of_its_own(name: str, stella: Path, tmp_path: Path) -> None:
    """The shared alert leaves it out, its own has the change, and no other alert is touched."""
    override = {"signer-uptime": {"SLOErrorBudgetBurnFast": {"severity": "warning"}}}
    before, after = changed(tmp_path, stella, name, {"slos": {"overrides": override}})
    gone, come = [r for r in before if r not in after], [r for r in after if r not in before]
    (shared,) = gone
    rest, own = come
    budget = 'slo:error_budget:ratio{stack="stella-ops",slo'
    assert rest == shared | {"expr": f'(\n{shared["expr"]}\n)\nunless on (slo) {budget}=~"signer-uptime"}}'}
    assert own == shared | {
        "expr": f'(\n{shared["expr"]}\n)\nand on (slo) {budget}="signer-uptime"}}',
        "labels": shared["labels"] | {"severity": "warning", "slo": "signer-uptime"},
    }


@pytest.mark.parametrize("name", HELMS)
def test_links_of_alerts_follow_the_installation(name: str, stella: Path, tmp_path: Path) -> None:
    """Grafana's URL is put before relative links; runbooks move to another folder and keep their page."""
    links = {"grafana": "https://grafana.example.org/", "runbooks": "https://wiki.example.org/books/"}
    before, after = changed(tmp_path, stella, name, {"links": links})
    assert len(before) == len(after) > 100
    for old, new in zip(before, after, strict=True):
        was, now = old["annotations"], new["annotations"]
        assert now["dashboard_url"] == "https://grafana.example.org" + was["dashboard_url"]
        assert now["runbook_url"] == "https://wiki.example.org/books/" + was["runbook_url"].rsplit("/", 1)[1]
        assert new | {"annotations": was} == old


@pytest.mark.parametrize(
    ("channel", "gone"),
    [
        ("", []),
        ("edge", ["StellaLtsReleaseLate", "StellaStableReleaseLate"]),
        ("stable", ["StellaEdgeReleaseLate", "StellaLtsReleaseLate"]),
        ("lts", ["StellaEdgeReleaseLate", "StellaEdgeSoakSkipped", "StellaEdgeSoakTooShort", "StellaStableReleaseLate"]),
    ],
)  # fmt: skip
def test_a_channel_leaves_out_alerts_that_read_other_channels_only(
    channel: str, gone: list[str], stella: Path, tmp_path: Path
) -> None:
    """Those that compare channels stay where they read the chosen one."""
    before, after = changed(tmp_path, stella, "helm4", {"channel": channel})
    assert sorted({r["alert"] for r in before} - {r["alert"] for r in after}) == gone


@pytest.mark.parametrize("name", HELMS)
def test_the_object_store_decides_which_metrics_are_read(name: str, stella: Path) -> None:
    """The chart for s3 holds the rules and dashboards that `slo generate` makes for s3."""
    found = helm.objects(name, stella, settings={"ruleFiles.enabled": "true", "storage.mode": "s3"})
    made = {o.path: o.text for o in compile_stack(stack(Metrics.model_validate({"storage": {"mode": "s3"}})))}
    rules = {p.removeprefix("prometheus/"): text for p, text in made.items() if p.startswith("prometheus/")}
    boards = {
        p.removeprefix("grafana/"): json.loads(text) for p, text in made.items() if p.startswith("grafana/")
    }
    assert in_config_maps(found) == rules != rule_files(stella)
    assert in_dashboards(found) == boards


@pytest.mark.parametrize("name", HELMS)
def test_config_maps_of_rules_stay_below_their_size(name: str, stella: Path) -> None:
    """The first is filled before the second is begun; no file is cut or lost."""
    found = helm.objects(name, stella, settings={"ruleFiles.enabled": "true", "ruleFiles.maxBytes": "50000"})
    sizes = [
        sum(map(len, o["data"].values())) for n, o in of_kind(found, "ConfigMap").items() if "-rules-" in n
    ]
    assert len(sizes) > 2
    assert max(sizes) <= 50000
    assert in_config_maps(found) == rule_files(stella)


def firing(folder: Path, texts: dict[str, str]) -> str:
    """What promtool says of the alerts on fast burns, two hours into an outage of everything: it must be what is listed."""
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    order = sorted(texts, key=lambda n: (0 if "-base-" in n else 1 if n.endswith("-shared.yaml") else 2, n))
    groups = [g["name"] for n in order for g in yaml.safe_load(texts[n])["groups"]]
    series = [{"series": s, "values": "0+60x300"} for s in ("errors_total", "requests_total")]
    labels = 'ALERTS{alertname="SLOErrorBudgetBurnFast",alertstate="firing"'
    expected = [{"labels": f'{{severity="{severity}",slo="{slo}"}}', "value": 1}
                for slo, severity in (("api-one", "info"), ("api-two", "critical"))]  # fmt: skip
    test = {
        "rule_files": order, "evaluation_interval": "30s", "group_eval_order": groups,
        "tests": [{"interval": "30s", "input_series": series, "promql_expr_test": [
            {"expr": f"count by (slo, severity) ({labels}}})", "eval_time": "2h", "exp_samples": expected}]}],
    }  # fmt: skip
    (folder / "test.yaml").write_text(yaml.safe_dump(test, sort_keys=False), encoding="utf-8")
    good, said = promtool.run("test", "rules", "test.yaml", cwd=folder)
    return "" if good else said


def test_an_slo_with_an_alert_of_its_own_burns_like_the_others(tmp_path: Path) -> None:
    """Under promtool: one SLO fires with its own severity, the other with the shared one, each once."""
    chart = helm.written(tmp_path / "out", stack_of(slo("one"), slo("two")))
    override = {"api-one": {"SLOErrorBudgetBurnFast": {"severity": "info"}}}
    values = helm.values(tmp_path, {"ruleFiles": {"enabled": True}, "slos": {"overrides": override}})
    folder = tmp_path / "rules"
    folder.mkdir()
    assert firing(folder, in_config_maps(helm.objects("helm4", chart, values))) == ""
