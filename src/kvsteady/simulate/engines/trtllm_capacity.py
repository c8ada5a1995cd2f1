"""TensorRT-LLM's MAX_UTILIZATION: whom to pause so that the earliest can go on.

Requests are walked in the order of arrival (`sequence`), in which both lists stand.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.counted import blocks_for, blocks_of
from kvsteady.simulate.decoding import crossings
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import insert_after
from kvsteady.simulate.moves import evict, go_on
from kvsteady.simulate.records import DECODING, HELD, NONE
from kvsteady.simulate.state import RUNNING, WAITING

GUARANTEED_NO_EVICT, STATIC_BATCH, MAX_UTILIZATION = range(3)


@kernel
def wake(memo, s):
    """Whoever was held back in the last iteration is a candidate like the others."""
    slot = s.lists[RUNNING].first
    while memo.held_back > 0:
        if s.requests[slot].state == HELD:
            go_on(s, slot)
            memo.held_back -= 1
        slot = s.requests[slot].after


@kernel
def out_of_order(s):
    """Whether a request that waits came before one in memory.

    Where chunks are whole blocks, a short prompt may fit into what is left of the budget when a
    longer one before it does not.
    """
    first, last = s.lists[WAITING].first, s.lists[RUNNING].last
    if first == NONE or last == NONE:
        return False
    return s.requests[first].sequence < s.requests[last].sequence


@kernel
def fits_at_once(s):
    """Whether everyone in memory can go on, so that nobody has to be paused."""
    return crossings(s) <= s.clock.free


@kernel
def pause_for_room(engine, memory, s):
    """Walk everyone in order; who does not fit pauses the last started one behind it, or itself.

    Leaves in ``memo.fitting`` how many of those who wait (the first ones) may start.
    """
    r, memo = s.requests, engine.memo
    run, wait, last = s.lists[RUNNING].first, s.lists[WAITING].first, s.lists[RUNNING].last
    free, looked, end, victims = s.clock.free, 0, 1 << 62, 0
    memo.fitting = 0
    while looked < engine.max_batch_size and (run != NONE or wait != NONE):
        started = run != NONE and (wait == NONE or r[run].sequence < r[wait].sequence)
        slot = run if started else wait
        if r[slot].sequence >= end:
            break
        needed = _needed_now(s, slot) if started else blocks_for(s, r[slot].prompt + r[slot].kept)
        if needed <= free:
            free -= needed
            looked += 1
            if started:
                run = r[run].after
            else:
                wait = r[wait].after
                memo.fitting += 1
        elif last != NONE and r[last].sequence >= r[slot].sequence:
            free += blocks_of(s, last)
            end, last = r[last].sequence, r[last].before
            victims += 1
        else:
            break
    for _ in range(victims):
        _pause(memory, s, s.lists[RUNNING].last)


@kernel
def _needed_now(s, slot):
    """Blocks that a request in memory takes now; a begun prefill has all it needs."""
    r = s.requests[slot]
    return 1 if r.state == DECODING and (s.clock.tick + r.offset) % s.clock.block == 0 else 0


@kernel
def _pause(memory, s, slot):
    """Take a request out of memory; it waits where the order of arrival puts it."""
    evict(memory, s, slot, RUNNING)
    place, following = NONE, s.lists[WAITING].first
    while following != NONE and s.requests[following].sequence < s.requests[slot].sequence:
        place, following = following, s.requests[following].after
    insert_after(s, WAITING, place, slot)
