"""Runs of the exact model that say what a choice of lengths gains."""

from __future__ import annotations

import math

import numpy as np

from kvsteady.advise.tier_records import TierGain
from kvsteady.model.iterate import iterate
from kvsteady.model.state import Cohorts
from kvsteady.model.system import Eviction, System
from kvsteady.progress import Progress, silent
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.theory.spectrum import Spectrum
from kvsteady.workload.ranges import whole_number

_NUDGE = 0.01
_LIVES, _MOST_LIVES = 80, 2000
_FOLDS = 20  # doublings or halvings of the dominant mode after which a run has settled
_COMPLETIONS = 20_000
_MOST_STEPS = 2_000_000


def tier_gain(
    system: System, modes: Spectrum, *, seed: int = 0, progress: Progress = silent
) -> TierGain:
    """Run greedy admission under `restart` (fluid, integer) and `resume` (integer).

    Parameters
    ----------
    system
        Tiers and KV capacity.
    modes
        Their spectrum: how long a run must be to settle.
    seed
        Of the disturbance, and of random lengths.
    """
    seed = whole_number(seed, "seed", 0, 2**62 - 1)
    balance, longest = equilibrium(system), system.workload.longest_output
    fold = _FOLDS * min(modes.doubling, modes.halving)
    wanted = max(_LIVES, math.ceil(fold / longest)) if math.isfinite(fold) else _LIVES
    lives = max(4, min(wanted, _MOST_LIVES, _MOST_STEPS // longest))
    half = lives * longest // 2
    noise = np.random.default_rng(seed).uniform(-1, 1, longest)
    nudged = Cohorts.of(balance.admissions * (1 + _NUDGE * noise))
    progress(0, 4)
    fluid = [iterate(system, steps=half, burn_in=half, start=nudged).averages()]
    progress(1, 4)
    fluid.append(iterate(system, steps=half, burn_in=half).averages())
    worse = min(fluid, key=lambda run: run.useful_tokens)
    many = int(min(max(40 * longest, _COMPLETIONS / balance.admissions), _MOST_STEPS))
    whole = []
    for place, eviction in enumerate((Eviction.RESTART, Eviction.RESUME), start=2):
        progress(place, 4)
        run = iterate(
            system,
            steps=many,
            burn_in=4 * longest,
            arithmetic="integer",
            eviction=eviction,
            seed=seed,
        )
        whole.append(run.averages())
    restart, resume = whole
    return TierGain(
        restart_fluid=worse.useful_tokens / balance.running,
        restart_fluid_completions=worse.completed / balance.admissions,
        restart_integer=restart.useful_tokens / balance.running,
        restart_integer_completions=restart.completed / balance.admissions,
        recompute_tax=resume.recompute_tax,
        resume_completions=resume.completed / balance.admissions,
        settled=lives >= wanted,
    )
