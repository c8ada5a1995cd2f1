"""A tuning that replays a trace: each seed has requests of its own, when they came."""

from __future__ import annotations

import numpy as np
import pytest

from kvsteady.advise import OnEngine, TuningProblem, tune
from kvsteady.advise.tuning.candidates import nothing
from kvsteady.advise.tuning.packed import unpacked
from kvsteady.advise.tuning.replay import stretch_of
from kvsteady.advise.tuning.runs import Runs
from kvsteady.errors import InputError
from kvsteady.model import System
from kvsteady.progress import silent
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.times import LinearTime
from kvsteady.sweep import HERE
from kvsteady.workload import Workload
from kvsteady.workload.arrivals import Arrivals

SECOND = OnEngine(
    Vllm(block_size=1, enable_prefix_caching=False, async_scheduling=False, max_num_seqs=1),
    LinearTime(iteration=1.0, prefill=0.0, decode=0.0, kv_read=0.0),
    "a second per iteration",
)


def recorded(seconds: np.ndarray, output: np.ndarray) -> Workload:
    prompt = np.full(output.size, 4)
    record = Arrivals.recorded(seconds, prompt, output)
    ones = np.ones_like(output)
    return Workload.from_counts(prompt, output, ones, arrivals=record, random=True)


def test_stretches_share_no_request_and_start_at_their_first() -> None:
    many = 1_050
    seconds, output = np.cumsum(np.arange(many)), np.arange(1, many + 1)
    trace = Arrivals.recorded(seconds, np.ones(many, int), output)
    rate = (many - 1) / seconds[-1] / 2  # half as fast as it was
    seen = []
    for place in range(5):
        when, _, outputs = unpacked(stretch_of(trace, place, 5, most=200, rate=rate))
        assert when[0] == 0
        # Request k comes k seconds after the one before it, and twice that here.
        assert np.diff(when) == pytest.approx([2 * (k - 1) for k in outputs[1:]])
        seen += list(outputs)
    assert seen == [210 * place + k for place in range(5) for k in range(1, 201)]
    with pytest.raises(InputError, match=r"95 for each of 11 runs.*1,100 or more"):
        stretch_of(trace, 0, 11, most=200, rate=1.0)


def test_requests_wait_as_they_came() -> None:
    # One at a time, two seconds each, a hundred at once: of the k-th, from 0, the first token
    # comes after 2 k + 1 seconds. All but the first twenty are measured.
    load = recorded(np.repeat([0.0, 1000.0, 2000.0], 100), np.full(300, 2))
    problem = TuningProblem(System(load, 1_000), SECOND, replay=True)
    # 300 requests have 299 times between them.
    assert problem.requests_per_second == pytest.approx(299 / 2000)
    runs = Runs(problem, "quick", None, HERE, silent, 0, range(7, 10))
    (found,) = runs.play([nothing()], [7, 8, 9])
    for result in found.results:
        assert result.ttft_p99_s == pytest.approx(2 * (20 + 0.99 * 79) + 1)
        assert result.completions == 100
    # Ten times as fast they still come at once.
    faster = TuningProblem(System(load, 1_000), SECOND, rate=1.495, replay=True)
    (same,) = Runs(faster, "quick", None, HERE, silent, 0, range(7, 10)).play([nothing()], [8])
    assert same.results[0] == found.results[1]


def test_a_tuning_says_that_it_replays() -> None:
    rng = np.random.default_rng(3)
    load = recorded(np.sort(rng.uniform(0, 6_000, 900)), rng.integers(1, 4, 900))
    found = tune(TuningProblem(System(load, 1_000), SECOND, replay=True), effort="quick")
    assert found.load.kind == "replayed"
    seconds = load.arrivals.seconds
    assert found.load.rate == pytest.approx(1 / np.diff(seconds).mean())
    assert any("stretches of the trace" in note for note in found.notes)
    assert found.outcome == "do-nothing"  # memory is for a hundred, and one runs


@pytest.mark.parametrize("load", [Workload.fixed(4, 2), recorded(np.zeros(300), np.full(300, 2))])
def test_without_times_there_is_nothing_to_replay(load: Workload) -> None:
    with pytest.raises(InputError, match="has no arrival times"):
        TuningProblem(System(load, 1_000), SECOND, replay=True)
