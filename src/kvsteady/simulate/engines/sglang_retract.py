"""Who SGLang retracts when memory is short: ``ScheduleBatch.retract_decode``."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.arriving import free_slot, put_out, return_turn
from kvsteady.simulate.counted import blocks_for
from kvsteady.simulate.decoding import crossings, generated
from kvsteady.simulate.engines.sglang_memo import count_out
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import append
from kvsteady.simulate.moves import evict
from kvsteady.simulate.radix.doors import make_room, reorder
from kvsteady.simulate.records import DECODING, NONE, REJECTED
from kvsteady.simulate.state import RUNNING, WAITING
from kvsteady.simulate.victims import victim

# Tokens per request that the measured ratio adds (SGLANG_RETRACT_DECODE_STEPS).
_STEPS = 20


@kernel
def tick_fits(memory, s):
    """Whether all who decode can have the blocks they need next; a cache makes room for them."""
    blocks = crossings(s)
    make_room(memory, s, blocks)
    return blocks <= s.clock.free


@kernel
def retract(engine, memory, s):
    """Retract one, and more until those who are left can decode; measure the ratio.

    The running batch stays in the order in which it was sorted for this.
    """
    clock = s.clock
    _sort(s)
    reorder(memory, s, 0)
    first = True
    while clock.decoding > 1 and (first or not tick_fits(memory, s)):
        first = False
        slot = victim(memory, s, _last_decoding(s), False)
        count_out(engine, s, slot)
        evict(memory, s, slot, RUNNING)
        append(s, WAITING, slot)
        make_room(memory, s, blocks_for(s, clock.decoding * _STEPS))
    if not tick_fits(memory, s):
        _abort(engine, memory, s, _last_decoding(s))
    engine.memo.ratio = _measured(s)


@kernel
def _last_decoding(s):
    slot = s.lists[RUNNING].last
    while s.requests[slot].state != DECODING:
        slot = s.requests[slot].before
    return slot


@kernel
def _abort(engine, memory, s, slot):
    """Give up on the only one that runs: a prefill that goes on holds the rest."""
    clock, r = s.clock, s.requests[slot]
    count_out(engine, s, slot)
    evict(memory, s, slot, RUNNING)
    engine.memo.ended = clock.now
    put_out(s, slot, REJECTED)
    clock.all_rejected += 1
    return_turn(s, r.follow, r.think)
    free_slot(s, slot)


@kernel
def _measured(s):
    """Share of their limits that the running requests have generated, 20 tokens ahead."""
    done, most = 0, 1
    slot = s.lists[RUNNING].first
    while slot != NONE:
        r = s.requests[slot]
        if r.state == DECODING:
            done += generated(s, slot) + _STEPS
            most += r.limit
        slot = r.after
    return min(1.0, done / most)


@kernel
def _keeps(s, a, b):
    """Whether ``a``, which stands before ``b``, is kept longer: more output, a shorter prompt."""
    x, y = s.requests[a], s.requests[b]
    if x.state != DECODING or y.state != DECODING:
        return y.state != DECODING  # a prefill that goes on stands last
    mine, other = generated(s, a), generated(s, b)
    return mine > other or (mine == other and x.prompt <= y.prompt)


@kernel
def _run_end(s, slot):
    """What follows the sorted run that begins with ``slot``, and its length."""
    requests = s.requests
    following, length = requests[slot].after, 1
    while following != NONE and _keeps(s, slot, following):
        slot, following = following, requests[following].after
        length += 1
    return following, length


@kernel
def _sort(s):
    """Sort the running list by who is kept longest, equals as they stand.

    It is nearly sorted as a rule: its sorted runs are merged in pairs until there is one.
    """
    row = s.lists[RUNNING]
    rest, length = _run_end(s, row.first)
    while length < row.count:
        rest, tail = row.first, NONE
        while rest != NONE:
            left = rest
            right, lefts = _run_end(s, left)
            rest, rights = right, 0
            if right != NONE:
                rest, rights = _run_end(s, right)
            tail = _merge(s, left, lefts, right, rights, tail)
        s.requests[tail].after = NONE
        row.last = tail
        rest, length = _run_end(s, row.first)


@kernel
def _merge(s, left, lefts, right, rights, tail):
    """Link two runs in order behind ``tail``; returns the last one."""
    requests = s.requests
    while lefts > 0 or rights > 0:
        if rights == 0 or (lefts > 0 and _keeps(s, left, right)):
            slot, left = left, requests[left].after
            lefts -= 1
        else:
            slot, right = right, requests[right].after
            rights -= 1
        requests[slot].before = tail
        if tail == NONE:
            s.lists[RUNNING].first = slot
        else:
            requests[tail].after = slot
        tail = slot
    return tail
