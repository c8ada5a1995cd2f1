"""Periodic orbits near which runs pass: seeds, recurrences, Newton's method."""

from __future__ import annotations

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.model.system import System
from kvsteady.progress import Progress, silent
from kvsteady.theory.resume_orbits.levels import Levels
from kvsteady.theory.resume_orbits.orbit import ResumeOrbit, close, primitive, sorted_once
from kvsteady.workload.ranges import real_number, whole_number

_NEWTON_STEPS = 8
_CLOSEST = 64  # recurrences per run and period that are followed up


def find_resume_orbits(
    system: System,
    longest_period: int,
    *,
    starts: int = 8,
    steps: int = 4_000,
    tolerance: float = 0.2,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[ResumeOrbit, ...]:
    """Periodic orbits under resume or swap that runs come near to, shortest first (ours).

    ``starts`` seeded runs of ``steps`` iterations are searched for states that return within
    ``tolerance`` (in tokens relative to M) after up to ``longest_period`` iterations. The marginal
    ages in between name an affine map; Newton's method goes from its fixed point to the ages that
    this state really has, until they are the same. The fixed point is always among the orbits.
    What is missing is missing: orbits repel, and long ones are seldom approached; a larger
    tolerance tries more turns (prompt 15, output 16: 113 orbits at 1).

    Raises
    ------
    InputError
        A number out of range.
    """
    longest_period = whole_number(longest_period, "longest_period", 1, 4096)
    starts = whole_number(starts, "starts", 1, 10_000)
    steps = whole_number(steps, "steps", 2, 1_000_000)
    tolerance = real_number(tolerance, "tolerance", above=0.0)
    levels = Levels.of(system)
    random = np.random.default_rng(seed)
    equilibrium = levels.capacity / float(levels.weights.sum())
    found: dict[tuple[int, ...], ResumeOrbit | None] = {}
    _follow_up(levels, (0,), found)
    for run in range(starts):
        progress(run, starts)
        spread = random.uniform(0.0, 2.0) * random.random(levels.weights.size)
        level = equilibrium * (1 - spread.mean() + spread)
        level = np.maximum(level, 0.0)
        level[0] = 0.0
        settle = 4 * levels.weights.size
        states, ages = levels.marginals(level, settle + steps)
        states, ages = states[settle:], ages[settle:]
        for period in range(1, min(longest_period, steps // 2) + 1):
            for place in _recurrences(levels, states, period, tolerance):
                _follow_up(levels, ages[place : place + period], found)
    progress(starts, starts)
    return sorted_once(levels, [orbit for orbit in found.values() if orbit is not None])


def _recurrences(levels: Levels, states: FloatArray, period: int, tolerance: float) -> list[int]:
    """Times at which a run is closest to where it is a period later, the closest first."""
    moved = np.abs(states[period:] - states[:-period]) @ levels.weights / levels.capacity
    beside = np.pad(moved, 1, constant_values=np.inf)
    nearest = (moved <= beside[:-2]) & (moved <= beside[2:]) & (moved <= tolerance)
    times = np.flatnonzero(nearest)
    chosen: list[int] = times[np.argsort(moved[times], kind="stable")][:_CLOSEST].tolist()
    return chosen


def _follow_up(
    levels: Levels, marginal: tuple[int, ...], found: dict[tuple[int, ...], ResumeOrbit | None]
) -> None:
    """Newton's method from a turn of marginal ages; every turn is tried once."""
    steps = len(marginal)
    for _ in range(_NEWTON_STEPS):
        ages = primitive(marginal)
        if ages is None or ages in found:
            return
        found[ages] = close(levels, ages)
        if found[ages] is not None:
            return
        matrix, offset = levels.affine(ages * (steps // len(ages)))
        size = offset.size
        state = np.linalg.lstsq(np.eye(size) - matrix, offset, rcond=None)[0]
        if not np.isfinite(state).all():
            return
        level = np.concatenate(([0.0], np.maximum(state, 0.0)))
        _, marginal = levels.marginals(level, steps)
