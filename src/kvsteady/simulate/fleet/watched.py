"""Several replicas whose completions bring the next arrivals: clients and sessions.

The replica that is furthest behind runs on until something completes or it has caught up, so that
no iteration starts before all arrivals up to its start are known.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from kvsteady.simulate.fleet.fleet import Desk, Fleet
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.views import MachineView, at_work
from kvsteady.simulate.load import Feed
from kvsteady.simulate.records import ARRIVAL, NONE


class Watched:
    """Routes every request when it comes, those included that follow another one.

    Parameters
    ----------
    fleet
        The replicas; their finished rows are looked at from now on.
    feed, router
        What comes, and where it goes.
    """

    def __init__(self, fleet: Fleet, feed: Feed, router: Router) -> None:
        self._fleet, self._feed = fleet, feed
        fleet.look = self._look_before_flush
        self._rows = (row for batch in feed.batches for row in _single(batch))
        self._next: Any = None if feed.clients else next(self._rows, None)
        # (time, order, row of the turns); a client's next request is whatever row comes next.
        self._coming = [(0.0, order, NONE) for order in range(feed.clients)]
        self._order = feed.clients
        self._follows: dict[int, tuple[int, float]] = {}  # of those on their way, by id
        self._read = [0] * len(fleet.machines)  # rows of each outbox that were looked at
        views = [MachineView(machine, _nothing) for machine in fleet.machines]
        self._desk = Desk(router, feed, views)

    def run(self, seconds: float) -> None:
        """Run to the end, or until nothing is left to do before ``seconds``."""
        while not self._fleet.enough():
            event = self._next_time()
            behind, limit = self._furthest_behind()
            if behind is not None and self._start(behind) < event:
                self._run(behind, min(event, limit))
            elif event < seconds:
                self._deliver(event)
            else:
                if event == math.inf:
                    self._drain()
                break

    def _drain(self) -> None:
        """Nothing is left and nothing more will come: tell the replicas, who then say so."""
        for number, machine in enumerate(self._fleet.machines):
            machine.close()
            self._fleet.run_on(number)

    def _next_time(self) -> float:
        recorded = math.inf if self._next is None else float(self._next["time"][0])
        return min(recorded, self._coming[0][0] if self._coming else math.inf)

    def _start(self, number: int) -> float:
        """When a replica's next iteration starts; infinity where it has nothing to do."""
        machine = self._fleet.machines[number]
        if self._fleet.over[number] or not at_work(machine):
            return math.inf
        return float(machine.clock["now"])

    def _furthest_behind(self) -> tuple[int | None, float]:
        """Return the replica whose next iteration starts first, and how far it may run."""
        starts = [self._start(i) for i in range(len(self._fleet.machines))]
        number = min(range(len(starts)), key=starts.__getitem__)
        if starts[number] == math.inf:
            return None, math.inf
        others = [start for i, start in enumerate(starts) if i != number]
        # A completion elsewhere comes after that iteration's start: one that starts with it may go.
        return number, float(np.nextafter(min(others, default=math.inf), math.inf))

    def _run(self, number: int, horizon: float) -> None:
        machine = self._fleet.machines[number]
        machine.push(np.zeros(0, dtype=ARRIVAL), horizon)
        self._fleet.run_to_completion(number)
        rows = machine.state.outbox[self._read[number] : machine.clock["out"]]
        self._read[number] = int(machine.clock["out"])
        self._look(rows)

    def _look_before_flush(self, number: int, rows: Any) -> None:
        """Note what left a replica, before the rows leave its outbox."""
        self._look(rows[self._read[number] :])
        self._read[number] = 0

    def _look(self, rows: Any) -> None:
        for name, finish in zip(rows["id"].tolist(), rows["finish"].tolist(), strict=True):
            follow, think = self._follows.pop(name)
            if follow != NONE or self._feed.clients:
                heapq.heappush(self._coming, (finish + think, self._order, follow))
                self._order += 1

    def _deliver(self, time: float) -> None:
        """Route what comes now."""
        if self._coming and self._coming[0][0] <= time:
            follow = heapq.heappop(self._coming)[2]
            row = next(self._rows, None) if follow == NONE else self._feed.turns[[follow]]
            if row is None:
                return  # the client has no more requests
            row["time"] = time
        else:
            row, self._next = self._next, next(self._rows, None)
        self._follows[int(row["id"][0])] = int(row["follow"][0]), float(row["think"][0])
        row["follow"] = NONE
        place = next(self._desk.places(row))[1]
        if self._fleet.over[place]:
            return
        machine = self._fleet.machines[place]
        if not at_work(machine):
            # It waited: its clock goes to the arrival.
            machine.clock["now"] = max(float(machine.clock["now"]), time)
        machine.push(row, time)


def _single(batch: Any) -> Iterator[Any]:
    for i in range(batch.size):
        yield batch[i : i + 1].copy()


def _nothing() -> None:
    return
