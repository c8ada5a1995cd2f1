"""What Vidur's two paged schedulers have in common: options, growth by one token, evictions.

Vidur (github.com/microsoft/vidur) at 7d47513, ``vidur/scheduler/replica_scheduler``; one pipeline
stage. Its other schedulers have no preemption and are not here.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import IntArray
from kvsteady.errors import InputError
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.decoding import crossings, held
from kvsteady.simulate.doors import fits, hold, hold_tick
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import prepend
from kvsteady.simulate.moves import evict, prefill, swap_in
from kvsteady.simulate.records import NONE, PREFILLING
from kvsteady.simulate.state import RESUME, RUNNING, WAITING
from kvsteady.workload.ranges import real_number, whole_number


@dataclass(frozen=True)
class VidurOptions:
    """Options of Vidur's ``BaseReplicaSchedulerConfig`` (``vidur/config/config.py``).

    Parameters
    ----------
    batch_size_cap
        Requests in memory at most.
    block_size
        Tokens per block.
    watermark_blocks_fraction
        Share of all blocks that an admission leaves free.
    """

    batch_size_cap: int = 128
    block_size: int = 16
    watermark_blocks_fraction: float = 0.01

    def __post_init__(self) -> None:
        whole_number(self.batch_size_cap, "batch_size_cap", 1, 2**40)
        whole_number(self.block_size, "block_size", 1, 65_536)
        share = real_number(self.watermark_blocks_fraction, "watermark_blocks_fraction", -1.0)
        if not 0 <= share < 1:
            raise InputError(
                f"{share:g} is out of range",
                field="watermark_blocks_fraction",
                allowed="from 0 to below 1",
            )

    @property
    def unwritten(self) -> int:
        """The KV of the last token is not stored."""
        return 1

    def memory(self, blocks: int, slots: int) -> Counted:
        """A count of blocks."""
        del blocks, slots
        return Counted()


# What an engine remembers: arrivals when it fell asleep; allowance after a batch of prefill alone.
_SLEPT, _ALLOWANCE = range(2)


def fresh_mind() -> IntArray:
    """Nothing to remember yet."""
    return np.full(2, NONE, dtype=np.int64)


@kernel
def asleep(engine, s):
    """Whether nothing could be scheduled and nobody has come since.

    Vidur asks a replica for a batch when one ends and when a request comes. Where the only request
    in memory evicts itself there is no batch, so no end of one, and it waits for somebody to come.
    """
    return engine.mind[_SLEPT] == s.clock.sequence


@kernel
def fall_asleep(engine, s):
    """Note that no batch could be made."""
    engine.mind[_SLEPT] = s.clock.sequence


@kernel
def pace_by_token(engine, s):
    """Take back the allowance that the batch before brought, if it was prefill alone.

    A cap's rate is per token of those who run, and they got none in it.
    """
    allowance = engine.mind[_ALLOWANCE]
    if allowance != NONE and s.clock.shows == 0:
        s.clock.credit = allowance
        engine.mind[_ALLOWANCE] = NONE


@kernel
def note_prefill_alone(engine, s):
    """Remember the allowance that is left: see `pace_by_token`."""
    engine.mind[_ALLOWANCE] = s.clock.credit


@kernel
def tick_or_evict(memory, s):
    """Let those who decode gain a token, with evictions from the tail until all others can.

    Vidur goes through its requests in order and wants a free block for each, though only one that
    fills its last block takes it; the last of those to come is evicted where none is free. So the
    rest goes on if what they take leaves a block, or the last of all takes the last block.
    """
    clock, lists = s.clock, s.lists
    while clock.decoding > 0:
        last = lists[RUNNING].last
        grower = last
        if s.requests[last].state == PREFILLING:  # its prefill is under way: it does not grow
            grower = s.requests[last].before
        left = clock.free - crossings(s)
        if left > 0 or (left == 0 and held(s, grower) % clock.block == 0):
            hold_tick(memory, s)
            clock.ticking = 1
            return
        _restart(memory, s, last)


@kernel
def _restart(memory, s, slot):
    """Evict to the queue's head. A prefill that was under way ends where it came to (sic).

    ``Request.restart`` makes what was processed the prompt and the rest of all tokens the output,
    so of such a request prompt tokens are decoded later: it then "keeps" a negative number.
    """
    r = s.requests[slot]
    under_way, computed = r.state == PREFILLING, r.computed
    evict(memory, s, slot, RUNNING)
    if under_way and s.clock.eviction == RESUME:
        r.kept = computed - r.prompt
    prepend(s, WAITING, slot)


@kernel
def head_tokens(s):
    """Tokens that the prefill of the queue's head comes to."""
    r = s.requests[s.lists[WAITING].first]
    return r.prompt + r.kept


@kernel
def head_uncomputed(s):
    """Those of them that have to be computed: not what it was swapped out with."""
    return head_tokens(s) - s.requests[s.lists[WAITING].first].computed


@kernel
def head_fits(engine, memory, s):
    """Whether the queue's head may come in: a place, its blocks, and the watermark left free."""
    slot = s.lists[WAITING].first
    if slot == NONE or s.lists[RUNNING].count >= engine.batch_size_cap:
        return False
    spare = int(engine.watermark_blocks_fraction * s.clock.total)
    return fits(memory, s, slot, head_tokens(s), spare)


@kernel
def admit_head(memory, s, tokens):
    """Take the queue's head in, with blocks for its whole prefill and ``tokens`` computed now."""
    slot = s.lists[WAITING].first
    hold(memory, s, slot, head_tokens(s))
    swap_in(s, slot)
    prefill(s, slot, tokens)
