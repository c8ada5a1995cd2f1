"""Multipliers of orbits against closed forms, and against deviations measured in the model."""

from __future__ import annotations

from fractions import Fraction
from math import gcd

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, State, System, iterate
from kvsteady.theory.orbits import (
    FluidOrbit,
    Multipliers,
    OrbitStability,
    balanced_orbit,
    find_orbit,
    floquet,
    local_picture,
    pulse_cycle,
    worst_cycle,
)
from kvsteady.workload import Workload
from reference.pwl import Law, full
from reference.systems import systems


def by_size(values: np.ndarray) -> np.ndarray:
    """Sorted so that two lists of the same numbers stand side by side: power sums do not mind."""
    return np.array([(values**power).sum().real for power in (1, 2, 3)])


def law_weights(system: System) -> list[float]:
    """``E[(L0 + m + 1) 1{L1 > m}]`` by its definition."""
    load = system.workload
    rows = list(zip(load.prompt.tolist(), load.output.tolist(), load.share.tolist(), strict=True))
    return [
        sum(p * (l0 + m + 1) for l0, l1, p in rows if l1 > m) for m in range(load.longest_output)
    ]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_multipliers_of_the_fixed_point_are_the_roots_of_the_survival_polynomial(
    data: st.DataObject,
) -> None:
    # Theory, section 3: the linearisation of greedy admission about x* has that spectrum.
    system = data.draw(systems())
    found = floquet(system, pulse_cycle(system, 1))
    expected = np.roots(law_weights(system))
    assert found.values.size == expected.size
    np.testing.assert_allclose(by_size(found.values), by_size(expected), rtol=1e-7, atol=1e-7)
    assert found.radius == pytest.approx(np.abs(expected).max(initial=0), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_the_multipliers_of_a_pulse_cycle_are_the_roots_of_the_pulse_polynomial(
    data: st.DataObject,
) -> None:
    # Section 5: pulses g apart obey Σ_j W_j d_{t−j} = 0, W_j = E[(L0 + jg) 1{L1 ≥ jg}].
    gap = data.draw(st.integers(2, 4))
    row = st.tuples(st.integers(0, 20), st.integers(1, 5), st.integers(1, 9))
    rows = data.draw(st.lists(row, min_size=1, max_size=3))
    prompts, outputs, counts = zip(*rows, strict=True)
    load = Workload.from_counts(prompts, [gap * n for n in outputs], counts)
    system = System(load, 10_000)
    total = sum(counts)
    heights = [
        sum(n * (l0 + j) for l0, l1, n in rows if l1 * gap >= j) / total
        for j in range(gap, gap * max(outputs) + 1, gap)
    ]
    found = floquet(system, pulse_cycle(system, gap))
    expected = np.roots(heights)
    np.testing.assert_allclose(by_size(found.values), by_size(expected), rtol=1e-8, atol=1e-8)


def test_the_pulses_of_unequal_prompts_repel_and_those_of_the_tiers_are_neutral() -> None:
    # Section 5. 34 z² + 37 z + 34.3: a complex pair of modulus √(34.3 / 34).
    unequal = System(Workload.classes([(10, 6, 0.3), (40, 9, 0.7)]), 10_000)
    found = floquet(unequal, pulse_cycle(unequal))
    np.testing.assert_allclose(np.abs(found.values), np.sqrt(34.3 / 34), rtol=1e-12)
    assert found.values[0].real == pytest.approx(-37 / 68)
    assert found.outcome is OrbitStability.REPELS
    # 384 z³ + 341⅓ z² + 213⅓ z + 256 = (z + 1)(384 z² − 42⅔ z + 256).
    tiers = System(Workload.classes([(256, 128), (256, 256), (256, 512)]), 1_000_000)
    found = floquet(tiers, pulse_cycle(tiers))
    assert found.values[0] == pytest.approx(-1)
    np.testing.assert_allclose(np.abs(found.values[1:]), np.sqrt(256 / 384), rtol=1e-12)
    assert found.outcome is OrbitStability.NEUTRAL
    assert not found.stable


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 50), st.lists(st.integers(1, 5), min_size=2, max_size=6))
def test_the_product_of_the_multipliers_of_a_balanced_orbit(l0: int, gaps: list[int]) -> None:
    # Each admission replaces the oldest of s cohorts, of weight l0 + l1, by one of weight
    # l0 + gap when it is last cut: determinant (−1)^(s−1) (l0 + l1) / (l0 + gap) each.
    l1, cohorts = sum(gaps), len(gaps)
    system = System(Workload.fixed(l0, l1), 1000 * (l0 + l1))
    orbit = balanced_orbit(system, gaps)
    found = floquet(system, orbit)
    admitted = cohorts * orbit.period // l1
    expected = 1.0
    for gap in gaps[:admitted]:
        expected *= (-1) ** (cohorts - 1) * (l0 + l1) / (l0 + gap)
    assert np.prod(found.values).real == pytest.approx(expected, rel=1e-9)
    assert found.outside == found.values.size == cohorts - 1
    assert found.outcome is OrbitStability.REPELS


