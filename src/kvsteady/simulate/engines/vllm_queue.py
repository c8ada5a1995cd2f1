"""vLLM's queue under ``policy="priority"``, by priority and arrival, and whom vLLM preempts."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import insert_after, prepend, unlink
from kvsteady.simulate.records import NONE
from kvsteady.simulate.state import RUNNING, WAITING
from kvsteady.simulate.victims import victim


@kernel
def _goes_before(a, b):
    """Whether request ``a`` stands before ``b`` in the queue."""
    if a.priority != b.priority:
        return a.priority < b.priority
    return a.arrival < b.arrival or (a.arrival == b.arrival and a.sequence < b.sequence)


@kernel
def _insert(s, slot, back):
    """Put ``slot`` among those up to ``back``, who are in order; looked for from both ends."""
    requests = s.requests
    front = s.lists[WAITING].first
    while back != NONE and _goes_before(requests[slot], requests[back]):
        if _goes_before(requests[slot], requests[front]):
            back = requests[front].before
            break
        back = requests[back].before
        front = requests[front].after
    insert_after(s, WAITING, back, slot)


@kernel
def put_in_order(s, last):
    """Sort in who has come since request number ``last``; they stand at the queue's tail.

    Returns the number of the last one.
    """
    requests = s.requests
    back = s.lists[WAITING].last
    slot = NONE
    while back != NONE and requests[back].sequence > last:
        back, slot = requests[back].before, back
    while slot != NONE:
        following, back = requests[slot].after, requests[slot].before
        last = requests[slot].sequence
        if back != NONE and _goes_before(requests[slot], requests[back]):
            unlink(s, WAITING, slot)
            _insert(s, slot, back)
        slot = following
    return last


@kernel
def put_back(s, slot, by_priority):
    """Queue a request that was preempted: at the head, or in its place."""
    if by_priority:
        _insert(s, slot, s.lists[WAITING].last)
    else:
        prepend(s, WAITING, slot)


@kernel
def preempted_next(engine, memory, s, slot):
    """Find who is preempted so that ``slot`` gets a block, and whether it had its turn before."""
    if s.clock.victim > 0:
        chosen = victim(memory, s, s.lists[RUNNING].last, True)
        at = s.lists[RUNNING].first
        while at != chosen and at != slot:
            at = s.requests[at].after
        return chosen, at == chosen and chosen != slot
    return worst(s, slot) if engine.priority else (s.lists[RUNNING].last, False)


@kernel
def worst(s, slot):
    """Find who is preempted under priorities, and whether it stands before ``slot`` in the batch.

    Of those of the largest (priority, arrival) it is the first in the batch, as in vLLM, where
    ``max`` returns the first of equals.
    """
    requests = s.requests
    victim = at = s.lists[RUNNING].first
    passed = at == slot
    victim_before = not passed
    at = requests[at].after
    while at != NONE:
        passed = passed or at == slot
        a, b = requests[at], requests[victim]
        if a.priority > b.priority or (a.priority == b.priority and a.arrival > b.arrival):
            victim, victim_before = at, not passed
        at = a.after
    return victim, victim_before
