"""Find the periodic orbit that a run ends in, exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.model.admission import UNLIMITED
from kvsteady.model.cycle import Search, find_cycle
from kvsteady.model.fluid import COLUMNS
from kvsteady.model.machines import Arithmetic, Machine, machine
from kvsteady.model.state import Cohorts, State
from kvsteady.model.system import System
from kvsteady.theory.orbits.described import FluidOrbit, IntegerOrbit, describe_found
from kvsteady.theory.orbits.floquet import OrbitStability, monodromy, occupied_ages, pivot
from kvsteady.theory.orbits.section import Section, Walk
from kvsteady.workload.ranges import real_number, whole_number

# A state that Newton has settled on moves by less than this share of memory in a period.
_SETTLED = 1e-11
_NEWTON_STEPS = 8
_ATTEMPTS = 12
# Cohorts times iterations up to which a recurrence is followed: some seconds.
_LONGEST = 2_000_000
_CHUNK = 1 << 16


class Recurrence(Enum):
    """How a search ended; the value says what to do next."""

    PERIODIC = "a periodic orbit: its cuts were followed for one period and are its own"
    NOT_FOUND = (
        "no periodic orbit: allow more iterations, or ask for the Lyapunov exponent. At 0 the run "
        "never recurs and never drifts apart: it winds around a closed curve of states"
    )


@dataclass(frozen=True, eq=False)
class OrbitSearch:
    """Where greedy admission leads from a start.

    Attributes
    ----------
    outcome
        Whether a periodic orbit was found.
    orbit
        The orbit, or None.
    passed
        Repelling orbits that the run came close to before, in order.
    residual
        How closely the orbit recurs in floating point, in tokens relative to M; 0 for whole
        requests.
    """

    outcome: Recurrence
    orbit: FluidOrbit | IntegerOrbit | None
    passed: tuple[FluidOrbit, ...]
    residual: float


def find_orbit(
    system: System,
    start: Cohorts | State | None = None,
    *,
    arithmetic: Arithmetic = "fluid",
    limit: int = 1_000_000,
    tolerance: float = 1e-6,
) -> OrbitSearch:
    """Run greedy admission from ``start`` (None: empty) until it recurs, and find its orbit.

    In the integer model states recur exactly. In the fluid model a run only nears its orbit: at
    a recurrence within ``tolerance`` (relative to the requests that fit in memory) the cuts of
    the period are kept, and Newton's method solves for the state that they return to itself. The
    map is linear there, so one step is exact if the cuts are right, which is then verified.
    Repelling orbits that a run lingers at are noted, and the search goes on. ``limit`` bounds
    the iterations between two recurrences.

    Raises
    ------
    InputError
        An integer run of random lengths, which has no exact cycle; a number out of range.
    """
    limit = whole_number(limit, "limit", 1, 2**62)
    tolerance = real_number(tolerance, "tolerance")
    if arithmetic == "integer":
        return _find_whole(system, start, limit)
    section = Section.of(system)
    runner = machine(system, UNLIMITED, arithmetic, start, seed=0)
    # One lifetime first: deviations in the mix of the start have left by then.
    runner.advance(np.empty((section.weights.size, COLUMNS)))
    scale = section.capacity / float(section.weights[0])
    passed: list[FluidOrbit] = []
    for _ in range(_ATTEMPTS):
        period, _ = runner.seek(limit, tolerance * scale)
        if period == 0:
            break
        state = _full_memory(system, section, runner)
        settled = _settle(section, state, period)
        if settled is None:
            tolerance /= 10
            continue
        orbit = describe_found(system, *settled)
        if orbit.multipliers.outcome is not OrbitStability.REPELS:
            residual = orbit.multipliers.residual
            return OrbitSearch(Recurrence.PERIODIC, orbit, tuple(passed), residual)
        if not passed or passed[-1].name != orbit.name:
            passed.append(orbit)
        # Rounding is a deviation too: it grows from 1e-16 to the size of the orbit.
        folds = 40 / math.log(orbit.multipliers.growth)
        runner.advance(np.empty((max(1, int(min(folds, limit, 1e6))), COLUMNS)))
    return OrbitSearch(Recurrence.NOT_FOUND, None, tuple(passed), math.inf)


def lyapunov_exponent(
    system: System,
    start: Cohorts | State | None = None,
    *,
    steps: int = 20_000,
    burn_in: int = 100_000,
) -> float:
    """Growth per iteration, as a logarithm, of deviations from the run from ``start`` (ours).

    Below 0 the run attracts its neighbours (−∞: they join it exactly), above 0 it is chaotic; at
    0, where it is not periodic, it winds around a closed curve. On a periodic orbit it is the
    logarithm of `Multipliers.growth`. Deviations are followed for ``steps`` iterations along the
    cuts of the run.
    """
    steps = whole_number(steps, "steps", 1, 10_000_000)
    section = Section.of(system)
    runner = machine(system, UNLIMITED, "fluid", start, seed=0)
    left = whole_number(burn_in, "burn_in", 0, 2**40) + section.weights.size
    while left:
        chunk = min(left, _CHUNK)
        runner.advance(np.empty((chunk, COLUMNS)))
        left -= chunk
    state = _full_memory(system, section, runner)
    weights = section.weights
    deviation = np.random.default_rng(0).standard_normal(weights.size) * (state > 0)
    total = 0.0
    for i in range(steps):
        now = section.step(state)
        state, cut = now.amplitude, now.cut
        aged = np.concatenate(([0.0], deviation[:-1]))
        aged[: cut + 1] = 0.0
        aged[cut] = -(weights @ aged) / weights[cut]
        size = float(weights @ np.abs(aged))
        if size == 0:
            return -math.inf
        # The first lifetime brings the deviation into line.
        total += math.log(size) if i >= steps // 4 else 0.0
        deviation = aged / size
    return total / (steps - steps // 4)


def _find_whole(system: System, start: Cohorts | State | None, limit: int) -> OrbitSearch:
    cycle = find_cycle(system, arithmetic="integer", start=start, limit=limit)
    if cycle.outcome is not Search.EXACT or cycle.turn is None:
        return OrbitSearch(Recurrence.NOT_FOUND, None, (), math.inf)
    orbit = IntegerOrbit(
        f"cycle of whole requests, period {cycle.period:,}",
        cycle.period,
        cycle.throughput,
        cycle.state,
        cycle.evictions,
        cycle.turn.wasted_tokens * cycle.period,
    )
    return OrbitSearch(Recurrence.PERIODIC, orbit, (), 0.0)


def _full_memory(system: System, section: Section, runner: Machine) -> FloatArray:
    """Amplitudes of a running model, taken to the section; its cohorts have the law's mix."""
    load, state = system.workload, runner.state()
    longest = state.row == len(load) - 1  # a class that no cohort has lost yet
    before = np.zeros(section.weights.size)
    before[state.age[longest]] = state.mass[longest] / load.share[-1]
    return section.fill(before).amplitude


def _settle(section: Section, state: FloatArray, period: int) -> tuple[FloatArray, Walk] | None:
    """Newton's method for a state that recurs after ``period`` iterations, cuts verified."""
    for _ in range(_NEWTON_STEPS):
        if period * max(1, int(np.count_nonzero(state))) > _LONGEST:
            return None
        turn = section.walk(state, period)
        if section.distance(turn.amplitude, state) <= _SETTLED:
            return state, turn
        try:
            ages = occupied_ages(state, turn.cut)
            matrix = monodromy(section, state, turn.cut)
        except InputError:
            return None
        left_out = pivot(section, state)
        free = ages[ages != left_out]
        gap = (turn.amplitude - state)[free]
        move = np.linalg.lstsq(np.eye(free.size) - matrix, gap, rcond=None)[0]
        state = state.copy()
        state[free] += move
        state[section.weights * np.abs(state) < _SETTLED * section.capacity] = 0.0
        state[left_out] = 0.0
        room = section.capacity - float(section.weights @ state)
        state[left_out] = room / section.weights[left_out]
        if (state < 0).any():
            return None
    return None
