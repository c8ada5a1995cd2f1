"""Starts that the claims share."""

from __future__ import annotations

import numpy as np

from kvsteady.model import Cohorts, System
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.spectrum import spectrum


def disturbed(system: System, size: float = 0.01, seed: int = 0) -> Cohorts:
    """Return the equilibrium with each cohort off by up to ``size``, relative."""
    longest = system.workload.longest_output
    noise = np.random.default_rng(seed).uniform(-1, 1, longest)
    return Cohorts.of(equilibrium(system).admissions * (1 + size * noise))


def lives_to_settle(system: System, folds: float = 40.0, least: int = 60) -> int:
    """Lifetimes of the longest output in which the dominant mode grows or decays 2^folds-fold."""
    modes = spectrum(system.workload)
    fold = min(modes.doubling, modes.halving)
    return int(folds * fold / system.workload.longest_output) + least
