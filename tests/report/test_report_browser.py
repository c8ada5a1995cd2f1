"""The page in a real browser: drawn, silent, offline. Chromium's own start-up traffic does not
pass through a page's session, so what is counted was caused by the page.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from chromium import Browser

from kvsteady.advise import Analysis
from kvsteady.report import render_html, render_reproduction_html, report_plots
from kvsteady.reproduce import reproduce

pytest.importorskip("plotly")

DRAWN = "document.documentElement.dataset.drawn !== undefined"
PLOTS = "[...document.querySelectorAll('.plot')]"


def written(folder: Path, html: str) -> Path:
    path = folder / "page.html"
    path.write_text(html, "utf-8")
    return path


def test_all_figures_are_drawn_without_error_or_request(
    browser: Browser, analysis: Analysis, tmp_path: Path
) -> None:
    panels = sum(len(plot.panels) for plot in report_plots(analysis))
    with browser.open(written(tmp_path, render_html(analysis))) as page:
        assert page.wait_for(DRAWN)
        assert page.evaluate("document.querySelectorAll('.js-plotly-plot').length") == panels
        assert page.evaluate(f"{PLOTS}.every(p => p.querySelector('.main-svg .scatterlayer path'))")
        assert page.errors == []
        assert page.requests == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_screen_in_both_schemes(
    browser: Browser, analyses: dict[str, Analysis], tmp_path: Path, width: int, dark: bool
) -> None:
    path = written(tmp_path, render_html(analyses["tiers"]))
    with browser.open(path, width=width, dark=dark) as page:
        assert page.wait_for(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(
            f"{PLOTS}.every(p => p.querySelector('.main-svg').getBoundingClientRect().right"
            " <= innerWidth)"
        )
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") is not dark
        ink = page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
        assert ink == page.evaluate("getComputedStyle(document.body).color")


def test_it_follows_the_scheme_and_prints_in_light(
    browser: Browser, analyses: dict[str, Analysis], tmp_path: Path
) -> None:
    with browser.open(written(tmp_path, render_html(analyses["tiers"])), dark=True) as page:
        assert page.wait_for(DRAWN)
        ink = "getComputedStyle(document.querySelector('.xtick text')).fill"
        dark = page.evaluate(ink)
        light = {"name": "prefers-color-scheme", "value": "light"}
        page.call("Emulation.setEmulatedMedia", features=[light])
        assert page.wait_for(f"{ink} !== '{dark}'")
        page.call("Emulation.setEmulatedMedia", features=[{**light, "value": "dark"}])
        assert page.wait_for(f"{ink} === '{dark}'")
        assert len(page.call("Page.printToPDF")["data"]) > 50_000
        assert page.wait_for(f"{ink} === '{dark}'")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.wait_for(f"{ink} !== '{dark}'")
        assert page.errors == []


def test_hostile_texts_run_nothing(browser: Browser, hostile: Analysis, tmp_path: Path) -> None:
    with browser.open(written(tmp_path, render_html(hostile))) as page:
        assert page.wait_for(DRAWN)
        assert page.evaluate("document.querySelectorAll('img, .plot a').length") == 0
        assert page.errors == []
        assert page.requests == []


@pytest.mark.parametrize(
    "content",
    [
        '<script src="http://127.0.0.1:9/x.js"></script>',
        '<img src="https://127.0.0.1:9/x.png">',
        '<link rel="stylesheet" href="http://127.0.0.1:9/x.css">',
        "<style>@font-face { font-family: f; src: url(http://127.0.0.1:9/x.woff) }"
        " p { font-family: f }</style><p>text</p>",
        "<script>fetch('http://127.0.0.1:9/x').catch(() => {})</script>",
        "<script>new WebSocket('ws://127.0.0.1:9/x')</script>",
        "<script>navigator.sendBeacon('http://127.0.0.1:9/x')</script>",
        '<img src="beside.png">',
    ],
)
def test_the_check_would_see_a_request(browser: Browser, tmp_path: Path, content: str) -> None:
    path = written(tmp_path, f"<!doctype html><link rel=icon href='data:,'>{content}")
    with browser.open(path) as page:
        assert page.wait_for("true")
        page.evaluate("new Promise(done => setTimeout(done, 200))")
        assert page.requests


@pytest.mark.parametrize(
    "content",
    [
        "console.error('no')",
        "throw new Error('no')",
        "Promise.reject(new Error('no'))",
        "console.assert(false)",
        "nothing here is JavaScript",
    ],
)
def test_the_check_would_see_an_error(browser: Browser, tmp_path: Path, content: str) -> None:
    path = written(tmp_path, f"<!doctype html><script>{content}</script>")
    with browser.open(path) as page:
        page.evaluate("new Promise(done => setTimeout(done, 100))")
        assert page.errors


def test_a_quiet_page_is_quiet(browser: Browser, tmp_path: Path) -> None:
    path = written(tmp_path, "<!doctype html><script>console.log('fine')</script>")
    with browser.open(path) as page:
        page.evaluate("new Promise(done => setTimeout(done, 100))")
        assert page.errors == []
        assert page.requests == []


def test_a_reproduction_is_drawn_too(browser: Browser, tmp_path: Path) -> None:
    found = reproduce(only=["reference-run", "spread-growth", "gcd"])
    figures = sum(len(finding.charts) for finding in found.findings)
    with browser.open(written(tmp_path, render_reproduction_html(found)), width=360) as page:
        assert page.wait_for(DRAWN)
        assert page.evaluate("document.querySelectorAll('.js-plotly-plot').length") == figures
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.errors == []
        assert page.requests == []
