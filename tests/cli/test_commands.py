"""The command as a user types it: what it prints, where, and how it exits."""

from __future__ import annotations

import http.server
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import promtool
import pytest
import yaml
from commandline import Done, slo

SCRIPT = Path(sys.executable).parent / "slo"
GOOD = """from slo import SLO, Monitor, Ratio, Service, Stack

api = Service(name="api", owner="team-api")
availability = SLO(
    service=api,
    name="availability",
    objective="99%",
    window="30d",
    sli=Ratio(bad="errors_total", total="requests_total"),
    description="Requests are answered.",
)
drift = Monitor(name="RootsDrift", service=api, condition="roots_drift > 0", summary="The roots drifted.")
stack = Stack(name="demo", slos=[availability], monitors=[drift])
"""


def typed(*arguments: str | Path, cwd: Path) -> Done:
    """The installed console script, as a user runs it."""
    done = subprocess.run(
        [SCRIPT, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def team(tmp_path: Path) -> Path:
    (tmp_path / "slos.py").write_text(GOOD, encoding="utf-8")
    return tmp_path


def state(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_generate_writes_once(team: Path) -> None:
    """The second time nothing is written, and both times it says what it did."""
    first = slo("generate", ".", "--out", "out", cwd=team)
    before = state(team / "out")
    second = slo("generate", ".", "--out", "out", cwd=team)
    assert (first.code, second.code, first.err, second.err) == (0, 0, "", "")
    assert "1 SLOs and 1 monitors of demo" in first.out
    assert f"({len(before)} new, 0 changed, 0 removed)" in first.out
    assert "(0 new, 0 changed, 0 removed)" in second.out
    assert state(team / "out") == before


def test_generate_writes_every_kind_of_output(team: Path) -> None:
    """Rules, operator objects, Alertmanager's configuration, tests, and the manifest of all files."""
    slo("generate", ".", "--out", "out", cwd=team)
    found = {p.relative_to(team / "out").parts[0] for p in state(team / "out")}
    assert found == {
        "prometheus", "prometheus-operator", "alertmanager", "grafana", "chart", "compose", "tests", "slos.json"
    }  # fmt: skip
    manifest = json.loads((team / "out" / "slos.json").read_text())
    files = {str(p.relative_to(team / "out")) for p in state(team / "out")}
    assert set(manifest["files"]) | {"slos.json"} == files


def test_generated_files_are_readable_by_others(team: Path) -> None:
    """Prometheus runs as another user."""
    slo("generate", ".", "--out", "out", cwd=team)
    assert {oct(p.stat().st_mode & 0o777) for p in (team / "out").rglob("*.yaml")} == {"0o644"}


def test_generate_removes_what_it_no_longer_produces(team: Path) -> None:
    """And leaves what others put there."""
    slo("generate", ".", "--out", "out", cwd=team)
    (team / "out" / "prometheus" / "mine.yaml").write_text("groups: []\n")
    (team / "slos.py").write_text(GOOD.replace(", monitors=[drift]", ""), encoding="utf-8")
    before = set(state(team / "out"))
    done = slo("generate", ".", "--out", "out", cwd=team)
    gone = {p.name for p in before - set(state(team / "out"))}
    assert gone == {"demo-monitors-api.yaml", "monitor-RootsDrift.yaml", "golden-api.json"}
    assert f" {len(before - set(state(team / 'out')))} removed)" in done.out
    assert (team / "out" / "prometheus" / "mine.yaml").exists()


def test_check_of_a_current_folder_is_quiet(team: Path) -> None:
    """Exit 0, nothing on stderr."""
    slo("generate", ".", "--out", "out", cwd=team)
    done = slo("generate", ".", "--out", "out", "--check", cwd=team)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("out is up to date: ")


def test_check_of_a_changed_definition_shows_the_difference_and_the_remedy(team: Path) -> None:
    """A diff on stdout, the command that mends it on stderr, exit 1, and nothing written."""
    slo("generate", ".", "--out", "out", cwd=team)
    before = state(team / "out")
    (team / "slos.py").write_text(GOOD.replace("99%", "99.5%"), encoding="utf-8")
    done = slo("generate", ".", "--out", "out", "--check", cwd=team)
    assert done.code == 1
    assert '-        expr: "vector(0.01)"' in done.out
    assert '+        expr: "vector(0.005)"' in done.out
    assert "changed: prometheus/demo-base-001.yaml" in done.out
    assert done.err == "out is not up to date: run `slo generate . --out out`\n"
    assert state(team / "out") == before


def test_the_remedy_of_check_works_when_typed(team: Path) -> None:
    """With the options that made the difference, quoted as a shell needs it."""
    slo("generate", ".", "--out", "an out", cwd=team)
    done = slo("generate", ".", "--out", "an out", "--scrape-interval", "15s", "--check", cwd=team)
    remedy = done.err.split("`")[1]
    assert remedy == "slo generate . --scrape-interval 15s --out 'an out'"
    assert slo(*shlex.split(remedy)[1:], cwd=team).code == 0
    assert slo("generate", ".", "--out", "an out", "--scrape-interval", "15s", "--check", cwd=team).code == 0


@pytest.mark.parametrize("what", ["missing", "stale"])
def test_check_names_missing_and_stale_files(team: Path, what: str) -> None:
    """Drift is more than changed lines."""
    slo("generate", ".", "--out", "out", cwd=team)
    if what == "missing":
        (team / "out" / "prometheus" / "demo-monitors-api.yaml").unlink()
    else:
        (team / "slos.py").write_text(GOOD.replace(", monitors=[drift]", ""), encoding="utf-8")
    done = slo("generate", ".", "--out", "out", "--check", cwd=team)
    assert done.code == 1
    assert f"{what}: prometheus/demo-monitors-api.yaml" in done.out


def test_generate_refuses_files_that_are_not_its_own(team: Path) -> None:
    """Exit 2, one sentence with the remedy, nothing overwritten."""
    (team / "out" / "prometheus").mkdir(parents=True)
    (team / "out" / "prometheus" / "demo-shared.yaml").write_text("mine\n")
    done = slo("generate", ".", "--out", "out", cwd=team)
    assert (done.code, done.out) == (2, "")
    assert "was not generated here: choose another folder with --out, or remove it" in done.err
    assert (team / "out" / "prometheus" / "demo-shared.yaml").read_text() == "mine\n"


USAGE = {
    "unknown option": (["generate", "--nonsense"], "No such option"),
    "unknown command": (["generat"], "No such command"),
    "missing file": (["generate", "nowhere"], "no such definition file; `slo init nowhere` writes one"),
    "scrape interval": (["generate", ".", "--scrape-interval", "5m"], "use 75s or less"),
    "no duration": (["generate", ".", "--scrape-interval", "soon"], "duration 'soon' is not understood"),
    "metrics of a definition": (["generate", ".", "--metrics", "m.yaml"], "drop one"),
    "no such metrics": (["generate", "--metrics", "nowhere.yaml"], "nowhere.yaml"),
    "no such SLO": (["explain", "api-availabilty", "."], "did you mean api-availability?"),
    "far from any SLO": (["explain", "zzz", "."], "`slo list` names them all"),
    "output format": (["validate", ".", "--output", "xml"], "xml"),
    "address": (["validate", ".", "--live", "localhost:9090"], "write it with http:// or https://"),
    "nobody there": (["validate", ".", "--live", "http://127.0.0.1:9"], "cannot ask http://127.0.0.1:9"),
    "no promtool": (
        ["test", ".", "--promtool", "no-such-promtool"],
        "no-such-promtool is not installed: get it",
    ),
    "nothing to test": (["test", ".", "--only", "zzz"], "no generated test is named like 'zzz'"),
    "scaffold over": (["init", "."], "exists already: choose another folder, or edit it"),
}


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_is_one_sentence_on_stderr(team: Path, name: str) -> None:
    """Exit 2, stdout empty, no traceback."""
    arguments, message = USAGE[name]
    done = slo(*arguments, cwd=team)
    assert (done.code, done.out) == (2, "")
    assert message in " ".join(done.err.split())


@pytest.mark.parametrize(
    "command", [["generate"], ["validate"], ["list"], ["explain", "x"], ["test"]], ids=lambda c: c[0]
)
def test_a_broken_definition_is_one_line_with_its_place(team: Path, command: list[str]) -> None:
    """For every command that reads one."""
    (team / "slos.py").write_text("x = 1 / 0\n", encoding="utf-8")
    done = slo(*command, ".", cwd=team)
    assert (done.code, done.out) == (2, "")
    assert done.err == "slo: slos.py:1: ZeroDivisionError: division by zero\n" or done.err.endswith(
        "slos.py:1: ZeroDivisionError: division by zero\n"
    )


def test_without_arguments_the_command_shows_its_help(tmp_path: Path) -> None:
    """With every command and the exit codes."""
    done = slo(cwd=tmp_path)
    said = done.out + done.err
    for word in ("generate", "validate", "list", "explain", "test", "init", "schema", "Exit codes"):
        assert word in said


def warned(team: Path) -> None:
    (team / "slos.py").write_text(GOOD.replace("99%", "99.9%"), encoding="utf-8")


def wrong(team: Path) -> None:
    (team / "slos.py").write_text(GOOD.replace("roots_drift > 0", "rate(a_ratio[5m]) > 0"), encoding="utf-8")


def test_validate_of_a_sound_definition_counts_what_it_read(team: Path) -> None:
    """Exit 0 and one line."""
    done = slo("validate", ".", cwd=team)
    assert (done.code, done.err) == (0, "")
    assert done.out == "demo: 1 SLOs, 1 monitors: 0 errors, 0 warnings, 0 could not be checked\n"


def test_validate_shows_place_text_reason_and_remedy(team: Path) -> None:
    """A warning is shown and does not fail."""
    warned(team)
    done = slo("validate", ".", cwd=team)
    assert done.code == 0
    assert done.out.startswith(
        "warning SLO api-availability (one-error)\n    99.9% over 30d\n    Below 13.9 events"
    )
    assert "1 warnings" in done.out


def test_validate_fails_on_errors(team: Path) -> None:
    """Exit 1."""
    wrong(team)
    done = slo("validate", ".", cwd=team)
    assert done.code == 1
    assert done.out.startswith("error monitor RootsDrift (rate-over-gauge)\n")


def test_validate_prints_json(team: Path) -> None:
    """Each finding with its fields; exit codes as for text."""
    wrong(team)
    done = slo("validate", ".", "--output", "json", cwd=team)
    (finding,) = json.loads(done.out)
    assert done.code == 1
    assert set(finding) == {"place", "check", "severity", "text", "reason", "remedy"}
    assert (finding["place"], finding["severity"]) == ("monitor RootsDrift", "error")


def test_validate_without_findings_prints_an_empty_list(team: Path) -> None:
    """Still JSON."""
    assert json.loads(slo("validate", ".", "--output", "json", cwd=team).out) == []


def test_validate_prints_annotations_of_a_workflow(team: Path) -> None:
    """One line a finding."""
    warned(team)
    done = slo("validate", ".", "--output", "github", cwd=team)
    assert done.code == 0
    assert done.out.startswith("::warning title=one-error::SLO api-availability: Below 13.9 events an hour")
    assert done.out.count("\n") == 1


def test_an_annotation_stays_on_its_line(team: Path) -> None:
    """A condition written over several lines does not end the annotation."""
    spread = GOOD.replace('"roots_drift > 0"', '"""count(\n  roots_drift\n) > 5"""')
    (team / "slos.py").write_text(spread.replace("roots_drift > 0", ""), encoding="utf-8")
    done = slo("validate", ".", "--output", "github", cwd=team)
    assert done.out.count("\n") == done.out.count("::notice ") == 1


class Metricless(http.server.BaseHTTPRequestHandler):
    """A Prometheus that knows no metric but errors_total."""

    def do_GET(self) -> None:
        answers = {
            "/api/v1/label/__name__/values": ["errors_total", "roots_drift"],
            "/api/v1/metadata": {},
            "/api/v1/status/flags": {"storage.tsdb.retention.time": "15d"},
        }
        body = json.dumps({"status": "success", "data": answers[self.path]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Metricless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_validate_asks_a_live_server(team: Path, prometheus: str) -> None:
    """A metric it has never seen, and a window longer than it keeps."""
    done = slo("validate", ".", "--live", prometheus, "--output", "json", cwd=team)
    assert done.code == 1
    assert [(f["check"], f["text"]) for f in json.loads(done.out)] == [
        ("metric-missing", "requests_total"),
        ("retention", "30d window, 15d kept"),
    ]


def test_list_names_every_slo_and_monitor(team: Path) -> None:
    """As a table."""
    done = slo("list", ".", cwd=team)
    assert done.code == 0
    line = next(row for row in done.out.splitlines() if row.startswith("api-availability"))
    assert line.split("  ")[0] == "api-availability"
    for word in ("99% 30d", "7h 12m", "ratio", "team-api"):
        assert word in line
    assert "RootsDrift" in done.out


def test_list_prints_json(team: Path) -> None:
    """The manifest's SLOs and monitors."""
    listed = json.loads(slo("list", ".", "--output", "json", cwd=team).out)
    (one,) = listed["slos"]
    assert (one["id"], one["objective"], one["error_budget"]) == ("api-availability", "99%", "0.01")
    assert [a["burn_rate"] for a in one["alerts"]] == ["14.4", "6", "3", "1"]
    assert [m["name"] for m in listed["monitors"]] == ["RootsDrift"]


def test_explain_tells_budget_query_and_detection(team: Path) -> None:
    """Everything one wants to know before being paged."""
    done = slo("explain", "api-availability", ".", cwd=team)
    assert done.code == 0
    for text in (
        "Requests are answered.",
        "99% over any 30 days",
        "1% (7h 12m), 1 bad event of 100",
        "sum(rate(requests_total[2m]) >= 0)",
        "page-1h",
        "14.4x (14.4% bad) in 1h",
        "total outage",
        "never",
        "waits for 5 bad events",
    ):
        assert text in " ".join(done.out.split()), text


def test_explain_prints_metrics_as_they_are_named(team: Path) -> None:
    """`job:key:count` is a metric, not a key."""
    (team / "slos.py").write_text(GOOD.replace("errors_total", "job:key:errors_total"), encoding="utf-8")
    assert "job:key:errors_total" in slo("explain", "api-availability", ".", cwd=team).out


def test_explain_prints_json(team: Path) -> None:
    """The same facts as data."""
    told = json.loads(slo("explain", "api-availability", ".", "--output", "json", cwd=team).out)
    assert told["slo"] == "api-availability"
    assert told["facts"]["error budget"] == "1% (7h 12m), 1 bad event of 100"
    assert {t["tier"] for t in told["tiers"]} == {"page-1h", "page-6h", "ticket-1d", "ticket-3d"}
    assert told["tiers"][0]["1%"] == "never"


def test_explain_says_when_a_tier_was_replaced(team: Path) -> None:
    """Nobody should wonder why the factor is not the book's."""
    (team / "slos.py").write_text(GOOD.replace("30d", "7d"), encoding="utf-8")
    done = slo("explain", "api-availability", ".", cwd=team)
    assert "page-1h: 2% of a 7d budget in 1h is a burn rate of 3.36; 6 is used" in " ".join(done.out.split())


def test_a_scaffold_compiles_at_once(tmp_path: Path) -> None:
    """What init prints as next steps works as it stands."""
    done = slo("init", "my-team", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    commands = [line.strip() for line in done.out.splitlines() if line.startswith("  slo ")]
    assert commands == ["slo validate my-team", "slo generate my-team --out my-team/generated"]
    for command in commands:
        assert slo(*command.split()[1:], cwd=tmp_path).code == 0, command
    assert (tmp_path / "my-team" / "generated" / "slos.json").exists()


def test_a_scaffold_is_named_after_its_folder(tmp_path: Path) -> None:
    """In the form that names must have; --name overrides."""
    slo("init", "My Team!", cwd=tmp_path)
    slo("init", "other", "--name", "checkout", cwd=tmp_path)
    assert 'name="my-team"' in (tmp_path / "My Team!" / "slos.py").read_text()
    assert 'name="checkout"' in (tmp_path / "other" / "slos.py").read_text()


def test_schema_describes_the_metric_map(tmp_path: Path) -> None:
    """JSON Schema on stdout; it accepts an empty map and refuses an unknown key."""
    done = slo("schema", cwd=tmp_path)
    schema = json.loads(done.out)
    assert done.code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"no_such_key": 1}, schema)


def test_the_rules_pass_promtool(team: Path) -> None:
    """What generate writes, promtool accepts."""
    slo("generate", ".", "--out", "out", cwd=team)
    content, said = promtool.run("check", "rules", *sorted((team / "out" / "prometheus").glob("*.yaml")))
    assert content, said


def test_test_runs_the_generated_tests(team: Path) -> None:
    """Of a monitor, quickly; exit 0 and a count."""
    done = slo("test", ".", "--only", "RootsDrift", cwd=team)
    assert (done.code, done.out) == (0, "1 passed, 0 failed\n")


def test_test_fails_when_an_alert_does_not_do_what_it_should(team: Path) -> None:
    """A monitor whose author promises silence where it fires: exit 1, promtool's own words."""
    broken = GOOD.replace(
        'summary="The roots drifted.")',
        'summary="The roots drifted.", fires={"roots_drift": "1x99"}, silent={"roots_drift": "1x99"})',
    )
    (team / "slos.py").write_text(broken, encoding="utf-8")
    done = slo("test", ".", "--only", "monitor", cwd=team)
    assert done.code == 1
    assert done.out.startswith("FAILED monitor-RootsDrift\n")
    assert "exp" in done.out
    assert done.out.endswith("0 passed, 1 failed\n")


def test_the_generated_tests_notice_a_broken_rule(team: Path) -> None:
    """With its threshold a thousand times too high the page is missed, and the generated test says so."""
    slo("generate", ".", "--out", "out", cwd=team)
    file = team / "out" / "prometheus" / "demo-alerts-30d-events.yaml"
    broken = file.read_text().replace("(14.4 * ", "(14400 * ").replace("(6 * ", "(6000 * ")
    assert broken != file.read_text()
    test = team / "out" / "tests" / "slo-api-availability.yaml"
    only_outage = yaml.safe_load(test.read_text())
    only_outage["tests"] = [t for t in only_outage["tests"] if "total outage" in t["name"]]
    assert len(only_outage["tests"]) == 1
    test.write_text(yaml.safe_dump(only_outage))
    assert promtool.run("test", "rules", test.name, cwd=test.parent)[0]
    file.write_text(broken)
    content, said = promtool.run("test", "rules", test.name, cwd=test.parent)
    assert not content
    assert "SLOErrorBudgetBurnFast" in said


@pytest.mark.slow
def test_every_generated_test_of_a_definition_passes(team: Path) -> None:
    """The SLO's fast scenarios, its slow burn, and the monitor."""
    done = slo("test", ".", cwd=team)
    assert (done.code, done.out) == (0, "3 passed, 0 failed\n")


@pytest.mark.parametrize("command", ["generate", "validate", "list", "explain", "test", "init", "schema"])
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    """--help exits 0 and has a sentence."""
    done = slo(command, "--help", cwd=tmp_path)
    assert done.code == 0
    assert "Usage: slo" in done.out


def test_the_stella_catalogue_is_the_default(tmp_path: Path) -> None:
    """Without a definition, Stella Ops' own SLOs."""
    listed = json.loads(slo("list", "--output", "json", cwd=tmp_path).out)
    assert len(listed["slos"]) > 20


def test_the_console_script_does_what_the_function_does(team: Path) -> None:
    """Installed under its name: writes, and finds nothing to write the second time."""
    assert typed("generate", ".", "--out", "out", cwd=team).code == 0
    assert typed("generate", ".", "--out", "out", "--check", cwd=team).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--nonsense"], "No such option"),
        (["generate", "nowhere"], "slo: nowhere: no such definition file"),
    ],
    ids=["usage", "definition"],
)
def test_the_console_script_shows_no_traceback(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit 2, stdout empty, and stderr without a traceback."""
    done = typed(*arguments, cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_reader_that_leaves_early_gets_no_traceback(team: Path) -> None:
    """`slo schema | head -1` ends quietly."""
    done = subprocess.run(
        ["bash", "-c", f"'{SCRIPT}' schema | head -1"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("{\n", "")
