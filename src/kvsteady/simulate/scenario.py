"""What to simulate: replicas, a load, a router, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kvsteady.errors import InputError, shown
from kvsteady.simulate.fleet.decode_pool import DecodePool
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.load import Load
from kvsteady.simulate.places import Places
from kvsteady.simulate.results.objectives import Objectives, is_number
from kvsteady.workload.ranges import whole_number


@dataclass(frozen=True)
class Scenario:
    """A run, described; `kvsteady.simulate.simulate` runs it.

    Parameters
    ----------
    load
        Where requests come from.
    replicas
        One or more engines with their memory and speed.
    router
        Which replica a request goes to; needed with more than one.
    decode
        Other replicas that decode what ``replicas`` have prefilled (disaggregation, with an open
        loop without sessions); None: every replica does both.
    stop
        When the run ends, if not with its load.
    warm_up, warm_up_iterations
        Simulated seconds and iterations (of each replica) before measuring begins.
    objectives
        What a good request is, for goodput.
    log_every
        Iterations that one row of ``iterations.parquet`` stands for.
    name, load_name
        What to call the run and its load; by default the kind of load.
    places
        Where it stands in a run file, for errors that show only when it runs.

    Raises
    ------
    InputError
        No replica, or an option out of its range.
    """

    load: Load
    replicas: tuple[Replica, ...]
    router: Router | None = None
    decode: DecodePool | None = None
    stop: Stop = field(default_factory=Stop)
    warm_up: float = 0.0
    warm_up_iterations: int = 0
    objectives: Objectives = field(default_factory=Objectives)
    log_every: int = 1
    name: str = ""
    load_name: str = ""
    places: Places | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.replicas:
            raise InputError("no replica given", field="replicas", allowed="one or more")
        if not is_number(self.warm_up) or not 0 <= self.warm_up < math.inf:
            raise InputError(
                f"{shown(self.warm_up)} is out of range",
                field="warm_up",
                allowed="seconds, at least 0",
            )
        whole_number(self.warm_up_iterations, "warm_up_iterations", 0, 2**62)
        whole_number(self.log_every, "log_every", 1, 2**31)

    @property
    def every_replica(self) -> tuple[Replica, ...]:
        """The replicas, then those of the decode pool."""
        return self.replicas + (() if self.decode is None else self.decode.replicas)

    @property
    def pools(self) -> list[str]:
        """The pool of `every_replica`: prefill or decode, or nothing where there are no pools."""
        if self.decode is None:
            return [""] * len(self.replicas)
        return ["prefill"] * len(self.replicas) + ["decode"] * len(self.decode.replicas)

    @property
    def replica_names(self) -> list[str]:
        """The titles of `every_replica` with their pools, numbered where they would be alike."""
        titles = [
            f"{pool}: {replica.title}" if pool else replica.title
            for pool, replica in zip(self.pools, self.every_replica, strict=True)
        ]
        return [
            f"{title} #{number}" if titles.count(title) > 1 else title
            for number, title in enumerate(titles)
        ]
