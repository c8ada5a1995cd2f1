"""One iteration of the integer model in which evicted requests keep their tokens.

As `integer`, but who is evicted waits with its generated tokens (`Eviction.RESUME` and
`Eviction.SWAP` move requests alike; they differ in what a re-admission costs). Waiting requests
are runs of the same pool in a list of their own. A waiting run is next when as many requests have
left the queue as stood before it: none at the queue's head. A step costs O(1) plus the runs that
enter or leave memory in it; the order by generated tokens also walks past the younger ones.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numba

from kvsteady.model.fluid import (
    ADMITTED,
    COMPLETED,
    EVICTED,
    EVICTED_TOKENS,
    MEMORY,
    RUNNING,
    WASTED_TOKENS,
)
from kvsteady.model.integer import NONE, UNIT, next_class

# Columns of a recorded row after the seven of both other kernels.
RESUMED, RESUMED_TOKENS, PROMPT_TOKENS, WAITING = range(7, 11)
COLUMNS = 11

# Fields of a run. In memory it has a birth, while it waits an age and a place in the queue.
CLASS, SIZE, BORN, AGE, PLACE, OLDER, NEWER, DUE_BEFORE, DUE_AFTER = range(9)
FIELDS = 9

# Cells of the clock. The queue has let LEFT requests go and taken in JOINED.
TIME, YOUNGEST, FREE, SPARE, COUNT, USED, CREDIT, HEAD, DRAWN = range(9)
FIRST, LAST, EVICTED_WAITING, LEFT, JOINED = range(9, 14)
CELLS = 14


@numba.njit(cache=True)
def take(pool, clock):
    """Return an entry off the free list."""
    entry = clock[FREE]
    clock[FREE] = pool[entry, OLDER]
    clock[SPARE] -= 1
    return entry


@numba.njit(cache=True)
def _give_back(entry, pool, clock):
    pool[entry, OLDER] = clock[FREE]
    clock[FREE] = entry
    clock[SPARE] += 1


@numba.njit(cache=True)
def _leave_memory(entry, pool, calendar, clock, outputs):
    """Unlink a run from the list in memory and from its day of completion."""
    older, newer = pool[entry, OLDER], pool[entry, NEWER]
    if older != NONE:
        pool[older, NEWER] = newer
    if newer != NONE:
        pool[newer, OLDER] = older
    else:
        clock[YOUNGEST] = older
    before, after = pool[entry, DUE_BEFORE], pool[entry, DUE_AFTER]
    if before != NONE:
        pool[before, DUE_AFTER] = after
    else:
        calendar[(pool[entry, BORN] + outputs[pool[entry, CLASS]]) & (calendar.size - 1)] = after
    if after != NONE:
        pool[after, DUE_BEFORE] = before


@numba.njit(cache=True)
def enter_memory(entry, by_age, pool, calendar, clock, outputs):
    """Link a run in memory: last, or (``by_age``) behind all that have as many tokens or more."""
    kind, born = pool[entry, CLASS], pool[entry, BORN]
    newer, older = NONE, clock[YOUNGEST]
    while by_age and older != NONE and pool[older, BORN] > born:
        newer, older = older, pool[older, OLDER]
    if older != NONE and pool[older, BORN] == born and pool[older, CLASS] == kind:
        pool[older, SIZE] += pool[entry, SIZE]
        _give_back(entry, pool, clock)
        return
    pool[entry, OLDER], pool[entry, NEWER] = older, newer
    if older != NONE:
        pool[older, NEWER] = entry
    if newer != NONE:
        pool[newer, OLDER] = entry
    else:
        clock[YOUNGEST] = entry
    slot = (born + outputs[kind]) & (calendar.size - 1)
    first = calendar[slot]
    pool[entry, DUE_BEFORE], pool[entry, DUE_AFTER] = NONE, first
    if first != NONE:
        pool[first, DUE_BEFORE] = entry
    calendar[slot] = entry


@numba.njit(cache=True)
def _join_queue(entry, to_tail, pool, clock):
    """Put an evicted run at the queue's head, or behind all that wait."""
    size = pool[entry, SIZE]
    clock[EVICTED_WAITING] += size
    pool[entry, PLACE] = clock[JOINED] if to_tail else clock[LEFT]
    if to_tail:
        clock[JOINED] += size
        pool[entry, NEWER] = NONE
        if clock[LAST] == NONE:
            clock[FIRST] = entry
        else:
            pool[clock[LAST], NEWER] = entry
        clock[LAST] = entry
    else:
        pool[entry, NEWER] = clock[FIRST]
        clock[FIRST] = entry


@numba.njit(cache=True)
def _split(entry, size, pool, clock):
    """Move ``size`` requests of a run into an entry of their own; return it."""
    if pool[entry, SIZE] == size:
        return entry
    part = take(pool, clock)
    pool[part, CLASS], pool[part, SIZE] = pool[entry, CLASS], size
    pool[part, BORN], pool[part, AGE] = pool[entry, BORN], pool[entry, AGE]
    pool[entry, SIZE] -= size
    return part


