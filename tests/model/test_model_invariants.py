"""What holds in every run, whatever the system."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Cohorts, Pace, State, System, Trajectory, iterate
from kvsteady.policies import Greedy
from kvsteady.workload import Workload
from reference.systems import Paced, fluid_starts, systems, whole_starts

ARITHMETICS = st.sampled_from(["fluid", "integer"])
STEPS = 60


@st.composite
def runs(draw: st.DrawFn) -> Trajectory:
    arithmetic = draw(ARITHMETICS)
    system = draw(systems(most=15, random=draw(st.booleans())))
    starts = fluid_starts if arithmetic == "fluid" else whole_starts
    rate = draw(st.none() | st.floats(0.05, 20))
    return iterate(
        system,
        steps=STEPS,
        policy=None if rate is None else Paced(rate, rate + 1),
        arithmetic=arithmetic,
        start=draw(starts(system)),
        burn_in=draw(st.integers(0, 5)),
        seed=draw(st.integers(0, 100)),
    )


def close(actual: object, expected: object, system: System) -> None:
    # Fluid amounts are sums of numbers up to a few capacities.
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9 * system.kv_tokens)


@settings(deadline=None, max_examples=120)
@given(runs())
def test_memory_never_exceeds_capacity_after_admission(run: Trajectory) -> None:
    assert run.memory.max() <= run.system.kv_tokens * (1 + 1e-9)
    if run.arithmetic == "integer":
        assert run.memory.max() <= run.system.kv_tokens
    assert run.rows.min() >= -1e-9


@settings(deadline=None, max_examples=120)
@given(runs())
def test_requests_are_conserved(run: Trajectory) -> None:
    before, after = run.state(0).mass.sum(), run.state(STEPS).mass.sum()
    left = np.cumsum(run.completed + run.evicted)
    close(before + run.admitted.sum(), left[-1] + after, run.system)
    # During an iteration those about to complete are still there.
    close(run.running, before + np.cumsum(run.admitted) - left + run.completed, run.system)


@settings(deadline=None, max_examples=100)
@given(runs(), st.integers(0, STEPS - 1))
def test_the_memory_column_is_the_sum_over_the_state(run: Trajectory, t: int) -> None:
    before, after = run.state(t), run.state(t + 1)
    load = run.system.workload
    # Those that did not complete need one token more by now.
    survivors = after.kv_tokens(run.system) - after.mass.sum()
    if run.evicted[t]:
        assert run.memory[t] >= survivors - 1e-9 * run.system.kv_tokens
    elif (load.output > 1).all():
        at_last = before.age == load.output[before.row] - 1
        finishing = before.mass[at_last] @ (load.prompt + load.output)[before.row[at_last]]
        close(run.memory[t], survivors + finishing, run.system)


@settings(deadline=None, max_examples=120)
@given(runs())
def test_nobody_enters_in_an_iteration_that_evicts(run: Trajectory) -> None:
    assert (run.admitted[run.evicted > 0] == 0).all()


@settings(deadline=None, max_examples=100)
@given(runs(), st.integers(0, STEPS - 1))
def test_evicted_and_wasted_tokens_are_what_the_missing_requests_held(
    run: Trajectory, t: int
) -> None:
    load = run.system.workload
    before = run.state(t).table(run.system)
    after = run.state(t + 1).table(run.system)
    stayed = np.zeros_like(before)
    stayed[:, :-1] = after[:, 1:]
    last = load.output - 1
    classes = np.arange(len(load))
    gone = before - stayed
    gone[:, 0] = np.where(run.evicted[t] > 0, gone[:, 0], 0.0)  # admissions joined age 0
    finishing = before[classes, last].sum()
    gone[classes, last] = 0.0
    ages = np.arange(load.longest_output)
    at_last = run.evicted[t] - gone.sum()  # evicted at their last age, rather than completed
    if run.evicted[t] == 0:
        assert run.evicted_tokens[t] == run.wasted_tokens[t] == 0
    elif len(load) == 1:
        held = load.prompt[:, None] + ages
        l0, l1 = int(load.prompt[0]), load.longest_output
        close(run.completed[t] + at_last, finishing, run.system)
        close(run.evicted_tokens[t], (gone * held).sum() + at_last * (l0 + l1 - 1), run.system)
        close(run.wasted_tokens[t], (gone * ages).sum() + at_last * (l1 - 1), run.system)


@settings(deadline=None, max_examples=40)
@given(st.data(), ARITHMETICS)
def test_the_same_seed_gives_the_same_run_and_another_does_not_change_classes_in_turn(
    data: st.DataObject, arithmetic: str
) -> None:
    system = data.draw(systems(most=15, random=True))
    first, again = (iterate(system, steps=80, arithmetic=arithmetic, seed=5) for _ in range(2))
    assert np.array_equal(first.rows, again.rows)
    in_turn = data.draw(systems(most=15))
    first, again = (iterate(in_turn, steps=80, arithmetic=arithmetic, seed=s) for s in (1, 2))
    assert np.array_equal(first.rows, again.rows)


def test_another_seed_gives_another_run_of_random_lengths() -> None:
    load = Workload.from_counts([5, 5], [3, 9], [1, 1], random=True)
    first, other = (
        iterate(System(load, 200), steps=80, arithmetic="integer", seed=s) for s in (1, 2)
    )
    assert not np.array_equal(first.rows, other.rows)


@settings(deadline=None, max_examples=40)
@given(runs(), st.integers(0, STEPS))
def test_running_on_from_a_recorded_integer_state_repeats_the_rows(run: Trajectory, t: int) -> None:
    # Greedy, one class: queue and bucket have no phase, so the state is the whole future.
    load = Workload.fixed(int(run.system.workload.prompt[0]), int(run.system.workload.output[0]))
    system = System(load, run.system.kv_tokens)
    whole = iterate(system, steps=STEPS + 10, arithmetic="integer")
    again = iterate(system, steps=STEPS + 10 - t, arithmetic="integer", start=whole.state(t))
    assert np.array_equal(whole.rows[t:], again.rows)


def test_burn_in_only_shifts_the_record() -> None:
    system = System(Workload.classes([(3, 5), (1, 8)]), 300)
    whole = iterate(system, steps=90, arithmetic="integer")
    late = iterate(system, steps=60, burn_in=30, arithmetic="integer")
    assert np.array_equal(whole.rows[30:], late.rows)
    assert np.array_equal(whole.state(50).mass, late.state(20).mass)


def test_tail_averages_are_means_of_the_last_rows() -> None:
    run = iterate(System(Workload.fixed(2, 2), 140), steps=9)
    tail = run.averages(4)
    assert tail.iterations == 4
    assert tail.completed == pytest.approx(run.completed[5:].mean())
    assert tail.wasted_tokens == pytest.approx(run.wasted_tokens[5:].mean())
    assert run.throughput == pytest.approx(run.completed.mean())


def test_greedy_and_no_policy_are_the_same() -> None:
    system = System(Workload.classes([(3, 5), (1, 8)]), 300)
    for arithmetic in ("fluid", "integer"):
        named = iterate(system, steps=50, policy=Greedy(), arithmetic=arithmetic)
        assert np.array_equal(named.rows, iterate(system, steps=50, arithmetic=arithmetic).rows)


@pytest.mark.parametrize("arithmetic", ["fluid", "integer"])
def test_room_for_exactly_one_request_runs_one_after_another(arithmetic: str) -> None:
    # Integer: one request at a time. Fluid, M = l0 + l1: the worst cycle M / (l1 (l0 + l1)) = 1/l1
    # starts from the admission of M / (l0 + 1) requests, cut back to one.
    system = System(Workload.fixed(3, 4), 7)
    run = iterate(system, steps=48, arithmetic=arithmetic, burn_in=12)
    assert run.averages().completed == pytest.approx(1 / 4, abs=1e-9)


@pytest.mark.parametrize("arithmetic", ["fluid", "integer"])
def test_outputs_of_one_token_complete_at_once(arithmetic: str) -> None:
    run = iterate(System(Workload.fixed(4, 1), 50), steps=5, arithmetic=arithmetic)
    assert run.completed.tolist() == [10] * 5
    assert run.evicted.sum() == 0
    assert run.state(5).mass.size == 0


@pytest.mark.parametrize("arithmetic", ["fluid", "integer"])
def test_prompts_of_no_tokens_are_allowed(arithmetic: str) -> None:
    # l0 = 0, l1 = 2, M = 4 from empty: 4 enter and need 8, 2 leave and 2 finish; 4 enter again.
    run = iterate(System(Workload.fixed(0, 2), 4), steps=4, arithmetic=arithmetic)
    assert run.completed.tolist() == [0, 2, 0, 2]
    assert run.evicted.tolist() == [0, 2, 0, 2]
    assert run.wasted_tokens.tolist() == [0, 2, 0, 2]
    assert run.evicted_tokens.tolist() == [0, 2, 0, 2]


def test_a_share_of_a_billionth_is_served_in_turn_and_in_the_fluid() -> None:
    load = Workload.classes([(1, 2, 1 - 1e-9), (1, 9, 1e-9)])
    assert load.tickets.tolist() == [999_999_999, 1]
    system = System(load, 100)
    fluid = iterate(system, steps=50)
    assert fluid.state(50).table(system)[1].sum() > 0
    whole = iterate(system, steps=500, arithmetic="integer")
    assert (whole.state(500).row == 0).all()


def test_cohorts_may_start_with_zeros_anywhere() -> None:
    system = System(Workload.fixed(2, 6), 400)
    empty = iterate(system, steps=10)
    zeros = iterate(system, steps=10, start=Cohorts.of(np.zeros(6)))
    nobody = iterate(system, steps=10, start=State.dense(np.zeros((1, 6))))
    assert np.array_equal(empty.rows, zeros.rows)
    np.testing.assert_allclose(nobody.rows, empty.rows, rtol=1e-12)


@pytest.mark.parametrize(
    "start",
    [
        State.dense([[0, float("nan")]]),
        State.dense([[0, -1.0]]),
        State.dense([[0, 0, 1.0]]),
        State.dense([[0, 0], [0, 1.0]]),
        State(np.array([-1]), np.array([0]), np.array([1.0])),
        State(np.array([0]), np.array([-1]), np.array([1.0])),
    ],
)
def test_impossible_starts_are_refused(start: State) -> None:
    system = System(Workload.fixed(2, 2), 140)
    for arithmetic in ("fluid", "integer"):
        with pytest.raises(InputError):
            iterate(system, steps=1, start=start, arithmetic=arithmetic)


def test_halves_of_requests_and_cohorts_are_refused_by_the_integer_model() -> None:
    system = System(Workload.fixed(2, 2), 140)
    for start in (State.dense([[0.5, 0]]), Cohorts.of([1, 2])):
        with pytest.raises(InputError):
            iterate(system, steps=1, start=start, arithmetic="integer")
    with pytest.raises(InputError):
        iterate(system, steps=1, start=Cohorts.of([1, 2, 3]))
    with pytest.raises(InputError):
        Cohorts.of([1, float("nan")])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": -1},
        {"steps": 10**12},
        {"steps": float("nan")},
        {"steps": 1, "burn_in": -1},
        {"steps": 1, "arithmetic": "exact"},
        {"steps": 1, "arithmetic": "integer", "seed": -1},
        {"steps": 1, "arithmetic": "integer", "seed": 2**62},
        {"steps": 1.5},
        {"steps": 1, "arithmetic": "integer", "seed": 1.5},
    ],
)
def test_runs_with_numbers_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        iterate(System(Workload.fixed(2, 2), 140), **wrong)


@pytest.mark.parametrize(
    ("rate", "depth"), [(0, 1), (1, 0), (-1, 1), (float("nan"), 1), (1, float("nan"))]
)
def test_a_pace_must_be_positive(rate: float, depth: float) -> None:
    with pytest.raises(InputError):
        Pace(rate, depth)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kv_tokens": 0},
        {"kv_tokens": True},
        {"kv_tokens": 140.0},
        {"kv_tokens": float("nan")},
        {"kv_tokens": "140"},
        {"kv_tokens": 2**31},
        {"kv_tokens": 3},
        {"kv_tokens": 140, "block_size": 0},
        {"kv_tokens": 140, "block_size": True},
        {"kv_tokens": 140, "block_size": 65_537},
        {"kv_tokens": 7, "block_size": 5},
    ],
)
def test_impossible_systems_are_refused(wrong: dict[str, object]) -> None:
    # 2 + 4 tokens take two blocks of 5; 7 tokens of memory have one whole block.
    with pytest.raises(InputError) as caught:
        System(Workload.fixed(2, 4), **wrong)
    assert "\n" not in str(caught.value)


def test_capacity_of_exactly_the_largest_request_is_enough() -> None:
    assert System(Workload.classes([(2, 4), (9, 1)]), 10).kv_tokens == 10
    assert System(Workload.fixed(2, 4), 10, block_size=5).block_size == 5


@pytest.mark.parametrize("t", [-1, 6])
def test_states_outside_the_record_are_refused(t: int) -> None:
    run = iterate(System(Workload.fixed(2, 2), 140), steps=5)
    with pytest.raises(InputError):
        run.state(t)
    with pytest.raises(InputError):
        run.averages(t)


def test_tail_averages_of_no_row_are_refused() -> None:
    with pytest.raises(InputError):
        iterate(System(Workload.fixed(2, 2), 140), steps=5).averages(0)


def test_the_record_cannot_be_written_to() -> None:
    run = iterate(System(Workload.fixed(2, 2), 140), steps=5)
    with pytest.raises(ValueError, match="read-only"):
        run.rows[0, 0] = 1
