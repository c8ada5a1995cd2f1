"""The recorded arrivals, run again on a simulated engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.errors import InputError
from kvsteady.simulate import records
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.fit.recorded import RecordedRun
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.state import GAP_BINS
from kvsteady.simulate.times.protocol import IterationTime

#: What iterations are told apart by, the columns of `Replayed.features`.
TERMS = ("iteration", "has_prefill", "prefill", "decode", "kv_read")


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a simulated engine did with the requests of a `RecordedRun`.

    Parameters
    ----------
    start, seconds
        Of each iteration that computed something, shape ``(iterations,)``.
    features
        Shape ``(iterations, 5)``: see `TERMS`.
    scheduled, first_token, finish
        Of each request, in the order of the recorded run.
    held
        KV tokens in blocks that are held, the most of each iteration, shape ``(iterations,)``.
    gaps
        Histogram of the times between tokens, see `kvsteady.simulate.gaps`.
    """

    start: FloatArray
    seconds: FloatArray
    features: FloatArray
    scheduled: FloatArray
    first_token: FloatArray
    finish: FloatArray
    held: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    gaps: IntArray = field(default_factory=lambda: np.zeros(GAP_BINS, dtype=np.int64))


Replay = Callable[[IterationTime], Replayed]
"""Runs the arrivals with an iteration-time model."""


def replay_on(run: RecordedRun, engine: Engine, *, kv_tokens: int) -> Replay:
    """Return the replay of a recorded run on an engine of the simulator.

    Parameters
    ----------
    run
        What arrived.
    engine
        With the options that the recorded one had (`RecordedRun.max_num_seqs`, …).
    kv_tokens
        Its memory.
    """

    def replay(time: IterationTime) -> Replayed:
        left: list[Any] = []
        log: list[Any] = []
        machine = Machine(
            engine,
            kv_tokens,
            time,
            _feed(run),
            finished=left.append,
            iterations=log.append,
            log_every=1,
        )
        machine.run(np.iinfo(np.int32).max)
        machine.flush()
        found = _result(run, left, log)
        block = engine.block_size
        held = block * (kv_tokens // block - found.held)
        return replace(found, held=held, gaps=machine.state.gaps)

    return replay


def _feed(run: RecordedRun) -> Feed:
    rows = arrivals(run.arrival.size)
    rows["id"] = np.arange(rows.size)
    rows["time"], rows["prompt"], rows["output"] = run.arrival, run.prompt, run.output
    rows["limit"] = run.output
    return Feed(iter([rows]), int(run.output.max()), int(run.prompt.max()), rows.size)


def _result(run: RecordedRun, left: list[Any], log: list[Any]) -> Replayed:
    requests = np.concatenate([np.zeros(0, records.LEFT), *left])
    done = requests[requests["status"] == records.COMPLETED]
    if done.size != run.arrival.size:
        raise InputError(
            f"{run.arrival.size - done.size} of {run.arrival.size} requests do not complete",
            field="kv_tokens",
        )
    done = done[np.argsort(done["id"])]
    rows = np.concatenate([np.zeros(0, records.ITERATION), *log])
    rows = rows[(rows["prefill_tokens"] > 0) | (rows["decode_tokens"] > 0)]
    prefill = rows["prefill_tokens"].astype(np.float64)
    features = np.column_stack(
        [np.ones(rows.size), prefill > 0, prefill, rows["decode_tokens"], rows["kv_read"]]
    )
    return Replayed(
        start=rows["start"],
        seconds=rows["seconds"],
        features=features,
        scheduled=done["scheduled"],
        first_token=done["first_token"],
        finish=done["finish"],
        held=rows["free_blocks"].astype(np.int64),
    )
