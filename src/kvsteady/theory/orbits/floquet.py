"""Floquet multipliers: how deviations from a periodic orbit grow in one period.

Along an orbit the map of `Section` is linear as long as the cuts stay where they are, so the
monodromy is the product of its matrices along the orbit's own cuts. Two reductions are exact
(ours): deviations keep memory full, which takes one dimension away; and a deviation at an age
where the orbit has no cohort only ages, so it leaves after L iterations, and every multiplier
other than 0 is found among the ages that the orbit occupies. That also settles what happens at
the edge of the positive cone: empty ages can only gain requests, but these deviations die, and
those at occupied ages go both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.errors import InputError
from kvsteady.model.state import Cohorts
from kvsteady.model.system import System
from kvsteady.theory.orbits.orbit import Orbit
from kvsteady.theory.orbits.section import Section, Walk
from kvsteady.theory.winding import ComplexArray
from kvsteady.workload.ranges import whole_number

_EPS = float(np.finfo(np.float64).eps)
# A state that recurs this closely, in tokens relative to M, is on the orbit.
RECURS = 1e-7
# Less room than this, relative to M, and rounding can move the cut.
_TOUCH = 1e-9
# The monodromy is a full matrix: at this size an hour of eigenvalues, and half a gigabyte.
_MOST_COHORTS = 8192


class OrbitStability(Enum):
    """What the multipliers of an orbit say; the value says what to do."""

    ATTRACTS = "greedy admission returns to it: only a policy can lead away"
    REPELS = "greedy admission leaves it: it will not be seen for long without a policy"
    NEUTRAL = (
        "a multiplier on the unit circle, as far as rounding shows: deviations neither grow nor "
        "die, and the next digit of a share decides"
    )
    SWITCHES = (
        "it touches a switching surface: deviations to its two sides obey different matrices, "
        "and these multipliers are those of one side only"
    )


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Floquet multipliers of a periodic orbit of the fluid model.

    Attributes
    ----------
    period
        Iterations of the orbit.
    values
        Multipliers per period on the ages that the orbit occupies, largest first, shape
        ``(cohorts − 1,)``. All further ones are 0: those at empty ages, and those of deviations
        in the mix of classes. Where evicted requests keep their tokens there are ``L − 1``, and
        none is 0.
    errors
        How far rounding can have moved each: to first order by its condition, or by Elsner's
        bound where that is less (two multipliers that nearly coincide).
    switching_margin
        How far the orbit keeps from a change of its cuts: the fewest tokens that it evicts,
        leaves or admits at a cut, relative to M.
    empty_ages
        Ages without a cohort in the state of the orbit that occupies fewest.
    residual
        How closely the state recurs, in tokens relative to M.
    """

    period: int
    values: ComplexArray
    errors: FloatArray
    switching_margin: float
    empty_ages: int
    residual: float

    @property
    def radius(self) -> float:
        """Largest modulus: growth of deviations per period. 0: they are gone within L
        iterations, exactly.
        """
        return float(abs(self.values[0])) if self.values.size else 0.0

    @property
    def rounding(self) -> float:
        """How far rounding can have moved the largest."""
        return float(self.errors[0]) if self.errors.size else 0.0

    @property
    def margin(self) -> float:
        """``1 − radius``: above 0 where the orbit attracts."""
        return 1 - self.radius

    @property
    def growth(self) -> float:
        """Growth of deviations per iteration, ``radius^(1 / period)``."""
        return float(self.radius ** (1 / self.period))

    @property
    def outside(self) -> int:
        """Multipliers with modulus above 1, those within rounding of it not counted."""
        return int((np.abs(self.values) > 1 + self.errors).sum())

    @property
    def stable(self) -> bool:
        """Whether every multiplier lies inside the unit circle, beyond rounding."""
        return self.radius + self.rounding < 1

    @property
    def touches(self) -> bool:
        """Whether the orbit lies on a switching surface, within rounding."""
        return self.switching_margin < _TOUCH

    @property
    def outcome(self) -> OrbitStability:
        """What they say together."""
        if self.touches:
            return OrbitStability.SWITCHES
        if self.stable:
            return OrbitStability.ATTRACTS
        if self.radius - self.rounding > 1:
            return OrbitStability.REPELS
        return OrbitStability.NEUTRAL


