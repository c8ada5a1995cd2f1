"""The state of one engine: a few arrays, made and enlarged here, changed by the kernels."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kvsteady.admission.view import GONE
from kvsteady.arrays import IntArray
from kvsteady.model.integer import UNIT
from kvsteady.model.system import Eviction
from kvsteady.simulate import records
from kvsteady.simulate.records import NONE

# Lists of requests, rows of `State.lists`.
WAITING, RUNNING, OWN = range(3)
_LIST = np.dtype([("first", "i8"), ("last", "i8"), ("count", "i8")])

# `CLOCK.eviction`.
RESTART, RESUME, SWAP = range(3)
_EVICTIONS = {Eviction.RESTART: RESTART, Eviction.RESUME: RESUME, Eviction.SWAP: SWAP}

_CHUNK = np.dtype([("slot", "i8"), ("tokens", "i8")])
_DAY = np.dtype([("first", "i8"), ("last", "i8")])
_COMING = np.dtype([("time", "f8"), ("order", "i8"), ("row", "i8")])

# Bins of gaps between tokens: 1% wide, from a microsecond to more than a day.
GAP_BINS = 2560
GAP_LEAST = 1e-6
GAP_BINS_PER_E = 100.0

Structured = npt.NDArray[Any]


class State(NamedTuple):
    """What the kernels see. Arrays are shared with `Machine`, so that a run can be looked at."""

    clock: Any  # a CLOCK record
    requests: Structured  # REQUEST rows, one per slot
    lists: Structured  # first, last and count of WAITING, RUNNING, OWN
    calendar: Structured  # who is due, by decode tick modulo a power of two
    phases: IntArray  # who decodes, by minus the offset modulo the block: who needs a block next
    chunks: Structured  # (slot, prefill tokens) of this iteration
    young: IntArray  # slots that began to decode since the last tick
    inbox: Structured  # ARRIVAL rows by time
    turns: Structured  # ARRIVAL rows that come after another request
    keys: IntArray  # block keys of shared prompts
    coming: Structured  # heap of turns by time
    outbox: Structured  # LEFT rows
    log: Structured  # ITERATION rows
    gaps: IntArray  # histogram of times between tokens
    gone: Structured  # GONE rows for the admission policy: who left memory since it was asked


def new_state(
    *,
    blocks: int,
    block_size: int,
    eviction: Eviction,
    unwritten: int,
    largest_output: int,
    patience: int,
    slots: int = 1024,
    inbox: int = 1 << 14,
    outbox: int = 1 << 14,
    log: int = 1 << 14,
) -> State:
    """An empty engine with ``blocks`` blocks of ``block_size`` tokens."""
    clock = np.zeros(1, dtype=records.CLOCK)[0]
    clock["horizon"] = -math.inf
    clock["stop_time"] = math.inf
    clock["stop_iteration"] = clock["stop_completed"] = np.iinfo(np.int64).max
    clock["block"], clock["total"], clock["free"] = block_size, blocks, blocks
    clock["eviction"] = _EVICTIONS[eviction]
    clock["unwritten"] = unwritten
    clock["rate"] = clock["depth"] = 2**61
    clock["more"] = 1
    clock["free_slot"] = NONE
    clock["patience"] = patience
    lists = np.zeros(3, dtype=_LIST)
    lists["first"] = lists["last"] = NONE
    state = State(
        clock=clock,
        requests=np.zeros(0, dtype=records.REQUEST),
        lists=lists,
        calendar=np.full(1 << (largest_output + 1).bit_length(), NONE, dtype=np.int64)
        .repeat(2)
        .view(_DAY),
        phases=np.zeros(block_size, dtype=np.int64),
        chunks=np.zeros(0, dtype=_CHUNK),
        young=np.zeros(0, dtype=np.int64),
        inbox=np.zeros(inbox, dtype=records.ARRIVAL),
        turns=np.zeros(0, dtype=records.ARRIVAL),
        keys=np.zeros(0, dtype=np.int64),
        coming=np.zeros(0, dtype=_COMING),
        outbox=np.zeros(outbox, dtype=records.LEFT),
        log=np.zeros(log, dtype=records.ITERATION),
        gaps=np.zeros(GAP_BINS, dtype=np.int64),
        gone=np.zeros(0, dtype=GONE),
    )
    return more_slots(state, slots)


def more_slots(state: State, slots: int) -> State:
    """The same state with room for ``slots`` more requests."""
    old = state.requests.size
    requests = np.zeros(old + slots, dtype=records.REQUEST)
    requests[:old] = state.requests
    # The new slots go on the free list, lowest first.
    requests["after"][old:] = np.arange(old + 1, old + slots + 1)
    requests["after"][-1] = state.clock["free_slot"]
    state.clock["free_slot"] = old
    state.clock["free_slots"] += slots
    chunks = np.zeros(requests.size, dtype=_CHUNK)
    chunks[: state.chunks.size] = state.chunks
    young = np.zeros(2 * requests.size, dtype=np.int64)
    young[: state.young.size] = state.young
    # Everyone may complete in one iteration, and each completion may bring a turn.
    coming = np.zeros(2 * requests.size + state.turns.size, dtype=_COMING)
    coming[: state.coming.size] = state.coming
    outbox = np.zeros(max(state.outbox.size, 2 * requests.size), dtype=records.LEFT)
    outbox[: state.outbox.size] = state.outbox
    # Everyone may be evicted and everyone may complete between two decisions.
    gone = np.zeros(2 * requests.size, dtype=GONE)
    gone[: state.gone.size] = state.gone
    return state._replace(
        requests=requests, chunks=chunks, young=young, coming=coming, outbox=outbox, gone=gone
    )


def set_pace(state: State, rate: float, depth: float) -> None:
    """Admit at most ``rate`` requests per iteration, saving up to ``depth`` (`model.Pace`)."""
    for field, value in (("rate", rate), ("depth", depth)):
        units = 2**61 if math.isinf(value) else min(max(round(value * UNIT), 1), 2**61)
        state.clock[field] = units
