from __future__ import annotations

import json
import math
import re

import msgspec
import pytest

from kvsteady.advise import Analysis
from kvsteady.report import painted, report_plots
from kvsteady.report.figures import circle_distance, unit_circle
from kvsteady.report.orbits import greedy_ends, orbit_family
from kvsteady.report.palette import DARK, LIGHT
from kvsteady.report.trajectories import completions, trajectory

graph_objects = pytest.importorskip("plotly.graph_objects")


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_plotly_knows_every_property_of_every_figure(
    analysis: Analysis, palette: dict[str, str]
) -> None:
    for plot in report_plots(analysis):
        for _, spec in plot.panels:
            figure = painted(spec, palette)
            assert '"@' not in json.dumps(figure)
            graph_objects.Figure(figure)


def test_schemes_know_the_same_roles() -> None:
    assert LIGHT.keys() == DARK.keys()


def test_captions_are_one_or_a_few_sentences_with_numbers(analysis: Analysis) -> None:
    for plot in report_plots(analysis):
        assert re.search(r"\d", plot.caption)
        assert plot.caption.endswith(".")
        assert len(plot.caption) < 450


def test_modes_come_with_their_conjugates(analyses: dict[str, Analysis]) -> None:
    analysis = analyses["tiers"]
    marks = unit_circle(analysis)["data"][1:]
    points = {(x, y) for trace in marks for x, y in zip(trace["x"], trace["y"], strict=True)}
    assert points == {
        (re, sign * im) for re, im in analysis.curves.modes for sign in (1, -1) if im > 1e-9
    } | {(re, im) for re, im in analysis.curves.modes if im <= 1e-9}
    (caption,) = (plot.caption for plot in report_plots(analysis) if plot.heading == "Spectrum")
    assert f"Shown: {len(points)} of {analysis.curves.degree} roots" in caption
    assert f"{analysis.roots_outside} of all roots lie outside" in caption


def test_distance_from_the_circle_is_visible(analysis: Analysis) -> None:
    if not analysis.curves.modes:
        return
    figure = circle_distance(analysis)
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 0 < high
    beyond = [y for trace in figure["data"] for y in trace["y"]]
    assert sorted(beyond) == sorted(math.hypot(*mode) - 1 for mode in analysis.curves.modes)
    assert high - low <= 1.3 * (max(0, *beyond, 0) - min(0, *beyond, 0)) + 2e-3


def test_runs_share_their_axes(analysis: Analysis) -> None:
    specs = [trajectory(analysis, run)["layout"] for run in analysis.curves.runs]
    for name in ("xaxis", "yaxis", "yaxis2", "yaxis3", "yaxis4"):
        assert len({tuple(spec[name]["range"]) for spec in specs}) == 1


def test_orbits_and_ends_share_their_scale_and_show_every_run(analysis: Analysis) -> None:
    family, ends = orbit_family(analysis), greedy_ends(analysis)
    assert family["layout"]["yaxis"] == ends["layout"]["yaxis"]
    low, high = ends["layout"]["yaxis"]["range"]
    greedy = [run for run in analysis.runs if run.policy == "greedy"]
    marks = ends["data"][0]
    assert marks["y"] == [100 * run.useful_tokens / analysis.running for run in greedy]
    assert len(set(marks["x"])) == len(greedy)
    assert all(low < y < high for y in (*marks["y"], *family["data"][0]["y"]))
    assert [shape["y0"] for shape in family["layout"]["shapes"]] == [
        100 * analysis.rate_cap / analysis.x_star,
        100 * analysis.reservation_throughput / analysis.x_star,
    ]


def test_completions_add_up(analyses: dict[str, Analysis]) -> None:
    analysis = analyses["two tokens"]  # short: one point per iteration
    run = analysis.curves.runs[-1]
    total = completions(analysis)["data"][-1]["y"][-1]
    assert total == pytest.approx(sum(run.completed.y))


def test_no_runs_orbits_or_modes_leave_out_their_figures(analyses: dict[str, Analysis]) -> None:
    full = analyses["one token"]
    bare = msgspec.structs.replace(
        full, orbits=(), runs=(), curves=msgspec.structs.replace(full.curves, runs=())
    )
    assert [plot.heading for plot in report_plots(bare)] == ["Survival weights", "Lengths"]
