"""What must happen: equilibrium, spectrum, orbits and caps, from the law of lengths alone."""

from kvsteady.theory.caps import RateCaps, rate_caps, reservation_rate
from kvsteady.theory.equilibrium import Equilibrium, equilibrium
from kvsteady.theory.orbits import Orbit, balanced_orbit, pulse_cycle, pulse_family, worst_cycle
from kvsteady.theory.spectrum import Monotone, Spectrum, Stability, spectrum
from kvsteady.theory.winding import RootCount, count_roots_outside

__all__ = [
    "Equilibrium",
    "Monotone",
    "Orbit",
    "RateCaps",
    "RootCount",
    "Spectrum",
    "Stability",
    "balanced_orbit",
    "count_roots_outside",
    "equilibrium",
    "pulse_cycle",
    "pulse_family",
    "rate_caps",
    "reservation_rate",
    "spectrum",
    "worst_cycle",
]
