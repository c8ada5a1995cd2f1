"""Doubly linked lists of requests; a request stands in one of them at most."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import NONE


@kernel
def insert_after(s, name, place, slot):
    """Put ``slot`` behind ``place`` in a list; NONE is the list's head."""
    r, row = s.requests, s.lists[name]
    following = row.first if place == NONE else r[place].after
    r[slot].before, r[slot].after = place, following
    if place == NONE:
        row.first = slot
    else:
        r[place].after = slot
    if following == NONE:
        row.last = slot
    else:
        r[following].before = slot
    row.count += 1


@kernel
def append(s, name, slot):
    """Put ``slot`` at the tail."""
    insert_after(s, name, s.lists[name].last, slot)


@kernel
def prepend(s, name, slot):
    """Put ``slot`` at the head."""
    insert_after(s, name, NONE, slot)


@kernel
def unlink(s, name, slot):
    """Take ``slot`` out of the list it stands in."""
    r, row = s.requests, s.lists[name]
    before, after = r[slot].before, r[slot].after
    if before == NONE:
        row.first = after
    else:
        r[before].after = after
    if after == NONE:
        row.last = before
    else:
        r[after].before = before
    r[slot].before = r[slot].after = NONE
    row.count -= 1
