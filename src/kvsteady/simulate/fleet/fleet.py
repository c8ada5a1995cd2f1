"""What all ways to run several replicas have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from kvsteady.errors import InputError
from kvsteady.progress import Progress
from kvsteady.simulate import arriving
from kvsteady.simulate.fleet.drive import Meter, advance, run_on
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.router import Choose, Request, Router, View
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.load import Feed

# Iterations that a replica may run ahead of others that it has nothing to do with.
_STRETCH = 4096

# What a router sees of a request.
_SEEN = ("time", "prompt", "kind", "priority", "session", "keys", "key_count")

FleetSink = Callable[[int, Any], None]


class Fleet:
    """Replicas, their machines, and the ends that they share.

    Parameters
    ----------
    replicas
        What the machines are made of.
    feeds
        A feed for each.
    stop, finished, iterations, log_every, progress
        As in `run_fleet`.
    total
        Requests in all, where it is known.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        feeds: Sequence[Feed],
        *,
        stop: Stop,
        finished: FleetSink,
        iterations: FleetSink,
        log_every: int,
        progress: Progress,
        total: int | None,
    ) -> None:
        self.names = [f"replica {i} ({each.title})" for i, each in enumerate(replicas)]
        self.machines = [
            each.machine(
                feed,
                finished=partial(self._hand_on, i),
                iterations=partial(iterations, i),
                log_every=log_every,
            )
            for i, (each, feed) in enumerate(zip(replicas, feeds, strict=True))
        ]
        for machine in self.machines:
            stop.put_on(machine.clock, len(self.machines))
        self.look: FleetSink | None = None  # sees the rows of those that left before they go on
        self._finished = finished
        self.over = [False] * len(self.machines)
        self.stop, self._meter = stop, Meter(progress, stop, total)

    def _hand_on(self, number: int, rows: Any) -> None:
        if self.look is not None:
            self.look(number, rows)
        self._finished(number, rows)

    def run_on(self, number: int) -> None:
        """Run a machine until its horizon or its end."""
        if not self.over[number]:
            self.over[number] = not run_on(self.machines[number], self.names[number], self.report)

    def run_to_completion(self, number: int) -> None:
        """Run a machine until its horizon, its end, or the next request that completes."""
        machine = self.machines[number]
        clock = machine.clock
        before = int(clock["all_completed"])
        clock["stop_completed"] = before + 1
        why = advance(machine, self.names[number])
        clock["stop_completed"] = np.iinfo(np.int64).max
        stopped = why == arriving.STOPPED and int(clock["all_completed"]) == before
        self.over[number] = stopped or why == arriving.HOPELESS

    def finish(self) -> None:
        """Run all machines to their ends, none far ahead of the others."""
        while not self.enough():
            left = [i for i in range(len(self.over)) if not self.over[i]]
            number = min(left, key=lambda i: float(self.machines[i].clock["now"]))
            why = advance(self.machines[number], self.names[number], _STRETCH)
            self.over[number] = why != arriving.GO
            self.report()

    def report(self) -> None:
        """Tell how far the run is."""
        self._meter.report(self.machines)

    def enough(self) -> bool:
        """Whether the replicas together have completed what they should, or all have ended."""
        if all(self.over):
            return True
        if self.stop.completed is None:
            return False
        done = sum(int(machine.clock["all_completed"]) for machine in self.machines)
        return done >= self.stop.completed

    def flush(self) -> None:
        """Hand out all rows that are complete."""
        for machine in self.machines:
            machine.flush()


def pushed(feed: Feed) -> Feed:
    """A feed with the bounds and the keys of another, whose rows are pushed in."""
    return replace(feed, batches=iter(()), turns=feed.turns[:0], clients=0, pushed=True)


class Desk:
    """Asks a router about one request after the other.

    Parameters
    ----------
    router
        Who decides.
    feed
        Where the block keys of the requests are.
    views
        What the router may look at.
    """

    def __init__(self, router: Router, feed: Feed, views: Sequence[View]) -> None:
        self._choose: Choose = router.start()
        self._views, self._keys, self._key_tokens = views, feed.keys, feed.key_tokens
        self._asked = 0
        self._name = type(router).__name__

    def places(self, rows: Any) -> Iterator[tuple[float, int]]:
        """Yield the arrival time and the replica of each request, in the order of the rows.

        Raises
        ------
        InputError
            If the router names a replica that is not there.
        """
        columns = [rows[name].tolist() for name in _SEEN]
        for time, prompt, kind, priority, session, first, count in zip(*columns, strict=True):
            known = min(count, prompt // self._key_tokens) if self._key_tokens else 0
            number = self._asked
            request = Request(
                number, time, prompt, kind, priority, session, self._keys, first, known
            )
            self._asked += 1
            place = self._choose(request, self._views)
            if not 0 <= place < len(self._views):
                raise InputError(
                    f"{self._name} chose replica {place}",
                    field="router",
                    allowed=f"0 to {len(self._views) - 1}",
                )
            yield time, place
