"""The pool behind the doors of memory: what happens to requests, in terms of blocks.

A request that decodes is touched only when it needs a block and when it has filled one: those that
do at the same ticks stand in one list. They enter it at the tick after they began to decode; who
stopped since is dropped when its turn comes.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.decoding import generated, held
from kvsteady.simulate.doors import (
    eager_of,
    fits_of,
    hits_of,
    hold_of,
    hold_tick_of,
    release_of,
    settle_of,
)
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.prefix.blocks import enter_keys, give_back, look_up, share, take
from kvsteady.simulate.prefix.pool import Pooled
from kvsteady.simulate.records import DECODING, NONE, WAITING


@hits_of(Pooled)
def _hits(memory, s, slot):
    look_up(memory, s, slot)
    return memory.book.found * s.clock.block


@fits_of(Pooled)
def _fits(memory, s, slot, tokens, spare):
    book = memory.book
    blocks = -(-tokens // s.clock.block)
    if s.requests[slot].state != WAITING:
        return blocks - memory.seats[memory.seat_of[slot]].blocks + spare <= s.clock.free
    if blocks > memory.table.shape[1]:
        return False  # longer than any request that the pool was fitted for
    # Blocks that nobody holds leave the queue too, so only those in use come for nothing.
    known = book.refused == slot and book.refused_gains == book.gains
    if known and blocks - book.refused_in_use + spare > s.clock.free:
        return False
    look_up(memory, s, slot)
    if max(blocks, book.found) - book.in_use + spare <= s.clock.free:
        return True
    book.refused, book.refused_gains, book.refused_in_use = slot, book.gains, book.in_use
    return False


@hold_of(Pooled)
def _hold(memory, s, slot, tokens):
    if s.requests[slot].state == WAITING:
        _take_seat(memory, s, slot)
    # Scheduled asynchronously, the token that a request decodes with is not known yet.
    known = tokens - s.clock.late if s.requests[slot].state == DECODING else tokens
    _extend(memory, s, memory.seat_of[slot], tokens, known)


@kernel
def _take_seat(pool, s, slot):
    """Let a waiting request hold what it finds."""
    book = pool.book
    look_up(pool, s, slot)
    seat = book.free_seat
    row = pool.seats[seat]
    book.free_seat = row.after
    row.slot, row.turn = slot, book.turn
    book.turn += 1
    book.all_found += book.found
    book.refused = NONE
    pool.seat_of[slot] = seat
    share(pool, s, seat, book.found)


@kernel
def _extend(pool, s, seat, tokens, known):
    """Blocks for so many tokens; the full ones are in the cache from now on, though not computed.

    Not those that only tokens fill which are not ``known``.
    """
    row, block = pool.seats[seat], s.clock.block
    if row.blocks * block < tokens:
        take(pool, s, seat, -(-tokens // block))
    if (row.keyed + 1) * block <= known:
        enter_keys(pool, s, seat, known // block)


@hold_tick_of(Pooled)
def _hold_tick(memory, s):
    for i in range(s.clock.youngsters):
        _enter_phase(memory, s, s.young[i])
    # Who has its blocks full gets one more, and who is about to fill one makes it known.
    phase = s.clock.tick % s.clock.block
    if memory.phases[phase].first != NONE:
        _cross(memory, s, phase)
    phase = (phase + 1) % s.clock.block
    if s.clock.block > 1 and memory.phases[phase].first != NONE:
        _cross(memory, s, phase)


@kernel
def _cross(pool, s, phase):
    seat = pool.phases[phase].first
    while seat != NONE:
        slot, following = pool.seats[seat].slot, pool.seats[seat].after
        r = s.requests[slot]
        if r.state == DECODING and (-r.offset) % s.clock.block == phase:
            tokens = held(s, slot) + 1
            _extend(pool, s, seat, tokens, tokens - s.clock.late)
        else:
            _leave_phase(pool, seat)
        seat = following


@kernel
def _enter_phase(pool, s, slot):
    """Put a request that began to decode in the list of those that fill blocks when it does."""
    r = s.requests[slot]
    if r.state != DECODING or r.young != 1:
        return
    seat = pool.seat_of[slot]
    row = pool.seats[seat]
    phase = (-r.offset) % s.clock.block
    if row.phase == phase:
        return
    _leave_phase(pool, seat)
    # In the order of admission, for the order in which equal content enters the cache.
    ends = pool.phases[phase]
    before = ends.last
    while before != NONE and pool.seats[before].turn > row.turn:
        before = pool.seats[before].before
    after = ends.first if before == NONE else pool.seats[before].after
    row.phase, row.before, row.after = phase, before, after
    if before == NONE:
        ends.first = seat
    else:
        pool.seats[before].after = seat
    if after == NONE:
        ends.last = seat
    else:
        pool.seats[after].before = seat


@kernel
def _leave_phase(pool, seat):
    row = pool.seats[seat]
    if row.phase == NONE:
        return
    ends = pool.phases[row.phase]
    if row.before == NONE:
        ends.first = row.after
    else:
        pool.seats[row.before].after = row.after
    if row.after == NONE:
        ends.last = row.before
    else:
        pool.seats[row.after].before = row.before
    row.phase = NONE


@release_of(Pooled)
def _release(memory, s, slot):
    seat = memory.seat_of[slot]
    memory.seat_of[slot] = NONE
    s.requests[slot].blocks = 0
    _leave_phase(memory, seat)
    if generated(s, slot) < s.requests[slot].output:
        give_back(memory, s, seat)  # evicted
    else:
        memory.leaving[memory.book.leaving] = seat
        memory.book.leaving += 1


@eager_of(Pooled)
def _eager(memory):
    return True


@settle_of(Pooled)
def _settle(memory, s):
    # The order in which requests leave is that of their blocks in the queue: as admitted.
    leaving, seats = memory.leaving, memory.seats
    for i in range(1, memory.book.leaving):
        seat = leaving[i]
        place = i
        while place > 0 and seats[leaving[place - 1]].turn > seats[seat].turn:
            leaving[place] = leaving[place - 1]
            place -= 1
        leaving[place] = seat
    for i in range(memory.book.leaving):
        give_back(memory, s, leaving[i])
    memory.book.leaving = 0
