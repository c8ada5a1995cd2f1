"""How long runs must last."""

from __future__ import annotations

from kvsteady.model import System
from kvsteady.theory.spectrum import spectrum


def lives_to_settle(system: System, folds: float = 40.0, least: int = 60) -> int:
    """Lifetimes of the longest output in which the dominant mode grows or decays 2^folds-fold."""
    modes = spectrum(system.workload)
    fold = min(modes.doubling, modes.halving)
    return int(folds * fold / system.workload.longest_output) + least
