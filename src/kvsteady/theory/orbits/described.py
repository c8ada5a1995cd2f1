"""A periodic orbit with everything that one turn of it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import Eviction, System
from kvsteady.theory.orbits.balanced import balanced_orbit
from kvsteady.theory.orbits.floquet import RECURS, Multipliers, multipliers
from kvsteady.theory.orbits.orbit import FIXED_POINT, Orbit
from kvsteady.theory.orbits.pulse import pulse_cycle
from kvsteady.theory.orbits.section import Section, Walk


@dataclass(frozen=True, eq=False)
class FluidOrbit(Orbit):
    """A periodic orbit of the fluid model, its price and its stability.

    Attributes
    ----------
    evictions
        Requests evicted per period.
    wasted_tokens
        Generated tokens lost with them per period, which `Eviction.RESTART` decodes again.
    multipliers
        How deviations grow in one period.
    """

    evictions: float
    wasted_tokens: float
    multipliers: Multipliers


@dataclass(frozen=True, eq=False)
class IntegerOrbit:
    """A cycle of the integer model. It has no multipliers: there is no deviation smaller than a
    request, and every start ends in some cycle exactly.

    ``start`` is a state on it before an iteration; the other fields are those of `FluidOrbit`.
    """

    name: str
    period: int
    throughput: float
    start: State
    evictions: float
    wasted_tokens: float

    eviction = Eviction.RESTART


PeriodicOrbit = FluidOrbit | IntegerOrbit


def describe(system: System, orbit: Orbit) -> FluidOrbit:
    """Follow an orbit for one period, with its multipliers (see `floquet`)."""
    section = Section.of(system)
    first = section.enter(orbit.start)
    turn = section.walk(first, orbit.period)
    return _with_turn(orbit, section, first, turn)


def describe_found(system: System, first: FloatArray, turn: Walk) -> FluidOrbit:
    """Name and describe an orbit given by a full memory on it and a walk that returns there.

    The walk may go round more than once: the period is its shortest.
    """
    section = Section.of(system)
    steps = turn.cut.size
    state, period = first, steps
    phases = []
    for i in range(1, steps + 1):
        state = section.step(state).amplitude
        phases.append(state)
        if steps % i == 0 and section.distance(state, first) <= RECURS:
            period = i
            break
    turn = section.walk(first, period)
    name = _name(system, section, phases)
    throughput = float(turn.completed.mean())
    orbit = Orbit(name, period, throughput, Cohorts.of(first))
    return _with_turn(orbit, section, first, turn)


def _with_turn(orbit: Orbit, section: Section, first: FloatArray, turn: Walk) -> FluidOrbit:
    return FluidOrbit(
        orbit.name,
        orbit.period,
        orbit.throughput,
        orbit.start,
        float(turn.evicted.sum()),
        float(turn.wasted.sum()),
        multipliers(section, first, turn),
    )


def _name(system: System, section: Section, phases: list[FloatArray]) -> str:
    """What the closed forms call an orbit, given all its states."""
    period = len(phases)
    if period == 1:
        return FIXED_POINT
    if len(system.workload) == 1:  # every periodic orbit of one class is balanced
        oldest = next(state for state in phases if state[-1] > 0)
        ages = np.append(np.flatnonzero(oldest)[::-1], -1)
        gaps = (ages[:-1] - ages[1:]).tolist()
        largest = max(gaps[i:] + gaps[:i] for i in range(len(gaps)))
        return balanced_orbit(system, largest).name
    if system.workload.gcd % period == 0:
        pulse = pulse_cycle(system, period)
        if any(section.distance(state, pulse.start.amplitude) <= RECURS for state in phases):
            return pulse.name
    return f"cycle of {period:,} iterations"
