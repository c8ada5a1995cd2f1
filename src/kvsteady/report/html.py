"""An analysis as one HTML file that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

import msgspec

from kvsteady.advise.analysis import Analysis
from kvsteady.extras import import_extra
from kvsteady.report import sections
from kvsteady.report.layout import Figure
from kvsteady.report.palette import DARK, LIGHT, as_css
from kvsteady.report.plain import escaped
from kvsteady.report.plots import Plot, plot_sections, report_plots

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script type="application/json" id="analysis">{analysis}</script>
<script type="application/json" id="figures">{figures}</script>
<script>{plotly}</script>
<script>{script}</script>
</body>
</html>
"""


def render_html(analysis: Analysis) -> str:
    """The report as one self-contained page, for any modern browser, offline.

    The analysis is embedded as JSON in ``<script type="application/json" id="analysis">``, so the
    page is also saved data.

    Raises
    ------
    MissingExtraError
        Plotly is not installed (``kvsteady[report]``).
    """
    plots = report_plots(analysis)
    body = "\n".join(
        [
            sections.heading(analysis),
            sections.numbers(analysis),
            sections.advice(analysis),
            "<h2>What happens</h2>",
            *plot_sections(plots),
            sections.settings(analysis),
            sections.runs(analysis),
            sections.notes(analysis),
            sections.footer(analysis),
        ]
    )
    return page(
        f"kvsteady: {analysis.verdict}: {analysis.workload.name}",
        body,
        plots,
        analysis=analysis,
    )


def page(title: str, body: str, plots: Sequence[Plot], *, analysis: Analysis) -> str:
    """The page around a body whose ``.plot`` elements name the panels of ``plots``."""
    specs = {
        f"{number}.{place}": spec
        for number, plot in enumerate(plots)
        for place, (_, spec) in enumerate(plot.panels)
    }
    here = files("kvsteady.report")
    # Read first: without Plotly there is nothing to render.
    plotly: str = import_extra("plotly.offline", extra="report").get_plotlyjs()
    return _PAGE.format(
        title=escaped(title),
        style=_schemes() + (here / "page.css").read_text("utf-8"),
        body=body,
        analysis=_script_data(analysis),
        figures=_script_data(specs),
        plotly=plotly,
        script=(here / "page.js").read_text("utf-8"),
    )


def _schemes() -> str:
    dark = f":root:not([data-theme=light]) {{ {as_css(DARK)}}}"
    return (
        f":root {{ {as_css(LIGHT)}color-scheme: light dark; }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"
    )


def _script_data(value: Analysis | Mapping[str, Figure]) -> str:
    """JSON that cannot end the script element it stands in."""
    return msgspec.json.encode(value).decode().replace("<", "\\u003c")
