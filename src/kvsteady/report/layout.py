"""What the figures share: a figure is a dict as Plotly reads it, colours named by role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

Figure: TypeAlias = dict[str, Any]

_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def axis(title: str, **more: Any) -> dict[str, Any]:
    """One axis with a thin grid."""
    return {
        "title": {"text": title, "standoff": 8},
        "automargin": True,
        "gridcolor": "@grid",
        "linecolor": "@line",
        "zeroline": False,
        "ticks": "",
        "exponentformat": "none",
        "separatethousands": True,
        **more,
    }


def figure(traces: Sequence[dict[str, Any]], *, height: int, **layout: Any) -> Figure:
    """Traces with the common layout; ``layout`` adds to it."""
    common = {
        "height": height,
        "autosize": True,
        "margin": {"l": 8, "r": 12, "t": 12, "b": 8, "autoexpand": True},
        "font": {"family": _FONT, "size": 13, "color": "@ink"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "@card",
            "bordercolor": "@line",
            "font": {"color": "@ink"},
        },
        "showlegend": False,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "xanchor": "left",
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
        },
    }
    return {"data": list(traces), "layout": common | layout}


def line(
    x: Sequence[float], y: Sequence[float], color: str, *, name: str = "", **more: Any
) -> dict[str, Any]:
    """A line trace."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": list(y),
        "name": name,
        "line": {"color": color, "width": 2},
        **more,
    }


def legend_key(name: str, color: str, dash: str) -> dict[str, Any]:
    """An entry of the legend for a `level`: Plotly lists traces only."""
    style = {"color": color, "width": 1.5, "dash": dash}
    return {"type": "scatter", "mode": "lines", "x": [None], "y": [None], "name": name} | {
        "line": style
    }


def level(
    y: float, color: str, dash: str, *, xref: str = "paper", yref: str = "y"
) -> dict[str, Any]:
    """A horizontal line across the plot."""
    return {
        "type": "line",
        "xref": xref,
        "yref": yref,
        "x0": 0,
        "x1": 1,
        "y0": y,
        "y1": y,
        "line": {"color": color, "width": 1.5, "dash": dash},
    }


def top_of(*curves: Sequence[float]) -> float:
    """An upper end of an axis that shows all of them with some air."""
    return 1.06 * max((max(curve, default=0.0) for curve in curves), default=0.0) or 1.0
