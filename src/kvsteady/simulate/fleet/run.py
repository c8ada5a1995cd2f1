"""Run a load over one replica or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvsteady.errors import InputError
from kvsteady.progress import Progress, silent
from kvsteady.simulate.fleet.fleet import Fleet, FleetSink, pushed
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.routers.by_class import ByClass
from kvsteady.simulate.fleet.saturated import own_shares
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.fleet.timed import run_timed
from kvsteady.simulate.fleet.watched import Watched
from kvsteady.simulate.load import Feed, Load
from kvsteady.simulate.machine import Machine


def _ignore(number: int, rows: Any) -> None:
    del number, rows


def run_fleet(
    replicas: Sequence[Replica],
    load: Load,
    router: Router | None = None,
    *,
    stop: Stop | None = None,
    finished: FleetSink = _ignore,
    iterations: FleetSink = _ignore,
    log_every: int = 0,
    progress: Progress = silent,
) -> list[Machine]:
    """Simulate a load on replicas behind a router.

    Parameters
    ----------
    replicas
        One or more. Each starts empty.
    load
        Where requests come from. With several replicas: an open loop is routed request by request;
        so are clients and sessions, whose next request may go elsewhere; under a saturated load
        each replica takes, whenever it wants one, the next of the requests that are its own.
    router
        Which replica a request goes to; not asked where there is one.
    stop
        When to end; None runs until every request has left.
    finished, iterations
        Called with a replica's number and copies of `records.LEFT` or `records.ITERATION` rows, in
        batches; what was handed out is complete if the run is interrupted.
    log_every
        Iterations that one row of the log stands for; 0 for no log.
    progress
        Told requests that left of those there are; where that is unknown, iterations of all there
        are, or simulated seconds.

    Returns
    -------
    list of Machine
        One per replica, at rest, with its totals in `Machine.clock`.

    Raises
    ------
    InputError
        No replica; several and no router, or `ByClass` and one class; a load without end and no
        `stop`; a router that looks at
        the replicas under a saturated load, or names one that is not there.
    SimulationError
        A livelock or an engine that stalls, with what it does over and over.
    """
    stop = Stop() if stop is None else stop
    feed = load.feed()
    _check(replicas, router, feed, stop)

    if router is None or len(replicas) == 1:
        feeds = [feed]
    elif feed.on_demand:
        feeds = own_shares(load, router, len(replicas))
    else:
        feeds = [pushed(feed)] * len(replicas)
    fleet = Fleet(
        replicas,
        feeds,
        stop=stop,
        finished=finished,
        iterations=iterations,
        log_every=log_every,
        progress=progress,
        total=feed.total,
    )
    try:
        if router is None or len(replicas) == 1 or feed.on_demand:
            fleet.finish()
        elif feed.clients or feed.turns.size:
            Watched(fleet, feed, router).run(stop.seconds)
        else:
            run_timed(fleet, feed, router, stop.seconds)
    finally:
        fleet.flush()
    return fleet.machines


def _check(replicas: Sequence[Replica], router: Router | None, feed: Feed, stop: Stop) -> None:
    if not replicas:
        raise InputError("no replica given", field="replicas", allowed="one or more")
    if len(replicas) > 1 and router is None:
        raise InputError(
            f"{len(replicas)} replicas and no router", field="router", allowed="a router"
        )
    if isinstance(router, ByClass) and len(replicas) > 1 and feed.classes == 1:
        raise InputError(
            "by-class would send everything to one replica: the load has one class",
            field="router",
            allowed="a load with classes (by a trace's column, or by length), or another router",
        )
    if feed.total is None and stop.never:
        raise InputError(
            "the load has no end, and nothing ends the run",
            field="stop",
            allowed="seconds, iterations or completed requests; or a number of requests",
        )
