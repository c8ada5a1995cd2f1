"""Two classes on two replicas: each class its own, or both classes on both.

A request holds KV for as long as it decodes, so a class weighs by its length squared. Where the
classes weigh unequally, one of two segregated replicas can be full while the other has room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.routers import ByClass, Mixed
from kvsteady.simulate.fleet.run import run_fleet
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.load import Load


@dataclass(frozen=True)
class Served:
    """What a fleet made of a load.

    Attributes
    ----------
    completed, evictions
        Requests, and preemptions of them.
    recomputed_tokens
        Tokens that were prefilled again because of them.
    seconds
        Until the last replica was done.
    tokens_per_second
        Output tokens of completed requests over that time.
    """

    completed: int
    evictions: int
    recomputed_tokens: int
    seconds: float
    tokens_per_second: float

    @property
    def evictions_per_completion(self) -> float:
        """0 where nothing completed."""
        return self.evictions / self.completed if self.completed else 0.0


@dataclass(frozen=True)
class Mixing:
    """The same load on the same replicas, segregated by class and mixed."""

    segregated: Served
    mixed: Served


def compare_mixing(replicas: Sequence[Replica], load: Load, stop: Stop | None = None) -> Mixing:
    """Run a load twice: routed by class (class k to replica k), and with every class over all.

    Parameters
    ----------
    replicas
        Two or more.
    load
        Any, without sessions; its classes are its requests' ``kind``.
    stop
        When to end; None: when all requests have left.

    Raises
    ------
    InputError, SimulationError
        As `run_fleet` does.
    """
    return Mixing(_served(replicas, load, ByClass(), stop), _served(replicas, load, Mixed(), stop))


def _served(replicas: Sequence[Replica], load: Load, router: Router, stop: Stop | None) -> Served:
    clocks = [machine.clock for machine in run_fleet(replicas, load, router, stop=stop)]
    seconds = max(float(clock["now"]) for clock in clocks)

    def total(name: str) -> int:
        return int(np.sum([clock[name] for clock in clocks]))

    return Served(
        completed=total("all_completed"),
        evictions=total("all_preempted"),
        recomputed_tokens=total("all_recomputed"),
        seconds=seconds,
        tokens_per_second=total("all_output") / seconds if seconds > 0 else 0.0,
    )
