"""Figures of the runs: what greedy admission does, and what the cap changes."""

from __future__ import annotations

from itertools import accumulate

from kvsteady.advise.analysis import Analysis, Curve, RunCurves
from kvsteady.report.layout import Figure, axis, figure, line, top_of
from kvsteady.report.plain import in_figure

_ROWS = ("memory", "running", "evicted", "completed")
_TITLES = ("KV memory", "running", "evicted<br>per iteration", "completed<br>per iteration")
_GAP = 0.05


def trajectory(analysis: Analysis, run: RunCurves) -> Figure:
    """One run from its first iteration: memory, requests running, evicted, completed.

    The axes are the same for every run of the analysis, so that runs compare by eye.
    """
    color = _color(run)
    height = (1 - (len(_ROWS) - 1) * _GAP) / len(_ROWS)
    traces, layout = [], {}
    for place, (row, title) in enumerate(zip(_ROWS, _TITLES, strict=True)):
        number = "" if place == 0 else f"{place + 1}"
        curve: Curve = getattr(run, row)
        top = 1 - place * (height + _GAP)
        y = [100 * value for value in curve.y] if row == "memory" else curve.y
        traces.append(
            line(
                curve.x,
                y,
                color,
                yaxis=f"y{number}",
                line={"color": color, "width": 1.3},
                fill="tozeroy",
                fillcolor=f"{color}-soft",
                hovertemplate="%{y:,.4~g}" + ("%" if row == "memory" else ""),
                name=title.replace("<br>", " "),
            )
        )
        layout[f"yaxis{number}"] = axis(
            title,
            domain=[max(0.0, top - height), top],
            range=[0, 108 if row == "memory" else _top(analysis, row)],
            nticks=4,
            exponentformat="SI",
            minexponent=4,
            ticksuffix="%" if row == "memory" else "",
        )
        # Same width of labels in every panel, or panels side by side would not line up.
        layout[f"yaxis{number}"] |= {"automargin": False}
        layout[f"yaxis{number}"]["title"] = {"text": title, "standoff": 4, "font": {"size": 13}}
    layout["xaxis"] = axis(
        "iteration",
        range=[0, _end(analysis)],
        nticks=5,
        anchor=f"y{len(_ROWS)}",
    )
    return figure(
        traces,
        height=560,
        margin={"l": 78, "r": 12, "t": 8, "b": 8},
        hovermode="x unified",
        **layout,
    )


def completions(analysis: Analysis) -> Figure:
    """Requests completed since the start of each run, against x* and the worst cycle."""
    end = _end(analysis)
    rates = ((analysis.x_star, "x*", "@balance"),)
    worst = (analysis.worst_cycle_throughput, "worst cycle", "@muted")
    traces = [
        line(
            [0.0, end],
            [0.0, rate * end],
            color,
            name=name,
            line={"color": color, "width": 1.5, "dash": "dot"},
            hovertemplate="%{y:,.0f}",
        )
        for rate, name, color in (*rates, worst)
    ]
    for run in analysis.curves.runs:
        fluid = run.arithmetic == "fluid"
        traces.append(
            line(
                *_sums(run),
                _color(run),
                name=in_figure(run.title),
                line={
                    "color": _color(run),
                    "width": 1.6 if fluid else 2.8,
                    "dash": "dash" if fluid else "solid",
                },
                hovertemplate="%{y:,.0f}",
            )
        )
    return figure(
        traces,
        height=440,
        showlegend=True,
        hovermode="x unified",
        xaxis=axis("iteration", range=[0, end]),
        yaxis=axis("requests completed since the start", rangemode="tozero"),
    )


def _color(run: RunCurves) -> str:
    return "@cap" if run.policy == "rate cap" else "@greedy"


def _sums(run: RunCurves) -> tuple[list[float], list[float]]:
    """Requests completed so far, at the end of each stretch."""
    return (
        [0.0, *(start + run.stretch for start in run.completed.x)],
        [0.0, *accumulate(run.stretch * mean for mean in run.completed.y)],
    )


def _top(analysis: Analysis, row: str) -> float:
    return top_of(*(getattr(run, row).y for run in analysis.curves.runs))


def _end(analysis: Analysis) -> float:
    return max((run.completed.x[-1] + run.stretch for run in analysis.curves.runs), default=1.0)
