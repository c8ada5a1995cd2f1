"""Quadratic Lyapunov certificates: how far the equilibrium can be disturbed without an eviction."""

from kvsteady.theory.lyapunov.basin import (
    BasinCheck,
    clear_distance,
    energy_along,
    largest_clear_box,
    validate,
)
from kvsteady.theory.lyapunov.certificate import Certificate, LyapunovCertificate, lyapunov
from kvsteady.theory.lyapunov.proof import prove_with_balls

__all__ = [
    "BasinCheck",
    "Certificate",
    "LyapunovCertificate",
    "clear_distance",
    "energy_along",
    "largest_clear_box",
    "lyapunov",
    "prove_with_balls",
    "validate",
]
