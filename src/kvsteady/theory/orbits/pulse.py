"""Pulse cycles: equal cohorts, a common divisor of the output lengths apart (Theorem 3)."""

from __future__ import annotations

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.model.state import Cohorts
from kvsteady.model.system import System
from kvsteady.theory.orbits.orbit import FIXED_POINT, WORST_CYCLE, Orbit


def pulse_cycle(system: System, gap: int | None = None) -> Orbit:
    """Equal cohorts ``gap`` iterations apart (theory: section 5, Theorem 3).

    ``gap`` divides ``g = gcd(l1_k)`` and is g by default. Throughput
    ``M / (gap Σ_{j = gap, 2 gap, … ≤ L} E[(L0 + j) 1{L1 ≥ j}])``. For one class, g gives the
    worst cycle; a gap of 1 is the eviction-free fixed point of any workload. The orbit is exact;
    greedy admission stays near it only where it is stable, which unequal prompts can undo: its
    multipliers per ``gap`` iterations are the roots of the polynomial with those weights.

    Raises
    ------
    InputError
        A gap that does not divide g.
    """
    load = system.workload
    apart = load.gcd if gap is None else gap
    if type(apart) is not int or apart < 1 or load.gcd % apart:
        raise InputError(f"{shown(apart)}", field="gap", allowed=f"divisors of {load.gcd}")
    full = load.memory_weights()[apart - 1 :: apart]
    throughput = system.kv_tokens / (apart * float(full.sum()))
    amplitude = np.zeros(load.longest_output)
    amplitude[apart - 1 :: apart] = throughput * apart
    if apart == 1:
        name = FIXED_POINT
    elif apart == load.longest_output:
        name = WORST_CYCLE
    else:
        name = f"pulse cycle, a cohort every {apart}"
    return Orbit(name, apart, throughput, Cohorts.of(amplitude))


def pulse_family(system: System) -> tuple[Orbit, ...]:
    """Every `pulse_cycle`, from the fixed point to the widest gap, by decreasing throughput."""
    common = system.workload.gcd
    gaps = [gap for gap in range(1, common + 1) if common % gap == 0]
    return tuple(pulse_cycle(system, gap) for gap in gaps)
