"""Figures of the law of lengths and of its spectrum."""

from __future__ import annotations

import math
from typing import Any

from kvsteady.advise.analysis import Analysis, Curve
from kvsteady.report.layout import Figure, axis, figure, level, line, top_of
from kvsteady.report.numbers import quantity

# Imaginary parts up to this are rounding: the root is real and has no conjugate.
_REAL = 1e-9


def output_law(analysis: Analysis) -> Figure:
    """Share of requests with more than n output tokens."""
    mean = analysis.workload.mean_output
    return _survival(analysis.curves.output_law, mean, "output tokens n", "P(output > n)")


def prompt_law(analysis: Analysis) -> Figure:
    """Share of requests with more than n prompt tokens."""
    mean = analysis.workload.mean_prompt
    return _survival(analysis.curves.prompt_law, mean, "prompt tokens n", "P(prompt > n)")


def survival_weights(analysis: Analysis) -> Figure:
    """KV tokens that one admission holds at each age, and at x* the memory of that age."""
    weights = analysis.curves.weights
    top = top_of(weights.y)
    short = len(weights.x) < 8
    w = line(
        weights.x,
        weights.y,
        "@cap",
        fill="tozeroy",
        fillcolor="@cap-soft",
        mode="lines+markers" if short else "lines",
        hovertemplate="age %{x:,}: w = %{y:,.4~g} tokens per admission<extra></extra>",
    )
    # Plotly draws a second scale only where a trace uses it.
    scale = line([weights.x[0]], [0.0], "@cap", yaxis="y2", hoverinfo="skip", opacity=0)
    return figure(
        [w, scale],
        height=340,
        xaxis=axis(
            "age: iterations since admission",
            rangemode="tozero",
            dtick=1 if short else None,
        ),
        yaxis=axis("w: tokens per admission", range=[0, top], fixedrange=True),
        yaxis2=axis(
            "x*·w: KV tokens at that age",
            range=[0, top * analysis.x_star],
            fixedrange=True,
            overlaying="y",
            side="right",
            showgrid=False,
            tickmode="auto",
        ),
    )


def unit_circle(analysis: Analysis) -> Figure:
    """Leading modes and their conjugates in the complex plane."""
    modes = analysis.curves.modes
    both = [(re, s * im) for re, im in modes for s in ((1, -1) if im > _REAL else (1,))]
    turn = [2 * math.pi * step / 180 for step in range(181)]
    reach = 1.12 * max([1.0, *(math.hypot(*mode) for mode in both)])
    circle = line(
        [math.cos(angle) for angle in turn],
        [math.sin(angle) for angle in turn],
        "@muted",
        name="unit circle",
        hoverinfo="skip",
    )
    circle["line"]["width"] = 1.2
    return figure(
        [circle, *_modes(both, [re for re, _ in both], [im for _, im in both])],
        height=400,
        showlegend=True,
        xaxis=axis("Re z", range=[-reach, reach], dtick=0.5, constrain="domain"),
        yaxis=axis(
            "Im z",
            range=[-reach, reach],
            dtick=0.5,
            constrain="domain",
            scaleanchor="x",
        ),
    )


def circle_distance(analysis: Analysis) -> Figure:
    """Distance of the leading modes from the unit circle against their angle."""
    modes = analysis.curves.modes
    beyond = [math.hypot(*mode) - 1 for mode in modes]
    angle = [math.atan2(abs(im), re) / math.pi for re, im in modes]
    high, low = max([0.0, *beyond]), min([0.0, *beyond])
    air = 0.15 * (high - low) or 1e-3
    low, high = low - air, high + air
    zone = {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": 0,
        "y1": high,
        "fillcolor": "@greedy-soft",
        "line": {"width": 0},
        "layer": "below",
    }
    labels = [
        {
            "text": text,
            "xref": "paper",
            "yref": "y",
            "x": 0.01,
            "y": y,
            "xanchor": "left",
            "yanchor": yanchor,
            "showarrow": False,
            "font": {"size": 12, "color": color},
        }
        for text, y, yanchor, color in (
            ("outside: grows", high, "top", "@greedy"),
            ("inside: dies out", low, "bottom", "@cap"),
        )
    ]
    return figure(
        _modes(modes, angle, beyond),
        height=400,
        shapes=[zone, level(0.0, "@muted", "solid")],
        annotations=labels,
        xaxis=axis(
            "angle of z",
            range=[-0.04, 1.04],
            tickvals=[0, 0.25, 0.5, 0.75, 1],
            ticktext=["0", "π/4", "π/2", "3π/4", "π"],
        ),
        yaxis=axis("|z| − 1", range=[low, high], exponentformat="power"),
    )


def _survival(law: Curve, mean: float, tokens: str, probability: str) -> Figure:
    right = mean > 0.6 * law.x[-1]
    return figure(
        [
            line(
                law.x,
                law.y,
                "@cap",
                fill="tozeroy",
                fillcolor="@cap-soft",
                line={"color": "@cap", "width": 2, "shape": "hv"},
                hovertemplate="longer than %{x:,} tokens: %{y:.1%}<extra></extra>",
            )
        ],
        height=300,
        shapes=[
            {
                "type": "line",
                "yref": "paper",
                "x0": mean,
                "x1": mean,
                "y0": 0,
                "y1": 1,
                "line": {"color": "@greedy", "width": 1.5, "dash": "dot"},
            }
        ],
        annotations=[
            {
                "text": f"mean {quantity(mean)}",
                "x": mean,
                "y": 0.5,
                "yref": "paper",
                "xanchor": "right" if right else "left",
                "xshift": -6 if right else 6,
                "showarrow": False,
                "font": {"color": "@greedy"},
            }
        ],
        xaxis=axis(tokens, range=[0, 1.04 * max(law.x[-1], 1.0)]),
        yaxis=axis(probability, range=[0, 1.05], tickformat=".0%"),
    )


def _modes(
    modes: list[tuple[float, float]] | tuple[tuple[float, float], ...],
    x: list[float],
    y: list[float],
) -> list[dict[str, Any]]:
    """Markers of modes at x, y: outside and inside the unit circle."""
    traces = []
    for name, color, symbol, outside in (
        ("mode outside", "@greedy", "circle", True),
        ("mode inside", "@cap", "circle-open", False),
    ):
        chosen = [i for i, mode in enumerate(modes) if (math.hypot(*mode) > 1) is outside]
        if chosen:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": name,
                    "x": [x[i] for i in chosen],
                    "y": [y[i] for i in chosen],
                    "text": [_describe(modes[i]) for i in chosen],
                    "marker": {
                        "size": 7,
                        "symbol": symbol,
                        "color": color,
                        "line": {"color": color, "width": 1.5},
                    },
                    "hovertemplate": "%{text}<extra></extra>",
                }
            )
    return traces


def _describe(mode: tuple[float, float]) -> str:
    size, angle = math.hypot(*mode), abs(math.atan2(mode[1], mode[0]))
    period = f"period {quantity(2 * math.pi / angle)} iterations" if angle > _REAL else "no period"
    return f"|z| = {size:.6g}<br>{period}"
