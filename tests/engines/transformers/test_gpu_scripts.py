"""The GPU experiments, at toy size on the CPU: what they count is what the simulator says."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from engines.transformers.plugged import VERSION  # skips where the engine is not installed

SCRIPTS = Path(__file__).parents[3] / "experiments" / "gpu"


@pytest.fixture(scope="module")
def scripts():
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module
    sys.path.remove(str(SCRIPTS))


@pytest.mark.parametrize("name", ["fixed", "tiered", "traced"])
def test_an_experiment(name, scripts, tmp_path, capsys):
    play, loads, render = scripts("play"), scripts("loads"), scripts("render")
    path = play.play(getattr(loads, name), ["--toy", "--repetitions", "2", "--out", str(tmp_path)])
    [found] = render.read(tmp_path)
    assert json.loads(path.read_text("utf-8"))["runs"] == found["runs"]
    assert found["hardware"]["device"].startswith("CPU")
    assert found["hardware"]["transformers"] == VERSION
    for arm, runs in found["runs"].items():
        assert len(runs) == 2
        for run, foreseen in zip(runs, found["predicted"][arm], strict=True):
            assert {key: run[key] for key in foreseen} == foreseen
            assert run["completed"] == found["load"]["requests"] == 200
            assert 0.8 < max(run["usage"]) <= 1.0
            assert run["itl_p50"] <= run["itl_p99"] <= run["itl_max"]
    stock, ours = (found["intervals"][arm]["evictions"][0] for arm in ("stock", "steady"))
    assert stock > 40
    assert ours <= 0.25 * stock  # twenty requests at once: some evictions are chance
    rows = render.table([found]).splitlines()
    assert len(rows) == 2 + 2
    assert all(row.count("–") == 2 for row in rows[2:])  # no time of a toy is shown
    written = tmp_path / "page.html"
    render.main([str(tmp_path), str(written)])
    text = written.read_text("utf-8")
    assert found["hardware"]["device"].split(":")[0] in text
    assert f'data-figure="{name}.usage"' in text
    assert rows[2] in capsys.readouterr().out


def test_no_repetition_is_begun_that_would_not_end_in_time(scripts, tmp_path, capsys):
    play, loads = scripts("play"), scripts("loads")
    path = play.play(
        loads.fixed, ["--toy", "--repetitions", "3", "--budget", "0", "--out", str(tmp_path)]
    )
    assert len(json.loads(path.read_text("utf-8"))["runs"]["stock"]) == 1
    assert "no time for repetition 2" in capsys.readouterr().out
