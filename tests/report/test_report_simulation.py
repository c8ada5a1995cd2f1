"""A simulation, shown: in the terminal, on a page, and in a browser."""

from __future__ import annotations

import re
import sys
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from chromium import Browser
from report_samples import HOSTILE
from rich.console import Console
from test_report_html import read, script

from kvsteady.errors import MissingExtraError
from kvsteady.model import Eviction
from kvsteady.report.numbers import quantity
from kvsteady.report.simulation import MEASURES, TONES, render_simulation
from kvsteady.report.simulation_figures import simulation_plots
from kvsteady.report.simulation_html import render_simulation_html
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.fleet import Replica, RoundRobin, Stop
from kvsteady.simulate.loads import AtOnce, Saturated
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.results.outcome import Outcome
from kvsteady.simulate.results.simulation import Simulation, load_simulation
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.simulate import simulate
from kvsteady.simulate.times import LinearTime
from kvsteady.workload import Workload

pytest.importorskip("plotly")

TIERS = Workload.classes([(16, 8), (16, 16), (16, 32)])
TIME = LinearTime(iteration=0.01, prefill=1e-5, decode=0.0, kv_read=0.0)


def made(kind: str) -> Simulation:
    replica = Replica(Paper(), 960, TIME, Eviction.RESUME)
    if kind == "one":
        load, stop = Saturated(TIERS), Stop(completed=2000)
        objectives = Objectives(ttft=5000, tpot=20)
        return simulate(Scenario(load, (replica,), stop=stop, objectives=objectives, warm_up=2))
    if kind == "fleet":
        return simulate(Scenario(AtOnce(TIERS, 300), (replica,) * 2, RoundRobin()))
    small = Replica(Paper(), 30, TIME)
    rare = Workload.classes([(16, 32, 1 - 1e-9), (4, 4, 1e-9)])
    return simulate(Scenario(AtOnce(rare, 3), (small,)))  # the three that come are rejected


@pytest.fixture(scope="module")
def runs() -> dict[str, Simulation]:
    return {kind: made(kind) for kind in ("one", "fleet", "nothing")}


@pytest.fixture(params=["one", "fleet", "nothing"])
def run(request: pytest.FixtureRequest, runs: dict[str, Simulation]) -> Simulation:
    return runs[request.param]


@pytest.fixture
def hostile(runs: dict[str, Simulation]) -> Simulation:
    """Every text replaced by one that breaks careless output."""

    def spoil(value: object) -> object:
        if isinstance(value, dict):
            return {name: spoil(item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [spoil(item) for item in value]
        return HOSTILE if isinstance(value, str) else value

    return msgspec.convert(spoil(msgspec.to_builtins(runs["fleet"])), Simulation)


def printed(run: Simulation) -> str:
    stream = StringIO()
    render_simulation(run, Console(file=stream, width=100, color_system=None))
    return stream.getvalue()


def test_every_outcome_has_a_tone() -> None:
    assert set(TONES) == {outcome.label for outcome in Outcome}


def test_the_terminal_shows_numbers_and_advice(run: Simulation) -> None:
    text = " ".join(printed(run).split())
    assert run.outcome in text
    assert run.outcome_text in text
    assert run.replicas[0].engine in text
    for item in run.advice:
        assert item in text
    for measure, _ in MEASURES:
        value = getattr(run, f"p99_{measure}_ms")
        if value is not None:
            assert quantity(value) in text


def test_hostile_texts_stay_text_in_the_terminal(hostile: Simulation) -> None:
    text = printed(hostile)
    assert "\x1b" not in text
    assert "[red]x[/red]" in text


def test_nothing_is_loaded_from_elsewhere(run: Simulation) -> None:
    reader = read(render_simulation_html(run))
    assert reader.loads == ["data:,"]
    assert not {"img", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    assert reader.tags.count("link") == 1  # the empty icon


def test_the_page_is_saved_data(run: Simulation) -> None:
    data = script(read(render_simulation_html(run)), "analysis")
    assert load_simulation(data.encode()) == run


def test_the_page_has_numbers_tables_and_figures(run: Simulation) -> None:
    html = render_simulation_html(run)
    text = " ".join(read(html).text.split())
    panels = sum(len(plot.panels) for plot in simulation_plots(run))
    assert html.count('class="plot"') == panels == 5
    assert ("Service-level objectives" in text) == bool(run.objectives)
    for each in run.replicas:
        assert each.name in text
    for item in (*run.advice, *run.notes):
        assert item in text


def test_hostile_texts_stay_text(hostile: Simulation) -> None:
    html = render_simulation_html(hostile)
    reader = read(html)
    assert not reader.handlers
    assert "img" not in reader.tags
    assert reader.tags.count("script") == html.count("</script>") == 4
    assert load_simulation(script(reader, "analysis").encode()) == hostile
    assert "\x1b" not in html
    assert set(re.findall(r"\\u003c(\w*)", script(reader, "figures"))) <= {"br", "extra", ""}


def test_without_plotly_the_extra_is_named(
    runs: dict[str, Simulation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtraError, match=r"kvsteady\[report\]"):
        render_simulation_html(runs["one"])


@pytest.mark.parametrize("width", [360, 1280])
def test_it_is_drawn_in_a_browser_without_error_or_request(
    browser: Browser, runs: dict[str, Simulation], tmp_path: Path, width: int
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_simulation_html(runs["fleet"]), "utf-8")
    with browser.open(path, width=width) as page:
        assert page.wait_for("document.documentElement.dataset.drawn !== undefined")
        assert page.evaluate("document.querySelectorAll('.js-plotly-plot').length") == 5
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.errors == []
        assert page.requests == []
