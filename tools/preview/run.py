"""Pictures of the generated dashboards, drawn by Grafana's own components in headless Chromium over a real Prometheus.

    python -m tools.preview                                     all of generated/grafana, into docs/images
    python -m tools.preview --dashboard FILE --var slo=NAME     one, with a chosen value
    python -m tools.preview --prometheus http://127.0.0.1:9090  over a server of your own

Without --prometheus it draws five weeks of a simulated platform (tools/preview/history.py); the board of the monitoring
itself is drawn over the running demo. Both are started and ended here. Exit codes: 0 all drawn, 1 something is wrong with a dashboard
(each fault is named on stderr), 3 a program is missing or failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from slo import names
from tools.demo.servers import DemoError
from tools.preview import build, demo, history, judge
from tools.preview.build import PreviewError
from tools.preview.site import Site

BOARDS = build.ROOT / "generated" / "grafana"
IMAGES = build.ROOT / "docs" / "images"
WIDTHS = (1440, 390)  # pixels: a laptop's, a phone's
HEIGHT = 900  # pixels of the window at first; it grows to the page
TALLEST = 12000
SETTLE = 60_000  # milliseconds for one page
MODULES = build.BUILT / "node_modules"
# What a Grafana server serves beside its page. Its font comes from the font's own package; two icons are
# missing from @grafana/ui: that of the time picker stands beside this file, that of a slow query has a stand-in.
ICONS = MODULES / "@grafana" / "ui" / "dist" / "public" / "img" / "icons"
INTER = MODULES / "@fontsource" / "inter" / "files"
MONO = MODULES / "@fontsource" / "roboto-mono" / "files" / "roboto-mono-latin-400-normal.woff2"
GRAFANA = {
    "/public/build/img/icons/": ICONS,
    "/public/build/img/icons/unicons/angle-double-left.svg": build.HERE / "angle-double-left.svg",
    "/public/build/img/icons/unicons/sync-slash.svg": ICONS / "unicons" / "sync.svg",
    "/public/fonts/inter/Inter-Regular.woff2": INTER / "inter-latin-400-normal.woff2",
    "/public/fonts/inter/Inter-Medium.woff2": INTER / "inter-latin-500-normal.woff2",
    "/public/fonts/inter/Inter-Italic.woff2": INTER / "inter-latin-400-italic.woff2",
    "/public/fonts/inter/Inter-MediumItalic.woff2": INTER / "inter-latin-500-italic.woff2",
    "/public/fonts/roboto/L0xTDF4xlVMF-BfR8bXMIhJHg45mwgGEFl0_3vrtSM1J-gEPT5Ese6hmHSh0mQ.woff2": MONO,
}


# Boards about the servers themselves show what these are, not a simulation; over the minutes they have run.
LIVE = {names.META: "now-10m"}


@dataclass(frozen=True, slots=True)
class Source:
    """A Prometheus: where the site offers it, its scrape interval, and its time when that is not the machine's."""

    path: str
    scrape: str
    now: int | None = None


