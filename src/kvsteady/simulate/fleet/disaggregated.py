"""Prefill and decode on machines of their own.

The prefill pool computes the prompt and the first token, which is delivered at once. The prompt's
KV is moved; then the request comes to the decode pool as one whose prompt is longer by that token
and whose KV is there but for it. Its first iteration there brings the second token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kvsteady.errors import InputError
from kvsteady.progress import Progress, silent
from kvsteady.simulate.fleet.fleet import FleetSink
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.run import run_fleet
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.fleet.transfer import Transfer
from kvsteady.simulate.gaps import gap_bins
from kvsteady.simulate.load import Feed, Load
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import ARRIVAL, COMPLETED, LEFT


@dataclass(frozen=True)
class Pools:
    """The machines of a disaggregated run, at rest."""

    prefill: list[Machine]
    decode: list[Machine]


def _ignore(number: int, rows: Any) -> None:
    del number, rows


def run_disaggregated(
    prefill: Sequence[Replica],
    decode: Sequence[Replica],
    load: Load,
    transfer: Transfer,
    *,
    prefill_router: Router | None = None,
    decode_router: Router | None = None,
    stop: Stop | None = None,
    finished: FleetSink = _ignore,
    iterations: FleetSink = _ignore,
    gaps: FleetSink | None = None,
    log_every: int = 0,
    progress: Progress = silent,
) -> Pools:
    """Simulate an open loop on a prefill pool and a decode pool.

    The prefill pool does not wait for the decode pool: it runs first. A few hundred bytes per
    request are held in memory meanwhile.

    Parameters
    ----------
    prefill, decode
        The replicas of each pool, one or more.
    load
        An open loop without sessions.
    transfer
        How long the KV is on its way.
    prefill_router, decode_router
        As in `run_fleet`.
    stop
        ``seconds`` and ``iterations`` hold in both pools, ``completed`` in the decode pool.
    finished, iterations
        As in `run_fleet`; the decode pool's replicas are numbered after those of the prefill pool.
        A row of ``finished`` is a whole request: it has the arrival, admission, first token and
        prefix hits of the prefill pool, the finish of the decode pool, and the preemptions and
        recomputed tokens of both. It goes with the replica that the request left.
    gaps
        Called with the number of a decode replica and the seconds between the first and the second
        token of requests that left it, which no engine sees, before ``finished`` is called with
        them. None: they are added to the histogram of times between tokens of that replica.
    log_every
        As in `run_fleet`, of each pool in turn.
    progress
        As in `run_fleet`; the prefill pool is the first half of the way.

    Returns
    -------
    Pools
        The machines of both.

    Raises
    ------
    InputError
        As `run_fleet` does; a load that is not an open loop, has sessions, or has no end.
    """
    stop = Stop() if stop is None else stop
    feed = load.feed()
    if feed.on_demand or feed.clients or feed.turns.size:
        raise InputError(
            "the load waits for completions, which disaggregated pools do not report back",
            field="load",
            allowed="an open loop without sessions",
        )
    if feed.total is None and stop.seconds == math.inf and stop.iterations is None:
        raise InputError("the load has no end", field="stop", allowed="seconds, or iterations")
    first = _Firsts(load, len(prefill), finished)
    machines = run_fleet(
        prefill,
        first,
        prefill_router,
        stop=replace(stop, completed=None),
        finished=first.done,
        iterations=iterations,
        log_every=log_every,
        progress=lambda done, total: progress(done, None if total is None else 2 * total),
    )
    whole = _Whole(first, finished)
    whole.reject()
    second = _Seconds(whole, feed, transfer)
    counted: list[list[Any]] = [[] for _ in decode]

    def left(number: int, rows: Any) -> None:
        joined, seconds = whole.joined(rows)
        if gaps is None:
            counted[number].append(seconds)
        elif seconds.size:
            gaps(len(prefill) + number, seconds)
        finished(len(prefill) + number, joined)

    pools = Pools(
        machines,
        run_fleet(
            decode,
            second,
            decode_router,
            stop=stop,
            finished=left,
            iterations=lambda number, rows: iterations(len(prefill) + number, rows),
            log_every=log_every,
            progress=lambda done, total: (
                progress(done, None) if total is None else progress(total + done, 2 * total)
            ),
        ),
    )
    for machine, seconds in zip(pools.decode, counted, strict=True):
        histogram = machine.state.gaps
        histogram += gap_bins(np.concatenate([np.zeros(0), *seconds]))
    return pools


class _Firsts:
    """The load as the prefill pool sees it: every output is one token."""

    def __init__(self, load: Load, replicas: int, finished: FleetSink) -> None:
        self._load, self._finished = load, finished
        self._asked: list[Any] = []
        self._single: set[int] = set()  # who asks for no more than one token
        self._done: list[list[Any]] = [[] for _ in range(replicas)]

    def feed(self) -> Feed:
        feed = self._load.feed()
        self._asked.clear()
        self._single.clear()
        return replace(feed, batches=map(self._cut, feed.batches), largest_output=1)

    def done(self, number: int, rows: Any) -> None:
        """Keep what left the prefill pool; who asked for one token has left for good."""
        names = rows["id"].tolist()
        single = np.array([name in self._single for name in names], dtype=bool)
        single &= rows["status"] == COMPLETED
        if single.any():
            self._finished(number, rows[single])
        self._done[number].append(rows[~single])

    def kept(self) -> list[Any]:
        """What `done` kept, by replica."""
        empty = np.zeros(0, dtype=LEFT)
        return [np.concatenate([empty, *batches]) for batches in self._done]

    def _cut(self, rows: Any) -> Any:
        self._asked.append(rows)
        self._single.update(rows["id"][rows["output"] == 1].tolist())
        cut = rows.copy()
        cut["output"] = cut["limit"] = 1
        return cut

    def asked(self) -> Any:
        """The requests as they were, sorted by id."""
        rows = np.concatenate([np.zeros(0, dtype=ARRIVAL), *self._asked])
        return rows[np.argsort(rows["id"], kind="stable")]


class _Whole:
    """Puts the two halves of each request together."""

    def __init__(self, first: _Firsts, finished: FleetSink) -> None:
        self._kept = first.kept()
        self._finished = finished
        rows = np.concatenate(self._kept)
        self._first = rows[np.argsort(rows["id"], kind="stable")]
        self._asked = first.asked()

    def _asked_of(self, rows: Any) -> Any:
        return self._asked[np.searchsorted(self._asked["id"], rows["id"])]

    def reject(self) -> None:
        """Give out those that the prefill pool rejected."""
        for number, rows in enumerate(self._kept):
            late = rows[rows["status"] != COMPLETED]
            if late.size:
                late["output"] = self._asked_of(late)["output"]
                self._finished(number, late)

    def going_on(self) -> tuple[Any, Any]:
        """What left the prefill pool and goes on to the other, and the requests as they were."""
        on = self._first[self._first["status"] == COMPLETED]
        return on, self._asked_of(on)

    def joined(self, rows: Any) -> tuple[Any, Any]:
        """Rows of the decode pool as rows of whole requests, and their first gaps in seconds."""
        first = self._first[np.searchsorted(self._first["id"], rows["id"])]
        seen = rows["first_token"] >= 0
        gaps = rows["first_token"][seen] - first["first_token"][seen]
        whole = rows.copy()
        for name in ("prompt", "arrival", "scheduled", "first_token", "hit"):
            whole[name] = first[name]
        whole["output"] += 1
        whole["preemptions"] += first["preemptions"]
        whole["recomputed"] += first["recomputed"]
        return whole, gaps


class _Seconds:
    """What comes to the decode pool."""

    def __init__(self, whole: _Whole, feed: Feed, transfer: Transfer) -> None:
        first, rows = whole.going_on()
        self._feed = feed
        self.rows = rows.copy()
        self.rows["time"] = first["finish"] + transfer.seconds(rows["prompt"])
        self.rows["loaded"] = rows["prompt"]
        self.rows["prompt"] += 1
        self.rows["output"] -= 1
        self.rows["limit"] -= 1
        self.rows = self.rows[np.lexsort((self.rows["id"], self.rows["time"]))]

    def feed(self) -> Feed:
        return replace(
            self._feed,
            batches=iter([self.rows]),
            largest_prompt=self._feed.largest_prompt + 1,
            smallest_prompt=self._feed.smallest_prompt + 1,
            total=self.rows.size,
        )
