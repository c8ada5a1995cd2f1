"""The fluid model with kept tokens: against level by level, and what holds in every run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.model import Cohorts, Eviction, Search, System, find_cycle, iterate, requeue_levels
from kvsteady.model.admission import UNLIMITED
from kvsteady.model.requeue_machine import FluidRequeue
from kvsteady.policies import RateCap
from kvsteady.theory import equilibrium
from kvsteady.workload import Workload
from reference.requeue import fluid_step
from reference.systems import Paced, systems

RESUME = Eviction.RESUME


@st.composite
def one_class(draw: st.DrawFn) -> System:
    load = Workload.fixed(draw(st.integers(0, 20)), draw(st.integers(1, 12)))
    return System(load, draw(st.integers(load.largest_request, 2000)))


@st.composite
def cohorts(draw: st.DrawFn, system: System) -> Cohorts:
    longest = system.workload.longest_output
    share = st.floats(0, 1) | st.just(0.0)
    parts = np.array(draw(st.lists(share, min_size=longest, max_size=longest)))
    full = system.kv_tokens / (system.workload.memory_weights().sum())
    return Cohorts.of(parts * full * draw(st.sampled_from([0.5, 2.0, 6.0])))


@settings(deadline=None, max_examples=100)
@given(st.data(), st.none() | st.floats(0.01, 50))
def test_runs_equal_those_level_by_level(data: st.DataObject, rate: float | None) -> None:
    system = data.draw(one_class())
    load = system.workload
    start = data.draw(cohorts(system))
    policy = None if rate is None else Paced(rate, rate)
    run = iterate(system, steps=40, start=start, policy=policy, eviction=RESUME)
    running, waiting = start.amplitude.copy(), np.zeros(load.longest_output)
    weights = load.memory_weights()
    scale = system.kv_tokens * 1e-9
    for t in range(40):
        running, waiting, executed = fluid_step(
            weights, system.kv_tokens, running, waiting, np.inf if rate is None else rate
        )
        # Chaos doubles a rounding error every few iterations: 40 are compared.
        assert run.memory[t] == pytest.approx(weights @ executed, abs=1e3 * scale)
        assert run.running[t] == pytest.approx(executed.sum(), abs=1e3 * scale)
        assert run.completed[t] == pytest.approx(executed[-1], abs=1e3 * scale)
        assert run.evicted_waiting[t] == pytest.approx(waiting.sum(), abs=1e3 * scale)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_one_level_map_describes_any_mix(data: st.DataObject) -> None:
    # The map of levels knows neither memory nor queue, only how many have how many tokens.
    system = data.draw(systems(most=30))
    start = data.draw(cohorts(system))
    machine = FluidRequeue(system, UNLIMITED, start)
    weights = system.workload.memory_weights()
    y = start.amplitude.copy()
    y[0] = 0.0  # who has no token yet is the same in memory and in the queue
    assume(start.amplitude @ weights <= system.kv_tokens)
    share = system.workload.share
    for _ in range(25):
        machine.advance(np.empty((1, 11)))
        requeue_levels.step(weights, float(system.kv_tokens), y, np.zeros((0, y.size)))
        held = machine.state().table(system) + machine.waiting().table(system)
        alive = system.workload.output[:, None] > np.arange(y.size)
        np.testing.assert_allclose(held, share[:, None] * alive * y, atol=1e-7 * system.kv_tokens)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([RESUME, Eviction.SWAP]))
def test_conservation_and_bound(data: st.DataObject, eviction: Eviction) -> None:
    # Ours: see theory.resume. Both follow from counting tokens, in memory and thrown out.
    system = data.draw(systems(most=30))
    run = iterate(system, steps=3000, eviction=eviction)
    assert run.rows.min() >= -1e-6
    assert run.memory.max() <= system.kv_tokens * (1 + 1e-9)
    assert run.evicted_tokens.sum() <= run.running.sum() * (1 + 1e-9)
    fixed = equilibrium(system)
    longest = system.workload.longest_output
    # Memory is full in every iteration, up to completions of the transient and those under way.
    most = 4 * longest * system.kv_tokens / (system.workload.prompt.min() + 1) / len(run)
    assert run.memory.min() == pytest.approx(system.kv_tokens, rel=1e-8)
    assert run.throughput == pytest.approx(fixed.admissions, abs=most)
    waiting = run.waiting(len(run)).mass.sum()
    assert run.evicted.sum() - run.resumed.sum() == pytest.approx(
        waiting, abs=1e-6 * system.kv_tokens
    )


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_cap_ends_evictions_within_one_output(data: st.DataObject) -> None:
    # Ours, one class: re-admissions count, so after l1 iterations whoever is in memory was
    # admitted under the cap, in the order of first admission: no age level holds more than x*,
    # and all of them together need Σ w x* = M.
    system = data.draw(one_class())
    output = system.workload.longest_output
    start = data.draw(cohorts(system))
    run = iterate(system, steps=20 * output, start=start, policy=RateCap(), eviction=RESUME)
    assert run.evicted[output:].sum() <= 1e-6 * system.kv_tokens


def test_the_fixed_point_is_an_orbit_and_nothing_waits() -> None:
    system = System(Workload.fixed(5, 6), 1000)
    level = equilibrium(system).admissions
    cycle = find_cycle(system, start=Cohorts.of([0] + [level] * 5), eviction=RESUME)
    assert (cycle.outcome, cycle.period) != (Search.NOT_FOUND, 0)
    assert cycle.period == 1
    assert cycle.throughput == pytest.approx(level)
    assert cycle.waiting.mass.sum() == 0


def test_many_whole_requests_do_as_the_fluid_does() -> None:
    # Means over the attractor: whole requests at 3,000 times the memory of one.
    load = Workload.fixed(15, 16)
    system = System(load, 3000 * 31)
    level = equilibrium(system).admissions
    start = Cohorts.of(level * (1 + 0.05 * np.sin(2.4 * np.arange(16))))
    real = iterate(system, steps=200_000, burn_in=20_000, start=start, eviction=RESUME).averages()
    whole = iterate(
        system, steps=200_000, burn_in=20_000, arithmetic="integer", eviction=RESUME
    ).averages()
    assert whole.evicted == pytest.approx(real.evicted, rel=0.02)
    assert whole.recompute_tax == pytest.approx(real.recompute_tax, rel=0.02)
