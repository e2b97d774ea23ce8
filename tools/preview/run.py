"""Pictures of the generated dashboards, drawn by Grafana's own components in headless Chromium over a real Prometheus.

    python -m tools.preview                                     all of generated/grafana, into docs/images
    python -m tools.preview --dashboard FILE --var slo=NAME     one, with a chosen value
    python -m tools.preview --prometheus http://127.0.0.1:9090  over a server of your own

Without --prometheus it starts the demo and ends it. Exit codes: 0 all drawn, 1 something is wrong with a dashboard
(each fault is named on stderr), 3 a program is missing or failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tools.demo.servers import DemoError
from tools.preview import build, demo, judge
from tools.preview.build import PreviewError
from tools.preview.site import Site

BOARDS = build.ROOT / "generated" / "grafana"
IMAGES = build.ROOT / "docs" / "images"
WIDTHS = (1440, 390)  # pixels: a laptop's, a phone's
HEIGHT = 900  # pixels of the window at first; it grows to the page
TALLEST = 12000
SETTLE = 60_000  # milliseconds for one page
MODULES = build.BUILT / "node_modules"
# What a Grafana server serves beside its page. Its font comes from the font's own package; one icon of the time
# picker is missing from @grafana/ui and stands beside this file.
ICONS = MODULES / "@grafana" / "ui" / "dist" / "public" / "img" / "icons"
INTER = MODULES / "@fontsource" / "inter" / "files"
MONO = MODULES / "@fontsource" / "roboto-mono" / "files" / "roboto-mono-latin-400-normal.woff2"
GRAFANA = {
    "/public/build/img/icons/": ICONS,
    "/public/build/img/icons/unicons/angle-double-left.svg": build.HERE / "angle-double-left.svg",
    "/public/fonts/inter/Inter-Regular.woff2": INTER / "inter-latin-400-normal.woff2",
    "/public/fonts/inter/Inter-Medium.woff2": INTER / "inter-latin-500-normal.woff2",
    "/public/fonts/inter/Inter-Italic.woff2": INTER / "inter-latin-400-italic.woff2",
    "/public/fonts/inter/Inter-MediumItalic.woff2": INTER / "inter-latin-500-italic.woff2",
    "/public/fonts/roboto/L0xTDF4xlVMF-BfR8bXMIhJHg45mwgGEFl0_3vrtSM1J-gEPT5Ese6hmHSh0mQ.woff2": MONO,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How the dashboards are opened: from where to where, in which theme, with what chosen."""

    start: str
    end: str
    theme: str
    scrape: str
    expand: bool
    variables: tuple[tuple[str, str], ...]

    def query(self, dashboard: Path) -> str:
        named = {"dashboard": f"/dashboards/{dashboard.name}", "from": self.start, "to": self.end,
                 "theme": self.theme, "scrape": self.scrape}  # fmt: skip
        chosen = [(f"var-{name}", value) for name, value in self.variables]
        return urlencode(
            [*((k, v) for k, v in named.items() if v), *([("expand", "1")] if self.expand else []), *chosen]
        )


def picture(dashboard: Path, width: int, theme: str) -> str:
    """The file name of a picture: the dashboard's, with the width where it is not the widest."""
    suffix = "" if width == max(WIDTHS) else f"-{width}"
    return f"{dashboard.stem}{suffix}{'' if theme == 'dark' else '-light'}.png"


def job(
    site: str, boards: Sequence[Path], widths: Sequence[int], look: Look, out: Path, chromium: str
) -> dict[str, Any]:
    """What shoot.mjs is asked to do."""
    pages = [
        {
            "url": f"{site}/index.html?{look.query(board)}",
            "width": width,
            "height": HEIGHT,
            "out": str(out / picture(board, width, look.theme)),
        }
        for board in boards
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


@contextlib.contextmanager
def _prometheus(url: str | None, seconds: float) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with demo.running(seconds) as started:
        yield started


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
    made.add_argument(
        "--scrape-interval", default=demo.SCRAPE, help="the data source's setting (%(default)s)"
    )
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
    with _prometheus(args.prometheus, args.wait) as prometheus, Site(folders, prometheus) as site:
        drawn = draw(job(site.url, boards, widths, looked, args.out.resolve(), chromium))
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
