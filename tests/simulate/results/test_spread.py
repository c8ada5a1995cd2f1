"""Percentiles in bounded memory, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.results.series import STRETCHES, Series, queue_grows
from kvsteady.simulate.results.spread import Spread
from kvsteady.simulate.state import GAP_BINS

SHARES = (0.0, 50.0, 90.0, 99.0, 100.0)
times = st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=200)


@given(times)
def test_few_numbers_are_exact(values: list[float]) -> None:
    spread = Spread()
    for part in np.array_split(np.array(values), 3):
        spread.add(part)
    assert spread.exact
    assert spread.percentiles(SHARES) == pytest.approx(np.percentile(values, SHARES))
    assert spread.mean == pytest.approx(np.mean(values))


@given(times)
def test_many_numbers_are_right_to_a_percent(values: list[float]) -> None:
    spread = Spread(exact=0)
    spread.add(np.array(values))
    assert not spread.exact
    exact = np.percentile(values, SHARES, method="lower")
    assert spread.percentiles(SHARES) == pytest.approx(exact, rel=0.0101)
    assert spread.mean == pytest.approx(np.mean(values))


def test_memory_does_not_grow_once_there_are_many() -> None:
    spread = Spread(exact=1000)
    for _ in range(50):
        spread.add(np.full(100, 0.25))
    assert spread.count == 5000
    assert sum(part.size for part in spread._kept) == 0
    assert spread.percentiles([50.0]) == [pytest.approx(0.25, rel=0.0101)]


def test_nothing_has_no_percentiles() -> None:
    assert Spread().percentiles(SHARES) == [None] * 5
    assert Spread().mean is None
    assert Spread().curve() == ([], [])


def test_a_histogram_can_be_taken_in() -> None:
    bins = np.zeros(GAP_BINS, dtype=np.int64)
    bins[int(100 * np.log(0.02 / 1e-6))] = 7
    spread = Spread()
    spread.add_bins(bins, 0.14)
    assert (spread.count, spread.mean) == (7, pytest.approx(0.02))
    assert spread.percentiles([99.0]) == [pytest.approx(0.02, rel=0.0101)]


def rows(start: np.ndarray, **columns: object) -> np.ndarray:
    from kvsteady.simulate.records import ITERATION

    made = np.zeros(start.size, dtype=ITERATION)
    made["start"], made["seconds"] = start, 0.5
    for name, values in columns.items():
        made[name] = values
    return made


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=60))
def test_stretches_that_double_lose_nothing(starts: list[float]) -> None:
    start = np.array(starts)
    series = Series(100)
    for part in np.array_split(start, 4):
        series.add(rows(part, preempted=2, free_blocks=40), 100)
    end = float(start.max()) + 0.5
    read = series.read(end)
    width = 2 * read["time"][0]
    assert read["time"].size <= STRETCHES
    assert (read["peak"] <= 0.6).all()
    if read["time"].size * width >= start.max():  # else the last stretch is left out, as too short
        lengths = np.minimum(
            width, end - (read["time"][0] * 0 + np.arange(read["time"].size)) * width
        )
        assert float((read["preempted"] * lengths).sum()) == pytest.approx(2 * start.size, rel=0.5)


def test_means_over_time_count_idle_time_as_idle() -> None:
    series = Series(10)
    start = np.arange(0, 1000, 1.0)  # each row lasts half a second
    series.add(rows(start, running=4, free_blocks=5), 10)
    read = series.read(1000.0)
    assert read["running"].mean() == pytest.approx(2.0, rel=0.02)
    assert read["usage"].mean() == pytest.approx(0.25, rel=0.02)
    assert read["peak"].max() == 0.5


def test_a_queue_grows_or_it_does_not() -> None:
    time = np.arange(100.0)
    steady = {"time": time, "waiting": 20 + 5 * np.sin(time), "completed": np.full(100, 3.0)}
    growing = {**steady, "waiting": 0.5 * time}
    assert not queue_grows(steady, 0, 100)
    assert queue_grows(growing, 0, 100)
    assert not queue_grows({**growing, "completed": np.full(100, 600.0)}, 0, 100)


@pytest.mark.parametrize("pairs", [("ttft:500", "tpot:50"), ("ttft:500,tpot:50",)])
def test_objectives_are_read_as_vllm_bench_writes_them(pairs: tuple[str, ...]) -> None:
    assert Objectives.parse(pairs) == Objectives(ttft=500, tpot=50)
    assert Objectives.parse(["e2el:9", "e2e:8"]).limits == {"e2el": 8}


@pytest.mark.parametrize("pair", ["ttft", "ttft:x", "itl:5", "ttft:-1", "ttft:nan", "ttft:0", ":5"])
def test_what_is_no_objective_is_refused(pair: str) -> None:
    with pytest.raises(InputError, match="allowed"):
        Objectives.parse([pair])
