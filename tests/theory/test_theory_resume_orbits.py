"""Orbits under resume and swap: in exact fractions, by the plain model, and by counting."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, Eviction, System, iterate
from kvsteady.theory import OrbitStability, equilibrium, spectrum
from kvsteady.theory.resume_orbits import (
    Counterpart,
    ResumeOrbit,
    every_resume_orbit,
    find_resume_orbits,
    one_cohort,
)
from kvsteady.workload import Workload
from reference.levels import determinant, jacobian, mapped, solved
from reference.requeue import fluid_step

MEMORY = 1_000_000


def system_of(l0: int, l1: int) -> System:
    return System(Workload.fixed(l0, l1), MEMORY)


def marginals(orbit: ResumeOrbit) -> Counter[tuple[int, ...]]:
    """The marginal ages in every phase."""
    return Counter(orbit.marginal[i:] + orbit.marginal[:i] for i in range(orbit.period))


def interval_orbits(l0: int, longest: int) -> dict[frozenset[Fraction], tuple[int, ...]]:
    """All periodic orbits of l1 = 2, memory 1, in fractions: the points with their branches.

    ``y ↦ (1 − w1 y) / w0`` where all who have a token fit, ``y ↦ y − 1/w1`` where they do not.
    """
    w0, w1 = Fraction(l0 + 1), Fraction(l0 + 2)
    found: dict[frozenset[Fraction], tuple[int, ...]] = {}
    for period in range(1, longest + 1):
        for word in product((0, 1), repeat=period):
            slope, offset = Fraction(1), Fraction(0)
            for branch in word:
                if branch:
                    offset -= 1 / w1
                else:
                    slope, offset = -slope * w1 / w0, (1 - w1 * offset) / w0
            if slope == 1:  # nobody enters
                continue
            y = start = offset / (1 - slope)
            points, own = [], True
            for branch in word:
                points.append(y)
                own &= y >= 0 and (w1 * y >= 1 if branch else w1 * y <= 1)
                y = y - 1 / w1 if branch else (1 - w1 * y) / w0
            if own and y == start and len(set(points)) == period:
                found.setdefault(frozenset(points), word)
    return found


@pytest.mark.parametrize("l0", [0, 1, 2, 5])
def test_two_output_tokens_in_exact_fractions(l0: int) -> None:
    w0, w1 = Fraction(l0 + 1), Fraction(l0 + 2)
    expected = interval_orbits(l0, 8)
    found = every_resume_orbit(system_of(l0, 2), 8)
    assert len(found) == len(expected)
    for orbit in found:
        y = Fraction(orbit.start.amplitude[1] / MEMORY)
        points, word = min(expected.items(), key=lambda item: min(abs(y - p) for p in item[0]))
        assert min(abs(y - p) for p in points) < Fraction(1, 10**12)
        assert len(points) == orbit.period
        # Once round in fractions: over memory's edge, those who were in memory leave it.
        y = min(points, key=lambda p: abs(y - p))
        completed = evicted = Fraction(0)
        for _ in range(2):  # the second time it is known who waits
            completed = evicted = Fraction(0)
            all_in = True
            for _ in points:
                completed += min(y, 1 / w1)
                over = y - 1 / w1
                evicted += over if over > 0 and all_in else 0
                all_in = over <= 0
                y = over if over > 0 else (1 - w1 * y) / w0
        tokens = evicted * (l0 + 1) / completed  # prompt and the one token generated
        assert orbit.evictions == pytest.approx(float(evicted) * MEMORY, abs=1e-6)
        assert orbit.throughput * orbit.period == pytest.approx(float(completed) * MEMORY)
        assert orbit.recomputed_tokens == pytest.approx(float(tokens), abs=1e-9)
        if orbit.multipliers.touches:
            assert any(w1 * p == 1 for p in points)
            continue
        multiplier = (-w1 / w0) ** word.count(0)
        assert orbit.multipliers.values == pytest.approx([float(multiplier)])


def test_without_prompts_two_tokens_have_as_many_orbits_as_the_golden_mean_shift() -> None:
    # [0, ½] covers everything and [½, 1] covers [0, ½]: period p has Lucas-number many points.
    lucas = [2, 1]
    while len(lucas) < 13:
        lucas.append(lucas[-1] + lucas[-2])
    found = every_resume_orbit(system_of(0, 2), 12)
    number = Counter(orbit.period for orbit in found)
    for period in range(1, 13):
        points = sum(d * number[d] for d in range(1, period + 1) if period % d == 0)
        assert points == lucas[period], period


@pytest.mark.parametrize(("l0", "l1", "longest"), [(2, 3, 6), (0, 4, 5), (2, 5, 5)])
def test_multipliers_are_those_of_exact_derivatives(l0: int, l1: int, longest: int) -> None:
    weights = [Fraction(l0 + i + 1) for i in range(l1)]
    seen = 0
    for orbit in every_resume_orbit(system_of(l0, l1), longest):
        if orbit.multipliers.switching_margin < 1e-6:
            continue
        seen += 1
        y = [Fraction(float(v)) / MEMORY for v in orbit.start.amplitude]
        turn, expected = np.eye(l1 - 1), Fraction(1)
        for age in orbit.marginal:
            level, matrix = jacobian(weights, y)
            assert level == age
            # What test_theory_resume.py shows of every piece, multiplied up.
            assert abs(determinant(matrix)) == weights[-1] / weights[age]
            expected *= weights[-1] / weights[age]
            turn = np.array([[float(v) for v in row] for row in matrix]) @ turn
            y = mapped(weights, y)[1]
        sizes = np.abs(orbit.multipliers.values)
        assert np.sort(np.abs(np.linalg.eigvals(turn)))[::-1] == pytest.approx(sizes, rel=1e-6)
        assert np.prod(sizes) == pytest.approx(float(expected), rel=1e-6)
        assert expected > 1
        assert orbit.multipliers.outcome is OrbitStability.REPELS
        assert sizes.min() > 1  # no direction shrinks: numerical, ours
    assert seen >= 5


@pytest.mark.parametrize(("l0", "l1", "longest"), [(3, 2, 6), (10, 3, 6), (0, 4, 5), (2, 5, 5)])
def test_a_turn_costs_what_it_costs_in_the_plain_model(l0: int, l1: int, longest: int) -> None:
    system = system_of(l0, l1)
    weights = np.arange(l0 + 1.0, l0 + l1 + 1)
    found = every_resume_orbit(system, longest)
    assert sum(orbit.evictions > 0 for orbit in found) >= 2
    for orbit in found:
        running, waiting = orbit.start.amplitude.copy(), np.zeros(l1)
        evicted = tokens = completed = 0.0
        for _ in range(orbit.period):
            running, after, executed = fluid_step(weights, MEMORY, running, waiting)
            out = np.maximum(after - waiting, 0.0)
            evicted, tokens = evicted + out.sum(), tokens + out @ (weights - 1)
            completed += executed[-1]
            waiting = after
        slip = MEMORY * 1e-9
        assert running == pytest.approx(orbit.start.amplitude, abs=slip)
        assert waiting == pytest.approx(np.zeros(l1), abs=slip)
        assert orbit.evictions == pytest.approx(evicted, abs=slip)
        assert orbit.recomputed_tokens == pytest.approx(tokens / completed, abs=1e-6)
        assert orbit.swapped_tokens == pytest.approx(2 * tokens / completed, abs=1e-6)
        # Nobody decodes a token twice and memory is full: x* = 2 M / (l1 (2 l0 + l1 + 1)).
        assert orbit.throughput == pytest.approx(2 * MEMORY / (l1 * (2 * l0 + l1 + 1)))
        assert orbit.recomputed_tokens <= l1


@pytest.mark.parametrize("eviction", [Eviction.RESUME, Eviction.SWAP])
def test_swap_moves_what_resume_recomputes(eviction: Eviction) -> None:
    system = system_of(10, 4)
    orbit = next(o for o in every_resume_orbit(system, 4) if o.evictions > 0)
    run = iterate(system, steps=orbit.period, start=orbit.start, eviction=eviction).averages()
    recomputed, swapped = run.recomputed_tokens, run.swapped_tokens
    if eviction is Eviction.RESUME:
        assert recomputed / run.completed == pytest.approx(orbit.recomputed_tokens)
        assert swapped == 0
    else:
        assert swapped / run.completed == pytest.approx(orbit.swapped_tokens)
        assert recomputed == 0


def full_turn(l0: int, l1: int) -> list[Fraction]:
    """Evicted at the ages 1 … l1 − 1 of one large cohort, memory 1, if each turn is as the last.

    Unknown are they and ``r[τ]``, who of the cohort runs at age τ. At age τ whoever was evicted at
    age i runs i + τ tokens old, and memory is full.
    """
    w = [Fraction(l0 + i + 1) for i in range(l1)]
    size = 2 * l1 - 1  # e_1 … e_(l1−1), r_0 … r_(l1−1)
    matrix, right = [], []
    for tau in range(l1):
        row = [Fraction(0)] * size
        for i in range(1, l1 - tau):
            row[i - 1] = w[i + tau]
        row[l1 - 1 + tau] = w[tau]
        matrix.append(row)
        right.append(Fraction(1))
    for tau in range(1, l1):
        row = [Fraction(0)] * size
        row[tau - 1], row[l1 - 2 + tau], row[l1 - 1 + tau] = Fraction(1), Fraction(-1), Fraction(1)
        matrix.append(row)
        right.append(Fraction(0))
    return solved(matrix, right)[: l1 - 1]


@pytest.mark.parametrize("l0", [0, 1, 7, 300])
@pytest.mark.parametrize("l1", range(2, 10))
def test_the_counterpart_of_the_worst_cycle(l0: int, l1: int) -> None:
    evicted = full_turn(l0, l1)
    found = one_cohort(system_of(l0, l1))
    if l1 >= 4:
        assert min(evicted) < 0
        assert found.outcome is Counterpart.NONE
        assert found.orbit is None
        return
    assert found.orbit is not None
    assert found.orbit.period == l1
    assert found.orbit.evictions == pytest.approx(float(sum(evicted)) * MEMORY)
    if l1 == 3:
        assert evicted[0] == 0 < evicted[1]
        assert found.outcome is Counterpart.ON_A_BREAK
        assert found.orbit.multipliers.outcome is OrbitStability.SWITCHES
    else:
        assert evicted[0] == Fraction(1, (l0 + 2) * (2 * l0 + 3)) > 0
        assert found.outcome is Counterpart.REPELS
        assert found.orbit.multipliers.values == pytest.approx([-(l0 + 2) / (l0 + 1)])
        assert found.orbit.multipliers.outcome is OrbitStability.REPELS


def test_one_cohort_evicts_as_soon_as_it_grows() -> None:
    system = system_of(7, 12)
    found = one_cohort(system)
    start = Cohorts.of([0.0, MEMORY / 8.0, *[0.0] * 10])  # M / (l0 + 1) requests with a token each
    run = iterate(system, steps=1, start=start, eviction=Eviction.RESUME)
    assert found.first_evicted == Fraction(1, 9)
    assert run.evicted[0] / (MEMORY / 8) == pytest.approx(1 / 9)
    assert one_cohort(system_of(5, 1)).outcome is Counterpart.FIXED_POINT


def test_the_fixed_point_is_one_of_them_and_has_the_roots_of_the_spectrum() -> None:
    system = system_of(6, 9)
    (fixed,) = find_resume_orbits(system, 1, starts=1, steps=100)
    assert (fixed.name, fixed.evictions) == ("eviction-free fixed point", 0.0)
    assert fixed.throughput == pytest.approx(equilibrium(system).admissions)
    roots = np.roots(np.arange(7.0, 16.0))
    assert np.abs(fixed.multipliers.values) == pytest.approx(np.sort(np.abs(roots))[::-1])
    assert np.prod(np.abs(fixed.multipliers.values)) == pytest.approx(15 / 7)
    mix = System(Workload.classes([(5000, 16), (5000, 15)]), MEMORY)
    (settled,) = find_resume_orbits(mix, 1, starts=1, steps=100)
    assert settled.multipliers.outcome is OrbitStability.ATTRACTS
    assert settled.multipliers.radius == pytest.approx(spectrum(mix.workload).radius)


@pytest.mark.parametrize(("l0", "l1", "longest"), [(0, 2, 8), (0, 3, 6), (0, 4, 5), (2, 5, 5)])
def test_runs_come_near_most_short_orbits(l0: int, l1: int, longest: int) -> None:
    system = system_of(l0, l1)
    every = every_resume_orbit(system, longest)
    found = find_resume_orbits(system, longest, steps=2000)
    known = {phase for orbit in every for phase in marginals(orbit)}
    for orbit in found:
        assert orbit.marginal in known or orbit.multipliers.touches
    assert len(every) / 2 < len(found) <= len(every)
    assert {orbit.marginal for orbit in find_resume_orbits(system, longest, steps=2000)} == {
        orbit.marginal for orbit in found
    }


def test_longer_outputs_have_dressed_cohorts_that_repel_everywhere() -> None:
    found = find_resume_orbits(system_of(20, 8), 16)
    dressed = [orbit for orbit in found if orbit.evictions > 0]
    assert len(dressed) >= 5
    for orbit in dressed:
        assert orbit.period % 8 == 0
        assert np.abs(orbit.multipliers.values).min() > 1
        logs = sum(math.log(28 / (21 + age)) for age in orbit.marginal)
        assert np.log(np.abs(orbit.multipliers.values)).sum() == pytest.approx(logs, rel=1e-6)
        assert orbit.recomputed_tokens < (8 - 1) / 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: every_resume_orbit(system_of(1, 10), 7),
        lambda: every_resume_orbit(system_of(1, 2), 0),
        lambda: find_resume_orbits(system_of(1, 2), 0),
        lambda: find_resume_orbits(system_of(1, 2), 2, tolerance=0),
        lambda: one_cohort(System(Workload.classes([(1, 2), (1, 3)]), 1000)),
    ],
)
def test_impossible_searches_are_refused(wrong: object) -> None:
    with pytest.raises(InputError):
        wrong()
