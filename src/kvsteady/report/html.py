"""An analysis as one self-contained page."""

from __future__ import annotations

from kvsteady.advise.analysis import Analysis
from kvsteady.report import sections
from kvsteady.report.page import page
from kvsteady.report.plots import plot_sections, report_plots


def render_html(analysis: Analysis) -> str:
    """The report as one self-contained page, for any modern browser, offline.

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
    panels = {
        f"{number}.{place}": spec
        for number, plot in enumerate(plots)
        for place, (_, spec) in enumerate(plot.panels)
    }
    title = f"kvsteady: {analysis.verdict}: {analysis.workload.name}"
    return page(title, body, panels, data=analysis)
