"""The pool behind the doors of memory: what happens to requests, in terms of blocks.

Those who decode take their blocks all at once, and nobody is touched for it but who fills blocks
that others may find: those that do at the same ticks stand in one list. They enter it at the tick
after they began to decode; who stopped since is dropped when its turn comes.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.counted import blocks_for, blocks_of
from kvsteady.simulate.decoding import crossings, generated, held
from kvsteady.simulate.doors import (
    eager_of,
    fits_of,
    found_of,
    hits_of,
    hold_of,
    hold_tick_of,
    ordered_of,
    release_of,
    settle_of,
    shared_of,
)
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.prefix.blocks import (
    enter_keys,
    give_back,
    held_by_others,
    listed,
    look_up,
    share,
    take,
)
from kvsteady.simulate.prefix.pool import OWN, Pooled
from kvsteady.simulate.records import DECODING, NONE, PREFILLING, WAITING


@hits_of(Pooled)
def _hits(memory, s, slot):
    look_up(memory, s, slot)
    return memory.book.found * s.clock.block


@found_of(Pooled)
def _found(memory, s, slot):
    r, book = s.requests[slot], memory.book
    if r.key_count == 0 and r.preemptions == 0:
        return 0, 0
    look_up(memory, s, slot)
    return book.found * s.clock.block, book.in_use * s.clock.block


@shared_of(Pooled)
def _shared(memory, s, slot):
    if memory.book.span == 0:
        return 0
    return held_by_others(memory, memory.seat_of[slot]) * s.clock.block


@fits_of(Pooled)
def _fits(memory, s, slot, tokens, spare):
    book = memory.book
    blocks = blocks_for(s, tokens)
    if s.requests[slot].state != WAITING:
        return blocks - blocks_of(s, slot) + spare <= s.clock.free
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
    """The full blocks are in the cache from now on, though not computed."""
    r, book, known = s.requests[slot], memory.book, tokens
    if r.state == WAITING:
        _take_seat(memory, s, slot)
    row = memory.seats[memory.seat_of[slot]]
    more = blocks_for(s, tokens) - blocks_of(s, slot)
    if r.state == DECODING:
        # Scheduled asynchronously, the token that a request decodes with is not known yet.
        known -= s.clock.late
        if more > 0 and row.ahead != s.clock.tick + 1:
            take(memory, s, more)
            row.ahead = s.clock.tick + 1
            book.ahead += more
    elif more > 0:
        take(memory, s, more)
        r.blocks += more
    if known // s.clock.block > row.keyed:
        enter_keys(memory, s, memory.seat_of[slot], known // s.clock.block)


@kernel
def _take_seat(pool, s, slot):
    """Let a waiting request hold what it finds."""
    book, r = pool.book, s.requests[slot]
    look_up(pool, s, slot)
    seat = book.free_seat
    row = pool.seats[seat]
    book.free_seat = row.after
    row.slot, row.turn, row.own = slot, book.turn, OWN + r.sequence
    row.noting = 1 if listed(pool, s, slot) > (r.prompt + r.kept) // s.clock.block else 0
    book.noting += row.noting
    book.turn += 1
    book.all_found += book.found
    book.refused = NONE
    pool.seat_of[slot] = seat
    share(pool, s, seat)


@hold_tick_of(Pooled)
def _hold_tick(memory, s):
    book = memory.book
    more = crossings(s) - book.ahead
    if more > 0:
        take(memory, s, more)
    book.ahead = 0
    if book.noting == 0:
        return
    for i in range(s.clock.youngsters):
        _enter_phase(memory, s, s.young[i])
    # Who has its blocks full makes the last one known at the latest now, who fills one at once.
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
            upto = (held(s, slot) + 1 - s.clock.late) // s.clock.block
            if upto > pool.seats[seat].keyed:
                enter_keys(pool, s, seat, upto)
            if pool.seats[seat].keyed >= listed(pool, s, slot):
                _note_no_more(pool, seat)
        else:
            _leave_phase(pool, seat)
        seat = following


@kernel
def _note_no_more(pool, seat):
    pool.book.noting -= pool.seats[seat].noting
    pool.seats[seat].noting = 0
    _leave_phase(pool, seat)


@kernel
def _enter_phase(pool, s, slot):
    """Put a request that began to decode in the list of those that fill blocks when it does."""
    r = s.requests[slot]
    if r.state != DECODING or r.young != 1:
        return
    seat = pool.seat_of[slot]
    row = pool.seats[seat]
    if row.noting == 0:
        return
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


@kernel
def _full(pool, s, slot):
    """Blocks of a request that are full, as far as the engine knows its tokens."""
    keyed = pool.seats[pool.seat_of[slot]].keyed
    if s.requests[slot].state == PREFILLING:
        return keyed
    return max(keyed, (held(s, slot) - s.clock.late) // s.clock.block)


@release_of(Pooled)
def _release(memory, s, slot):
    seat = memory.seat_of[slot]
    row = memory.seats[seat]
    enter_keys(memory, s, seat, _full(memory, s, slot))
    row.blocks = blocks_of(s, slot)
    if s.requests[slot].state == DECODING and row.ahead == s.clock.tick + 1:
        row.blocks += 1
        memory.book.ahead -= 1
    memory.seat_of[slot] = NONE
    s.requests[slot].blocks = 0
    _note_no_more(memory, seat)
    if generated(s, slot) < s.requests[slot].output:
        give_back(memory, s, seat)  # evicted
    else:
        memory.leaving[memory.book.leaving] = seat
        memory.book.leaving += 1


@eager_of(Pooled)
def _eager(memory):
    return True


@ordered_of(Pooled)
def _ordered(memory):
    return memory.book.noting > 0


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
