"""What a periodic orbit of the fluid model is."""

from __future__ import annotations

from dataclasses import dataclass

from kvsteady.model.state import Cohorts
from kvsteady.model.system import Eviction

FIXED_POINT = "eviction-free fixed point"
WORST_CYCLE = "worst cycle"


@dataclass(frozen=True, eq=False)
class Orbit:
    """A periodic orbit of the fluid model.

    Attributes
    ----------
    name
        What to call it.
    period
        Iterations after which the state recurs.
    throughput
        Completed requests per iteration.
    start
        A state on the orbit, before an iteration in which memory is exactly full. It recurs from
        the iteration after.
    """

    name: str
    period: int
    throughput: float
    start: Cohorts

    eviction = Eviction.RESTART
