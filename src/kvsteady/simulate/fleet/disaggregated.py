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
from kvsteady.simulate.load import Feed, Load
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import ARRIVAL, COMPLETED, LEFT
from kvsteady.simulate.state import GAP_BINS_PER_E, GAP_LEAST


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
    log_every, progress
        As in `run_fleet`, of each pool in turn.

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
    first = _Firsts(load)
    pools: list[list[Machine]] = []
    done: list[list[Any]] = [[] for _ in prefill]
    pools.append(
        run_fleet(
            prefill,
            first,
            prefill_router,
            stop=replace(stop, completed=None),
            finished=lambda number, rows: done[number].append(rows),
            iterations=iterations,
            log_every=log_every,
            progress=progress,
        )
    )
    whole = _Whole(first.asked(), done, finished)
    whole.hand_over()
    second = _Seconds(whole, feed, transfer)
    pools.append(
        run_fleet(
            decode,
            second,
            decode_router,
            stop=stop,
            finished=lambda number, rows: finished(len(prefill) + number, whole.joined(rows)),
            iterations=lambda number, rows: iterations(len(prefill) + number, rows),
            log_every=log_every,
            progress=progress,
        )
        if second.rows.size
        else [each.machine() for each in decode]
    )
    _count_gaps(pools[1], whole)
    return Pools(*pools)


class _Firsts:
    """The load as the prefill pool sees it: every output is one token."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._asked: list[Any] = []

    def feed(self) -> Feed:
        feed = self._load.feed()
        self._asked.clear()
        return replace(feed, batches=map(self._cut, feed.batches), largest_output=1)

    def _cut(self, rows: Any) -> Any:
        self._asked.append(rows)
        cut = rows.copy()
        cut["output"] = cut["limit"] = 1
        return cut

    def asked(self) -> Any:
        """The requests as they were, sorted by id."""
        rows = np.concatenate([np.zeros(0, dtype=ARRIVAL), *self._asked])
        return rows[np.argsort(rows["id"], kind="stable")]


class _Whole:
    """Puts the two halves of each request together."""

    def __init__(self, asked: Any, done: list[list[Any]], finished: FleetSink) -> None:
        empty = np.zeros(0, dtype=LEFT)
        self._done = [np.concatenate([empty, *batches]) for batches in done]
        self._finished = finished
        rows = np.concatenate([empty, *self._done])
        self._first = rows[np.argsort(rows["id"], kind="stable")]
        self._asked = asked
        self.gaps: list[Any] = []  # seconds between first and second token

    def _asked_of(self, rows: Any) -> Any:
        return self._asked[np.searchsorted(self._asked["id"], rows["id"])]

    def hand_over(self) -> None:
        """Give out those that end in the prefill pool: rejected, or with one token in all."""
        for number, rows in enumerate(self._done):
            asked = self._asked_of(rows)
            last = (rows["status"] != COMPLETED) | (asked["output"] == 1)
            ended = rows[last]
            if ended.size:
                ended["output"] = asked["output"][last]
                self._finished(number, ended)

    def going_on(self) -> tuple[Any, Any]:
        """What left the prefill pool and goes on to the other, and the requests as they were."""
        asked = self._asked_of(self._first)
        on = (self._first["status"] == COMPLETED) & (asked["output"] > 1)
        return self._first[on], asked[on]

    def joined(self, rows: Any) -> Any:
        """Rows of the decode pool as rows of whole requests."""
        first = self._first[np.searchsorted(self._first["id"], rows["id"])]
        seen = rows["first_token"] >= 0
        self.gaps.append(rows["first_token"][seen] - first["first_token"][seen])
        whole = rows.copy()
        for name in ("prompt", "arrival", "scheduled", "first_token", "hit"):
            whole[name] = first[name]
        whole["output"] += 1
        whole["preemptions"] += first["preemptions"]
        whole["recomputed"] += first["recomputed"]
        return whole


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


def _count_gaps(machines: Sequence[Machine], whole: _Whole) -> None:
    """Add the times from first to second tokens, which no engine sees, to a histogram."""
    if not whole.gaps:
        return
    gaps = np.maximum(np.concatenate(whole.gaps), GAP_LEAST)
    places = (np.log(gaps / GAP_LEAST) * GAP_BINS_PER_E).astype(np.int64)
    counted = machines[0].state.gaps
    counted += np.bincount(np.minimum(places, counted.size - 1), minlength=counted.size)
