"""The laws that every admission policy keeps, in both models. Add a new policy to POLICIES."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.model import PacedPolicy, State, System, iterate
from kvsteady.policies import Greedy, RateCap
from kvsteady.workload import Workload

POLICIES: list[PacedPolicy] = [Greedy(), RateCap(), RateCap(0.05), RateCap(1e6)]
ARITHMETIC = ("fluid", "integer")

classes = st.lists(
    st.tuples(st.integers(0, 12), st.integers(1, 10)), min_size=1, max_size=4, unique=True
)


def system_of(kinds: list[tuple[int, int]], room: int) -> System:
    load = Workload.classes(kinds)
    return System(load, load.largest_request + room)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("arithmetic", ARITHMETIC)
@settings(deadline=None, max_examples=25)
@given(kinds=classes, room=st.integers(0, 200))
def test_capacity_is_respected_and_requests_are_conserved(
    policy: PacedPolicy, arithmetic: str, kinds: list[tuple[int, int]], room: int
) -> None:
    system = system_of(kinds, room)
    run = iterate(system, policy=policy, steps=80, arithmetic=arithmetic)
    assert run.memory.max() <= system.kv_tokens * (1 + 1e-9)
    left = run.state(len(run)).mass.sum()
    assert run.admitted.sum() == pytest.approx(
        run.completed.sum() + run.evicted.sum() + left, rel=1e-9, abs=1e-9
    )
    assert not ((run.evicted > 0) & (run.admitted > 0)).any()


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("arithmetic", ARITHMETIC)
@settings(deadline=None, max_examples=25)
@given(kinds=classes, room=st.integers(0, 200))
def test_no_livelock_while_work_waits(
    policy: PacedPolicy, arithmetic: str, kinds: list[tuple[int, int]], room: int
) -> None:
    # The slowest policy here admits a request in 20 iterations, the longest output takes 10.
    run = iterate(system_of(kinds, room), policy=policy, steps=400, arithmetic=arithmetic)
    for stretch in np.split(run.completed, 4)[1:]:
        assert stretch.sum() > 0


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("arithmetic", ARITHMETIC)
def test_an_overfull_memory_is_left_behind(policy: PacedPolicy, arithmetic: str) -> None:
    system = System(Workload.classes([(3, 8), (5, 12)]), 400)
    crowd = np.zeros((2, 12))
    crowd[0, :8] = crowd[1, :] = 20  # far more than fits
    run = iterate(system, policy=policy, steps=600, start=State.dense(crowd), arithmetic=arithmetic)
    assert run.evicted[0] > 0
    assert run.memory.max() <= 400 * (1 + 1e-9)
    assert run.completed[300:].sum() > 0
