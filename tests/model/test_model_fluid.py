"""The fluid kernel against the per-stage reference.

Unstable systems multiply rounding by up to 2 per iteration, so each step is compared on its own:
the kernel's state before an iteration goes into the reference, the row and the state after it
must come out.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kvsteady.model import Cohorts, State, System, Trajectory, iterate
from kvsteady.theory import equilibrium
from kvsteady.workload import Workload
from reference import fluid
from reference.systems import Paced, fluid_starts, systems

STEP = 1e-9


def steps_agree(run: Trajectory, times: range | list[int], *, capped: bool = False) -> None:
    """Compare rows and next states with one step of the reference from the kernel's own state."""
    system, load = run.system, run.system.workload
    law = (load.prompt, load.output, load.share, system.kv_tokens)
    scale = np.array([1, 1, 1, load.largest_request, 1, load.largest_request, load.longest_output])
    scale = scale * max(1.0, system.kv_tokens / float(load.prompt.min() + 1))
    states = {t: run.state(t).table(system) for t in sorted({*times, *(t + 1 for t in times)})}
    credit = 0.0
    for t in range(max(times) + 1):
        allowance = np.inf
        if capped:  # the bucket follows from what was admitted before
            credit = min(credit + run.pace.rate, run.pace.depth)
            allowance = credit
            credit -= run.admitted[t]
        if t not in states or t + 1 not in states:
            continue
        before = states[t]
        full = float((before * fluid.needs(load.prompt, load.longest_output)).sum())
        if abs(full / system.kv_tokens - 1 - fluid.SLACK) < fluid.SLACK / 2:
            continue  # on the edge where rounding decides whether anything is evicted
        row, after = fluid.step(before, *law, allowance)
        over = max(1.0, full / system.kv_tokens)  # a start may hold many times the capacity
        np.testing.assert_allclose(
            run.rows[t] / scale, row.array() / scale, rtol=STEP, atol=STEP * over, err_msg=f"{t=}"
        )
        np.testing.assert_allclose(
            states[t + 1] / scale[0], after / scale[0], rtol=STEP, atol=STEP * over
        )


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_every_step_of_random_greedy_systems_is_the_references(data: st.DataObject) -> None:
    system = data.draw(systems())
    run = iterate(system, steps=40, start=data.draw(fluid_starts(system)))
    steps_agree(run, range(40))


@settings(deadline=None, max_examples=100)
@given(st.data(), st.floats(0.05, 3.0), st.sampled_from([1.0, 1.5, 8.0, 1e9]))
def test_every_step_of_random_capped_systems_is_the_references(
    data: st.DataObject, part: float, saved: float
) -> None:
    system = data.draw(systems())
    rate = part * equilibrium(system).admissions
    start = data.draw(fluid_starts(system))
    run = iterate(system, steps=40, start=start, policy=Paced(rate, rate * saved))
    steps_agree(run, range(40), capped=True)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_every_step_from_cohorts_of_the_laws_own_mix_is_the_references(data: st.DataObject) -> None:
    system = data.draw(systems())
    longest = system.workload.longest_output
    amplitude = data.draw(
        st.lists(st.integers(0, 1000), min_size=longest, max_size=longest).map(np.array)
    )
    fill = data.draw(st.sampled_from([0.3, 1.0, 2.5]))
    weight = float(amplitude @ system.workload.memory_weights())
    assume(weight > 0)
    start = Cohorts.of(amplitude * fill * system.kv_tokens / weight)
    steps_agree(iterate(system, steps=30, start=start), range(30))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_short_whole_runs_are_the_references(data: st.DataObject) -> None:
    system = data.draw(systems())
    load = system.workload
    start = data.draw(fluid_starts(system))
    x = np.zeros((len(load), load.longest_output)) if start is None else start.table(system)
    run = iterate(system, steps=8, start=start)
    need = fluid.needs(load.prompt, load.longest_output)
    for row in run.rows:
        full = float((x * need).sum()) / system.kv_tokens
        assume(abs(full - 1 - fluid.SLACK) > fluid.SLACK / 2)
        expected, x = fluid.step(x, load.prompt, load.output, load.share, system.kv_tokens)
        # Rounding of the start, 1e-16, doubled up to 8 times; a start may be 3 times too full.
        np.testing.assert_allclose(row, expected.array(), rtol=1e-7, atol=1e-9 * system.kv_tokens)


def test_a_cohort_start_and_the_same_start_by_class_give_the_same_run() -> None:
    # Two prompts for one output: the kernel merges them for cohorts, keeps them apart for a State.
    load = Workload.classes([(3, 5, 0.25), (11, 5, 0.25), (0, 8, 0.5)])
    system = System(load, 700)
    amplitude = np.array([4.0, 0.0, 3.0, 2.0, 0.0, 1.0, 5.0, 0.0])
    table = np.array(
        [amplitude * share * (np.arange(8) < l1) for share, l1 in zip(load.share, load.output)]  # noqa: B905 -- equal lengths by construction
    )
    runs = [iterate(system, steps=12, start=s) for s in (Cohorts.of(amplitude), State.dense(table))]
    np.testing.assert_allclose(runs[0].rows, runs[1].rows, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("start", ["empty", "half full", "overfull by class"])
def test_long_outputs_cross_the_ring_and_its_resumming(start: str) -> None:
    load = Workload.classes([(10, 300, 0.3), (50, 170, 0.5), (3, 7, 0.2)])
    system = System(load, 60_000)
    initial: State | Cohorts | None = None
    if start == "half full":
        initial = Cohorts.of(np.full(300, 0.5 * equilibrium(system).admissions))
    if start == "overfull by class":
        table = np.zeros((3, 300))
        for k, output in enumerate(load.output.tolist()):
            table[k, :output] = np.random.default_rng(k).random(output) * 3
        initial = State.dense(table)
    run = iterate(system, steps=1700, start=initial)
    # The ring holds 512 cohorts and sums are taken anew when it has gone round.
    near_the_seams = [seam + d for seam in (0, 300, 512, 1024, 1536) for d in (-2, -1, 0, 1, 2)]
    steps_agree(run, sorted({t for t in near_the_seams if t >= 0} | set(range(5, 1690, 97))))


def test_the_fixed_point_of_a_stable_law_stays_put_for_a_hundred_thousand_iterations() -> None:
    # Rounding must never evict: one spurious eviction would stop admission for an iteration.
    load = Workload.from_counts([30] * 600, range(1, 601), [1] * 600)
    system = System(load, 2**31 - 1)
    rate = (2**31 - 1) / float(load.memory_weights().sum())
    run = iterate(system, steps=100_000, start=Cohorts.of(np.full(600, rate)))
    assert run.evicted.max() == 0
    np.testing.assert_allclose(run.completed, rate, rtol=1e-7)
