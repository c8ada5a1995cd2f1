"""The laws that every admission policy keeps on engines. Add a new policy to POLICIES."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsteady.admission import Policy
from kvsteady.model import Pace
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
from kvsteady.simulate import arriving
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from stepping import UnitTime, feed_of, step

POLICIES: list[Policy] = [
    Greedy(),
    KvWatermark(0.1),
    MaxActive(),
    GuaranteedNoEvict(),
    NewTokenRatio(),
    RateCap(),
    RateCap(per_second=0.3),
    RateCap(z=0.0),
    LookAhead(),
    Wait(),
    NestedWait(),
    NestedWait(2, 0.3),
    Aimd(),
    Steady(),
]
ENGINE = Vllm(block_size=4, enable_prefix_caching=False, async_scheduling=False)

requests = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.integers(0, 60).map(float),
            "prompt": st.integers(1, 70),
            "output": st.integers(1, 40),
        }
    ),
    min_size=1,
    max_size=24,
).map(lambda rows: sorted(rows, key=lambda row: row["time"]))
laws = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def law_of(rows) -> Workload:
    return Workload.from_counts(
        [row["prompt"] for row in rows], [row["output"] for row in rows], [1] * len(rows)
    )


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@laws
@given(rows=requests, room=st.integers(0, 12), slack=st.sampled_from([0, 5, 4000]))
def test_memory_suffices_and_everyone_is_served_in_order(policy, rows, room, slack):
    largest = max(row["prompt"] + row["output"] for row in rows)
    blocks = -(-largest // 4) + room
    told = [row | {"limit": row["output"] + slack} for row in rows]
    left = []
    machine = Machine(
        ENGINE,
        4 * blocks,
        UnitTime(),
        feed_of(told),
        policy=policy,
        workload=law_of(rows),
        finished=left.append,
    )
    admitted: list[int] = []
    for _ in range(20_000):
        done = step(machine)  # checks the books: blocks are held once, lists agree
        if done is None:
            break
        admitted += [number for number in done.running if number not in admitted]
    machine.flush()
    gone = np.concatenate(left)
    # Conserved, none starves (each waits for finitely many iterations), and first come goes first.
    assert sorted(gone["id"].tolist()) == list(range(len(rows)))
    assert machine.clock["all_completed"] == len(rows)
    assert admitted == sorted(admitted)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_it_never_stops_while_memory_is_free(policy):
    load = Workload.classes([(30, 20), (10, 60)])
    machine = Machine(ENGINE, 800, UnitTime(), Saturated(load).feed(), policy=policy, workload=load)
    for _ in range(20):
        before = int(machine.clock["all_completed"])
        assert machine.run(200) == arriving.GO
        assert machine.clock["all_completed"] > before


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_the_same_again_is_the_same(policy):
    load = Workload.from_counts([20, 50], [10, 30], [3, 1], random=True)
    ends = []
    for _ in range(2):
        machine = Machine(
            ENGINE, 600, UnitTime(), Saturated(load, seed=3).feed(), policy=policy, workload=load
        )
        machine.run(3000)
        ends.append([int(machine.clock[f]) for f in ("all_completed", "all_preempted", "tick")])
    assert ends[0] == ends[1]


def test_greedy_asked_is_greedy_unasked():
    load = Workload.fixed(16, 32)
    ends = []
    for policy in (None, Greedy()):
        machine = Machine(ENGINE, 960, UnitTime(), Saturated(load).feed(), policy=policy)
        machine.run(2000)
        ends.append([int(machine.clock[f]) for f in ("all_completed", "all_preempted", "tick")])
    assert ends[0] == ends[1]


def test_a_cap_asked_is_a_cap_paced():
    load = Workload.fixed(16, 32)
    rates = []
    for policy, pace in ((RateCap(0.8), None), (None, (0.8, 1.8))):
        options = {} if pace is None else {"pace": Pace(*pace)}
        machine = Machine(
            ENGINE, 2000, UnitTime(), Saturated(load).feed(), policy=policy, **options
        )
        machine.run(5000)
        rates.append(int(machine.clock["all_completed"]))
    assert rates[0] == pytest.approx(rates[1], abs=2)
    assert rates[0] == pytest.approx(0.8 * 5000, rel=0.01)
