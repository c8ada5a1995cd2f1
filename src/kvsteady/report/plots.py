"""Which figures a report has, in which order, with their captions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kvsteady.advise.analysis import Analysis
from kvsteady.report import captions, figures, orbits, trajectories
from kvsteady.report.layout import Figure
from kvsteady.report.plain import escaped


@dataclass(frozen=True)
class Plot:
    """One or more panels under one heading and caption; panels have a heading of their own."""

    heading: str
    caption: str
    panels: tuple[tuple[str, Figure], ...]


def report_plots(analysis: Analysis) -> tuple[Plot, ...]:
    """The figures of the report, in order; those that would be empty are left out."""
    found = []
    if analysis.curves.runs:
        found += [_runs(analysis), _completions(analysis)]
    if analysis.orbits:
        found.append(_orbits(analysis))
    if analysis.curves.modes:
        found.append(_spectrum(analysis))
    return (*found, _weights(analysis), _law(analysis))


def plot_sections(plots: Iterable[Plot]) -> Iterable[str]:
    """Each plot with heading, caption and places for its panels."""
    for number, plot in enumerate(plots):
        panels = "".join(
            f"<div>{f'<h4>{escaped(title)}</h4>' if title else ''}"
            f'<div class="plot" data-figure="{number}.{place}"></div></div>'
            for place, (title, _) in enumerate(plot.panels)
        )
        kind = ' class="panels"' if len(plot.panels) > 1 else ""
        yield (
            f"<figure><h3>{escaped(plot.heading)}</h3>"
            f"<figcaption>{escaped(plot.caption)}</figcaption><div{kind}>{panels}</div></figure>"
        )


def _runs(analysis: Analysis) -> Plot:
    panels = tuple(
        (run.title, trajectories.trajectory(analysis, run)) for run in analysis.curves.runs
    )
    return Plot("Runs of the exact model", captions.runs_caption(analysis), panels)


def _completions(analysis: Analysis) -> Plot:
    total = trajectories.completions(analysis)
    return Plot("Requests completed", captions.completions_caption(analysis), (("", total),))


def _orbits(analysis: Analysis) -> Plot:
    return Plot(
        "Orbits, and where greedy ends",
        captions.orbits_caption(analysis),
        (
            ("Orbits by the gap between cohorts", orbits.orbit_family(analysis)),
            ("Where greedy runs end", orbits.greedy_ends(analysis)),
        ),
    )


def _spectrum(analysis: Analysis) -> Plot:
    return Plot(
        "Spectrum",
        captions.modes_caption(analysis),
        (
            ("Around the unit circle", figures.unit_circle(analysis)),
            ("Distance from the unit circle", figures.circle_distance(analysis)),
        ),
    )


def _weights(analysis: Analysis) -> Plot:
    weights = figures.survival_weights(analysis)
    return Plot("Survival weights", captions.weights_caption(analysis), (("", weights),))


def _law(analysis: Analysis) -> Plot:
    return Plot(
        "Lengths",
        captions.law_caption(analysis),
        (
            ("Output lengths", figures.output_law(analysis)),
            ("Prompt lengths", figures.prompt_law(analysis)),
        ),
    )
