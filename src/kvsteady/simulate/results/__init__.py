"""What comes of a run: numbers, the outcome that they add up to, and a trace to look at."""

from __future__ import annotations

from kvsteady.simulate.results.chrome import ChromeTrace
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.results.outcome import Outcome
from kvsteady.simulate.results.simulation import (
    Curve,
    Curves,
    Cycle,
    ObjectiveResult,
    RejectedRequest,
    ReplicaResult,
    Setup,
    Simulation,
    json_schema,
    load_simulation,
)

__all__ = [
    "ChromeTrace",
    "Curve",
    "Curves",
    "Cycle",
    "ObjectiveResult",
    "Objectives",
    "Outcome",
    "RejectedRequest",
    "ReplicaResult",
    "Setup",
    "Simulation",
    "json_schema",
    "load_simulation",
]
