"""The paper's system, exact: evict, admit, execute, once per iteration."""

from kvsteady.model.admission import UNLIMITED, Pace, PacedPolicy
from kvsteady.model.cycle import Cycle, Search, find_cycle
from kvsteady.model.iterate import iterate
from kvsteady.model.requeue_place import Requeue
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import Eviction, System
from kvsteady.model.trajectory import Averages, RequeueAverages, Trajectory

__all__ = [
    "UNLIMITED",
    "Averages",
    "Cohorts",
    "Cycle",
    "Eviction",
    "Pace",
    "PacedPolicy",
    "Requeue",
    "RequeueAverages",
    "Search",
    "State",
    "System",
    "Trajectory",
    "find_cycle",
    "iterate",
]
