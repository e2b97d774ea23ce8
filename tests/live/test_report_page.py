"""The report in a real browser: whole without network and script, readable by eye, keyboard and screen reader.

`pytest -m live tests/live/test_report_page.py --regenerate-goldens` also draws docs/images/report*.png anew: look at them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import recorded_month
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests import gatekit

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("report-page")]

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
LARGEST = 300_000  # bytes of a picture

# Every piece of text with its own colour and what is behind it, as [text, contrast] (WCAG 2.2, 1.4.3).
CONTRASTS = """
() => {
  const rgba = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
      if (c[3] > 0) throw new Error('half transparent');
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, text = node.data.trim();
    if (!text || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = rgba(element.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(colour), light(behind(element))].sort((x, y) => y - x);
    found.push([text, (a + 0.05) / (b + 0.05)]);
  }
  return found;
}
"""
# What has the focus: its role, and how thick its outline is.
FOCUSED = """
() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const box = e.getBoundingClientRect();
  return {
    tag: e.tagName, href: e.getAttribute('href'), scrolls: e.classList.contains('scroll'),
    outline: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
    visible: box.top < innerHeight && box.bottom > 0 && box.left < innerWidth && box.right > 0,
  };
}
"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a month, written by the command from a real Prometheus."""
    folder = tmp_path_factory.mktemp("report")
    asked = recorded_month.serve(folder)
    file = folder / "report.html"
    try:
        done = gatekit.slo_at(
            asked.server.url, "report", "--month", recorded_month.MONTH, "--html", str(file)
        )
    finally:
        asked.stop()
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = ROOT / ".tools" / "bin" / "chromium"
    assert chromium.exists(), "Chromium is missing: run tools/peers chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        yield running
        running.close()


def opened(browser: Browser, html: Path, width: int = 1200, scheme: Any = "light", height: int = 900) -> Page:
    """The page in a window of its own, without script and without network."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        java_script_enabled=False,
        offline=True,
    )
    page = context.new_page()
    page.goto(html.as_uri())
    return page


def test_it_asks_for_nothing_and_runs_nothing(browser: Browser, html: Path) -> None:
    """One request, its own; nothing on the console, with script allowed."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    requests: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(html.as_uri())
    page.wait_for_timeout(300)
    assert requests == [html.as_uri()]
    assert said == []
    assert page.locator("script").count() == 0
    context.close()


def test_it_has_a_title_headings_in_order_and_landmarks(browser: Browser, html: Path) -> None:
    """What a screen reader jumps between."""
    page = opened(browser, html)
    assert page.title() == "Error budgets of stella-ops, October 2025"
    assert page.locator("html").get_attribute("lang") == "en"
    assert [page.get_by_role(role).count() for role in ("banner", "main")] == [1, 1]
    assert page.get_by_role("navigation", name="Services").count() == 1
    levels = [
        int(t[1]) for t in page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(e => e.tagName)")
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert page.get_by_role("region", name="What cost most").count() >= 1
    page.context.close()


def test_its_tables_have_captions_and_scopes(browser: Browser, html: Path) -> None:
    """Each cell has the heading of its row and of its column."""
    page = opened(browser, html)
    tables = page.locator("table")
    assert tables.count() == 2
    assert page.locator("table > caption").count() == 2
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("tbody tr").count() == page.locator("tbody tr > th[scope=row]").count() > 40
    page.context.close()


def test_its_charts_are_images_with_a_text(browser: Browser, html: Path) -> None:
    """With the numbers that they draw."""
    page = opened(browser, html)
    charts = page.get_by_role("img")
    assert charts.count() == page.locator("svg").count() > 5
    told = [charts.nth(n).get_attribute("aria-label") or "" for n in range(charts.count())]
    assert len(set(told)) == len(told)
    assert any("signer-uptime 24.9%" in t for t in told)
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(browser: Browser, html: Path, scheme: str) -> None:
    """At least 4.5:1, in the table and in the charts."""
    page = opened(browser, html, scheme=scheme)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 300
    assert [(text, round(ratio, 2)) for text, ratio in found if ratio < 4.5] == []
    print(f"\n{scheme}: the least contrast of {len(found)} texts is {min(r for _, r in found):.2f}")
    page.context.close()


def test_the_keyboard_reaches_every_link_and_what_scrolls(browser: Browser, html: Path) -> None:
    """In the page's order, each with an outline and in view."""
    page = opened(browser, html)
    wanted = page.locator("a[href], .scroll").evaluate_all("all => all.map(e => e.getAttribute('href'))")
    reached = []
    for _ in wanted:
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUSED)
        assert at["tag"] == "A" or at["scrolls"], at
        assert at["outline"] >= 2, at
        assert at["visible"], at
        reached.append(at["href"])
    assert reached == wanted
    page.context.close()


def test_a_link_leads_to_its_service(browser: Browser, html: Path) -> None:
    """Within the page."""
    page = opened(browser, html)
    page.get_by_role("navigation").get_by_role("link", name="rekor", exact=True).click()
    heading = page.get_by_role("heading", name="rekor (supply-chain)")
    assert heading.bounding_box()["y"] < 900
    page.context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_the_page_never_scrolls_sideways(browser: Browser, html: Path, width: int) -> None:
    """Wide tables and charts scroll in their own regions."""
    page = opened(browser, html, width)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    page.context.close()


def test_a_phone_shows_the_result_and_what_is_left(browser: Browser, html: Path) -> None:
    """Without scrolling sideways."""
    page = opened(browser, html, 390)
    for heading in ("SLO", "result", "budget left"):
        box = page.get_by_role("columnheader", name=heading, exact=True).first.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    page.context.close()


def test_it_prints(browser: Browser, html: Path) -> None:
    """In ink on paper whatever the screen's colours, without navigation, nothing cut off."""
    page = opened(browser, html, scheme="dark")
    page.emulate_media(media="print")
    assert not page.get_by_role("navigation", name="Services").is_visible()
    colours = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert colours == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert min(ratio for _, ratio in page.evaluate(CONTRASTS)) >= 4.5
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF-")
    assert len(pdf) > 20_000
    page.set_viewport_size({"width": 760, "height": 1000})  # A4 between its margins
    assert (
        page.locator(".scroll").evaluate_all("all => all.filter(e => e.scrollWidth > e.clientWidth).length")
        == 0
    )
    page.context.close()


PICTURES = [("report.png", 1200, 2400, "light"), ("report-phone.png", 390, 844, "dark")]


@pytest.mark.parametrize(("name", "width", "height", "scheme"), PICTURES)
def test_it_looks_as_in_the_readme(
    browser: Browser,
    html: Path,
    request: pytest.FixtureRequest,
    name: str,
    width: int,
    height: int,
    scheme: str,
) -> None:
    """Nearly: fonts differ between machines, the page does not."""
    page = opened(browser, html, width, scheme, height)
    taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.context.close()
    file = IMAGES / name
    if request.config.getoption("--regenerate-goldens"):
        IMAGES.mkdir(exist_ok=True)
        taken.quantize(256, Image.Quantize.MAXCOVERAGE).save(file, optimize=True)
    shown = Image.open(file).convert("RGB")
    assert file.stat().st_size < LARGEST
    assert taken.size == shown.size
    small = (taken.width // 20, taken.height // 20)
    pairs = zip(
        taken.resize(small).convert("L").tobytes(), shown.resize(small).convert("L").tobytes(), strict=True
    )
    differing = sum(abs(a - b) for a, b in pairs) / (small[0] * small[1])
    assert differing < 12, json.dumps({"mean difference of 255": differing})
