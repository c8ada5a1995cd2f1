"""The laws that policies keep in the exact models; those on engines: `test_policy_engines`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.admission import Policy, Setup
from kvsteady.errors import InputError
from kvsteady.model import Eviction, PacedPolicy, State, System, iterate
from kvsteady.policies import (
    Aimd,
    Greedy,
    GuaranteedNoEvict,
    KvWatermark,
    LookAhead,
    MaxActive,
    NestedWait,
    NewTokenRatio,
    RateCap,
    Steady,
    Wait,
)
from kvsteady.theory import equilibrium
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


ASKED = [
    Aimd(),
    Wait(),
    KvWatermark(0.1),
    MaxActive(),
    GuaranteedNoEvict(),
    NewTokenRatio(),
    LookAhead(),
    NestedWait(),
    Steady(),
]


@pytest.mark.parametrize("policy", ASKED, ids=repr)
@pytest.mark.parametrize("eviction", [Eviction.RESTART, Eviction.RESUME])
@settings(deadline=None, max_examples=10, derandomize=True)
@given(kinds=classes, room=st.integers(0, 200))
def test_policies_that_are_asked_keep_the_laws_too(
    policy: Policy, eviction: Eviction, kinds: list[tuple[int, int]], room: int
) -> None:
    system = system_of(kinds, room)
    run = iterate(system, policy=policy, steps=300, arithmetic="integer", eviction=eviction)
    assert run.memory.max() <= system.kv_tokens
    left = run.state(len(run)).mass.sum() + run.waiting(len(run)).mass.sum()
    lost = run.evicted.sum() if eviction is Eviction.RESTART else 0
    admitted = run.admitted.sum()
    if eviction is Eviction.RESUME:
        admitted -= run.resumed.sum()
    assert admitted == run.completed.sum() + lost + left
    for stretch in np.split(run.completed, 3)[1:]:
        assert stretch.sum() > 0


@pytest.mark.parametrize("policy", [GuaranteedNoEvict(), LookAhead(), Steady()], ids=repr)
def test_known_lengths_are_never_evicted(policy: Policy) -> None:
    # What is told of each request is its output, so the forecast of memory is exact.
    system = System(Workload.classes([(5, 20), (9, 32), (2, 7)]), 700)
    run = iterate(system, policy=policy, steps=1500, arithmetic="integer")
    assert run.evicted.sum() == 0
    assert run.completed[500:].mean() > 0.6 * equilibrium(system).admissions


def test_a_policy_that_is_asked_needs_whole_requests() -> None:
    with pytest.raises(InputError, match="policy"):
        iterate(System(Workload.fixed(2, 3), 100), policy=Steady(), steps=5)


def test_asking_a_cap_is_pacing_it() -> None:
    system = System(Workload.fixed(16, 32), 960)
    paced = iterate(system, policy=RateCap(0.7), steps=4000, arithmetic="integer")
    asked = iterate(system, policy=_Asked(RateCap(0.7)), steps=4000, arithmetic="integer")
    assert asked.completed.sum() == pytest.approx(paced.completed.sum(), abs=2)


def test_a_batch_with_a_rate_of_its_own_needs_no_workload() -> None:
    system = System(Workload.fixed(16, 32), 960)
    policy = Wait(batch=4, rate=0.5)
    run = iterate(system, policy=policy, steps=4000, arithmetic="integer")
    assert set(np.unique(run.admitted)) == {0, 4}
    assert run.admitted.mean() == pytest.approx(0.5, rel=0.01)
    policy.start(Setup(960))
    with pytest.raises(InputError, match="law of lengths"):
        Wait(batch=4).start(Setup(960))
    with pytest.raises(InputError, match="rate"):
        Wait(rate=0.0)


class _Asked:
    """A policy without its pace."""

    def __init__(self, policy: Policy) -> None:
        self.sees_running, self.oracle, self.start = (
            policy.sees_running,
            policy.oracle,
            policy.start,
        )
