"""Search for a recurring state where evicted requests keep their tokens: Brent's algorithm."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numba
import numpy as np

from kvsteady.model.integer import NONE
from kvsteady.model.requeue import (
    AGE,
    BORN,
    CLASS,
    COLUMNS,
    COUNT,
    CREDIT,
    EVICTED_WAITING,
    FIRST,
    HEAD,
    JOINED,
    LEFT,
    NEWER,
    OLDER,
    PLACE,
    SIZE,
    TIME,
    USED,
    YOUNGEST,
    run,
)

# Cells of a summary: two states can only be the same if theirs agree.
_PHASE = 6


@numba.njit(cache=True)
def _summary(clock, phase):
    phase[0], phase[1], phase[2] = clock[COUNT], clock[USED], clock[EVICTED_WAITING]
    phase[3], phase[4] = clock[CREDIT], clock[HEAD]
    phase[5] = clock[JOINED] - clock[LEFT]


@numba.njit(cache=True)
def photograph(pool, clock, runs):
    """Write (class, age, size, place) of every run: in memory young to old, then the queue.

    In memory the place is −1, in the queue how many stand before the run. Equal neighbours are
    written as one, so that equal states have equal photographs. Returns the number of runs.
    """
    n = 0
    for waiting in range(2):
        entry = clock[FIRST] if waiting else clock[YOUNGEST]
        while entry != NONE:
            age = pool[entry, AGE] if waiting else clock[TIME] - pool[entry, BORN]
            place = pool[entry, PLACE] - clock[LEFT] if waiting else -1
            size = pool[entry, SIZE]
            same = n > 0 and runs[n - 1, 0] == pool[entry, CLASS] and runs[n - 1, 1] == age
            before = runs[n - 1, 3]
            if same and (place == before or (before >= 0 and place == before + runs[n - 1, 2])):
                runs[n - 1, 2] += size
            else:
                runs[n, 0], runs[n, 1] = pool[entry, CLASS], age
                runs[n, 2], runs[n, 3] = size, place
                n += 1
            entry = pool[entry, NEWER] if waiting else pool[entry, OLDER]
    return n


@numba.njit(cache=True)
def seek(law, pace, capacity, queue, pool, calendar, clock, due, limit):
    """Brent's search for a recurring state.

    Returns the period (0 if none), the iterations done and whether ``pool`` sufficed.
    """
    row = np.empty((1, COLUMNS))
    anchor = np.empty((pool.shape[0], 4), dtype=np.int64)
    here = np.empty((pool.shape[0], 4), dtype=np.int64)
    phase = np.empty(_PHASE, dtype=np.int64)
    now = np.empty(_PHASE, dtype=np.int64)
    n = photograph(pool, clock, anchor)
    _summary(clock, phase)
    turn = due.copy()
    steps = 0
    horizon = 1
    for done in range(limit):
        if run(law, pace, capacity, queue, pool, calendar, clock, due, row) == 0:
            return 0, done, False
        steps += 1
        _summary(clock, now)
        if (
            (now == phase).all()
            and (due == turn).all()
            and photograph(pool, clock, here) == n
            and (here[:n] == anchor[:n]).all()
        ):
            return steps, done + 1, True
        if steps == horizon:
            n = photograph(pool, clock, anchor)
            _summary(clock, phase)
            turn[:] = due
            horizon *= 2
            steps = 0
    return 0, limit, True