def floquet(system: System, orbit: Orbit | Cohorts, period: int | None = None) -> Multipliers:
    """Floquet multipliers of an orbit, from the monodromy along its true cuts (ours).

    Parameters
    ----------
    orbit
        An `Orbit`, or a state on one, with its ``period``.

    Raises
    ------
    InputError
        A state that does not recur after ``period`` iterations, multipliers beyond 1e308, or more
        than 8,192 cohorts.

    Notes
    -----
    O(period · s²) for an orbit of s cohorts. At the eviction-free fixed point they are the roots
    of the survival polynomial, and for a pulse cycle those of
    ``Σ_j W_j z^{J−j}``, ``W_j = E[(L0 + jg) 1{L1 ≥ jg}]``, ``J = L / g``, per g iterations.
    """
    if isinstance(orbit, Orbit):
        start, period = orbit.start, orbit.period
    elif period is None:
        raise InputError("not given", field="period", allowed="the period of the state")
    else:
        start, period = orbit, whole_number(period, "period", 1, 2**31)
    section = Section.of(system)
    first = section.enter(start)
    turn = section.walk(first, period)
    return multipliers(section, first, turn)


def multipliers(section: Section, first: FloatArray, turn: Walk) -> Multipliers:
    """The same from a full memory ``first`` and the walk of one period from it."""
    period = turn.cut.size
    residual = section.distance(turn.amplitude, first)
    if not residual <= RECURS:
        raise InputError(
            f"the state moves by {residual:.2g} of memory in {period:,} iterations",
            field="orbit",
            allowed="a state that recurs after the period",
        )
    # Every state of the orbit has the same multipliers other than 0. Fewest cohorts: fewest zeros.
    fewest = int(np.argmin(turn.cohorts))
    leanest = section.walk(first, fewest).amplitude if fewest else first
    matrix = monodromy(section, leanest, np.roll(turn.cut, -fewest))
    values, errors = eigenvalues(matrix)
    return Multipliers(
        period,
        values,
        errors,
        float(turn.clearance.min()),
        first.size - int(turn.cohorts.min()),
        residual,
    )


def monodromy(section: Section, amplitude: FloatArray, cuts: IntArray) -> FloatArray:
    """Derivative of ``len(cuts)`` iterations on the occupied ages, shape ``(s − 1, s − 1)``.

    Deviations are given at every occupied age but the one that holds most memory, whose
    amplitude keeps it full; see `pivot`.
    """
    weights, left_out = section.weights, pivot(section, amplitude)
    occupied = occupied_ages(amplitude, cuts)
    if occupied.size > _MOST_COHORTS:
        raise InputError(
            f"{occupied.size:,} cohorts", field="orbit", allowed=f"{_MOST_COHORTS:,} at most"
        )
    free = np.flatnonzero(occupied != left_out)
    spread = np.zeros((occupied.size, free.size))
    spread[free, np.arange(free.size)] = 1.0
    spread[occupied == left_out] = -weights[occupied[free]] / weights[left_out]
    ages = occupied
    for cut in cuts.tolist():
        older = int(np.searchsorted(ages, cut))  # at this index and beyond, before they age
        stay = slice(older, None if ages[-1] < weights.size - 1 else -1)
        ages, spread = ages[stay] + 1, spread[stay]
        at_cut = -(weights[ages] @ spread) / weights[cut]
        ages, spread = np.append(cut, ages), np.vstack((at_cut, spread))
    return spread[free]


def occupied_ages(amplitude: FloatArray, cuts: IntArray) -> IntArray:
    """Ages of the cohorts of an orbit, those included that it cuts to nothing."""
    occupied = np.flatnonzero(amplitude)
    for _ in range(amplitude.size):
        ages = occupied
        for cut in cuts.tolist():
            ages = ages[(ages >= cut) & (ages < amplitude.size - 1)] + 1
            ages = np.append(cut, ages)
        if np.array_equal(ages, occupied):
            return occupied
        occupied = ages
    raise InputError("cohorts do not return to their ages", field="orbit")


def pivot(section: Section, amplitude: FloatArray) -> int:
    """The age whose amplitude follows from the others, because memory is full."""
    return int(np.argmax(section.weights * amplitude))


def eigenvalues(matrix: FloatArray) -> tuple[ComplexArray, FloatArray]:
    """Eigenvalues, largest first, and how far rounding can have moved each."""
    count = matrix.shape[0]
    if not count:
        return np.zeros(0, dtype=np.complex128), np.zeros(0)
    if not np.isfinite(matrix).all():
        raise InputError("multipliers too large for floating point", field="orbit")
    values, right = np.linalg.eig(matrix)
    size = float(np.linalg.norm(matrix))
    slip = _EPS * count * size
    elsner = (2 * size + slip) ** (1 - 1 / count) * slip ** (1 / count)
    try:
        condition = np.linalg.norm(np.linalg.inv(right), axis=1)  # right vectors have length 1
    except np.linalg.LinAlgError:
        condition = np.full(count, np.inf)
    errors: FloatArray = np.minimum(slip * condition, elsner)
    order = np.argsort(-np.abs(values), kind="stable")
    return values[order].astype(np.complex128), errors[order]
