"""What baselines promise beyond the laws: bounds in blocks, and time as engines count it."""

from __future__ import annotations

import pytest

from kvsteady.admission import COMPLETED, EVICTED, Setup, ask, new_view
from kvsteady.policies import MaxActive, NewTokenRatio
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from stepping import UnitTime


@pytest.mark.parametrize("late", [False, True])
def test_what_memory_holds_at_full_length_is_counted_in_blocks(late: bool) -> None:
    # 2 + 32 - 1 tokens in 3 blocks of 16: 20 in 60 blocks, where 960 tokens would hold 29.
    load = Workload.fixed(2, 32)
    assert MaxActive().start(Setup(960, 16, workload=load)).requests == 20
    engine = Vllm(block_size=16, enable_prefix_caching=False, async_scheduling=late)
    machine = Machine(
        engine, 960, UnitTime(), Saturated(load).feed(), policy=MaxActive(), workload=load
    )
    machine.run(2000)
    assert machine.clock["all_completed"] > 1000
    assert machine.clock["all_preempted"] == 0


def test_the_mean_of_classes_is_of_their_blocks() -> None:
    # 1 block and 3 blocks of 16, in turn: 30 requests in 60 blocks.
    load = Workload.classes([(8, 8), (8, 32)])
    assert MaxActive().start(Setup(960, 16, workload=load)).requests == 30
    assert MaxActive().start(Setup(16, 16, workload=load)).requests == 1


def test_the_ratio_falls_in_iterations_that_decode() -> None:
    # From 0.7 to 14% of it in 600 of them: new_token_ratio_tracker.py of SGLang 0.5.23.
    memory, view = NewTokenRatio().start(Setup(1000)), new_view(4)
    facts = view.facts
    facts["block"], facts["blocks"], facts["free"] = 1, 1000, 1000
    for facts["iteration"] in range(50):  # prefills only
        ask(memory, view)
    assert memory.memo[0] == 0.7
    facts["ticks"] = 300
    ask(memory, view)
    assert memory.memo[0] == pytest.approx(0.7 * (1 - 0.86 / 2))
    facts["ticks"] = 5000
    ask(memory, view)
    assert memory.memo[0] == pytest.approx(0.7 * 0.14)
    # After an eviction: (30 + 20) of a limit of 100, and 1.
    facts["running"] = facts["shown_running"] = facts["shown_gone"] = 1
    view.running[0]["generated"], view.running[0]["limit"] = 30, 100
    view.gone[0]["how"] = EVICTED
    ask(memory, view)
    assert memory.memo[0] == pytest.approx(50 / 101)
    view.gone[0]["how"] = COMPLETED
    facts["ticks"] += 10
    ask(memory, view)
    assert memory.memo[0] == pytest.approx(50 / 101 - 10 * 0.7 * 0.86 / 600)