@pytest.mark.parametrize("l0", [0, 1, 20, 400])
@pytest.mark.parametrize("l1", range(1, 10))
def test_theorem_2s_picture_all_balanced_orbits_repel_but_the_worst(l0: int, l1: int) -> None:
    picture = local_picture(l0, l1)
    # Compositions up to rotation are binary necklaces other than the one of zeros (Burnside).
    necklaces = sum(2 ** gcd(l1, turn) for turn in range(l1)) // l1
    assert picture.orbits == necklaces - 1
    assert picture.repelling == picture.orbits - 1
    assert picture.attracting == ("worst cycle" if l1 > 1 else "eviction-free fixed point",)
    assert picture.exceptions == 0
    assert picture.weakest_multiplier > 1
    assert picture.switching_margin > 0


def test_the_worst_cycle_has_no_multiplier_and_its_own_margin() -> None:
    # One cohort: a full memory fixes it. It evicts least on the way to its last token: one token
    # from each of M / (l0 + l1 − 1) requests.
    system = System(Workload.fixed(3, 7), 900)
    found = floquet(system, worst_cycle(system))
    assert (found.values.size, found.radius, found.margin, found.stable) == (0, 0, 1, True)
    assert found.switching_margin == pytest.approx(1 / 9)
    assert found.empty_ages == 6


def measured_return(system: System, orbit: FluidOrbit) -> np.ndarray:
    """Jacobian of the return map on the occupied ages, from runs of the model."""
    law = Law.of(system.workload, system.kv_tokens)
    need = np.array([float(law.weight(i)) for i in range(law.longest)])
    start = orbit.start.amplitude
    ages = np.flatnonzero(start)
    base, free = ages[np.argmax((need * start)[ages])], []
    small = min(orbit.multipliers.switching_margin, 1) * system.kv_tokens * 1e-4
    small = min(small, 0.1 * (need * start)[ages].min())
    free = ages[ages != base]

    def returns(amplitude: np.ndarray) -> np.ndarray:
        run = iterate(system, steps=orbit.period, start=Cohorts.of(amplitude))
        table = run.state(orbit.period).table(system)
        before = table[-1] / float(system.workload.share[-1])
        # In memory during the next iteration: cut or filled up from the oldest.
        after, room = np.zeros_like(before), float(system.kv_tokens)
        for age in range(before.size - 1, 0, -1):
            after[age] = min(before[age], room / need[age])
            room -= after[age] * need[age]
        after[0] = room / need[0]
        return after[free]

    columns = []
    for age in free:
        pair = []
        for sign in (1, -1):
            moved = start.copy()
            moved[age] += sign * small / need[age]
            moved[base] -= sign * small / need[base]
            pair.append(returns(moved))
        columns.append((pair[0] - pair[1]) * need[age] / (2 * small))
    return np.array(columns).T


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_multipliers_of_a_found_orbit_predict_the_measured_return_map(data: st.DataObject) -> None:
    system = data.draw(systems(most=400, most_output=8))
    amplitude = data.draw(st.lists(st.integers(0, 9), min_size=8, max_size=8))
    start = Cohorts.of(np.array(amplitude[: system.workload.longest_output], dtype=float))
    orbit = find_orbit(system, start, limit=20_000).orbit
    assume(isinstance(orbit, FluidOrbit) and orbit.period <= 60)
    assert isinstance(orbit, FluidOrbit)
    assume(orbit.multipliers.switching_margin > 1e-6 and orbit.multipliers.radius < 50)
    measured = measured_return(system, orbit)
    expected = np.linalg.eigvals(measured) if measured.size else np.zeros(0)
    np.testing.assert_allclose(
        by_size(orbit.multipliers.values), by_size(expected), rtol=1e-4, atol=1e-4
    )


