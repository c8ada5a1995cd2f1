"""Laws that every run obeys, and one that only runs without evictions do.

A request of class k takes up ``E_k = l1 (2 l0 + l1 + 1) / 2`` token-iterations of memory from its
admission to its completion, so (ours, by counting them, whatever the policy):

1. over any window, ``Σ_k C_k E_k ≤ Σ_t memory_t + what was in memory at its start had taken up``;
2. without evictions, requests admitted in the workload's mix over T iterations, and followed to
   their ends for L − 1 more, obey ``A Σ_m w_m ≤ M (T + L − 1)``, for ``Σ_k p_k E_k = Σ_m w_m``;
3. over a period without evictions, ``throughput = mean memory / Σ_m w_m ≤ x*``.

The bound over a window needs its slack: memory held at the start is work already done.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.model import Search, State, System, find_cycle, iterate
from kvsteady.theory import equilibrium
from kvsteady.theory.orbits import FluidOrbit, find_orbit
from kvsteady.workload import Workload
from reference import fluid
from reference.systems import Paced, fluid_starts, systems, whole_starts


def memory_time(system: System) -> float:
    """``Σ_k p_k E_k``, the token-iterations of one admission, summed one by one."""
    load = system.workload
    rows = zip(load.prompt.tolist(), load.output.tolist(), load.share.tolist(), strict=True)
    return sum(p * sum(l0 + i + 1 for i in range(l1)) for l0, l1, p in rows)


@st.composite
def paced(draw: st.DrawFn, system: System) -> Paced | None:
    """Greedy, or a pace around the equilibrium rate."""
    factor = draw(st.sampled_from([None, 0.3, 0.9, 1.0, 1.3]))
    if factor is None:
        return None
    rate = factor * system.kv_tokens / memory_time(system)
    return Paced(rate, rate + draw(st.sampled_from([0.0, 1.0, 5.0])))


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_memory_never_exceeds_capacity(data: st.DataObject) -> None:
    system = data.draw(systems())
    policy = data.draw(paced(system))
    real = iterate(system, steps=200, policy=policy, start=data.draw(fluid_starts(system)))
    assert real.memory.max() <= system.kv_tokens * (1 + 1e-11)
    whole = iterate(
        system,
        steps=200,
        policy=policy,
        arithmetic="integer",
        start=data.draw(whole_starts(system)),
    )
    assert whole.memory.max() <= system.kv_tokens


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_completions_of_one_class_never_outrun_the_memory_they_take_up(
    data: st.DataObject,
) -> None:
    # Law 1, evictions or not, over every window that begins at the start.
    l0, l1 = data.draw(st.integers(0, 20)), data.draw(st.integers(1, 12))
    system = System(Workload.fixed(l0, l1), data.draw(st.integers(l0 + l1, 40 * (l0 + l1))))
    policy = data.draw(paced(system))
    for arithmetic, starts in (("fluid", fluid_starts), ("integer", whole_starts)):
        start = data.draw(starts(system))
        held = [] if start is None else zip(start.age.tolist(), start.mass.tolist(), strict=True)
        done = sum(n * sum(l0 + i + 1 for i in range(age)) for age, n in held)
        run = iterate(system, steps=150, policy=policy, arithmetic=arithmetic, start=start)
        used = np.cumsum(run.memory) + done
        assert (np.cumsum(run.completed) * memory_time(system) <= used * (1 + 1e-9)).all()


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_admissions_without_evictions_never_outrun_the_equilibrium(data: st.DataObject) -> None:
    # Law 2, over the longest window of every stretch without evictions.
    system = data.draw(systems())
    run = iterate(
        system, steps=300, policy=data.draw(paced(system)), start=data.draw(fluid_starts(system))
    )
    longest = system.workload.longest_output
    ends = np.flatnonzero(np.r_[run.evicted > 0, True])
    begin = 0
    for end in ends.tolist():
        if end - begin >= longest:
            admitted = run.admitted[begin : end - longest + 1].sum()
            taken_up = run.memory[begin:end].sum()
            assert admitted * memory_time(system) <= taken_up * (1 + 1e-9)
            assert taken_up <= system.kv_tokens * (end - begin) * (1 + 1e-9)
        begin = end + 1


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_the_throughput_of_a_period_without_evictions_is_mean_memory_over_the_weights(
    data: st.DataObject,
) -> None:
    # Law 3; whole requests whose classes come in turn complete whole turns in a period.
    system = data.draw(systems(most=8, most_output=6))
    cycle = find_cycle(system, policy=data.draw(paced(system)), arithmetic="integer", limit=200_000)
    assume(cycle.outcome is Search.EXACT and cycle.evictions == 0)
    assert cycle.turn is not None
    assert cycle.throughput == pytest.approx(cycle.turn.memory / memory_time(system), rel=1e-9)
    assert cycle.throughput <= equilibrium(system).admissions * (1 + 1e-12)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_an_orbit_without_evictions_is_the_equilibrium_and_any_other_of_one_class_is_below(
    data: st.DataObject,
) -> None:
    # Greedy admission keeps memory full, so law 3 is an equality. One class: law 1 bounds all.
    system = data.draw(systems(most=200, most_output=8))
    orbit = find_orbit(system, limit=10_000).orbit
    assume(isinstance(orbit, FluidOrbit))
    assert isinstance(orbit, FluidOrbit)
    best = system.kv_tokens / memory_time(system)
    if orbit.evictions == 0:
        assert orbit.throughput == pytest.approx(best, rel=1e-9)
    if len(system.workload) == 1:
        assert orbit.throughput <= best * (1 + 1e-9)


def test_with_evictions_greedy_can_complete_more_than_x_star_even_in_output_tokens() -> None:
    # A finding (ours): evictions that restart prefer short outputs, so the mix that completes is
    # not the workload's. Here long requests take up fifty times the memory per output token, and
    # most are thrown out early: more output tokens come out than in equilibrium. Law 1 stands,
    # the long requests starve.
    load = Workload.classes([(0, 1, 0.9), (0, 100, 0.1)])
    system = System(load, 10_000)
    best = equilibrium(system)
    run = iterate(system, burn_in=2_000, steps=400).averages()
    assert run.completed / best.admissions > 10
    assert run.useful_tokens / (best.admissions * load.mean_output) > 1.5
    # The same from the reference, with the completions of each class told apart.
    table, rows, finished = np.zeros((2, 100)), [], np.zeros(2)
    for t in range(2_400):
        before = table
        row, table = fluid.step(before, load.prompt, load.output, load.share, 10_000)
        if t >= 2_000:
            rows.append(row.array())
            long_done = before[1, 99]  # the oldest are the last to be evicted
            finished += (row.completed - long_done, long_done)
    reference = np.mean(rows, axis=0)
    assert reference[2] == pytest.approx(run.completed, rel=1e-6)
    useful = reference[4] - reference[6]
    assert useful == pytest.approx(run.useful_tokens, rel=1e-6)
    assert finished @ [1, 5050] <= 10_000 * 400
    assert finished[1] / finished.sum() < 0.1 / 10


def test_a_window_can_be_ahead_by_what_was_in_memory_at_its_start() -> None:
    # Why the laws carry slack: requests one token from their end complete at once.
    system = System(Workload.fixed(10, 10), 2_000)
    run = iterate(system, steps=5, start=State.dense([[0] * 9 + [100]]))
    assert run.throughput > 1.5 * equilibrium(system).admissions
