"""Vidur's Sarathi-style scheduler: everyone decodes, and prefill chunks fill the batch up.

Vidur 7d47513, ``vidur/scheduler/replica_scheduler/sarathi_replica_scheduler.py``.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kvsteady.arrays import IntArray
from kvsteady.simulate.doors import left_of, schedule_of
from kvsteady.simulate.engines.vidur import (
    VidurOptions,
    admit_head,
    asleep,
    fall_asleep,
    fresh_mind,
    head_fits,
    head_uncomputed,
    tick_or_evict,
)
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import append, prepend, unlink
from kvsteady.simulate.moves import may_admit, prefill
from kvsteady.simulate.records import NONE, PREFILLING
from kvsteady.simulate.state import RUNNING
from kvsteady.workload.ranges import whole_number


class _Habits(NamedTuple):
    batch_size_cap: int
    watermark_blocks_fraction: float
    chunk_size: int
    mind: IntArray


@dataclass(frozen=True)
class VidurSarathi(VidurOptions):
    """Vidur's ``SarathiSchedulerConfig``.

    Parameters
    ----------
    batch_size_cap, block_size, watermark_blocks_fraction
        See `VidurOptions`.
    chunk_size
        Tokens of a batch up to which prefill is added to the decodes.
    """

    chunk_size: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self.chunk_size, "chunk_size", 1, 2**40)

    @property
    def name(self) -> str:
        """The engine and its commit."""
        return "vidur-7d47513-sarathi"

    def longest_decode(self, prompt: int, output: int) -> int:
        """Most tokens that a request decodes: a prefill cut short is decoded on (`vidur`)."""
        return prompt + output

    def habits(self) -> _Habits:
        """The options."""
        return _Habits(
            self.batch_size_cap, self.watermark_blocks_fraction, self.chunk_size, fresh_mind()
        )


@schedule_of(_Habits)
def _schedule(engine, memory, s):
    if asleep(engine, s):
        return
    tick_or_evict(memory, s)
    budget = max(engine.chunk_size - s.clock.decoding, 0)
    budget -= _continue_prefill(s, budget)
    paced = False
    while budget > 0 and head_fits(engine, memory, s):
        paced = not may_admit(s)
        if paced:
            break
        tokens = min(head_uncomputed(s), budget)
        admit_head(memory, s, tokens)
        budget -= tokens
    if s.lists[RUNNING].count == 0 and not paced:
        fall_asleep(engine, s)


@kernel
def _continue_prefill(s, budget):
    """Compute on at the one prefill that is under way, if any; returns its tokens.

    There is one at most: nobody is admitted while a prefill takes all of the budget. It stands
    last, the next to be evicted; where no budget is left for it it goes first, and is safe.
    """
    slot = s.lists[RUNNING].last
    if slot != NONE and s.requests[slot].state != PREFILLING:
        slot = s.lists[RUNNING].first
    if slot == NONE or s.requests[slot].state != PREFILLING:
        return 0
    unlink(s, RUNNING, slot)
    if budget == 0:
        prepend(s, RUNNING, slot)
        return 0
    append(s, RUNNING, slot)
    r = s.requests[slot]
    tokens = min(r.target - r.computed, budget)
    prefill(s, slot, tokens)
    return tokens


@left_of(_Habits)
def _left(engine, s, slot):
    return


ENGINE = VidurSarathi
