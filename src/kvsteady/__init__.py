"""Keep LLM serving out of KV-cache eviction cycles.

The public names, in the order data flows. They are imported on first use, so that
``import kvsteady`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvsteady.advise import (
        Analysis,
        OnEngine,
        Tuning,
        TuningProblem,
        Verdict,
        check,
        compare_tiers,
        load_analysis,
        tune,
    )
    from kvsteady.errors import InputError, KvsteadyError, MissingExtraError
    from kvsteady.memory import kv_capacity, read_model_config
    from kvsteady.model import Cohorts, Eviction, Requeue, State, System, find_cycle, iterate
    from kvsteady.policies import Greedy, RateCap
    from kvsteady.report.save import save  # from its file: a module has its name too
    from kvsteady.simulate import Replica, Scenario
    from kvsteady.simulate.simulate import simulate  # likewise
    from kvsteady.theory import (
        attractor,
        balanced_orbit,
        certify,
        design_tiers,
        envelope,
        equilibrium,
        first_eviction,
        floquet,
        lyapunov,
        mixing,
        orbits,
        prompt_threshold,
        pulse_cycle,
        rate_caps,
        spectrum,
        worst_cycle,
    )
    from kvsteady.workload import Lengths, Workload, independent, preset
    from kvsteady.workload.traces import read_trace

__version__ = "0.1.0"

_HOMES = {
    "kvsteady.workload": ("Lengths", "Workload", "independent", "preset"),
    "kvsteady.workload.traces": ("read_trace",),
    "kvsteady.memory": ("kv_capacity", "read_model_config"),
    "kvsteady.model": (
        "Cohorts",
        "Eviction",
        "Requeue",
        "State",
        "System",
        "find_cycle",
        "iterate",
    ),
    "kvsteady.theory": (
        "attractor",
        "balanced_orbit",
        "certify",
        "design_tiers",
        "envelope",
        "equilibrium",
        "first_eviction",
        "floquet",
        "lyapunov",
        "mixing",
        "orbits",
        "prompt_threshold",
        "pulse_cycle",
        "rate_caps",
        "spectrum",
        "worst_cycle",
    ),
    "kvsteady.policies": ("Greedy", "RateCap"),
    "kvsteady.simulate": ("Replica", "Scenario", "simulate"),
    "kvsteady.advise": (
        "Analysis",
        "OnEngine",
        "Tuning",
        "TuningProblem",
        "Verdict",
        "check",
        "compare_tiers",
        "load_analysis",
        "tune",
    ),
    "kvsteady.report": ("save",),
    "kvsteady.errors": ("InputError", "KvsteadyError", "MissingExtraError"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Analysis",
    "Cohorts",
    "Eviction",
    "Greedy",
    "InputError",
    "KvsteadyError",
    "Lengths",
    "MissingExtraError",
    "OnEngine",
    "RateCap",
    "Replica",
    "Requeue",
    "Scenario",
    "State",
    "System",
    "Tuning",
    "TuningProblem",
    "Verdict",
    "Workload",
    "__version__",
    "attractor",
    "balanced_orbit",
    "certify",
    "check",
    "compare_tiers",
    "design_tiers",
    "envelope",
    "equilibrium",
    "find_cycle",
    "first_eviction",
    "floquet",
    "independent",
    "iterate",
    "kv_capacity",
    "load_analysis",
    "lyapunov",
    "mixing",
    "orbits",
    "preset",
    "prompt_threshold",
    "pulse_cycle",
    "rate_caps",
    "read_model_config",
    "read_trace",
    "save",
    "simulate",
    "spectrum",
    "tune",
    "worst_cycle",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'kvsteady' has no attribute {name!r}")
    home = import_module(_HOME_OF[name])
    # Importing the package `simulate` puts it here in place of its function; it can be called.
    return home if home.__name__ == f"kvsteady.{name}" else getattr(home, name)


def __dir__() -> list[str]:
    return sorted(__all__)
