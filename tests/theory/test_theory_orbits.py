"""The list of orbits, and the orbits that runs end in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Eviction, State, System, iterate
from kvsteady.theory import equilibrium
from kvsteady.theory.orbits import (
    FluidOrbit,
    IntegerOrbit,
    Orbit,
    OrbitStability,
    Recurrence,
    balanced_orbit,
    balanced_orbits,
    describe,
    find_orbit,
    floquet,
    lyapunov_exponent,
    orbits,
    pulse_cycle,
    worst_cycle,
)
from kvsteady.workload import Workload
from reference.systems import systems

UNEQUAL = System(Workload.classes([(10, 6, 0.3), (40, 9, 0.7)]), 10_000)
TIERS = System(Workload.classes([(256, 128), (256, 256), (256, 512)]), 1_000_000)


def assert_the_model_follows(system: System, orbit: FluidOrbit) -> None:
    """One period of the model, from the orbit's start, does what the orbit says."""
    run = iterate(system, steps=orbit.period + 1, start=orbit.start)
    scale = system.kv_tokens / float(system.workload.memory_weights()[0])
    np.testing.assert_allclose(
        run.state(orbit.period + 1).table(system), run.state(1).table(system), atol=1e-7 * scale
    )
    turn = run.averages(orbit.period)
    assert turn.completed == pytest.approx(orbit.throughput, rel=1e-9)
    assert turn.evicted * orbit.period == pytest.approx(orbit.evictions, abs=1e-7 * scale)
    lost = turn.wasted_tokens * orbit.period
    assert lost == pytest.approx(orbit.wasted_tokens, rel=1e-8, abs=1e-6 * scale)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_an_orbit_that_was_found_is_one_in_the_model_and_runs_end_there(
    data: st.DataObject,
) -> None:
    system = data.draw(systems(most=400, most_output=8))
    search = find_orbit(system, limit=20_000)
    assume(search.orbit is not None)
    orbit = search.orbit
    assert isinstance(orbit, FluidOrbit)
    assert search.residual < 1e-10
    assume(orbit.period < 2000)
    assert_the_model_follows(system, orbit)
    if orbit.multipliers.stable and not orbit.multipliers.touches:
        period = orbit.period
        settled = iterate(system, burn_in=60_000, steps=period)
        assert settled.throughput == pytest.approx(orbit.throughput, rel=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 30), st.lists(st.integers(1, 4), min_size=1, max_size=7))
def test_what_a_balanced_orbit_evicts_and_wastes(l0: int, gaps: list[int]) -> None:
    system = System(Workload.fixed(l0, sum(gaps)), 500 * (l0 + sum(gaps)))
    assert_the_model_follows(system, describe(system, balanced_orbit(system, gaps)))


def test_the_list_for_one_class_by_hand() -> None:
    # l0 = 5, l1 = 4, M = 360: 720 / (56 + Q), Q the sum of squares of each composition.
    system = System(Workload.fixed(5, 4), 360)
    found = orbits(system)
    fluid = [orbit for orbit in found if isinstance(orbit, FluidOrbit)]
    assert [orbit.name for orbit in fluid] == [
        "eviction-free fixed point",
        "balanced orbit 2+1+1",
        "balanced orbit 2+2",
        "balanced orbit 3+1",
        "worst cycle",
    ]
    expected = [720 / (56 + q) for q in (4, 6, 8, 10, 16)]
    assert [orbit.throughput for orbit in fluid] == pytest.approx(expected)
    assert [orbit.period for orbit in fluid] == [1, 4, 2, 4, 4]
    assert [orbit.multipliers.stable for orbit in fluid] == [False] * 4 + [True]
    # The worst cycle: 60 enter and 40 complete, cut to 360 / 7, 360 / 8 and 360 / 9 on the way.
    worst = fluid[-1]
    assert worst.evictions == pytest.approx(20)
    cuts = [60 - 360 / 7, 360 / 7 - 360 / 8, 360 / 8 - 40]
    assert worst.wasted_tokens == pytest.approx(cuts[0] + 2 * cuts[1] + 3 * cuts[2])
    # Whole requests: 60 enter, then 51, 45, 40: 9 · 1 + 6 · 2 + 5 · 3 tokens lost.
    (whole,) = (orbit for orbit in found if isinstance(orbit, IntegerOrbit))
    assert (whole.period, whole.throughput, whole.evictions) == (4, 10, 20)
    assert whole.wasted_tokens == 36
    assert not hasattr(whole, "multipliers")
    assert whole.eviction is Eviction.RESTART


def test_the_list_grows_by_what_its_starts_end_in_and_reports_progress() -> None:
    seen: list[tuple[int, int | None]] = []
    found = orbits(
        TIERS,
        starts=(None, pulse_cycle(TIERS).start, State.dense([[0.5]])),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, 11) for i in range(1, 12)]
    fluid = [orbit for orbit in found if isinstance(orbit, FluidOrbit)]
    assert [orbit.period for orbit in fluid[:8]] == [1, 2, 4, 8, 16, 32, 64, 128]
    for better, worse in pairwise(fluid):
        assert better.throughput >= worse.throughput * (1 - 1e-12)
    # Section 5: heights that alternate are as good as equal ones, and neither grow nor die.
    assert any(orbit.period == 256 for orbit in fluid[8:])
    for orbit in fluid[7:]:
        assert orbit.throughput == pytest.approx(fluid[7].throughput, rel=1e-9)
        assert orbit.multipliers.outcome is OrbitStability.NEUTRAL
    # Fractions of requests and cohorts have no cycle of whole requests.
    assert sum(isinstance(orbit, IntegerOrbit) for orbit in found) == 1


