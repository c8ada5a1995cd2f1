"""TensorRT-LLM's micro-batch scheduler: who of those that may run does, and how many tokens."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numpy as np

from kvsteady.simulate.counted import blocks_for
from kvsteady.simulate.doors import hold, hold_tick
from kvsteady.simulate.engines.trtllm_capacity import MAX_UTILIZATION
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import insert_after, unlink
from kvsteady.simulate.moves import hold_back, may_admit, prefill, swap_in
from kvsteady.simulate.records import DECODING, NONE, PREFILLING
from kvsteady.simulate.state import RUNNING, WAITING

MEMO = np.dtype(
    [
        ("promised", "i8"),  # blocks that those in memory hold or will need to completion
        ("held_back", "i8"),  # requests that generate, but not in the last iteration
        # this iteration
        ("tokens", "i8"),  # left of the budget
        ("fitting", "i8"),  # waiting requests that may start
        ("closed", "i8"),  # 1: the budget has stopped somebody, and so all behind it
    ]
)
"""What the engine remembers."""


@kernel
def blocks_to_completion(s, slot):
    """Blocks for a request's prompt and all the tokens that it may ask for."""
    r = s.requests[slot]
    return min(blocks_for(s, r.prompt + r.limit), s.clock.total)


@kernel
def run_generations(engine, memory, s):
    """Everyone that generates gains a token, as far as the budget goes."""
    memo, clock = engine.memo, s.clock
    if clock.decoding > memo.tokens:
        slot = s.lists[RUNNING].first
        while slot != NONE:
            if s.requests[slot].state == DECODING:
                if memo.tokens > 0:
                    memo.tokens -= 1
                else:
                    hold_back(s, slot)
                    memo.held_back += 1
            slot = s.requests[slot].after
        memo.closed = 1
    else:
        memo.tokens -= clock.decoding
    hold_tick(memory, s)
    clock.ticking = 1


@kernel
def run_contexts(engine, memory, s):
    """Prefill: those begun, then those who wait, in the order of arrival."""
    r, memo, clock = s.requests, engine.memo, s.clock
    if memo.closed == 1:
        return
    begun = s.lists[RUNNING].count - clock.decoding - memo.held_back
    run = s.lists[RUNNING].last
    left = begun
    while left > 0:  # the youngest are at the tail: look for the first of them from there
        left -= r[run].state == PREFILLING
        if left > 0:
            run = r[run].before
    wait = s.lists[WAITING].first
    free, ahead = clock.free, 0  # what those before take that do not start yet
    while memo.tokens > 0:
        waits = wait != NONE and memo.fitting > 0
        if begun > 0 and (not waits or r[run].sequence < r[wait].sequence):
            if r[run].state == PREFILLING:
                tokens = _chunk(engine, s, r[run].target - r[run].computed)
                if tokens > 0:
                    prefill(s, run, tokens)
                memo.tokens -= tokens
                begun -= 1
            run = r[run].after
        elif waits:
            whole = r[wait].prompt + r[wait].kept
            needed = blocks_for(s, whole)
            if engine.policy == MAX_UTILIZATION:
                fits = needed <= free
            else:
                fits = memo.promised + ahead + blocks_to_completion(s, wait) <= clock.total
            if not fits or not may_admit(s):
                return
            tokens = _chunk(engine, s, whole - r[wait].computed)
            if engine.enable_chunked_prefill == 0 and tokens < whole - r[wait].computed:
                return
            following = r[wait].after
            free -= needed
            memo.fitting -= 1
            if tokens > 0:
                _start(engine, memory, s, wait, tokens)
            else:
                ahead += blocks_to_completion(s, wait)
            wait = following
        else:
            return


@kernel
def _chunk(engine, s, tokens):
    """What of a prefill the budget allows: all of it, or whole blocks."""
    left = engine.memo.tokens
    return tokens if tokens <= left else left // s.clock.block * s.clock.block


@kernel
def _start(engine, memory, s, slot, tokens):
    """Admit a request, with the blocks of its whole prompt, to where it belongs in the order."""
    r, memo = s.requests, engine.memo
    hold(memory, s, slot, r[slot].prompt + r[slot].kept)
    swap_in(s, slot)
    place = r[slot].before
    if place != NONE and r[place].sequence > r[slot].sequence:
        while place != NONE and r[place].sequence > r[slot].sequence:
            place = r[place].before
        unlink(s, RUNNING, slot)
        insert_after(s, RUNNING, place, slot)
    prefill(s, slot, tokens)
    memo.tokens -= tokens
    if engine.policy != MAX_UTILIZATION:
        memo.promised += blocks_to_completion(s, slot)
