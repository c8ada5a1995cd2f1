"""Where one class ends, in exact arithmetic: Theorem 2's basin and its exceptional set."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, System, iterate
from kvsteady.theory.orbits import (
    balanced_orbit,
    capture_examples,
    exact_end,
    floquet,
    worst_cycle_basin,
)
from kvsteady.workload import Workload
from reference.pwl import Amplitudes, Law, full


def orbit_states(law: Law, gaps: list[int]) -> list[Amplitudes]:
    """All states of a balanced orbit, exactly: cohort masses ∝ gaps, memory full (section 4)."""
    (l0, l1, _), *_ = law.classes
    unit = Fraction(2 * law.capacity, l1 * (2 * l0 + l1) + sum(gap**2 for gap in gaps))
    state, age = [Fraction(0)] * l1, l1 - 1
    for gap in gaps:
        state[age] = unit * gap
        age -= gap
    assert law.used(state) == law.capacity
    return [full(law, state, t) for t in range(l1)]


CASES = [(0, [1, 1]), (5, [1] * 6), (5, [3, 3]), (5, [2, 1, 3]), (0, [5, 1]), (30, [4, 4, 1])]


@pytest.mark.parametrize(("l0", "gaps"), CASES)
def test_captured_states_stay_on_their_orbit_for_ever_and_their_neighbours_leave(
    l0: int, gaps: list[int]
) -> None:
    l1 = sum(gaps)
    system = System(Workload.fixed(l0, l1), 12 * (l0 + l1))
    law = Law.of(system.workload, system.kv_tokens)
    states = orbit_states(law, gaps)
    examples = capture_examples(system, gaps)
    assert len(examples) == (1 if gaps[0] == 1 else 2)
    for example in examples:
        captured, perturbed = list(example.captured), list(example.perturbed)
        assert captured != perturbed
        assert example.codimension == len(gaps) - 1
        # Within l1 iterations the captured state is on the orbit, exactly: for ever, therefore.
        assert full(law, captured, l1) in states
        assert full(law, perturbed, l1) not in states
        assert full(law, perturbed, 4 * l1) not in states
        assert example.end.iterations is not None
        assert example.end.iterations <= l1
        rotations = [tuple(gaps[i:] + gaps[:i]) for i in range(len(gaps))]
        assert example.end.composition in rotations
        # The neighbour ends in the worst cycle, exactly.
        after = example.perturbed_end.iterations
        assert after is not None
        assert example.perturbed_end.composition == (l1,)
        assert full(law, perturbed, after) in orbit_states(law, [l1])
        assert full(law, perturbed, after - 1) not in orbit_states(law, [l1])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_every_run_of_one_class_ends_exactly_on_a_balanced_orbit(data: st.DataObject) -> None:
    # Ours. The reference runs it, in fractions, and the end must be one of the closed forms.
    l0, l1 = data.draw(st.integers(0, 4)), data.draw(st.integers(1, 5))
    capacity = data.draw(st.integers(l0 + l1, 60))
    start = data.draw(st.lists(st.fractions(0, 20, max_denominator=20), min_size=l1, max_size=l1))
    law = Law.of(Workload.fixed(l0, l1), capacity)
    end = exact_end(System(Workload.fixed(l0, l1), capacity), start)
    assert end.iterations is not None
    reached = full(law, list(start), end.iterations)
    assert reached == list(end.amplitude)
    assert reached in orbit_states(law, list(end.composition))
    # And not before: the state recurs after l1 iterations from there on only.
    if end.iterations:
        before = full(law, list(start), end.iterations - 1)
        assert full(law, before, l1) != before


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_the_basin_of_the_worst_cycle_captures_within_one_output(data: st.DataObject) -> None:
    l0, l1 = data.draw(st.integers(0, 12)), data.draw(st.integers(2, 9))
    capacity = data.draw(st.integers(l0 + l1, 500))
    system = System(Workload.fixed(l0, l1), capacity)
    law = Law.of(system.workload, capacity)
    youngest = data.draw(st.integers(0, l1 - 2))
    older = data.draw(
        st.lists(st.integers(0, 9), min_size=l1 - 1 - youngest, max_size=l1 - 1 - youngest)
    )
    share = Fraction(capacity, (l0 + l1) ** 2) / max(1, sum(older))
    assert float(share) * max(1, sum(older)) == pytest.approx(worst_cycle_basin(system))
    state = [Fraction(0)] * l1
    for age, parts in enumerate(older, start=youngest + 1):
        state[age] = parts * share
    state[youngest] = (capacity - law.used(state)) / law.weight(youngest)
    assert full(law, state, l1 - youngest) in orbit_states(law, [l1])


def test_rounding_carries_a_float_run_away_at_the_rate_of_the_multiplier() -> None:
    # The same captured state in floating point: it leaves, because 1e-16 grows.
    system = System(Workload.fixed(5, 6), 1000)
    orbit = balanced_orbit(system, [3, 3])
    assert floquet(system, orbit).values == pytest.approx([-11 / 8])  # (l0 + l1) / (l0 + gap)
    run = iterate(system, steps=1000, start=orbit.start)
    assert run.completed[:30].mean() == pytest.approx(orbit.throughput, rel=1e-9)
    assert run.averages(600).completed == pytest.approx(1000 / 11 / 6, rel=1e-9)
    moved = orbit.start.amplitude.copy()
    moved[5] *= 1 + 1e-8
    run = iterate(system, steps=100, start=Cohorts.of(moved))
    pulses = run.completed[6:60:3] - 3 * orbit.throughput
    assert pulses[13] / pulses[3] == pytest.approx((11 / 8) ** 10, rel=1e-3)


def test_what_has_no_exceptional_set_is_refused() -> None:
    one, two = System(Workload.fixed(2, 4), 100), System(Workload.classes([(2, 3), (2, 4)]), 100)
    with pytest.raises(InputError, match="worst cycle"):
        capture_examples(one, [4])
    with pytest.raises(InputError, match="composition"):
        capture_examples(one, [2, 1])
    for refused in (lambda: exact_end(two, [1, 1, 1, 1]), lambda: worst_cycle_basin(two)):
        with pytest.raises(InputError, match="classes"):
            refused()
    for start in ([1, 1, 1], [1, 1, -1, 1], [1, 1, float("nan"), 1], [1, 1, "x", 1]):
        with pytest.raises(InputError, match="start"):
            exact_end(one, start)
    cut_short = exact_end(one, [6, 6, 5, 1], limit=1)
    assert (cut_short.iterations, cut_short.composition) == (None, ())