def test_the_necklaces_are_all_there() -> None:
    # Every composition of 7 is a rotation of exactly one in the list.
    system = System(Workload.fixed(1, 7), 500)
    names = [orbit.name for orbit in balanced_orbits(system)]
    assert len(set(names)) == len(names) == 19  # (2^7 − 2) / 7 + 1
    assert (names[0], names[-1]) == ("worst cycle", "eviction-free fixed point")


def test_the_cycle_of_section_8() -> None:
    # 46 enter, 11 of them leave with a token each, 35 complete.
    found = find_orbit(System(Workload.fixed(2, 2), 140), arithmetic="integer")
    assert isinstance(found.orbit, IntegerOrbit)
    assert (found.orbit.period, found.orbit.throughput) == (2, 35 / 2)
    assert (found.orbit.evictions, found.orbit.wasted_tokens, found.residual) == (11, 11, 0)


def test_a_start_on_a_repelling_orbit_passes_it_and_ends_in_the_worst_cycle() -> None:
    system = System(Workload.fixed(16, 32), 46_080)
    for gaps in ([1] * 32, [8] * 4):
        start = balanced_orbit(system, gaps)
        found = find_orbit(system, start.start)
        assert [orbit.name for orbit in found.passed] == [start.name]
        assert isinstance(found.orbit, FluidOrbit)
        assert found.orbit.name == "worst cycle"
        assert lyapunov_exponent(system, start.start, steps=100) == -np.inf


def test_a_long_cycle_of_two_coprime_outputs() -> None:
    # No closed form: what counts is that the model, run on, agrees to all digits.
    system = System(Workload.classes([(9, 7), (9, 11)]), 10_000)
    search = find_orbit(system)
    assert search.outcome is Recurrence.PERIODIC
    orbit = search.orbit
    assert isinstance(orbit, FluidOrbit)
    assert orbit.multipliers.outcome is OrbitStability.ATTRACTS
    assert orbit.name == f"cycle of {orbit.period} iterations"
    settled = iterate(system, burn_in=300_000, steps=orbit.period)
    assert settled.throughput == pytest.approx(orbit.throughput, rel=1e-10)
    rate = lyapunov_exponent(system, steps=40 * orbit.period)
    assert rate == pytest.approx(np.log(orbit.multipliers.growth), rel=0.05)


def pulse_map(heights: tuple[float, float]) -> tuple[float, float]:
    """Section 5's pulses 3 apart of (10; 6) and (40; 9): tokens 34, 37 and 34.3 at 3, 6 and 9."""
    young, old = heights
    fresh = (10_000 - 37 * young - 34.3 * old) / 34
    return (fresh, young) if fresh >= 0 else (0.0, (10_000 - 34.3 * old) / 37)


def test_unequal_prompts_end_on_a_closed_curve_and_not_on_an_orbit() -> None:
    # Section 5's discrepancy. The pulses of 0.97436 x* repel (a pair of modulus √(34.3/34)); they
    # grow until one would be negative, which cuts the next older instead. The two balance: what
    # remains is a closed curve, neither periodic nor chaotic, and a mean that no formula gives.
    heights, total, count = (50.0, 100.0), 0.0, 200_000
    for n in range(count + 10_000):
        before, heights = heights, pulse_map(heights)
        # Of the pulse now at 6, .3 complete; .7 of the one now at 9.
        total += 0.3 * heights[1] + 0.7 * before[1] if n >= 10_000 else 0.0
    mean = total / count / 3
    best = equilibrium(UNEQUAL).admissions
    assert mean / best == pytest.approx(0.973085, abs=2e-6)
    run = iterate(UNEQUAL, burn_in=100_000, steps=900_000)
    assert run.throughput / best == pytest.approx(mean / best, abs=5e-6)
    assert abs(lyapunov_exponent(UNEQUAL, steps=40_000)) < 1e-4
    search = find_orbit(UNEQUAL, limit=100_000)
    assert (search.outcome, search.orbit) == (Recurrence.NOT_FOUND, None)
    near = find_orbit(UNEQUAL, pulse_cycle(UNEQUAL).start, limit=100_000)
    assert [orbit.name for orbit in near.passed] == ["pulse cycle, a cohort every 3"]


def test_an_orbit_that_touches_a_switching_surface_says_so() -> None:
    # From empty, outputs 3 and 8: memory is exactly full of what is left as a cohort is due.
    system = System(Workload.classes([(0, 3), (5, 8)]), 10_000)
    orbit = find_orbit(system).orbit
    assert isinstance(orbit, FluidOrbit)
    assert orbit.multipliers.outcome is OrbitStability.SWITCHES
    assert orbit.multipliers.switching_margin == 0
    assert_the_model_follows(system, orbit)


def test_bad_searches_are_refused() -> None:
    random = System(Workload.from_counts([5, 5], [3, 9], [1, 1], random=True), 200)
    with pytest.raises(InputError):
        find_orbit(random, arithmetic="integer")
    with pytest.raises(InputError, match="limit"):
        find_orbit(UNEQUAL, limit=0)
    with pytest.raises(InputError, match="tolerance"):
        find_orbit(UNEQUAL, tolerance=0)
    with pytest.raises(InputError, match="steps"):
        lyapunov_exponent(UNEQUAL, steps=0)
    with pytest.raises(InputError, match="most"):
        orbits(UNEQUAL, most=-1)
    with pytest.raises(InputError, match="one class"):
        next(balanced_orbits(UNEQUAL))
    assert all(isinstance(o, FluidOrbit) for o in orbits(random, limit=1000))
    assert isinstance(worst_cycle(System(Workload.fixed(2, 2), 140)), Orbit)
    assert floquet(UNEQUAL, pulse_cycle(UNEQUAL)).period == 3
