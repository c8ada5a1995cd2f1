"""Transformers' waiting requests: each that fits is admitted, whoever stands before it."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.counted import blocks_for
from kvsteady.simulate.engines.transformers_batch import compute
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.moves import may_admit, swap_in
from kvsteady.simulate.records import NONE
from kvsteady.simulate.records import WAITING as QUEUED
from kvsteady.simulate.state import SWAP, WAITING

_MANY = 1 << 62


@kernel
def admit_waiting(engine, memory, s):
    """Walk the queue while budgets last, and schedule a first chunk of each that fits.

    Where nobody in it fitted, the walk begins behind the last one it came to, as long as the
    smallest before it does not fit either.
    """
    memo, clock, queue = engine.memo, s.clock, s.lists[WAITING]
    if memo.closed == 1 or memo.blocked == 1 or queue.count == 0:
        return
    if memo.within == 0 and memo.scheduled > 0:
        return
    if clock.free == 0:
        memo.failed = 1
        return
    if clock.eviction == SWAP:
        _admit_in_turns(engine, memory, s)
        return
    slot, least = queue.first, _MANY
    if memo.scanned != NONE and blocks_for(s, min(memo.least, memo.tokens)) > clock.free:
        slot, least = s.requests[memo.scanned].after, memo.least
        memo.failed = 1
    memo.scanned = NONE
    while slot != NONE and memo.closed == 0:
        following = s.requests[slot].after
        if not _try(engine, memory, s, slot):
            return
        if s.requests[slot].state == QUEUED:
            least = min(least, s.requests[slot].prompt + s.requests[slot].kept)
        slot = following
    if slot == NONE:
        memo.scanned, memo.least = queue.last, least


@kernel
def _admit_in_turns(engine, memory, s):
    """Those whose KV was swapped out and the others take turns, each kind in its order."""
    first = s.lists[WAITING].first
    swapped, fresh = _next(s, first, True), _next(s, first, False)
    turn = True
    while engine.memo.closed == 0 and (swapped != NONE or fresh != NONE):
        slot = swapped if turn else fresh
        if slot != NONE:
            following = _next(s, s.requests[slot].after, turn)
            if not _try(engine, memory, s, slot):
                return
            if turn:
                swapped = following
            else:
                fresh = following
        turn = not turn


@kernel
def _next(s, slot, swapped):
    """The first request of its kind from ``slot`` on."""
    while slot != NONE and (s.requests[slot].computed > 0) != swapped:
        slot = s.requests[slot].after
    return slot


@kernel
def _try(engine, memory, s, slot):
    """Admit a waiting request if it fits; False where the walk ends before it."""
    memo, r = engine.memo, s.requests[slot]
    if not may_admit(s) or (memo.within == 0 and memo.scheduled > 0):
        return False
    tokens = min(r.prompt + r.kept - r.computed, memo.tokens)
    if blocks_for(s, r.computed + tokens) > s.clock.free:
        memo.failed = 1
    else:
        swap_in(s, slot)
        compute(engine, memory, s, slot, tokens, 0)
    return True
