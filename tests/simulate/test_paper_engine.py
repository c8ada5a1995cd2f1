"""The paper's engine against the exact integer model, iteration by iteration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.model import Eviction, System, iterate
from kvsteady.policies import RateCap
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from stepping import UnitTime, step


def in_turn(classes: list[tuple[int, int]]) -> Feed:
    """Equal shares, in the order in which the exact model draws them: class by class."""

    def batches():
        number = 0
        while True:
            rows = arrivals(997)
            rows["id"] = np.arange(number, number + rows.size)
            rows["prompt"], rows["output"] = np.array(classes)[rows["id"] % len(classes)].T
            rows["limit"] = rows["output"]
            number += rows.size
            yield rows

    prompts, outputs = zip(*classes, strict=True)
    return Feed(batches(), max(outputs), max(prompts), on_demand=True)


def recorded(classes, kv_tokens, steps, pace=None, eviction=Eviction.RESTART):
    workload = Workload.classes(classes)
    order = list(zip(workload.prompt.tolist(), workload.output.tolist(), strict=True))
    rows: list[np.ndarray] = []
    options = {} if pace is None else {"pace": pace}
    machine = Machine(
        Paper(),
        kv_tokens,
        UnitTime(),
        in_turn(order),
        eviction=eviction,
        iterations=rows.append,
        log_every=1,
        **options,
    )
    machine.run(steps)
    machine.flush()
    return np.concatenate(rows)


@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("eviction", [Eviction.RESTART, Eviction.RESUME])
@given(
    classes=st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 20)), min_size=1, max_size=3, unique=True
    ),
    room=st.integers(1, 12),
)
def test_it_decides_as_the_exact_model(eviction, classes, room):
    largest = max(prompt + output for prompt, output in classes)
    kv_tokens = largest * room
    system = System(Workload.classes(classes), kv_tokens)
    exact = iterate(system, steps=400, arithmetic="integer", eviction=eviction)
    log = recorded(classes, kv_tokens, 400, eviction=eviction)
    np.testing.assert_array_equal(log["admitted"], exact.rows[:, 0])
    np.testing.assert_array_equal(log["preempted"], exact.rows[:, 1])
    np.testing.assert_array_equal(log["completed"], exact.rows[:, 2])
    np.testing.assert_array_equal(kv_tokens - log["free_blocks"], exact.rows[:, 3])


@pytest.mark.parametrize("rate", [0.1, 0.9, 0.923, 1.7])
def test_a_rate_cap_admits_as_in_the_exact_model(rate):
    policy = RateCap(rate)
    system = System(Workload.fixed(16, 32), 960)
    exact = iterate(system, policy=policy, steps=3000, arithmetic="integer")
    log = recorded([(16, 32)], 960, 3000, policy.pace(system, whole_requests=True))
    np.testing.assert_array_equal(log["admitted"], exact.rows[:, 0])
    np.testing.assert_array_equal(log["preempted"], exact.rows[:, 1])


def test_the_books_balance_at_every_iteration():
    machine = Machine(
        Paper(), 960, UnitTime(), in_turn([(16, 32), (3, 7)]), eviction=Eviction.RESTART
    )
    preempted = 0
    for _ in range(300):
        preempted += len(step(machine).preempted)
    assert preempted > 100
