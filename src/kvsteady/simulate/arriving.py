"""Arrive: requests come by the clock, on demand, or after another one has completed."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import append
from kvsteady.simulate.records import NONE, REJECTED, WAITING
from kvsteady.simulate.state import RUNNING
from kvsteady.simulate.state import WAITING as QUEUE

# Why a kernel returns to Python.
GO, REFILL, FLUSH, GROW, DRAINED, STOPPED, LIVELOCK, STALLED, HOPELESS = range(9)

# A load without end may bring nothing but requests that can never fit, and no time passes while
# they are rejected. After so many in a row those who are here run on; after so many with nobody
# here the run ends.
_MANY = 1 << 16
_TOO_MANY = 1 << 20


@kernel
def put_out(s, slot, status):
    """Write the row of a request that leaves."""
    r, row = s.requests[slot], s.outbox[s.clock.out]
    row.id, row.kind, row.session, row.status = r.id, r.kind, r.session, status
    row.prompt, row.output = r.prompt, r.output
    row.arrival, row.scheduled, row.first_token = r.arrival, r.scheduled, r.first_token
    row.finish = s.clock.now
    row.preemptions, row.recomputed, row.hit = r.preemptions, r.recomputed, r.hit
    s.clock.out += 1


@kernel
def free_slot(s, slot):
    """Put the slot of a request that left on the free list."""
    r, clock = s.requests[slot], s.clock
    r.state = 0
    r.after = clock.free_slot
    clock.free_slot = slot
    clock.free_slots += 1


@kernel
def _take_in(s, row, when):
    """Give a request a slot and a place at the queue's tail; reject what can never fit."""
    clock = s.clock
    slot = clock.free_slot
    r = s.requests[slot]
    clock.free_slot = r.after
    clock.free_slots -= 1
    r.state = WAITING
    r.before = r.after = r.due_before = r.due_after = r.mate_before = r.mate_after = NONE
    r.computed = r.kept = r.offset = r.due = r.young = r.blocks = 0
    r.preemptions = r.lost = r.recomputed = r.hit = 0
    r.prompt, r.output, r.limit, r.target = row.prompt, row.output, row.limit, row.prompt
    r.priority, r.kind, r.session, r.id = row.priority, row.kind, row.session, row.id
    r.follow, r.think = row.follow, row.think
    r.keys, r.key_count, r.loaded = row.keys, row.key_count, row.loaded
    r.arrival, r.scheduled, r.first_token, r.last_token = when, -1.0, -1.0, -1.0
    r.sequence = clock.sequence
    clock.sequence += 1
    clock.all_arrived += 1
    most = -(-(row.prompt + row.output - clock.unwritten) // clock.block)
    if most > clock.total:
        put_out(s, slot, REJECTED)
        clock.all_rejected += 1
        clock.turned_away += 1
        free_slot(s, slot)
        return_turn(s, row.follow, row.think)
    else:
        clock.turned_away = 0
        append(s, QUEUE, slot)


@kernel
def return_turn(s, follow, think):
    """What comes after a request that left: its session's next turn, or its client's next one."""
    clock = s.clock
    if follow == NONE and clock.clients == 0:
        return
    # A binary heap by (time, order of entry), so that ties do not depend on its shape.
    place = clock.heap
    clock.heap += 1
    s.coming[place].time = clock.now + think
    s.coming[place].order = clock.sequence + clock.all_completed
    s.coming[place].row = follow
    while place > 0:
        above = (place - 1) >> 1
        if not _sooner(s, place, above):
            break
        _swap(s, place, above)
        place = above


@kernel
def _sooner(s, a, b):
    x, y = s.coming[a], s.coming[b]
    return x.time < y.time or (x.time == y.time and x.order < y.order)


@kernel
def _swap(s, a, b):
    x, y = s.coming[a], s.coming[b]
    x.time, y.time = y.time, x.time
    x.order, y.order = y.order, x.order
    x.row, y.row = y.row, x.row


@kernel
def _drop_first(s):
    clock = s.clock
    clock.heap -= 1
    _swap(s, 0, clock.heap)
    place = 0
    while True:
        least = place
        for below in (2 * place + 1, 2 * place + 2):
            if below < clock.heap and _sooner(s, below, least):
                least = below
        if least == place:
            return
        _swap(s, place, least)
        place = least


@kernel
def _room(s):
    """GO where one more request can be taken in or rejected."""
    if s.clock.free_slots == 0 or s.clock.heap + s.requests.size >= s.coming.size:
        return GROW
    return FLUSH if s.clock.out == s.outbox.size else GO


@kernel
def arrive(s):
    """Bring everyone in who has come by now; with nobody there, wait for the next one."""
    clock = s.clock
    while True:
        nobody = s.lists[RUNNING].count == 0 and s.lists[QUEUE].count == 0
        if clock.endless == 1 and clock.turned_away >= _MANY:
            if not nobody:
                break
            if clock.turned_away >= _TOO_MANY:
                return HOPELESS
        on_demand = clock.backlog > 0 and s.lists[QUEUE].count < clock.backlog
        timed = clock.backlog == 0 and clock.clients == 0
        inbox_time = math.inf
        if clock.cursor < clock.rows:
            if on_demand:
                inbox_time = clock.now
            elif timed:
                inbox_time = s.inbox[clock.cursor].time
        elif on_demand and clock.more == 1:
            return REFILL
        turn_time = s.coming[0].time if clock.heap > 0 else math.inf
        soonest = min(inbox_time, turn_time)
        if soonest > clock.now:
            if not nobody:
                break
            # Nobody is here: the clock jumps to the next arrival, once that is known.
            if clock.more == 1 and soonest >= clock.horizon:
                return REFILL
            if soonest == math.inf:
                return DRAINED
            if soonest >= clock.stop_time:
                return STOPPED
            clock.now = soonest
        why = _room(s)
        if why != GO:
            return why
        if inbox_time <= turn_time:
            _take_in(s, s.inbox[clock.cursor], clock.now if on_demand else inbox_time)
            clock.cursor += 1
        else:
            row = s.coming[0].row
            if row >= 0:
                _drop_first(s)
                _take_in(s, s.turns[row], turn_time)
            elif clock.cursor < clock.rows:
                _drop_first(s)
                _take_in(s, s.inbox[clock.cursor], turn_time)
                clock.cursor += 1
            elif clock.more == 1:
                return REFILL
            else:
                _drop_first(s)  # the client has no more requests
    return REFILL if clock.more == 1 and clock.now >= clock.horizon else GO


@kernel
def refill_credit(clock):
    """Add an iteration's admissions to the allowance of a paced policy."""
    clock.credit = min(clock.credit + clock.rate, clock.depth)


@kernel
def start_iteration(s):
    """Forget the iteration before."""
    clock = s.clock
    clock.chunks = clock.ticking = clock.prefill_tokens = clock.turned_away = 0
    clock.prefill_pairs = 0.0
    clock.admitted = clock.preempted = clock.completed = 0
    clock.recomputed_tokens = clock.swapped_tokens = 0
    refill_credit(clock)
