"""Several replicas under an open loop: arrivals do not depend on what the replicas do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from kvsteady.simulate.fleet.fleet import Desk, Fleet
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.views import MachineView
from kvsteady.simulate.load import Feed

# Where nobody looks at the replicas, they run on after so many arrivals.
_STRETCH = 4096


def run_timed(fleet: Fleet, feed: Feed, router: Router, seconds: float) -> None:
    """Route every request of a feed when it comes, and run the replicas to their ends.

    A replica is brought up to an arrival when the router looks at it; else it runs on in stretches
    of many arrivals.
    """
    _Timed(fleet, feed, router).run(seconds)


class _Timed:
    def __init__(self, fleet: Fleet, feed: Feed, router: Router) -> None:
        self._fleet, self._feed = fleet, feed
        count = len(fleet.machines)
        self._rows: Any = None
        self._chosen: list[list[int]] = [[] for _ in range(count)]  # rows still to be pushed
        self._now = 0.0
        self._brought = [-math.inf] * count
        views = [MachineView(m, partial(self._bring, i)) for i, m in enumerate(fleet.machines)]
        self._desk = Desk(router, feed, views)

    def run(self, seconds: float) -> None:
        for rows in self._stretches():
            self._route(rows)
            self._fleet.report()
            if self._now >= seconds or self._fleet.enough():
                break
        for machine in self._fleet.machines:
            machine.close()
        self._fleet.finish()

    def _stretches(self) -> Iterator[Any]:
        # Whoever wants to stop after so many completions wants to know soon.
        most = _STRETCH if self._fleet.stop.completed is None else 64
        for batch in self._feed.batches:
            yield from (batch[first : first + most] for first in range(0, batch.size, most))

    def _route(self, rows: Any) -> None:
        self._rows = rows
        times = rows["time"].tolist()
        # The desk asks the router when its next answer is wanted: the time must be set before.
        answers = self._desk.places(rows)
        for i, time in enumerate(times):
            self._now = time
            place = next(answers)[1]
            self._chosen[place].append(i)
            self._brought[place] = -math.inf  # what it was sent has to be seen
        for number in range(len(self._chosen)):
            self._bring(number)

    def _bring(self, number: int) -> None:
        """Run a replica up to now, with all that it was sent."""
        if self._brought[number] == self._now:
            return
        self._brought[number] = self._now
        chosen = self._chosen[number]
        self._chosen[number] = []
        if not self._fleet.over[number]:
            self._fleet.machines[number].push(self._rows[chosen], self._now)
            self._fleet.run_on(number)