def test_deviations_at_empty_ages_leave_and_so_do_deviations_in_the_mix() -> None:
    # The stable pulse cycle of (20; 8, 16): multiplier −18/28 per 8 iterations. A hundredth of
    # a request put at empty ages, or requests of one class alone, leave nothing else behind.
    system = System(Workload.classes([(20, 8), (20, 16)]), 10_000)
    orbit = pulse_cycle(system)
    assert floquet(system, orbit).values == pytest.approx([-18 / 28])
    law = Law.of(system.workload, 10_000)
    start = [Fraction(10_000, 28 + 18) * (age % 8 == 7) for age in range(16)]
    assert full(law, start, 16) == full(law, start, 24) == start
    young, between = start.copy(), start.copy()
    young[2] += Fraction(1, 100)
    between[12] += Fraction(1, 100)
    assert full(law, young, 16) == start  # younger than every cohort: evicted, exactly
    # Older than one: gone after 16 iterations too, and a deviation of the pulses from then on.
    first, second = (full(law, between, t) for t in (16, 24))
    assert [age for age in range(16) if first[age]] == [7, 15]
    assert (second[7] - start[7]) / (first[7] - start[7]) == Fraction(-18, 28)
    table = np.outer(system.workload.share, orbit.start.amplitude)
    table[0, 8:] = 0
    table[1, 7] += 1.0
    run = iterate(system, steps=400, start=State.dense(table))
    later = run.state(393).table(system)
    assert later[0, 1:8] == pytest.approx(later[1, 1:8], abs=1e-9)  # the shares are equal
    assert run.completed[-9:].max() == pytest.approx(8 * orbit.throughput, rel=1e-6)


def test_a_state_that_does_not_recur_has_no_multipliers() -> None:
    system = System(Workload.fixed(2, 4), 100)
    with pytest.raises(InputError, match="moves by"):
        floquet(system, Cohorts.of([5.0, 3.0, 1.0, 2.0]), 4)
    with pytest.raises(InputError, match="period"):
        floquet(system, worst_cycle(system).start)
    with pytest.raises(InputError, match="period"):
        floquet(system, worst_cycle(system).start, 0)
    with pytest.raises(InputError, match="amplitude"):
        floquet(system, Cohorts.of([5.0]), 4)
    long = System(Workload.fixed(5, 10_000), 20_000)
    with pytest.raises(InputError, match="10,000 cohorts"):
        floquet(long, pulse_cycle(long, 1))
    assert floquet(system, worst_cycle(system).start, 8).stable  # twice round is a period too


def test_what_is_read_off_the_multipliers() -> None:
    def stability(*values: complex, room: float = 0.1, rounding: float = 1e-9) -> Multipliers:
        errors = np.full(len(values), rounding)
        return Multipliers(2, np.array(values, dtype=complex), errors, room, 3, 0.0)

    assert stability(0.5, 0.1).outcome is OrbitStability.ATTRACTS
    assert stability(-1.5, 1.2, 0.1).outcome is OrbitStability.REPELS
    assert stability(-1.5, 1.2, 0.1).outside == 2
    assert stability(1 + 1e-12).outcome is OrbitStability.NEUTRAL
    assert stability(1.5, room=0.0).outcome is OrbitStability.SWITCHES
    assert stability(-2.25).growth == pytest.approx(1.5)
    assert stability(0.25).margin == pytest.approx(0.75)
