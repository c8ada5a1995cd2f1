"""Whether a pool's books balance."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kvsteady.simulate.integrity import IntegrityError, checks
from kvsteady.simulate.prefix.pool import OWN, Pooled
from kvsteady.simulate.records import DECODING, HELD, LEAVING, NONE, PREFILLING
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
    pieces, requests, clock = pool.pieces, state.requests, state.clock
    cached = [at for first in pool.buckets.tolist() for at in _chain(pool, first)]
    _equal("pieces of the cache found once", len(cached), len(set(cached)))
    unused = _chain(pool, int(pool.book["free_piece"]))
    _equal("pieces", pieces.size - 1, len(cached) + len(unused))
    if (pieces["count"][cached] < 1).any():
        raise IntegrityError("the cache has a piece without blocks")
    queue = _queue(pool)
    idle = sorted(at for at in cached if pieces["users"][at] == 0)
    _equal("pieces in the queue", idle, sorted(queue))
    bare = int(pool.book["bare"])
    _equal("free blocks", int(clock["free"]), bare + int(pieces["count"][queue].sum()))
    users: Counter[int] = Counter()
    seated = np.flatnonzero(pool.seat_of != NONE)
    unnoted = 0
    for slot in seated.tolist():
        seat = int(pool.seat_of[slot])
        row, r = pool.seats[seat], requests[slot]
        _equal("slot of a seat", int(row["slot"]), slot)
        held = _held(pool, seat)
        noted = sum(int(pieces["count"][at]) for at in held)
        _equal("blocks in the cache of a request", int(row["noted"]), noted)
        for at, block in zip(held, _starts(pool, held), strict=True):
            _equal("content of a piece", _key_of(pool, state, slot, block), _key(pool, at))
        blocks = int(r["blocks"])
        if r["state"] == DECODING:
            blocks = -(-int(clock["tick"] + r["offset"]) // int(clock["block"]))
        if not row["noted"] <= row["keyed"] <= blocks:
            raise IntegrityError(f"slot {slot} has more blocks in the cache than full ones, or all")
        users.update(held)
        unnoted += blocks - noted
    _equal("users of pieces", [users[at] for at in cached], pieces["users"][cached].tolist())
    in_use = [at for at in cached if pieces["users"][at] > 0]
    taken = int(pieces["count"][in_use].sum()) + unnoted
    _equal("blocks free or held", int(clock["total"]), int(clock["free"]) + taken)
    _check_phases(pool, state)
    running = np.isin(requests["state"], (PREFILLING, DECODING, HELD, LEAVING))
    _equal("requests in memory", np.flatnonzero(running).tolist(), seated.tolist())


def _held(pool: Pooled, seat: int) -> list[int]:
    """Return the pieces that a seat holds, in the order of its tokens."""
    held: list[int] = []
    for entry in pool.table[seat, : pool.seats["pieces"][seat]]:
        at, left, found = int(entry["at"]), int(entry["blocks"]), []
        while left > 0:
            found.append(at)
            left -= int(pool.pieces["count"][at])
            at = int(pool.pieces["rest"][at])
        _equal("blocks left of a piece that was cut", 0, left)
        held += reversed(found)
    return held


def _starts(pool: Pooled, held: list[int]) -> list[int]:
    counts = pool.pieces["count"][held].tolist()
    return np.cumsum([0, *counts])[:-1].astype(int).tolist()  # type: ignore[no-any-return]


def _key_of(pool: Pooled, state: State, slot: int, block: int) -> tuple[int, int]:
    """Content that block number ``block`` of a request has: its group and its place there."""
    r, span = state.requests[slot], int(pool.book["span"])
    if block < r["key_count"] * span:
        return int(state.keys[r["keys"] + block // span]), block % span
    return OWN + int(r["sequence"]), block


def _key(pool: Pooled, at: int) -> tuple[int, int]:
    return int(pool.pieces["group"][at]), int(pool.pieces["first"][at])


def _check_phases(pool: Pooled, state: State) -> None:
    """Who has decoded for a tick is visited when it fills a block that others may find."""
    visited = {
        int(pool.seats["slot"][seat])
        for phase in range(pool.phases.size)
        for seat in _phase(pool, phase)
        if -state.requests["offset"][pool.seats["slot"][seat]] % pool.phases.size == phase
    }
    requests = state.requests
    steady = np.flatnonzero((requests["state"] == DECODING) & (requests["young"] == 0))
    noting = {slot for slot in steady.tolist() if pool.seats["noting"][pool.seat_of[slot]]}
    _equal("requests that decode, unvisited", set(), noting - visited)


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


def free_queue(pool: Pooled) -> list[tuple[int, int] | None]:
    """Content of the free blocks in the order in which they will be taken; None for none."""
    queue: list[tuple[int, int] | None] = [None] * int(pool.book["bare"])
    for at in _queue(pool):
        group, first = _key(pool, at)
        queue += [(group, first + i) for i in reversed(range(pool.pieces["count"][at]))]
    return queue


def _queue(pool: Pooled) -> list[int]:
    """Return the free pieces in order, links checked both ways."""
    ring = pool.pieces.size - 1
    queue: list[int] = []
    at, before = int(pool.pieces["after"][ring]), ring
    while at != ring:
        if int(pool.pieces["before"][at]) != before or len(queue) > ring:
            raise IntegrityError(f"the queue of free blocks is torn at piece {at}")
        queue.append(at)
        before, at = at, int(pool.pieces["after"][at])
    return queue


def _chain(pool: Pooled, at: int) -> list[int]:
    chain: list[int] = []
    while 0 <= at < pool.pieces.size - 1:  # the unused end behind the last row
        chain.append(at)
        if len(chain) > pool.pieces.size:
            raise IntegrityError("a bucket of the cache is a ring")
        at = int(pool.pieces["twin"][at])
    return chain


def _equal(what: str, counted: Any, found: Any) -> None:
    if counted != found:
        raise IntegrityError(f"{what}: {counted} by the books, {found} found")
