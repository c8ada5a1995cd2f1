"""One iteration of the integer model, as a kernel over flat arrays.

Whole requests leave the queue one by one, in the queue's order, while they fit; they are evicted
one by one in the reverse of that order, which cuts an age level in proportion to its classes up
to whole requests. Equal neighbours of one admission form a run, one entry of ``pool``. Entries
stand in two linked lists: by age, to evict from the young end, and by the iteration in which they
complete. A step costs O(1) plus the runs that enter or leave in it, whatever the output lengths.
"""

from __future__ import annotations

import numba
import numpy as np

from kvsteady.model.fluid import (
    ADMITTED,
    COLUMNS,
    COMPLETED,
    EVICTED,
    EVICTED_TOKENS,
    MEMORY,
    RUNNING,
    WASTED_TOKENS,
)

# Fields of an entry.
CLASS, BORN, SIZE, OLDER, NEWER, DUE_BEFORE, DUE_AFTER = range(7)
FIELDS = 7
NONE = -1

# Cells of the clock.
TIME, YOUNGEST, FREE, SPARE, COUNT, USED, CREDIT, HEAD, DRAWN = range(9)
CELLS = 9
# Admission credit is counted in this fraction of a request, so that it recurs exactly.
UNIT = 2**30


@numba.njit(cache=True)
def _uniform(seed, number):
    """Draw ``number`` of the stream ``seed``, in [0, 1): SplitMix64, the same everywhere."""
    z = np.uint64(seed) + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def next_class(tickets, below, due, seed, random, drawn):
    """Class of request number ``drawn`` in the queue."""
    if random:
        place = _uniform(seed, drawn) * below[-1]
        return min(np.searchsorted(below, place, side="right"), tickets.size - 1)
    # In turn: the class furthest behind its share (smooth weighted round robin).
    behind = 0
    for k in range(tickets.size):
        due[k] += tickets[k]
        if due[k] > due[behind]:
            behind = k
    due[behind] -= np.int64(below[-1])
    return behind


@numba.njit(cache=True)
def first_classes(tickets, below, requests):
    """Classes of the first requests of a queue whose classes come in turn."""
    due = np.zeros_like(tickets)
    order = np.empty(requests, dtype=np.int64)
    for number in range(requests):
        order[number] = next_class(tickets, below, due, 0, False, number)
    return order


@numba.njit(cache=True)
def next_classes(tickets, below, due, seed, random, clock, requests):
    """Classes of the first requests of a queue as it stands; ``due`` is used up."""
    order = np.empty(requests, dtype=np.int64)
    order[0] = clock[HEAD]
    for i in range(1, requests):
        order[i] = next_class(tickets, below, due, seed, random, clock[DRAWN] + i)
    return order


@numba.njit(cache=True)
def _enter(entry, kind, born, size, older, pool, calendar, outputs):
    """Write a new entry at the young end of the age list and into its calendar slot."""
    slot = (born + outputs[kind]) & (calendar.size - 1)
    first = calendar[slot]
    pool[entry, CLASS], pool[entry, BORN], pool[entry, SIZE] = kind, born, size
    pool[entry, OLDER], pool[entry, NEWER] = older, NONE
    pool[entry, DUE_BEFORE], pool[entry, DUE_AFTER] = NONE, first
    if older != NONE:
        pool[older, NEWER] = entry
    if first != NONE:
        pool[first, DUE_BEFORE] = entry
    calendar[slot] = entry


@numba.njit(cache=True)
def place(kind, born, size, pool, calendar, clock, law):
    """Put requests of a start in memory; they come oldest first, into enough spare entries."""
    entry = clock[FREE]
    clock[FREE] = pool[entry, OLDER]
    clock[SPARE] -= 1
    _enter(entry, kind, born, size, clock[YOUNGEST], pool, calendar, law[0])
    clock[YOUNGEST] = entry
    clock[COUNT] += size
    clock[USED] += size * (law[1][kind] - born + 1)


