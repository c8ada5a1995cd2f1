"""Draw docs/picture.png, the picture of the README, with the figures of the report.

Run ``python docs/make_picture.py`` where Chromium and ``kvsteady[report]`` are installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

import kvsteady as kv
from kvsteady.advise import Analysis
from kvsteady.report.html import page
from kvsteady.report.layout import Figure
from kvsteady.report.numbers import quantity, share
from kvsteady.report.plots import Plot
from kvsteady.report.trajectories import completions, trajectory

WIDTH, HEIGHT, SCALE = 1380, 770, 2
KV_TOKENS = 100_000
STYLE = """
<style>
  :root { color-scheme: light; }
  main { max-width: none; padding: 26px 30px; }
  h1 { font-size: 27px; margin-bottom: 4px; }
  p.what { color: var(--muted); margin-bottom: 16px; font-size: 17px; }
  .columns { display: grid; grid-template-columns: 1fr 1fr 1.12fr; gap: 0 22px; }
  .columns h4 { margin: 0 0 6px; font-size: 16px; font-weight: 600; }
  .columns b { color: var(--greedy); } .columns b.cap { color: var(--cap); }
</style>
"""


def main() -> None:
    """Analyse two systems and take the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if browser is None:
        sys.exit("Chromium is needed to take the picture")
    same = whole_requests(kv.Workload.fixed(128, 512))
    tiers = whole_requests(kv.Workload.classes([(256, 128), (256, 256), (256, 512)]))
    greedy, capped = same.curves.runs
    panels = (
        ("", sized(trajectory(same, greedy), 590)),
        ("", sized(trajectory(same, capped), 590)),
        ("", total(same, legend=True)),
        ("", total(tiers, legend=False)),
    )
    html = page("kvsteady", body(same, tiers), [Plot("", "", panels)], analysis=same)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "picture.html"
        source.write_text(html, "utf-8")
        shoot(browser, source, Path(__file__).with_name("picture.png"), Path(folder) / "profile")


def whole_requests(workload: kv.Workload) -> Analysis:
    """The analysis with the curves of the runs of whole requests only."""
    found = kv.check(kv.System(workload, KV_TOKENS, 16))
    runs = tuple(run for run in found.curves.runs if run.arithmetic == "integer")
    return msgspec.structs.replace(found, curves=msgspec.structs.replace(found.curves, runs=runs))


def sized(figure: Figure, height: int, *, legend: bool = False) -> Figure:
    """The figure at another height, the legend inside."""
    layout = figure["layout"]
    layout["height"] = height
    layout["showlegend"] = legend
    layout["legend"] |= {"orientation": "v", "x": 0.02, "y": 0.99, "yanchor": "top"}
    return figure


def total(analysis: Analysis, *, legend: bool) -> Figure:
    """Completions, with an axis title short enough for a panel."""
    figure = sized(completions(analysis), 282, legend=legend)
    figure["layout"]["yaxis"]["title"]["text"] = "completed in all"
    return figure


def body(same: Analysis, tiers: Analysis) -> str:
    """Headings and places for the panels."""

    def place(number: int) -> str:
        return f'<div class="plot" data-figure="0.{number}"></div>'

    capped = next(run for run in same.runs if run.policy == "rate cap")
    lost, cap = same.restart_loss, 1 - capped.throughput / same.x_star
    return (
        f"{STYLE}<h1>Greedy admission falls into an eviction cycle; a rate cap stays out of it</h1>"
        f'<p class="what">Prompts of 128, outputs of 512, {KV_TOKENS:,} KV tokens, from empty; '
        "evicted requests restart</p>"
        '<div class="columns">'
        f"<div><h4><b>Greedy</b>: loses {share(lost)} of x*</h4>{place(0)}</div>"
        f'<div><h4><b class="cap">Cap at {quantity(same.rate_cap)} per iteration</b>: '
        f"gives up {share(cap)}</h4>{place(1)}</div>"
        f"<div><h4>128:512: worst cycle at {share(worst(same))} of x*</h4>{place(2)}"
        f"<h4>256:{{128, 256, 512}}: worst cycle at {share(worst(tiers))}</h4>{place(3)}</div>"
        "</div>"
    )


def worst(analysis: Analysis) -> float:
    """Throughput of the worst cycle as a share of x*."""
    return analysis.worst_cycle_throughput / analysis.x_star


def shoot(browser: str, source: Path, target: Path, profile: Path) -> None:
    """Take a screenshot of a page."""
    flags = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
        f"--window-size={WIDTH},{HEIGHT}",
        f"--force-device-scale-factor={SCALE}",
        "--virtual-time-budget=5000",
        f"--screenshot={target}",
    )
    subprocess.run(
        [browser, *flags, source.as_uri()], check=True, timeout=120, stderr=subprocess.DEVNULL
    )


if __name__ == "__main__":
    main()
