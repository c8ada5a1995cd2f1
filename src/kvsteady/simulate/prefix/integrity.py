"""Whether a pool's books balance."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kvsteady.simulate.integrity import IntegrityError, checks
from kvsteady.simulate.prefix.pool import Pooled
from kvsteady.simulate.records import DECODING, HELD, NONE, PREFILLING
from kvsteady.simulate.state import State


@checks(Pooled)
def check_pool(pool: Pooled, state: State) -> None:
    """Check users, queue and cache of a pool against the requests that hold its blocks.

    For a run between two iterations.

    Raises
    ------
    IntegrityError
        With the law that is broken and both numbers.
    """
    blocks, requests = pool.blocks[:-1], state.requests
    queue = free_queue(pool)
    _equal("free blocks", int(state.clock["free"]), len(queue))
    _equal("free blocks found once", len(queue), len(set(queue)))
    users: Counter[int] = Counter()
    seated = np.flatnonzero(pool.seat_of != NONE)
    for slot in seated.tolist():
        seat = pool.seats[pool.seat_of[slot]]
        _equal("slot of a seat", int(seat["slot"]), slot)
        held = pool.table[pool.seat_of[slot], : seat["blocks"]].tolist()
        _equal("blocks of a request", len(held), len(set(held)))
        users.update(held)
        keyed = np.count_nonzero(blocks["key"][held] != NONE)
        _equal("full blocks in the cache", int(seat["keyed"]), int(keyed))
    _equal("users of blocks", blocks["users"].tolist(), [users[i] for i in range(blocks.size)])
    _equal("blocks free or held", blocks.size, len(queue) + len(users))
    cached = [at for first in pool.buckets.tolist() for at in _chain(pool, first)]
    _equal("cached blocks", sorted(cached), np.flatnonzero(blocks["key"] != NONE).tolist())
    _check_phases(pool, state)
    running = np.isin(requests["state"], (PREFILLING, DECODING, HELD))
    _equal("requests in memory", np.flatnonzero(running).tolist(), seated[running[seated]].tolist())


def _check_phases(pool: Pooled, state: State) -> None:
    """Everyone who has decoded for a tick is visited when it fills a block."""
    visited = {
        int(pool.seats["slot"][seat])
        for phase in range(pool.phases.size)
        for seat in _phase(pool, phase)
        if -state.requests["offset"][pool.seats["slot"][seat]] % pool.phases.size == phase
    }
    requests = state.requests
    steady = np.flatnonzero((requests["state"] == DECODING) & (requests["young"] == 0))
    _equal("requests that decode, unvisited", set(), set(steady.tolist()) - visited)


def _phase(pool: Pooled, phase: int) -> list[int]:
    seats: list[int] = []
    seat, before = int(pool.phases["first"][phase]), NONE
    while seat != NONE:
        if int(pool.seats["before"][seat]) != before or len(seats) > pool.seats.size:
            raise IntegrityError(f"phase {phase} is torn at seat {seat}")
        seats.append(seat)
        before, seat = seat, int(pool.seats["after"][seat])
    _equal(f"end of phase {phase}", int(pool.phases["last"][phase]), before)
    return seats


def free_queue(pool: Pooled) -> list[int]:
    """The free blocks in the order in which they will be taken, links checked both ways."""
    ring = pool.blocks.size - 1
    queue: list[int] = []
    at, before = int(pool.blocks["after"][ring]), ring
    while at != ring:
        if int(pool.blocks["before"][at]) != before or len(queue) > ring:
            raise IntegrityError(f"the queue of free blocks is torn at block {at}")
        queue.append(at)
        before, at = at, int(pool.blocks["after"][at])
    return queue


def _chain(pool: Pooled, at: int) -> list[int]:
    chain: list[int] = []
    while at != NONE:
        chain.append(at)
        if len(chain) > pool.blocks.size:
            raise IntegrityError("a bucket of the cache is a ring")
        at = int(pool.blocks["twin"][at])
    return chain


def _equal(what: str, counted: Any, found: Any) -> None:
    if counted != found:
        raise IntegrityError(f"{what}: {counted} by the books, {found} found")
