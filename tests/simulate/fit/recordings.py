"""The recorded vLLM runs, and runs made up with the plain reference engine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from kvsteady.simulate.fit import RecordedRun, Replayed, read_recorded
from kvsteady.simulate.times import LinearTime
from kvsteady.simulate.times.form import iteration_seconds
from kvsteady.simulate.times.protocol import IterationTime
from reference.served import Request, serve

SEQS, BUDGET = 16, 256


def recorded(name: str) -> RecordedRun:
    """A run of ../shared/data/vllm_runs (casys-kaist/LLMServingSim, MIT, vLLM 0.19.0)."""
    shared = Path(os.environ.get("KVSTEADY_SHARED", Path(__file__).parents[4] / "shared"))
    folder = shared / "data" / "vllm_runs" / f"RTXPRO6000_{name}"
    if not folder.is_dir():
        pytest.skip(f"no recorded run at {folder}: set KVSTEADY_SHARED")
    return read_recorded(folder)


def requests(seed: int, count: int, gap: float) -> list[Request]:
    """Prompts of 20 to 400 tokens, outputs of 20 to 80, one every ``gap`` seconds on average."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(gap, count))
    prompts, outputs = random.integers(20, 400, count), random.integers(20, 80, count)
    return [
        Request(int(p), int(o), float(t - times[0]))
        for p, o, t in zip(prompts, outputs, times, strict=True)
    ]


def run_of(served: list[Request]) -> RecordedRun:
    """What would have been recorded."""
    columns = {
        name: np.array([getattr(request, name) for request in served])
        for name in ("prompt", "output", "arrival", "scheduled", "first_token", "finish")
    }
    ticks = np.arange(0.1, columns["finish"].max(), 0.1)
    running = [sum(r.scheduled <= tick < r.finish for r in served) for tick in ticks]
    return RecordedRun("m", "0", SEQS, BUDGET, 1, **columns, ticks=ticks, running=np.array(running))


def plainly(run: RecordedRun, time: IterationTime) -> Replayed:
    """A replay on the reference engine."""
    form = time.form()
    again = [
        Request(int(p), int(o), float(t))
        for p, o, t in zip(run.prompt, run.output, run.arrival, strict=True)
    ]
    log = serve(
        again,
        lambda i: iteration_seconds(
            form, float(i.prefill > 0), float(i.prefill), float(i.decode), float(i.kv_read), i.pairs
        ),
        max_num_seqs=run.max_num_seqs,
        max_num_batched_tokens=run.max_num_batched_tokens,
    )
    return Replayed(
        start=np.array([i.start for i in log]),
        seconds=np.array([i.seconds for i in log]),
        features=np.array([(1, i.prefill > 0, i.prefill, i.decode, i.kv_read) for i in log], float),
        scheduled=np.array([r.scheduled for r in again]),
        first_token=np.array([r.first_token for r in again]),
        finish=np.array([r.finish for r in again]),
    )


TRUTH = LinearTime(5e-3, 6e-5, 1e-4, 3e-7, has_prefill=2e-3)


def made_up(seed: int, count: int = 80, gap: float = 0.05) -> RecordedRun:
    """A run on the reference engine, whose iterations take `TRUTH`."""
    served = requests(seed, count, gap)
    empty = np.zeros(0)
    arrivals = RecordedRun(
        "m", "0", SEQS, BUDGET, 1,
        np.array([r.prompt for r in served]), np.array([r.output for r in served]),
        np.array([r.arrival for r in served]), empty, empty, empty, empty, empty.astype(int),
    )  # fmt: skip
    done = plainly(arrivals, TRUTH)
    for i, request in enumerate(served):
        request.scheduled = float(done.scheduled[i])
        request.first_token = float(done.first_token[i])
        request.finish = float(done.finish[i])
    return run_of(served)