PAST = Source("/past", str(history.TIMING.base // 4) + "s", history.NOW)
DEMO = Source("/demo", demo.SCRAPE)
GIVEN = Source("/given", "15s")


@dataclass(frozen=True, slots=True)
class Look:
    """How the dashboards are opened: from where to where, in which theme, with what chosen, rows open or not."""

    start: str
    end: str
    theme: str
    scrape: str
    expand: bool
    variables: tuple[tuple[str, str], ...]

    def query(self, dashboard: Path, source: Source) -> str:
        start = self.start or (LIVE.get(dashboard.stem, "") if source is DEMO else "")
        named = {"dashboard": f"/dashboards/{dashboard.name}", "from": start, "to": self.end, "theme": self.theme,
                 "scrape": self.scrape or source.scrape, "prometheus": source.path,
                 "expand": "1" if self.expand else ""}  # fmt: skip
        chosen = [(f"var-{name}", value) for name, value in self.variables]
        return urlencode([*((k, v) for k, v in named.items() if v), *chosen])


def picture(dashboard: Path, width: int, theme: str) -> str:
    """The file name of a picture: the dashboard's, with the width where it is not the widest."""
    suffix = "" if width == max(WIDTHS) else f"-{width}"
    return f"{dashboard.stem}{suffix}{'' if theme == 'dark' else '-light'}.png"


def job(
    site: str, boards: Mapping[Path, Source], widths: Sequence[int], look: Look, out: Path, chromium: str
) -> dict[str, Any]:
    """What shoot.mjs is asked to do: every board, over its source, at every width."""
    pages = [
        {
            "url": f"{site}/index.html?{look.query(board, source)}",
            "now": None if source.now is None else source.now * 1000,
            "width": width,
            "height": HEIGHT,
            "out": str(out / picture(board, width, look.theme)),
        }
        for board, source in boards.items()
        for width in widths
    ]
    return {"chromium": chromium, "timezone": "UTC", "settle": SETTLE, "tallest": TALLEST, "pages": pages}


def draw(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Run Chromium over the pages of a job. Raises PreviewError."""
    node = build.find("node", "install Node.js 20 or newer")
    done = subprocess.run(
        (node, "shoot.mjs"), cwd=build.BUILT, input=json.dumps(asked), stdout=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        raise PreviewError("Chromium did not draw the pages; what it said is above")
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def sources(boards: Iterable[Path], prometheus: str | None) -> dict[Path, Source]:
    """Which Prometheus each board is drawn over."""
    if prometheus is not None:
        return dict.fromkeys(boards, GIVEN)
    return {board: DEMO if board.stem in LIVE else PAST for board in boards}


@contextlib.contextmanager
def _started(used: Iterable[Source], given: str | None, seconds: float) -> Iterator[dict[str, str]]:
    """Servers by the prefix under which the site offers them. The demo runs while the past is built."""
    with contextlib.ExitStack() as stack:
        urls = {GIVEN: given or ""}
        ready = time.monotonic() + seconds
        live = stack.enter_context(demo.running()) if DEMO in used else None
        if PAST in used:
            urls[PAST] = stack.enter_context(history.running())
        if live is not None:
            demo.wait(live, ready)
            urls[DEMO] = live.prometheus.url
        yield {f"{source.path}/": url for source, url in urls.items()}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tools.preview",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--dashboard", type=Path, action="append", help="a dashboard's JSON (default: all generated)"
    )
    made.add_argument("--prometheus", help="the URL of a Prometheus (default: the demo, started for this)")
    made.add_argument(
        "--wait", type=float, default=demo.WAIT, help="seconds of demo before the pictures (%(default)g)"
    )
    made.add_argument("--out", type=Path, default=IMAGES, help="folder of the pictures (docs/images)")
    made.add_argument("--width", type=int, action="append", help="pixels; default 1440 and 390")
    made.add_argument("--theme", choices=("dark", "light"), default="dark")
    made.add_argument("--expand", action="store_true", help="open the rows that are collapsed at first")
    made.add_argument(
        "--from", dest="start", default="", help="as in Grafana: now-6h, or milliseconds (the board's)"
    )
    made.add_argument("--to", dest="end", default="", help="as in Grafana (the board's)")
    made.add_argument("--scrape-interval", default="", help="the data source's setting (that of the server)")
    made.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable's value")
    made.add_argument(
        "--report", type=Path, help="write every query, its number of answers and all faults as JSON"
    )
    return made


def look(args: argparse.Namespace) -> Look:
    pairs = [tuple(text.split("=", 1)) for text in args.var]
    wrong = next((text for text in args.var if "=" not in text), None)
    if wrong is not None:
        raise PreviewError(f"--var {wrong} is not understood: write NAME=VALUE")
    variables = tuple((pair[0], pair[1]) for pair in pairs)
    return Look(args.start, args.end, args.theme, args.scrape_interval, args.expand, variables)


def _boards(named: list[Path] | None) -> list[Path]:
    boards = named or sorted(BOARDS.glob("*.json"))
    if not boards:
        raise PreviewError(f"{BOARDS} holds no dashboard: run `make generate`")
    missing = next((board for board in boards if not board.is_file()), None)
    if missing is not None:
        raise PreviewError(f"{missing} is no file: name a dashboard's JSON")
    return boards


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return _run(args)
    except (PreviewError, DemoError) as error:
        sys.stderr.write(f"{error}\n")
        return 3


def _run(args: argparse.Namespace) -> int:
    boards, widths = _boards(args.dashboard), args.width or WIDTHS
    looked = look(args)
    chromium = build.find("chromium", "run `tools/peers chromium`")
    dist = build.page()
    args.out.mkdir(parents=True, exist_ok=True)
    folders = {"/": dist, **{f"/dashboards/{board.name}": board for board in boards}, **GRAFANA}
    over = sources(boards, args.prometheus)
    with _started(set(over.values()), args.prometheus, args.wait) as started, Site(folders, started) as site:
        drawn = draw(job(site.url, over, widths, looked, args.out.resolve(), chromium))
    shown = [board for board in boards for _ in widths]
    results = list(zip(shown, drawn, strict=True))
    if args.report is not None:
        args.report.write_text(json.dumps([r for _, r in results], indent=2) + "\n", encoding="utf-8")
    return tell(results)


def tell(results: Sequence[tuple[Path, dict[str, Any]]]) -> int:
    """Print what was drawn and what is wrong. Returns the exit code."""
    found: list[judge.Finding] = []
    for board, result in results:
        name = f"{board.stem} at {result['width']} px"
        faults = list(judge.faults(name, result))
        size = Path(result["out"]).stat().st_size // 1024
        queries = len(result["queries"])
        print(f"{name}: {len(result['panels'])} panels, {queries} queries, {len(faults)} faults, {size} KiB")
        found += faults
    seen = sorted({str(f) for board, result in results for f in judge.remarks(board.stem, result)})
    for remark in seen:
        print(f"note: {remark}")
    for fault in found:
        sys.stderr.write(f"FAULT {fault}\n")
    return 1 if found else 0
