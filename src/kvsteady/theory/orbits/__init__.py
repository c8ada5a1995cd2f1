"""Periodic orbits of greedy admission: named, found, and how their neighbours move."""

from kvsteady.theory.orbits.balanced import balanced_orbit, balanced_orbits, worst_cycle
from kvsteady.theory.orbits.capture import Capture, capture_examples, worst_cycle_basin
from kvsteady.theory.orbits.described import FluidOrbit, IntegerOrbit, PeriodicOrbit, describe
from kvsteady.theory.orbits.exact import ExactEnd, exact_end
from kvsteady.theory.orbits.find import OrbitSearch, Recurrence, find_orbit, lyapunov_exponent
from kvsteady.theory.orbits.floquet import Multipliers, OrbitStability, floquet
from kvsteady.theory.orbits.listing import orbits
from kvsteady.theory.orbits.orbit import Orbit
from kvsteady.theory.orbits.picture import LocalPicture, local_picture
from kvsteady.theory.orbits.pulse import pulse_cycle, pulse_family

__all__ = [
    "Capture",
    "ExactEnd",
    "FluidOrbit",
    "IntegerOrbit",
    "LocalPicture",
    "Multipliers",
    "Orbit",
    "OrbitSearch",
    "OrbitStability",
    "PeriodicOrbit",
    "Recurrence",
    "balanced_orbit",
    "balanced_orbits",
    "capture_examples",
    "describe",
    "exact_end",
    "find_orbit",
    "floquet",
    "local_picture",
    "lyapunov_exponent",
    "orbits",
    "pulse_cycle",
    "pulse_family",
    "worst_cycle",
    "worst_cycle_basin",
]
