"""Open the built pages as a reader would: every figure is drawn, and nothing comes from elsewhere.

Run ``python docs/check_site.py docs/_build/html``; without Chromium only the files are checked.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))

from chromium import Browser, find_browser

# What a browser fetches by itself, as opposed to links, which a reader has to follow.
FETCHED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)\"")


def main(site: Path) -> list[str]:
    """Complaints about a site, none if it is as it should be."""
    pages = sorted(site.rglob("*.html"))
    found = [f"{page}: loads {url}" for page in pages for url in FETCHED.findall(page.read_text())]
    figures = {page: page.read_text("utf-8").count('class="kv-plot"') for page in pages}
    live = {page: count for page, count in figures.items() if count}
    if not live:
        found.append("no page has a figure")
    program = find_browser()
    if program is None:
        print("no Chromium: figures were not drawn")
        return found
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, Path(profile))
        try:
            for page, count in live.items():
                found += drawn(browser, page, count)
        finally:
            browser.close()
    print(f"{len(pages)} pages, {sum(live.values())} figures drawn")
    return found


def drawn(browser: Browser, page: Path, count: int) -> list[str]:
    """Complaints about the figures of one page, in the dark scheme."""
    with browser.open(page, dark=True) as shown:
        if not shown.wait_for(f"document.body.dataset.drawn === '{count}'"):
            return [f"{page}: not all of {count} figures are drawn", *shown.errors]
        elsewhere = [url for url in shown.requests if not url.startswith(("file:", "data:"))]
        return [f"{page}: {problem}" for problem in (*shown.errors, *elsewhere)]


if __name__ == "__main__":
    problems = main(Path(sys.argv[1]).resolve())
    print(*problems, sep="\n")
    sys.exit(bool(problems))
