"""Figures of the orbits of greedy admission, and of where its runs end."""

from __future__ import annotations

import math
from typing import Any

from kvsteady.advise.analysis import Analysis
from kvsteady.report.layout import Figure, axis, figure, legend_key, level, line
from kvsteady.report.plain import in_figure


def orbit_family(analysis: Analysis) -> Figure:
    """Throughput of the known orbits against the gap between their cohorts."""
    orbits = analysis.orbits
    gaps = [orbit.period for orbit in orbits]
    family = line(
        gaps,
        [100 * orbit.share_of_x_star for orbit in orbits],
        "@balance",
        mode="lines+markers",
        showlegend=False,
        marker={"size": 8, "color": "@balance"},
        text=[in_figure(orbit.name) for orbit in orbits],
        hovertemplate="%{text}<br>%{y:.1f}% of x*<extra></extra>",
    )
    across = axis("gap between cohorts, iterations", type="log", **_gap_ticks(gaps))
    return _throughputs(analysis, family, across)


def greedy_ends(analysis: Analysis) -> Figure:
    """Share of output tokens that greedy runs end with, on the scale of `orbit_family`."""
    ends = [run for run in analysis.runs if run.policy == "greedy"]
    marks = {
        "type": "scatter",
        "mode": "markers",
        "x": [f"{run.arithmetic}<br>{_START[run.start]}" for run in ends],
        "y": [100 * run.useful_tokens / analysis.running for run in ends],
        "showlegend": False,
        "marker": {"size": 12, "symbol": "x", "color": "@greedy"},
        "hovertemplate": "ends at %{y:.1f}%<extra></extra>",
    }
    across = axis(
        "run of greedy admission",
        type="category",
        range=[-0.6, len(ends) - 0.4],
        showgrid=False,
        tickangle=0,
    )
    return _throughputs(analysis, marks, across)


_START = {"disturbed equilibrium": "disturbed", "empty": "from empty"}


def _throughputs(analysis: Analysis, trace: dict[str, Any], across: dict[str, Any]) -> Figure:
    """A trace of shares of x* with the cap and reservation as lines, on one scale for all."""
    cap = 100 * analysis.rate_cap / analysis.x_star
    reserve = 100 * analysis.reservation_throughput / analysis.x_star
    found = [orbit.share_of_x_star for orbit in analysis.orbits]
    found += [run.useful_tokens / analysis.running for run in analysis.runs]
    shares = [reserve, cap, *(100 * share for share in found)]
    low, high = min(shares), max(100.0, *shares)
    air = 0.08 * (high - low) or 1.0
    return figure(
        [
            trace,
            legend_key("rate cap", "@cap", "dash"),
            legend_key("reserving full length", "@muted", "dot"),
        ],
        height=380,
        showlegend=True,
        shapes=[level(cap, "@cap", "dash"), level(reserve, "@muted", "dot")],
        # Fixed below, or labels of two lines would shift one panel against the other.
        margin={"l": 8, "r": 12, "t": 12, "b": 66},
        xaxis=across | {"automargin": False},
        yaxis=axis(
            "output tokens, % of those at x*", range=[low - air, high + air], ticksuffix="%"
        ),
    )


def _gap_ticks(gaps: list[int]) -> dict[str, Any]:
    """Ticks at the gaps themselves, thinned so that labels keep apart."""
    kept: list[int] = []
    for gap in gaps:
        if not kept or gap >= 1.9 * kept[-1]:
            kept.append(gap)
    low, high = math.log10(gaps[0]), math.log10(gaps[-1])
    air = max(0.05 * (high - low), 0.1)
    return {
        "tickvals": kept,
        "ticktext": [f"{gap:,}" for gap in kept],
        "tickangle": 0,
        "range": [low - air, high + air],
    }
