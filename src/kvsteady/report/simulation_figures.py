"""The figures of a simulation: what happened over time, and how latencies are spread."""

from __future__ import annotations

from typing import Any

from kvsteady.report.layout import Figure, axis, figure, line
from kvsteady.report.plots import Plot
from kvsteady.report.simulation import MEASURES
from kvsteady.simulate.results.simulation import Curve, Simulation

_COLOURS = {"ttft": "@greedy", "tpot": "@cap", "itl": "@balance", "e2el": "@muted"}


def simulation_plots(run: Simulation) -> tuple[Plot, ...]:
    """The figures of the report, in order."""
    warm_up = (
        f" Measuring began after {run.setup.warm_up:g} s of warm-up, which is shown too."
        if run.setup.warm_up
        else ""
    )
    replicas = " of all replicas together" if len(run.replicas) > 1 else ""
    return (
        Plot(
            "Over time",
            f"KV usage, requests and evictions{replicas}, as means over stretches of equal length; "
            f"the highest usage of any replica in each stretch is dotted.{warm_up}",
            (
                ("KV usage", _usage(run)),
                ("Requests running and waiting", _requests(run)),
                ("Evictions and completions", _events(run)),
            ),
        ),
        Plot(
            "How long it takes",
            "Share of completed requests (ITL: of tokens) that took at most so long. A cliff far "
            "to the right of the rest is who was evicted.",
            (
                ("TTFT and end to end", _distribution(run, ("ttft", "e2el"))),
                ("TPOT and ITL", _distribution(run, ("tpot", "itl"))),
            ),
        ),
    )


def _usage(run: Simulation) -> Figure:
    mean, highest = run.curves.kv_cache_usage_perc, run.curves.kv_cache_usage_perc_max
    return figure(
        [
            _line(
                highest, "@muted", "highest", line={"color": "@muted", "width": 1, "dash": "dot"}
            ),
            _line(mean, "@greedy", "mean"),
        ],
        height=300,
        showlegend=True,
        hovermode="x unified",
        xaxis=_time(),
        yaxis=axis("share of KV blocks", range=[0, 1.03], tickformat=".0%"),
    )


def _requests(run: Simulation) -> Figure:
    curves = run.curves
    return figure(
        [
            _line(curves.num_requests_running, "@cap", "running"),
            _line(curves.num_requests_waiting, "@greedy", "waiting"),
        ],
        height=300,
        showlegend=True,
        hovermode="x unified",
        xaxis=_time(),
        yaxis=axis("requests", rangemode="tozero"),
    )


def _events(run: Simulation) -> Figure:
    curves = run.curves
    return figure(
        [
            _line(curves.completions_per_second, "@balance", "completions"),
            _line(curves.preemptions_per_second, "@greedy", "evictions"),
        ],
        height=300,
        showlegend=True,
        hovermode="x unified",
        xaxis=_time(),
        yaxis=axis("per second", rangemode="tozero"),
    )


def _distribution(run: Simulation, measures: tuple[str, ...]) -> Figure:
    names = dict(MEASURES)
    traces = []
    for measure in measures:
        curve: Curve = getattr(run.curves, f"{measure}_ms")
        # Up to the 99.9th percentile in view; what is 0 has no logarithm.
        curve = Curve(tuple(max(x, 1e-3) for x in curve.x), curve.y)
        traces.append(_line(curve, _COLOURS[measure], names[measure]))
    return figure(
        traces,
        height=320,
        showlegend=True,
        xaxis=axis("ms", type="log", exponentformat="SI", dtick=1),
        yaxis=axis("share", range=[0, 1.03], tickformat=".0%"),
    )


def _time() -> dict[str, Any]:
    return axis("seconds", rangemode="tozero")


def _line(curve: Curve, color: str, name: str, **more: Any) -> dict[str, Any]:
    return line(list(curve.x), list(curve.y), color, name=name, **more)