@numba.njit(cache=True)
def run(law, pace, capacity, queue, pool, calendar, clock, due, rows):
    """Evict, admit, execute, once per row of ``rows``, shape ``(n, 7)``; record each in it.

    ``law`` is (outputs, prompt, tickets, cumulative tickets, smallest first need); ``pace`` is
    (rate, depth) in units of 2^-30 requests; ``queue`` is (seed, random). Returns the iterations
    done, fewer than n where ``pool`` has to be enlarged before the next.
    """
    outputs, prompt, tickets, below, smallest = law
    rate, depth = pace
    seed, random = queue
    many = tickets.size > 1
    mask = calendar.size - 1
    now, youngest, free, spare = clock[TIME], clock[YOUNGEST], clock[FREE], clock[SPARE]
    count, used, credit = clock[COUNT], clock[USED], clock[CREDIT]
    head, drawn = clock[HEAD], clock[DRAWN]
    done = 0

    while done < rows.shape[0]:
        refilled = min(credit + rate, depth)
        most = min(max(capacity - used, 0) // smallest, refilled // UNIT)
        if spare < (most if many else 1):
            break  # before anything of this iteration is done
        credit = refilled

        # Evict: the youngest requests leave until the rest fits.
        evicted = 0
        evicted_tokens = 0
        wasted_tokens = 0
        while used > capacity:
            entry = youngest
            kind = pool[entry, CLASS]
            age = now - pool[entry, BORN]
            need = prompt[kind] + age + 1
            leaving = min(pool[entry, SIZE], -((capacity - used) // need))
            pool[entry, SIZE] -= leaving
            if pool[entry, SIZE] == 0:
                youngest = pool[entry, OLDER]
                if youngest != NONE:
                    pool[youngest, NEWER] = NONE
                before, after = pool[entry, DUE_BEFORE], pool[entry, DUE_AFTER]
                if before != NONE:
                    pool[before, DUE_AFTER] = after
                else:
                    calendar[(pool[entry, BORN] + outputs[kind]) & mask] = after
                if after != NONE:
                    pool[after, DUE_BEFORE] = before
                pool[entry, OLDER] = free
                free = entry
                spare += 1
            used -= leaving * need
            count -= leaving
            evicted += leaving
            evicted_tokens += leaving * (need - 1)
            wasted_tokens += leaving * age

        # Admit: only where nothing was evicted, the queue's head while it fits and pace allows.
        admitted = 0
        while evicted == 0:
            entering = min((capacity - used) // (prompt[head] + 1), credit // UNIT)
            if entering <= 0:
                break
            if many:
                entering = 1
            if youngest != NONE and pool[youngest, BORN] == now and pool[youngest, CLASS] == head:
                pool[youngest, SIZE] += entering
            else:
                entry = free
                free = pool[entry, OLDER]
                spare -= 1
                _enter(entry, head, now, entering, youngest, pool, calendar, outputs)
                youngest = entry
            used += entering * (prompt[head] + 1)
            count += entering
            credit -= entering * UNIT
            admitted += entering
            if not many:
                break
            drawn += 1
            head = next_class(tickets, below, due, seed, random, drawn)
        memory = used
        running = count

        # Execute: everyone gains a token; who has all its output completes and frees its memory.
        now += 1
        completed = 0
        entry = calendar[now & mask]
        calendar[now & mask] = NONE
        while entry != NONE:
            kind = pool[entry, CLASS]
            completed += pool[entry, SIZE]
            used -= pool[entry, SIZE] * (prompt[kind] + outputs[kind])
            older, newer = pool[entry, OLDER], pool[entry, NEWER]
            if newer == NONE:
                youngest = older
            else:
                pool[newer, OLDER] = older
            if older != NONE:
                pool[older, NEWER] = newer
            pool[entry, OLDER] = free
            free = entry
            spare += 1
            entry = pool[entry, DUE_AFTER]
        count -= completed
        used += count

        rows[done, ADMITTED] = admitted
        rows[done, EVICTED] = evicted
        rows[done, COMPLETED] = completed
        rows[done, MEMORY] = memory
        rows[done, RUNNING] = running
        rows[done, EVICTED_TOKENS] = evicted_tokens
        rows[done, WASTED_TOKENS] = wasted_tokens
        done += 1

    clock[TIME], clock[YOUNGEST], clock[FREE], clock[SPARE] = now, youngest, free, spare
    clock[COUNT], clock[USED], clock[CREDIT] = count, used, credit
    clock[HEAD], clock[DRAWN] = head, drawn
    return done


@numba.njit(cache=True)
def _photograph(pool, clock, due, entries, phase):
    """Write (class, age, size) of every run, young to old, and the phase of queue and bucket."""
    entry = clock[YOUNGEST]
    n = 0
    while entry != NONE:
        entries[n, 0] = pool[entry, CLASS]
        entries[n, 1] = clock[TIME] - pool[entry, BORN]
        entries[n, 2] = pool[entry, SIZE]
        n += 1
        entry = pool[entry, OLDER]
    phase[0], phase[1], phase[2] = clock[COUNT], clock[CREDIT], clock[HEAD]
    phase[3:] = due
    return n


@numba.njit(cache=True)
def _same(pool, clock, due, entries, n, phase):
    """Whether the state equals a photograph of ``n`` runs."""
    if clock[COUNT] != phase[0] or clock[CREDIT] != phase[1] or clock[HEAD] != phase[2]:
        return False
    entry = clock[YOUNGEST]
    for i in range(n):
        if (
            entry == NONE
            or pool[entry, CLASS] != entries[i, 0]
            or clock[TIME] - pool[entry, BORN] != entries[i, 1]
            or pool[entry, SIZE] != entries[i, 2]
        ):
            return False
        entry = pool[entry, OLDER]
    return entry == NONE and np.array_equal(due, phase[3:])


@numba.njit(cache=True)
def seek(law, pace, capacity, queue, pool, calendar, clock, due, limit):
    """Brent's search for a recurring state; returns (period or 0, whether ``pool`` sufficed)."""
    row = np.empty((1, COLUMNS))
    entries = np.empty((pool.shape[0], 3), dtype=np.int64)
    phase = np.empty(3 + due.size, dtype=np.int64)
    n = _photograph(pool, clock, due, entries, phase)
    steps = 0
    horizon = 1
    for _ in range(limit):
        if run(law, pace, capacity, queue, pool, calendar, clock, due, row) == 0:
            return 0, False
        steps += 1
        if _same(pool, clock, due, entries, n, phase):
            return steps, True
        if steps == horizon:
            n = _photograph(pool, clock, due, entries, phase)
            horizon *= 2
            steps = 0
    return 0, True
