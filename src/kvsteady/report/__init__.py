"""A saved analysis, shown: as text for the terminal, as figures, as one HTML file.

Every output renders the same saved result; nothing is analysed here. Figures are dicts as Plotly
reads them, with colours named by role until `painted` fills them in.
"""

from kvsteady.report.html import render_html
from kvsteady.report.league import render_league, render_league_html
from kvsteady.report.palette import painted
from kvsteady.report.plots import Plot, report_plots
from kvsteady.report.reproduction import render_reproduction, render_reproduction_html
from kvsteady.report.save import check_destination, save
from kvsteady.report.terminal import render_terminal
from kvsteady.report.tuning import render_tuning
from kvsteady.report.tuning_html import render_tuning_html

__all__ = [
    "Plot",
    "check_destination",
    "painted",
    "render_html",
    "render_league",
    "render_league_html",
    "render_reproduction",
    "render_reproduction_html",
    "render_terminal",
    "render_tuning",
    "render_tuning_html",
    "report_plots",
    "save",
]
