"""Transformers' active requests: who decodes, whose prefill goes on, who starves and is evicted."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numpy as np

from kvsteady.simulate.counted import blocks_for, blocks_of
from kvsteady.simulate.decoding import crossings, held
from kvsteady.simulate.doors import hold, hold_tick
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import insert_after
from kvsteady.simulate.moves import evict, go_on, hold_back, prefill
from kvsteady.simulate.records import DECODING, HELD, NONE, PREFILLING
from kvsteady.simulate.state import RUNNING, WAITING

MEMO = np.dtype(
    [
        # from step to step
        ("blocked", "i8"),  # 1: no new request before one completes
        ("cached", "i8"),  # pages of finished requests that are kept
        ("held_back", "i8"),  # requests that decode, but not in the last step
        ("scanned", "i8"),  # last waiting request of those looked at, none of which fits; or NONE
        ("least", "i8"),  # KV tokens of the smallest of them
        # this step
        ("within", "i8"),  # 1: within the safety margin
        ("tokens", "i8"),  # left of the budgets
        ("places", "i8"),
        ("scheduled", "i8"),
        ("closed", "i8"),  # 1: the walk over the candidates has ended
        ("failed", "i8"),  # 1: somebody found no block
        ("starved", "i8"),  # active requests that found no block, linked by mate_before;
        ("last_starved", "i8"),  # their mate_after is what they were to compute
    ]
)
"""What the engine remembers."""


@kernel
def take(memo, tokens, requests):
    """Spend the step's budgets; the walk ends where one is used up."""
    memo.tokens -= tokens
    memo.places -= requests
    memo.scheduled += requests
    if memo.tokens == 0 or memo.places == 0:
        memo.closed = 1


@kernel
def starve(memo, s, slot, tokens):
    """Note an active request that found no block."""
    r = s.requests[slot]
    r.mate_before, r.mate_after = memo.last_starved, tokens
    memo.last_starved = slot
    memo.starved += 1
    memo.failed = 1


@kernel
def forget_cached(engine, s):
    """Give the pages of finished requests back."""
    s.clock.free += engine.memo.cached
    engine.memo.cached = 0


@kernel
def wake(engine, s):
    """Whoever was held back in the last step is a candidate like the others."""
    slot = s.lists[RUNNING].first
    while engine.memo.held_back > 0:
        if s.requests[slot].state == HELD:
            go_on(s, slot)
            engine.memo.held_back -= 1
        slot = s.requests[slot].after


@kernel
def decode(engine, memory, s):
    """Schedule those who decode: all at once where budgets and memory reach for all."""
    memo, clock = engine.memo, s.clock
    if memo.closed == 1 or clock.decoding == 0:
        return
    needed = crossings(s)
    if needed <= clock.free and clock.decoding <= min(memo.tokens, memo.places):
        take(memo, clock.decoding, clock.decoding)
    elif clock.free == 0 and needed == clock.decoding:
        _starve_all(memo, s)
        return
    else:
        _decode_some(engine, s)
    hold_tick(memory, s)
    clock.ticking = 1


@kernel
def _starve_all(memo, s):
    slot = s.lists[RUNNING].first
    while slot != NONE:
        if s.requests[slot].state == DECODING:
            starve(memo, s, slot, 1)
        slot = s.requests[slot].after


@kernel
def _decode_some(engine, s):
    """In the order of admission, who finds a block or needs none; hold the others back."""
    memo, clock = engine.memo, s.clock
    free = clock.free
    slot = s.lists[RUNNING].first
    while slot != NONE:
        r = s.requests[slot]
        if r.state == DECODING:
            needs = (clock.tick + r.offset) % clock.block == 0
            if memo.closed == 0 and not (needs and free == 0):
                free -= needs
                take(memo, 1, 1)
            else:
                if memo.closed == 0:
                    starve(memo, s, slot, 1)
                hold_back(s, slot)
                memo.held_back += 1
        slot = r.after


@kernel
def go_on_prefilling(engine, memory, s):
    """Give those whose prefill has begun their next chunk, in the order of admission."""
    memo, clock = engine.memo, s.clock
    left = s.lists[RUNNING].count - clock.decoding - memo.held_back
    if memo.closed == 1 or left == 0:
        return
    # The youngest are at the tail: look for the first of them from there.
    slot = s.lists[RUNNING].last
    found = 0
    while True:
        found += s.requests[slot].state == PREFILLING
        if found == left:
            break
        slot = s.requests[slot].before
    while slot != NONE and memo.closed == 0:
        r = s.requests[slot]
        if r.state == PREFILLING:
            tokens = min(r.target - r.computed, memo.tokens)
            if memo.within == 0 and memo.scheduled > 0:
                memo.closed = 1
            elif blocks_for(s, r.computed + tokens) - r.blocks > clock.free:
                starve(memo, s, slot, tokens)
            else:
                compute(engine, memory, s, slot, tokens, r.computed)
        slot = r.after


@kernel
def compute(engine, memory, s, slot, tokens, before):
    """Schedule a chunk of prefill; ``before`` it, so many tokens are in pages that are noted."""
    r = s.requests[slot]
    hold(memory, s, slot, r.computed + tokens)
    r.mate_after = before
    prefill(s, slot, tokens)
    take(engine.memo, tokens, 1)


@kernel
def evict_starved(engine, memory, s):
    """Evict those that starve, the last first, until the others' blocks would be free.

    They go to the queue's tail, in order, and nobody is admitted until a request completes. One
    active request is always left. Returns 0 where there was nothing to be had.
    """
    memo, clock = engine.memo, s.clock
    something = 1 if memo.cached > 0 else 0
    forget_cached(engine, s)
    needed = 0
    slot = memo.last_starved
    while slot != NONE:
        needed += _wanted(s, slot)
        slot = s.requests[slot].mate_before
    place = s.lists[WAITING].last
    slot = memo.last_starved
    while slot != NONE and needed > clock.free and s.lists[RUNNING].count > 1:
        following = s.requests[slot].mate_before
        needed -= _wanted(s, slot)
        memo.held_back -= s.requests[slot].state == HELD
        evict(memory, s, slot, RUNNING)
        insert_after(s, WAITING, place, slot)
        memo.blocked = something = 1
        slot = following
    return something


@kernel
def _wanted(s, slot):
    """Blocks that a request lacks for what it is to compute."""
    tokens = s.requests[slot].mate_after
    return max(blocks_for(s, held(s, slot) + tokens) - blocks_of(s, slot), 0)
