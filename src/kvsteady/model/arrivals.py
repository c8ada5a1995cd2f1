"""When the requests of an integer model that is asked came into its queue."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.model.requeue_place import Requeue

# Of the queue, behind those who were evicted, a policy is shown so many.
SHOWN = 32


class Line(NamedTuple):
    """Requests in an order: tokens that each has generated, and has to go."""

    age: IntArray
    to_go: IntArray


class Arrivals:
    """Iterations at which they arrived who are in memory, were evicted, or stand in the queue.

    The queue never ends: a request of it arrives when it is first shown, or is admitted unseen. Who
    is evicted keeps its time where it keeps its tokens; under `Eviction.RESTART` it is nobody that
    is known again.

    Parameters
    ----------
    ages
        Generated tokens of those in memory at the start, who arrived as many iterations earlier.
    requeue
        Where evicted requests wait, and whom it hits first; None: they begin anew.
    """

    def __init__(self, ages: IntArray, requeue: Requeue | None) -> None:
        self._requeue = requeue
        self.running: FloatArray = -ages.astype(np.float64)
        self.evicted: FloatArray = np.zeros(0)
        self.queue: FloatArray = np.zeros(SHOWN)

    def follow(
        self,
        now: int,
        before: tuple[Line, Line, Line],
        after: IntArray,
        *,
        evicted: int,
        resumed: int,
        fresh: int,
    ) -> None:
        """Follow iteration ``now``, which evicts or admits so many.

        ``before`` are those in memory, evicted and in the queue (as many as are shown) before it,
        ``after`` the ages of those in memory after it, both in the model's order.
        """
        memory, back, queue = before
        running, waiting = self.running, self.evicted
        if evicted:
            stay = running.size - evicted
            running, gone = running[:stay], running[stay:]
            memory = Line(memory.age[:stay], memory.to_go[:stay])
            if self._requeue is not None:
                to_tail = self._requeue.place == "tail"  # where the last, who went first, is first
                parts = (waiting, gone[::-1]) if to_tail else (gone, waiting)
                self.evicted = np.concatenate(parts)
        # Whoever has a token to go completes in this iteration, if it is in memory.
        stays = memory.to_go > 1
        running = running[stays]
        if resumed:
            self.evicted = waiting[resumed:]
            back = Line(back.age[:resumed], back.to_go[:resumed])
            returns = back.to_go > 1
            waiting = waiting[:resumed][returns]
            many = after.size - running.size - waiting.size
            new = self._new(now, fresh, many, queue)
            if self._requeue is not None and self._requeue.order == "generated":
                running = np.concatenate([running, waiting, new])
                had = (memory.age[stays], back.age[returns], np.zeros(many))
                running = running[np.argsort(-np.concatenate(had), kind="stable")]
            else:
                running = np.concatenate([running, _in_turn(after[running.size :], waiting, new)])
        elif fresh:
            new = self._new(now, fresh, after.size - running.size, queue)
            running = np.concatenate([running, new])
        self.running = running

    def _new(self, now: int, fresh: int, many: int, queue: Line) -> FloatArray:
        """Let ``fresh`` of the queue go; the times of ``many`` of them, who do not complete."""
        new = self.queue[:fresh][queue.to_go[:fresh] > 1]
        entered = np.full(min(fresh, SHOWN), now + 1.0)
        self.queue = np.concatenate([self.queue[fresh:], entered])
        return np.concatenate([new, np.full(many - new.size, float(now))])


def _in_turn(ages: IntArray, old: FloatArray, new: FloatArray) -> FloatArray:
    """The times of those who were admitted, old and new ones in turn, as their ages tell."""
    young = np.flatnonzero(ages == 1)
    is_new = np.zeros(ages.size, dtype=bool)
    is_new[young[young.size - new.size :]] = True
    came = np.empty(ages.size)
    came[is_new], came[~is_new] = new, old
    return came
