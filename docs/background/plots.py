"""The figures of this chapter: what a cell returns is drawn by `_static/figures.js`."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvsteady.report.layout import Figure, axis, figure, line

ROLES = ("@cap", "@greedy", "@balance", "@muted", "@watch", "@ink")
GAP = 0.06


@dataclass(frozen=True)
class Drawing:
    """A Plotly figure with colours by role, and the sentence under it."""

    figure: Figure
    caption: str

    def _repr_html_(self) -> str:
        data = html.escape(json.dumps(self.figure, default=float))
        caption = html.escape(self.caption)
        height = self.figure["layout"]["height"]
        return (
            f'<figure class="kv-figure"><div class="kv-plot" style="height: {height}px" role="img" '
            f'aria-label="{caption}" data-figure="{data}"></div>'
            f"<figcaption>{caption}</figcaption></figure>"
        )


@dataclass(frozen=True)
class Curve:
    """One curve: values over ``x`` (0, 1, 2, … if left out), its name and how it is drawn."""

    y: npt.ArrayLike
    name: str = ""
    x: npt.ArrayLike | None = None
    color: str | None = None
    style: str = "solid"  # solid, dash, dot or marks


def curves(
    drawn: Sequence[Curve],
    x: str,
    y: str,
    caption: str,
    *,
    height: int = 340,
    xaxis: dict[str, Any] | None = None,
    yaxis: dict[str, Any] | None = None,
) -> Drawing:
    """Curves over one pair of axes."""
    layout = {"xaxis": axis(x, **(xaxis or {})), "yaxis": axis(y, **(yaxis or {}))}
    traces = [_trace(curve, number) for number, curve in enumerate(drawn)]
    named = any(curve.name for curve in drawn)
    return Drawing(figure(traces, height=height, showlegend=named, **layout), caption)


def panels(rows: Sequence[tuple[str, Sequence[Curve]]], x: str, caption: str) -> Drawing:
    """One panel above another over the same x; a row is a title and its curves."""
    share = (1 - (len(rows) - 1) * GAP) / len(rows)
    traces, layout, named = [], {}, set()
    for place, (title, drawn) in enumerate(rows):
        number = "" if place == 0 else f"{place + 1}"
        top = 1 - place * (share + GAP)
        layout[f"yaxis{number}"] = axis(
            title, domain=[max(0.0, top - share), top], nticks=4, rangemode="tozero"
        )
        for index, curve in enumerate(drawn):
            first = bool(curve.name) and curve.name not in named
            named.add(curve.name)
            traces.append(_trace(curve, index) | {"yaxis": f"y{number}", "showlegend": first})
    layout["xaxis"] = axis(x, anchor=f"y{len(rows)}")
    height = 140 * len(rows) + 60
    return Drawing(figure(traces, height=height, showlegend=bool(named - {""}), **layout), caption)


def roots(groups: Sequence[tuple[str, npt.ArrayLike]], caption: str) -> Drawing:
    """Roots in the complex plane around the unit circle; conjugates are added."""
    turn = np.linspace(0, 2 * np.pi, 181)
    circle = Curve(np.sin(turn), "unit circle", np.cos(turn), "@muted")
    drawn = [circle]
    for number, (name, given) in enumerate(groups):
        each = np.asarray(given, dtype=complex)
        half = each[each.imag >= -1e-9]
        both = np.concatenate([half, np.conj(half)])
        drawn.append(Curve(both.imag, name, both.real, ROLES[number], "marks"))
    reach = 1.08 * max(
        float(np.abs(np.asarray(each.x) + 1j * np.asarray(each.y)).max()) for each in drawn
    )
    square = {"range": [-reach, reach], "dtick": 0.5, "constrain": "domain"}
    return curves(
        drawn,
        "Re z",
        "Im z",
        caption,
        height=440,
        xaxis=square,
        yaxis=square | {"scaleanchor": "x"},
    )


def _trace(curve: Curve, number: int) -> dict[str, Any]:
    color = curve.color or ROLES[number % len(ROLES)]
    y = np.asarray(curve.y, dtype=float)
    x = np.arange(y.size) if curve.x is None else np.asarray(curve.x, dtype=float)
    trace = line(x.round(6).tolist(), y.round(6).tolist(), color, name=curve.name)
    if curve.style == "marks":
        return trace | {"mode": "markers", "marker": {"color": color, "size": 7}}
    trace["line"] |= {"dash": curve.style, "width": 1.8}
    return trace