@numba.njit(cache=True)
def _evict(law, capacity, to_tail, pool, calendar, clock, row):
    """Send the youngest back to the queue until the rest fits."""
    outputs, prompt, _, _, _ = law
    while clock[USED] > capacity:
        entry = clock[YOUNGEST]
        age = clock[TIME] - pool[entry, BORN]
        need = prompt[pool[entry, CLASS]] + age + 1
        leaving = min(pool[entry, SIZE], -((capacity - clock[USED]) // need))
        part = _split(entry, leaving, pool, clock)
        if part == entry:
            _leave_memory(entry, pool, calendar, clock, outputs)
        pool[part, AGE] = age
        _join_queue(part, to_tail, pool, clock)
        clock[USED] -= leaving * need
        clock[COUNT] -= leaving
        row[EVICTED] += leaving
        row[EVICTED_TOKENS] += leaving * (need - 1)


@numba.njit(cache=True)
def _admit(law, capacity, queue, pool, calendar, clock, due, row):
    """Admit from the queue's head as far as memory and pace allow; the first that fails blocks."""
    outputs, prompt, tickets, below, _ = law
    seed, random, to_tail, by_age, length = queue
    many = tickets.size > 1
    while True:
        first = clock[FIRST]
        evicted = first != NONE and pool[first, PLACE] <= clock[LEFT]
        kind = pool[first, CLASS] if evicted else clock[HEAD]
        age = pool[first, AGE] if evicted else 0
        need = prompt[kind] + age + 1
        entering = min((capacity - clock[USED]) // need, clock[CREDIT] // UNIT)
        if entering <= 0:
            return
        if evicted:
            entering = min(entering, pool[first, SIZE])
            entry = _split(first, entering, pool, clock)
            if entry == first:
                clock[FIRST] = pool[first, NEWER]
                if clock[FIRST] == NONE:
                    clock[LAST] = NONE
            elif to_tail:
                pool[first, PLACE] += entering
            clock[EVICTED_WAITING] -= entering
            row[RESUMED] += entering
            row[RESUMED_TOKENS] += entering * (need - 1)
        else:
            if many:
                entering = 1
            elif first != NONE:  # fresh ones only up to the evicted in the queue
                entering = min(entering, pool[first, PLACE] - clock[LEFT])
            entry = take(pool, clock)
            pool[entry, CLASS], pool[entry, SIZE] = kind, entering
            row[PROMPT_TOKENS] += entering * prompt[kind]
            if many:
                clock[DRAWN] += 1
                clock[HEAD] = next_class(tickets, below, due, seed, random, clock[DRAWN])
        pool[entry, BORN] = clock[TIME] - age
        enter_memory(entry, by_age, pool, calendar, clock, outputs)
        clock[USED] += entering * need
        clock[COUNT] += entering
        clock[CREDIT] -= entering * UNIT
        row[ADMITTED] += entering
        if to_tail:  # new requests keep the queue at its length
            clock[LEFT] += entering
            clock[JOINED] = max(clock[JOINED], clock[LEFT] + length)


@numba.njit(cache=True)
def _execute(law, pool, calendar, clock, row):
    """Everyone gains a token; who has all its output completes and frees its memory."""
    outputs, prompt, _, _, _ = law
    clock[TIME] += 1
    slot = clock[TIME] & (calendar.size - 1)
    while calendar[slot] != NONE:
        entry = calendar[slot]
        kind, size = pool[entry, CLASS], pool[entry, SIZE]
        row[COMPLETED] += size
        clock[COUNT] -= size
        clock[USED] -= size * (prompt[kind] + outputs[kind])
        _leave_memory(entry, pool, calendar, clock, outputs)
        _give_back(entry, pool, clock)
    clock[USED] += clock[COUNT]


@numba.njit(cache=True)
def entries_wanted(law, credit, capacity, to_tail, clock):
    """Return how many entries the coming iteration may take: one per fresh run, two for cuts."""
    fresh = min(max(capacity - clock[USED], 0) // law[4], credit // UNIT)
    if law[0].size == 1:  # fresh requests form one run, unless evicted ones wait between them
        fresh = min(fresh, clock[EVICTED_WAITING] + 1 if to_tail else 1)
    return fresh + 2


@numba.njit(cache=True)
def run(law, pace, capacity, queue, pool, calendar, clock, due, rows):
    """Evict, admit, execute, once per row of ``rows``, shape ``(n, 11)``; record each in it.

    ``law`` and ``pace`` are those of `integer.run`; ``queue`` is (seed, random, to tail, by age,
    length). Returns the iterations done, fewer than n where ``pool`` must be enlarged first.
    """
    rate, depth = pace
    for i in range(rows.shape[0]):
        refilled = min(clock[CREDIT] + rate, depth)
        if clock[SPARE] < entries_wanted(law, refilled, capacity, queue[2], clock):
            return i  # before anything of this iteration is done
        clock[CREDIT] = refilled
        row = rows[i]
        row[:] = 0.0
        _evict(law, capacity, queue[2], pool, calendar, clock, row)
        if row[EVICTED] == 0.0:
            _admit(law, capacity, queue, pool, calendar, clock, due, row)
        row[MEMORY], row[RUNNING] = clock[USED], clock[COUNT]
        row[WAITING] = clock[EVICTED_WAITING]
        row[WASTED_TOKENS] = 0.0  # nobody decodes a token twice
        _execute(law, pool, calendar, clock, row)
    return rows.shape[0]
