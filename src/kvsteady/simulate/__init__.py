"""The request level: engines that decide as real ones do, with memory, time and load.

A `Scenario` says what to run: a load (`kvsteady.simulate.loads`) that comes to replicas, each an
engine (`kvsteady.simulate.engines`) with its memory and iteration time (`kvsteady.simulate.times`),
behind a router (`kvsteady.simulate.fleet`). `kvsteady.simulate.simulate` runs it and sums it up in
a `Simulation` (`kvsteady.simulate.results`).
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines import ENGINES, engine_class
from kvsteady.simulate.fleet import Replica, Router, Stop
from kvsteady.simulate.load import Feed, Load, arrivals
from kvsteady.simulate.machine import Machine, SimulationError
from kvsteady.simulate.results import ChromeTrace, Objectives, Simulation, load_simulation
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.simulate import simulate
from kvsteady.simulate.times import IterationTime

__all__ = [
    "ENGINES",
    "ChromeTrace",
    "Engine",
    "Feed",
    "IterationTime",
    "Load",
    "Machine",
    "Objectives",
    "Replica",
    "Router",
    "Scenario",
    "Simulation",
    "SimulationError",
    "Stop",
    "arrivals",
    "engine_class",
    "load_simulation",
    "simulate",
]


class _Package(ModuleType):
    """A package that can be called: ``kvsteady.simulate`` is also the name of the function."""

    def __call__(self, scenario: Scenario, **options: Any) -> Simulation:
        return simulate(scenario, **options)


sys.modules[__name__].__class__ = _Package
