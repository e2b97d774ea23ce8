"""The preview's driver: what it asks of the browser, which files it serves, and what it calls a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from slo import names
from slo.artifact import Rule
from tools.demo import past
from tools.demo.servers import DemoError
from tools.preview import build, history, judge
from tools.preview.run import DEMO, GIVEN, PAST, Look, job, look, main, parser, sources, tell
from tools.preview.site import Site, inside

LOOK = Look("now-1h", "", "dark", "5s", False, (("slo", "rekor availability"), ("slo", "b")))


def panel(**changed: Any) -> dict[str, Any]:
    return {
        "title": "Budget",
        "type": "stat",
        "state": "Done",
        "answers": 1,
        "drawn": True,
        "noData": False,
    } | changed


def drawn(**changed: Any) -> dict[str, Any]:
    well = {"settled": True, "problems": [], "console": [], "panels": [panel()], "queries": [], "width": 390}
    return well | changed


def test_a_page_is_opened_for_every_dashboard_and_width_with_the_chosen_values(tmp_path: Path) -> None:
    """Each dashboard is drawn at each width, with variables as Grafana's own addresses carry them."""
    boards = {Path("a.json"): PAST, Path("b.json"): GIVEN}
    pages = job("http://site", boards, (1440, 390), LOOK, tmp_path, "chromium")["pages"]
    assert [Path(page["out"]).name for page in pages] == ["a.png", "a-390.png", "b.png", "b-390.png"]
    query = parse_qs(urlsplit(pages[0]["url"]).query)
    assert query["var-slo"] == ["rekor availability", "b"]
    assert (query["dashboard"], query["from"], "to" in query) == (["/dashboards/a.json"], ["now-1h"], False)
    assert [page["now"] for page in pages] == [history.NOW * 1000] * 2 + [None] * 2


def test_the_board_about_the_servers_is_drawn_over_running_ones() -> None:
    """The past is simulated; what the monitoring says of itself is not. A server that is named serves all."""
    meta, other = Path(f"{names.META}.json"), Path("other.json")
    assert sources([meta, other], None) == {meta: DEMO, other: PAST}
    assert sources([meta, other], "http://prometheus") == {meta: GIVEN, other: GIVEN}


def test_records_are_evaluated_when_those_they_read_are_stored() -> None:
    """Rules are put into levels; a circle is refused."""
    base, hour, day = (Rule(record=r, expr=e) for r, e in (("b", "up"), ("h", "b + b"), ("d", "h or d")))
    assert past.levels([day, hour, base]) == [[base], [hour], [day]]
    with pytest.raises(DemoError, match="in a circle: x, y"):
        past.levels([Rule(record="x", expr="y"), Rule(record="y", expr="x")])


def test_what_is_left_out_is_left_to_the_dashboard() -> None:
    """Without options a board opens with its own time range, in the dark, its collapsed rows closed."""
    assert look(parser().parse_args([])) == Look("", "", "dark", "", False, ())
    assert look(parser().parse_args(["--expand", "--var", "slo=a=b"])).variables == (("slo", "a=b"),)


def test_a_page_without_a_fault_has_none() -> None:
    """A page that settled, said nothing and shows its panels is well."""
    assert list(judge.faults("board", drawn())) == []


@pytest.mark.parametrize(
    ("changed", "place", "text"),
    [
        ({"settled": False}, "page", "still loading"),
        ({"problems": [{"where": "Burn", "text": "parse error in up{"}]}, "Burn", "parse error in up{"),
        ({"console": ["TypeError: x is undefined"]}, "console", "TypeError"),
        ({"panels": []}, "page", "no panel"),
        ({"panels": [panel(state="Error")]}, "Budget", "its data is not there: Error"),
        ({"panels": [panel(drawn=False)]}, "Budget", "nothing is drawn"),
    ],
)
def test_a_fault_names_its_dashboard_its_panel_and_what_is_wrong(
    changed: dict[str, Any], place: str, text: str
) -> None:
    """Errors of queries, of the page and of the console, and empty panels, are faults with a place."""
    (found,) = judge.faults("board", drawn(**changed))
    assert (found.dashboard, found.panel) == ("board", place)
    assert text in found.text


def test_a_query_without_an_answer_is_a_remark_and_no_fault() -> None:
    """Some panels are empty when all is well: the preview says so, and does not fail."""
    result = drawn(queries=[{"where": "Alerts", "expr": "ALERTS{\n  x='y'}", "answers": 0}])
    assert list(judge.faults("board", result)) == []
    assert [str(r) for r in judge.remarks("board", result)] == ["board: Alerts: no answer to ALERTS{ x='y'}"]


def test_faults_are_told_on_stderr_and_make_the_exit_code_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever runs it sees each fault and gets exit code 1; without faults 0."""
    out = tmp_path / "a.png"
    out.write_bytes(b"x")
    bad = drawn(out=str(out), problems=[{"where": "Burn", "text": "timed out"}])
    assert tell([(Path("a.json"), bad)]) == 1
    assert "FAULT a at 390 px: Burn: timed out" in capsys.readouterr().err
    assert tell([(Path("a.json"), drawn(out=str(out)))]) == 0


def test_only_files_inside_the_served_folders_are_served(tmp_path: Path) -> None:
    """No request leaves its folder, and the longest prefix decides."""
    for name in ("secret", "site/index.html", "icons/a.svg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    folders = {
        "/": tmp_path / "site",
        "/icons/": tmp_path / "icons",
        "/one.svg": tmp_path / "icons" / "a.svg",
    }
    assert inside(folders, "/index.html") == (tmp_path / "site" / "index.html").resolve()
    assert inside(folders, "/icons/a.svg") == inside(folders, "/one.svg")
    assert inside(folders, "/../secret") is None
    assert inside(folders, "/icons/none.svg") is None


def test_a_prometheus_that_does_not_answer_is_a_502_with_its_reason(tmp_path: Path) -> None:
    """The page learns that the server behind the site is away."""
    with Site({"/": tmp_path}, {"/prometheus/": "http://127.0.0.1:9"}) as site:
        answer = httpx.get(f"{site.url}/prometheus/api/v1/query?query=up", trust_env=False)
    assert answer.status_code == 502
    assert "Prometheus does not answer" in answer.text


def test_a_value_without_a_name_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """--var takes NAME=VALUE and says so."""
    board = tmp_path / "a.json"
    board.write_text("{}", encoding="utf-8")
    assert main(["--dashboard", str(board), "--var", "slo"]) == 3
    assert "--var slo is not understood: write NAME=VALUE" in capsys.readouterr().err


def test_every_package_of_the_page_is_pinned_and_locked() -> None:
    """Versions are exact, Grafana's packages are of one release, and the lock names contents, not hosts."""
    package = json.loads((build.HERE / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((build.HERE / "package-lock.json").read_text(encoding="utf-8"))
    wanted: dict[str, str] = package["dependencies"]
    assert all(version[0].isdigit() for version in wanted.values())
    locked = {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted}
    assert locked == wanted
    grafana = {v for name, v in wanted.items() if name.startswith("@grafana/") and name != "@grafana/scenes"}
    assert len(grafana) == 1
    assert not any("resolved" in one for one in lock["packages"].values())
