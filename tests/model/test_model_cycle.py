"""The orbits of the theory as the model runs them, and the search that finds them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, Eviction, Search, State, System, find_cycle, iterate
from kvsteady.policies import RateCap
from kvsteady.theory import balanced_orbit, equilibrium, pulse_cycle, pulse_family, worst_cycle
from kvsteady.workload import Workload
from reference.integer import brute_force_period
from reference.systems import Paced, engine_of, systems, whole_starts

NOTE = System(Workload.fixed(2, 2), 140)
# Theory, section 8: requests of age 0 and 1 after admission, l0 = 2, l1 = 2, M = 140. By hand: a
# need 3 tokens and b need 4; fresh = (140 − 4b) // 3 unless 4a exceeds 140, then a is cut to 35.
SECTION_8 = [
    [21, 19], [18, 21], [22, 18], [17, 22], [24, 17], [14, 24], [28, 14], [9, 28], [34, 9],
    [1, 34], [45, 1], [0, 35], [46, 0], [0, 35], [46, 0], [0, 35],
]  # fmt: skip


def test_the_reference_orbit_of_section_8() -> None:
    # Those of age 1 after admission complete, so before the first iteration: 0 at age 0, 19 at 1.
    run = iterate(NOTE, steps=len(SECTION_8), arithmetic="integer", start=State.dense([[0, 19]]))
    for t, (fresh, old) in enumerate(SECTION_8):
        assert run.memory[t] == 3 * fresh + 4 * old <= 140
        assert run.running[t] == fresh + old
        assert run.completed[t] == old
        assert run.admitted[t] == fresh
    # 45 grow to need 180: 10 leave; 46 grow to need 184: 11 leave.
    assert run.evicted.tolist() == [0] * 11 + [10, 0, 11, 0, 11]


def test_the_cycle_of_section_8_has_period_2() -> None:
    cycle = find_cycle(NOTE, arithmetic="integer", start=State.dense([[0, 19]]))
    assert (cycle.outcome, cycle.period, cycle.residual) == (Search.EXACT, 2, 0.0)
    assert cycle.throughput == 35 / 2
    assert cycle.evictions == 11
    assert cycle.eviction is Eviction.RESTART


@pytest.mark.parametrize(("l0", "l1"), [(2, 2), (0, 2), (5, 1), (16, 32), (128, 100), (0, 300)])
def test_from_empty_one_class_falls_into_the_worst_cycle(l0: int, l1: int) -> None:
    # One cohort at a time fills M at its last token: M / (l0 + l1) complete every l1 iterations.
    memory = 960 * (l0 + l1)
    system = System(Workload.fixed(l0, l1), memory)
    expected = memory / (l0 + l1) / l1
    whole = find_cycle(system, arithmetic="integer")
    real = find_cycle(system, arithmetic="fluid")
    assert (whole.outcome, whole.period) == (Search.EXACT, l1)
    assert whole.throughput == pytest.approx(expected, rel=1e-12)
    assert real.period == l1
    assert real.throughput == pytest.approx(expected, rel=1e-9)
    assert worst_cycle(system).throughput == pytest.approx(expected, rel=1e-12)


def compositions(total: int) -> Iterator[list[int]]:
    if total == 0:
        yield []
    for first in range(1, total + 1):
        for rest in compositions(total - first):
            yield [first, *rest]


@pytest.mark.parametrize("gaps", list(compositions(6)), ids=str)
def test_every_composition_is_a_balanced_orbit(gaps: list[int]) -> None:
    l0, memory = 5, 1000
    system = System(Workload.fixed(l0, sum(gaps)), memory)
    # Cohort j has c·w_j members. As the first is about to complete it has l1 tokens and cohort
    # j+1 w_j fewer than cohort j; memory is full then, which fixes c, the completions per
    # iteration: in l1 iterations each cohort completes once, c Σ w_j = c l1 in all.
    tokens, need = sum(gaps), 0
    for gap in gaps:
        need += gap * (l0 + tokens)
        tokens -= gap
    expected = Fraction(memory, need)
    l1, squares = sum(gaps), sum(gap**2 for gap in gaps)
    assert expected == Fraction(2 * memory, l1 * (2 * l0 + l1) + squares)

    orbit = balanced_orbit(system, gaps)
    assert orbit.throughput == pytest.approx(float(expected), rel=1e-12)
    start = np.zeros(l1)
    age = l1 - 1
    for gap in gaps:
        start[age] = float(expected) * gap
        age -= gap
    np.testing.assert_allclose(orbit.start.amplitude, start, rtol=1e-12)
    run = iterate(system, steps=l1 + 1, start=orbit.start)
    assert run.memory[0] == pytest.approx(memory)
    assert run.rows[0, :2] == pytest.approx([0, 0], abs=1e-9)  # admitted, evicted
    assert run.averages(l1).completed == pytest.approx(float(expected), rel=1e-9)
    # The start is who is in memory during an iteration, after eviction and admission: states
    # before an iteration recur from the next one on, and not before the gaps come round.
    begin, *later = (run.state(t).table(system)[0] for t in range(1, l1 + 2))
    for t, state in enumerate(later, start=1):
        recurs = np.abs(state - begin).max() < 1e-7
        assert recurs == (t % orbit.period == 0)


PULSES = [
    # Theory, section 5: values of throughput / x*.
    ([(20, 8, 0.5), (20, 16, 0.5)], 8, 0.885870),
    ([(50, 4, 0.5), (50, 6, 0.5)], 2, 0.990672),
]


@pytest.mark.parametrize(("classes", "gap", "value"), PULSES)
def test_the_pulse_cycle_of_a_common_prompt(
    classes: list[tuple[int, int, float]], gap: int, value: float
) -> None:
    # Independently: cohorts of c·g requests every g iterations; when one is about to complete,
    # cohorts have g, 2g, … tokens, and memory is full.
    memory = 10_000
    full = sum(Fraction(p) * (l0 + j) for l0, l1, p in classes for j in range(gap, l1 + 1, gap))
    stationary = sum(Fraction(p) * (l0 + j) for l0, l1, p in classes for j in range(1, l1 + 1))
    expected = Fraction(memory) / (gap * full)
    assert float(expected * stationary / memory) == pytest.approx(value, abs=5e-7)

    system = System(Workload.classes(classes), memory)
    orbit = pulse_cycle(system)
    assert orbit.period == gap
    assert orbit.throughput == pytest.approx(float(expected), rel=1e-12)
    # Greedy admission is neutral or worse along the orbit: stay on it for a few turns.
    run = iterate(system, steps=3 * gap, start=orbit.start)
    assert run.throughput == pytest.approx(float(expected), rel=1e-9)
    np.testing.assert_allclose(
        run.state(gap + 1).table(system), run.state(1).table(system), atol=1e-8 * memory
    )
    # Greedy falls into it from nearly everywhere else too.
    far = iterate(system, steps=4 * gap * 100, burn_in=200_000)
    assert far.throughput == pytest.approx(float(expected), rel=1e-4)


def test_the_pulse_family_runs_from_the_fixed_point_to_gcd_and_every_member_is_an_orbit() -> None:
    system = System(Workload.classes([(20, 12), (20, 24)]), 50_000)
    family = pulse_family(system)
    assert [orbit.period for orbit in family] == [1, 2, 3, 4, 6, 12]
    assert family[0].throughput == pytest.approx(equilibrium(system).admissions, rel=1e-12)
    for narrow, wide in itertools.pairwise(family):
        assert wide.throughput < narrow.throughput
    for orbit in family:
        run = iterate(system, steps=12, start=orbit.start)
        assert run.throughput == pytest.approx(orbit.throughput, rel=1e-9)


UNEQUAL = [(10, 6, 0.3), (40, 9, 0.7)]


def test_the_pulse_cycle_of_unequal_prompts_is_an_exact_orbit_of_the_model() -> None:
    # Theory, section 5: formula 0.97436 x*. From its own start the model stays on it.
    system = System(Workload.classes(UNEQUAL), 10_000)
    best = equilibrium(system).admissions
    full = sum(p * (l0 + j) for l0, l1, p in UNEQUAL for j in range(3, l1 + 1, 3))
    orbit = pulse_cycle(system)
    assert orbit.throughput == pytest.approx(10_000 / (3 * full), rel=1e-12)
    assert orbit.throughput / best == pytest.approx(0.97436, abs=5e-6)
    run = iterate(system, steps=301, start=orbit.start)
    assert run.averages(300).completed == pytest.approx(orbit.throughput, rel=1e-9)
    np.testing.assert_allclose(
        run.state(4).table(system), run.state(1).table(system), atol=1e-8 * 10_000
    )


def test_greedy_leaves_the_pulse_cycle_of_unequal_prompts_because_it_is_unstable() -> None:
    # Theory, section 5, asks why 0.97305 is simulated. Cohorts 3 apart that keep memory full at
    # their peaks obey Σ_j W_j d_{t−j} = 0, W_j = E[(L0 + j) 1{L1 ≥ j}], j = 3, 6, 9: the survival
    # polynomial of the pulses. It is 34 z² + 37 z + 34.3 here: its pair of roots has the product
    # 34.3 / 34 > 1, so pulses of unequal height grow, by √(34.3 / 34) in three iterations.
    pulses = [sum(p * (l0 + j) for l0, l1, p in UNEQUAL if l1 >= j) for j in (3, 6, 9)]
    assert pulses == pytest.approx([34, 37, 34.3])
    growth = np.abs(np.roots(pulses)).max()
    assert growth == pytest.approx(np.sqrt(34.3 / 34))
    # The common prompts above have 28, 18 and 52, 54, 28: their pulses are stable.
    assert max(np.abs(np.roots([28, 18])).max(), np.abs(np.roots([52, 54, 28])).max()) < 1

    system = System(Workload.classes(UNEQUAL), 10_000)
    orbit = pulse_cycle(system)
    amplitude = orbit.start.amplitude.copy()
    amplitude[2] *= 1 - 1e-5
    run = iterate(system, steps=3001, start=Cohorts.of(amplitude))
    heights = run.completed[1:].reshape(-1, 3).sum(axis=1) - 3 * orbit.throughput
    early, late = (np.abs(heights[i : i + 60]).max() for i in (100, 700))
    assert (late / early) ** (1 / 600) == pytest.approx(growth, abs=5e-4)
    # From elsewhere it ends near, and below, the closed form.
    far = iterate(system, steps=30_000, burn_in=300_000)
    assert far.throughput / equilibrium(system).admissions == pytest.approx(0.97305, abs=2e-4)


@pytest.mark.parametrize("tiers", [(127, 255, 509), (128, 256, 512)])
def test_near_common_divisors_cost_as_much_as_common_ones_under_restart(
    tiers: tuple[int, ...],
) -> None:
    # Theory, section 5: 0.88 x* at prompt 256 for both, though the gcd of the first is 1.
    system = System(Workload.classes([(256, output) for output in tiers]), 1_000_000)
    run = iterate(system, steps=20_000, burn_in=100_000)
    assert run.throughput / equilibrium(system).admissions == pytest.approx(0.88, abs=0.01)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_fluid_rate_cap_ends_evictions_within_one_output(data: st.DataObject) -> None:
    # Theory, section 6. Whoever was there at the start is gone after L iterations; cohorts of at
    # most x* each then need at most Σ w x* = M, so nothing is evicted, and x* enters each time.
    system = data.draw(systems(most=15))
    load = system.workload
    table = np.zeros((len(load), load.longest_output))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    for k, output in enumerate(load.output.tolist()):
        table[k, :output] = rng.random(output) * 2 * system.kv_tokens
    run = iterate(system, steps=4 * load.longest_output, policy=RateCap(), start=State.dense(table))
    rate = system.kv_tokens / float(load.memory_weights().sum())
    # One iteration may evict what is left of the start; from iteration L on none does.
    assert run.evicted[load.longest_output :].max() == 0
    np.testing.assert_allclose(run.admitted[load.longest_output :], rate, rtol=1e-9)
    np.testing.assert_allclose(run.completed[2 * load.longest_output :], rate, rtol=1e-9)


def test_the_cap_switched_on_late_ends_the_cycle() -> None:
    system = System(Workload.fixed(16, 32), 960)
    congested = iterate(system, steps=500).state(500)
    run = iterate(system, steps=200, policy=RateCap(), start=congested)
    assert run.evicted[32:].max() == 0
    best = equilibrium(system).admissions
    np.testing.assert_allclose(run.completed[64:], best, rtol=1e-9)


@pytest.mark.parametrize("rate", [0.923, 0.5, 0.3, 0.999, 1.0, 1.5])
def test_a_credit_bucket_never_loses_the_fraction_of_a_request(rate: float) -> None:
    # engines.md: a bucket that clips the fraction admits 0.5 per iteration instead of 0.923.
    system = System(Workload.fixed(16, 32), 100_000)
    run = iterate(system, steps=10_000, policy=RateCap(rate), arithmetic="integer")
    assert abs(run.admitted.sum() - rate * 10_000) <= 1
    assert np.abs(np.cumsum(run.admitted) - rate * np.arange(1, 10_001)).max() <= 1


@settings(deadline=None, max_examples=60)
@given(st.data(), st.booleans())
def test_periods_are_those_found_by_remembering_every_state(
    data: st.DataObject, capped: bool
) -> None:
    system = data.draw(systems(most=6, most_output=6))
    start = data.draw(whole_starts(system))
    rate = data.draw(st.sampled_from([0.25, 0.5, 0.75, 1.0, 1.25, 2.5])) if capped else None
    exact = None if rate is None else Fraction(rate)
    engine = engine_of(system, start, rate=exact, depth=None if exact is None else exact + 1)
    _, period = brute_force_period(engine, 60_000)
    assume(period > 0)
    cycle = find_cycle(
        system,
        policy=None if rate is None else Paced(rate, rate + 1),
        arithmetic="integer",
        start=start,
    )
    assert (cycle.outcome, cycle.period) == (Search.EXACT, period)
    # The engine stands on the cycle: one more turn of it has the averages of any turn.
    turn = np.mean([engine.step() for _ in range(period)], axis=0)
    assert cycle.turn is not None
    np.testing.assert_allclose(list(vars(cycle.turn).values())[1:], turn, rtol=1e-12)


def test_the_period_of_two_classes_capped_by_brute_force() -> None:
    system = System(Workload.classes([(3, 4, 0.4), (1, 7, 0.6)]), 60)
    engine = engine_of(system, rate=Fraction(3, 8), depth=Fraction(11, 8))
    _, period = brute_force_period(engine, 100_000)
    cycle = find_cycle(system, policy=Paced(3 / 8, 11 / 8), arithmetic="integer")
    assert cycle.period == period
    assert cycle.throughput == pytest.approx(3 / 8)


def test_the_cycle_state_starts_the_turn_it_describes() -> None:
    system = System(Workload.fixed(3, 5), 333)
    cycle = find_cycle(system, arithmetic="integer")
    run = iterate(system, steps=cycle.period, arithmetic="integer", start=cycle.state)
    assert np.array_equal(run.state(cycle.period).mass, cycle.state.mass)
    assert np.array_equal(run.state(cycle.period).age, cycle.state.age)
    assert cycle.throughput == pytest.approx(run.throughput)


def test_the_fluid_model_of_a_stable_law_nears_its_fixed_point() -> None:
    # Outputs 1 and 2 at prompt 9: w = (10, ½ · 11), one root, −0.55.
    system = System(Workload.classes([(9, 1), (9, 2)]), 1000)
    cycle = find_cycle(system, arithmetic="fluid", start=Cohorts.of([20.0, 50.0]))
    assert cycle.outcome is Search.WITHIN_TOLERANCE
    assert cycle.period in (1, 2)  # it turns by half a turn per iteration while it shrinks
    assert 0 < cycle.residual <= 1e-9 * 1000 / 10
    assert cycle.throughput == pytest.approx(1000 / 15.5, rel=1e-8)
    assert cycle.evictions == 0
    assert cycle.turn is not None
    assert cycle.turn.memory == pytest.approx(1000)


def test_a_search_cut_short_says_so() -> None:
    system = System(Workload.classes([(9, 7), (9, 11)]), 1000)
    for arithmetic in ("fluid", "integer"):
        cycle = find_cycle(system, arithmetic=arithmetic, limit=5)
        assert (cycle.outcome, cycle.period, cycle.turn) == (Search.NOT_FOUND, 0, None)
        assert np.isnan(cycle.throughput)
        assert np.isnan(cycle.evictions)


def test_an_integer_run_of_random_lengths_has_no_cycle_to_find() -> None:
    load = Workload.from_counts([5, 5], [3, 9], [1, 1], random=True)
    with pytest.raises(InputError):
        find_cycle(System(load, 200), arithmetic="integer")


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"tolerance": float("nan")}, {"tolerance": 1}, {"tolerance": -1e-9}]
)
def test_searches_with_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError):
        find_cycle(NOTE, **wrong)


def test_a_fluid_cycle_includes_the_phase_of_the_token_bucket() -> None:
    # Ten requests of 101,000 tokens hold all but 1% of memory while the bucket saves up 1,000
    # iterations' worth; then 1,010,000 requests of one token enter per iteration until the savings
    # are spent, some 8,000 iterations on, and 900,000 for ever after. The state recurs while the
    # savings last, the system does not.
    load = Workload.from_counts([0, 100_000], [1, 1000], [10**15, 1])
    system = System(load, 1_010_000)
    start = State(np.array([1]), np.array([0]), np.array([10.0]))
    policy = Paced(900_000.0, 1e10)
    settled = iterate(system, policy=policy, start=start, burn_in=30_000, steps=1000)
    assert settled.throughput == pytest.approx(900_000, rel=1e-3)
    cycle = find_cycle(system, policy=policy, arithmetic="fluid", start=start, limit=100_000)
    assert cycle.throughput == pytest.approx(settled.throughput, rel=1e-3)
