"""What look-ahead counts: blocks of each request in each iteration ahead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvsteady.admission import Setup, View, ask, new_view
from kvsteady.model import System
from kvsteady.policies import LookAhead
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines.sglang_regulated import RegulatedSglang
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.theory import equilibrium
from kvsteady.workload import Workload
from stepping import UnitTime

VLLM = Vllm(block_size=16, enable_prefix_caching=False, async_scheduling=False)
SGLANG = RegulatedSglang(disable_radix_cache=True)


def view_of(
    running: list[tuple[int, ...]], waiting: list[tuple[int, ...]], blocks: int, free: int
) -> View:
    """Blocks of 16; rows are prompt, generated, output, shared."""
    view = new_view(64)
    for rows, seen in ((running, view.running), (waiting, view.waiting)):
        for i, (prompt, generated, output, shared) in enumerate(rows):
            seen[i] = (prompt, generated, output, output, shared, shared, 0)
    facts = view.facts
    facts["block"], facts["blocks"], facts["free"] = 16, blocks, free
    facts["running"] = facts["shown_running"] = len(running)
    facts["waiting"] = facts["shown_waiting"] = len(waiting)
    facts["unwritten"] = 1
    return view


def test_those_who_only_wait_take_no_memory() -> None:
    # Of each 16 + 17 - 1 tokens are written, 2 blocks; with one more it would be 3.
    view = view_of([], [(16, 0, 17, 0)] * 200, blocks=32, free=32)
    assert ask(LookAhead().start(Setup(512, 16)), view) == 16
    view = view_of([], [(16, 0, 18, 0)] * 200, blocks=32, free=32)
    assert ask(LookAhead().start(Setup(512, 16)), view) == 10


def test_blocks_of_one_are_freed_for_another() -> None:
    # Who runs holds 32 + 8 = 40 tokens, has 3 blocks, and leaves after 8 ticks with 47. In its 8th
    # tick a newcomer of 16 has at most 24: 2 blocks, and takes a third after 16.
    running = [(32, 8, 16, 0)]
    assert ask(LookAhead().start(Setup(80, 16)), view_of(running, [(16, 0, 32, 0)], 5, 2)) == 1
    assert ask(LookAhead().start(Setup(64, 16)), view_of(running, [(16, 0, 32, 0)], 4, 1)) == 0


def test_a_shared_prefix_is_counted_once() -> None:
    # Two hold a prefix of 160 tokens, 10 blocks, and 2 blocks each of their own, of 12 + 4: they
    # take 12 + 4 + 16 - 1 tokens at the end. Two of 5 more fit in 8 blocks.
    running = [(172, 4, 20, 160)] * 2
    waiting = [(172, 0, 20, 160)] * 5
    policy = LookAhead().start(Setup(18 * 16, 16))
    assert ask(policy, view_of(running, waiting, 18, 18 - 10 - 2)) == 2


@pytest.mark.parametrize(
    "engine",
    [VLLM, replace(VLLM, async_scheduling=True), SGLANG, replace(SGLANG, page_size=16)],
    ids=["vllm", "vllm-async", "sglang", "sglang-pages"],
)
def test_nobody_is_evicted(engine: Engine) -> None:
    # Prompts fit in one iteration; SGLang's first token comes in one in which nobody else decodes.
    load = Workload.from_counts([20, 60, 40], [90, 40, 15], [2, 2, 3], random=True)
    policy = LookAhead()
    machine = Machine(
        engine, 4000, UnitTime(), Saturated(load, seed=1).feed(), policy=policy, workload=load
    )
    machine.run(4000)
    assert machine.clock["all_preempted"] == 0
    rate = equilibrium(System(load, 4000, engine.block_size)).admissions_blocks
    assert machine.clock["all_completed"] > 0.95 * rate * machine.clock["tick"]
