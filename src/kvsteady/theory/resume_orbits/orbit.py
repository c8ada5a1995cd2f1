"""A periodic orbit under resume or swap: what a turn of it does, and what becomes of neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.errors import InputError
from kvsteady.model.state import Cohorts
from kvsteady.theory.orbits.floquet import RECURS, Multipliers, eigenvalues
from kvsteady.theory.orbits.orbit import FIXED_POINT
from kvsteady.theory.resume_orbits.levels import Levels

# Amplitudes below 0 by no more than this, in tokens relative to M, are 0.
_NONE = 1e-11


@dataclass(frozen=True, eq=False)
class ResumeOrbit:
    """A periodic orbit of the fluid model where evicted requests keep their tokens.

    Attributes
    ----------
    name
        What to call it.
    period
        Iterations after which the state recurs.
    marginal
        Age at which memory runs out in each iteration, from ``start`` on; the last is 0.
    throughput
        Completed requests per iteration: x* on every orbit, for memory is always full.
    start
        A state on it before an iteration, after one in which fresh requests came in: all are in
        memory and nobody waits.
    evictions
        Requests evicted per period.
    recomputed_tokens
        Tokens that `Eviction.RESUME` prefills again, per completed request.
    swapped_tokens
        Tokens that `Eviction.SWAP` moves out and back, per completed request: twice as many.
    multipliers
        How deviations grow in one period, in all ``L − 1`` directions.
    """

    name: str
    period: int
    marginal: tuple[int, ...]
    throughput: float
    start: Cohorts
    evictions: float
    recomputed_tokens: float
    swapped_tokens: float
    multipliers: Multipliers


def close(levels: Levels, marginal: Sequence[int]) -> ResumeOrbit | None:
    """The orbit with these marginal ages, in a turn of any phase; None where there is none.

    Where a multiplier of the period is 1 the state is not unique, and None is returned too.
    """
    ages = primitive(marginal)
    if ages is None:
        return None
    size = levels.weights.size - 1
    matrix, offset = levels.affine(ages)
    try:
        found = np.linalg.solve(np.eye(size) - matrix, offset)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(found).all():
        return None
    level = np.concatenate(([0.0], found))
    if (levels.weights * level).min() < -_NONE * levels.capacity:
        return None
    level = np.maximum(level, 0.0)
    # Only the walk from here says whether the ages are its own; a tie may go either way.
    turn = levels.walk(level, len(ages))
    residual = levels.distance(turn.level, level)
    ties = turn.clearance.min() < _NONE
    if residual > RECURS or not (turn.marginal == ages or ties):
        return None
    if ties:
        states, _ = levels.marginals(level, len(ages))
        for period in range(1, len(ages)):
            if len(ages) % period == 0 and levels.distance(states[period], level) <= RECURS:
                return close(levels, ages[:period])
    completed = float(turn.completed.sum())
    tokens = float(turn.evicted_tokens.sum()) / completed
    try:
        values, errors = eigenvalues(matrix)
    except InputError:
        return None
    return ResumeOrbit(
        _name(ages, size),
        len(ages),
        ages,
        completed / len(ages),
        Cohorts.of(level),
        float(turn.evicted.sum()),
        tokens,
        2 * tokens,
        Multipliers(len(ages), values, errors, float(turn.clearance.min()), 0, residual),
    )


def primitive(marginal: Sequence[int]) -> tuple[int, ...] | None:
    """The shortest turn of these ages, in the least phase that ends with age 0, so that nobody
    waits at its start; None where age 0 is missing: without fresh requests nothing recurs.
    """
    ages = tuple(marginal)
    for period in range(1, len(ages) + 1):
        if len(ages) % period == 0 and ages == ages[:period] * (len(ages) // period):
            ages = ages[:period]
            break
    phases = [ages[i:] + ages[:i] for i in range(len(ages)) if ages[i - 1] == 0]
    return min(phases) if phases else None


def sorted_once(levels: Levels, found: Sequence[ResumeOrbit]) -> tuple[ResumeOrbit, ...]:
    """Each orbit once, by period; on a break several turns of ages describe the same."""
    kept: list[ResumeOrbit] = []
    for orbit in sorted(found, key=lambda o: (o.period, o.marginal)):
        if not any(_same(levels, orbit, other) for other in kept):
            kept.append(orbit)
    return tuple(kept)


def _same(levels: Levels, one: ResumeOrbit, two: ResumeOrbit) -> bool:
    if one.period != two.period:
        return False
    if one.marginal == two.marginal:
        return True
    if not (one.multipliers.touches and two.multipliers.touches):
        return False
    states, _ = levels.marginals(one.start.amplitude, one.period)
    return any(levels.distance(state, two.start.amplitude) <= RECURS for state in states)


def _name(ages: tuple[int, ...], longest_age: int) -> str:
    if ages == (0,):
        return FIXED_POINT
    if ages == (*range(1, longest_age + 1), 0):
        return "one large cohort"
    return f"orbit of period {len(ages):,}, memory full at ages {' '.join(map(str, ages))}"
