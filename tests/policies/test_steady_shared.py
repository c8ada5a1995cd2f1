"""What `Steady` makes of prefixes that several requests hold in common."""

from __future__ import annotations

import numpy as np
import pytest

from kvsteady.admission import COMPLETED, NO_LIMIT, Setup, ask, new_view
from kvsteady.league.engines import engine_of
from kvsteady.league.loads import KEY_TOKENS, SystemPrompt
from kvsteady.policies import Steady
from kvsteady.policies.steady.state import opened
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from seasons import roomy_vllm
from stepping import UnitTime


def sharing(kv_tokens, common, rows, waits, *, ended=()):
    """What a policy knows, shown requests of (own prompt, generated, limit) behind a common prefix.

    Blocks have one token. The KV of the token that each is given next is not in memory yet. One
    ``waits``, with an own prompt and a limit. Before, requests of ``ended`` outputs, which were
    their max_tokens, completed.
    """
    view, state = new_view(4096), Steady().start(Setup(kv_tokens))
    facts = view.facts
    facts["block"], facts["blocks"], facts["unwritten"] = 1, kv_tokens, 1
    facts["waiting"], facts["shown_waiting"] = NO_LIMIT, 1
    view.waiting[0] = (common + waits[0], 0, waits[1], 0, common, common, 0)
    facts["running"] = facts["shown_running"] = len(rows)
    for i, (own, generated, limit) in enumerate(rows):
        view.running[i] = (common + own, generated, limit, 0, common, 0, 0)
    held = common + sum(own + generated - 1 for own, generated, _ in rows)
    facts["free"] = kv_tokens - held
    for iteration, output in enumerate([*ended, 0]):
        facts["iteration"] = facts["ticks"] = 1000 * iteration
        facts["shown_gone"] = 1 if output else 0
        view.gone[0] = (COMPLETED, common + rows[0][0], output, output)
        ask(state, view)
    return opened(state)


def test_what_they_hold_in_common_is_there_once():
    state = sharing(1000, 32, [(8, 5, 25), (9, 7, 25), (10, 9, 10)], (1000, 1))
    assert float(state.memo["common"]) == 32
    # In the coming iteration each holds its prompt and all that it has; all the others do in the
    # next one, when the third has ended; and in their 20th the first alone.
    assert state.ahead["full"][0] == 32 + 13 + 16 + 19
    assert state.ahead["full"][1] == 32 + 14 + 17
    last = [j for j in range(int(state.memo["spans"])) if state.ahead["horizon"][j] == 19]
    assert [state.ahead["full"][j] for j in last] == [32 + 32]


def test_the_rate_is_that_of_the_memory_which_is_left():
    # 50 tokens behind an own prompt of 100: in its i-th iteration a request holds 99 + i.
    rows = [(100, 10 * i, 50) for i in range(1, 5)]
    state = sharing(100_000, 40_000, rows, (100, 50), ended=[50] * 300)
    assert float(state.memo["rate"]) == pytest.approx(60_000 / sum(range(100, 150)), rel=0.01)


def logged(engine, load, kv_tokens, system):
    """2,000 iterations of a load behind a system prompt that has memory of its own."""
    log = []
    machine = Machine(
        engine,
        kv_tokens + system,
        UnitTime(),
        SystemPrompt(Saturated(load), system).feed(),
        policy=Steady(),
        iterations=log.append,
        log_every=1,
    )
    machine.run(2000)
    machine.flush()
    return np.concatenate(log)


def served(system, *, late):
    """Evictions, and completions per iteration, of 16:32 in 960 tokens on vLLM."""
    engine = roomy_vllm(1, enable_prefix_caching=True, async_scheduling=late)
    log = logged(engine, Workload.fixed(16, 32), 960, system)
    return log["preempted"].sum(), log["completed"][500:].mean()


@pytest.mark.parametrize("late", [False, True], ids=["sync", "async"])
def test_behind_a_system_prompt_it_is_as_in_the_rest_of_memory_without(late):
    # Certain lengths in blocks of one token: no eviction from the first request on. While one runs
    # nobody shares, and to believe that would keep it alone: half of this memory is the prefix.
    evicted, rate = served(15 * KEY_TOKENS, late=late)
    assert evicted == 0
    assert rate >= 0.97 * served(0, late=late)[1]


def test_a_prefill_is_as_long_as_what_is_not_in_the_cache():
    # Where prefill has iterations of its own, √(2 c x M / s) at once are worth one: 8 requests of
    # 100:128 in 20,000 tokens (c = 0.4, x* = 20,000 / (128 · 164), s = 228). So they are behind
    # a system prompt longer than any batch is worth, which nobody computes.
    for system in (0, 32 * KEY_TOKENS):
        engine = engine_of("sglang", 1, regulated=True, cached=True)
        log = logged(engine, Workload.fixed(100, 128), 20_000, system)[500:]
        assert log["preempted"].sum() == 0
        assert log["admitted"].sum() / (log["admitted"] > 0).sum() == pytest.approx(8, abs=1.5)
