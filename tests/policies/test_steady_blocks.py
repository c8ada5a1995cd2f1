"""`Steady` in blocks of more than one token, where many take a new one at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from kvsteady.admission import COMPLETED, NO_LIMIT, Setup, ask, new_view
from kvsteady.league.loads import Told
from kvsteady.model import System
from kvsteady.policies import Steady
from kvsteady.policies.steady.policy import forecast, put_together, set_spans
from kvsteady.policies.steady.state import opened
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.theory import equilibrium
from kvsteady.workload import Workload
from seasons import gains, roomy_vllm
from stepping import UnitTime


@pytest.mark.parametrize("told", [None, 4096, NO_LIMIT], ids=["told", "4096", "untold"])
@pytest.mark.parametrize(
    ("prompt", "output", "kv_tokens", "block", "least"),
    [
        (16, 20, 2653, 16, 0.97),
        (12, 26, 3088, 16, 0.94),  # of few blocks each, a tenth of whom come at once
        (59, 28, 24_594, 16, 0.97),
        (20, 208, 85_000, 16, 0.97),
        (64, 50, 40_000, 24, 0.97),  # no power of two
    ],
)
def test_nobody_of_a_certain_length_is_evicted_in_blocks(
    prompt, output, kv_tokens, block, least, told
):
    law = Workload.fixed(prompt, output)
    load = Saturated(law) if told is None else Told(Saturated(law), told)
    machine = Machine(roomy_vllm(block), kv_tokens, UnitTime(), load.feed(), policy=Steady())
    machine.run(4 * output)
    counts = "all_preempted", "all_completed", "tick"
    evicted, completed, ticks = gains(machine, 20 * output, *counts)
    assert evicted == 0
    best = equilibrium(System(law, kv_tokens, block)).admissions_blocks
    assert completed >= least * best * ticks


def forecast_of(rows, *, block, used=None, learned=()):
    """What a forecast of those who run says once it has seen completions at some lengths."""
    view, state = new_view(64), Steady().start(Setup(100_000, block))
    facts = view.facts
    facts["block"], facts["blocks"], facts["unwritten"] = block, 1_000_000, 1
    facts["free"], facts["waiting"] = 1_000_000, NO_LIMIT
    for number, output in enumerate(learned):
        facts["iteration"] = facts["ticks"] = 5000 * (number + 1)
        view.gone[0], facts["shown_gone"] = (COMPLETED, 100, output, NO_LIMIT), 1
        ask(state, view)
    facts["shown_gone"], facts["shown_waiting"] = 0, 0
    facts["running"] = facts["shown_running"] = len(rows)
    view.running[: len(rows)] = rows
    if used is not None:
        facts["free"] = facts["blocks"] - used // block
    known = opened(state)
    put_together(known, view)
    set_spans(known, view)
    forecast(known, view)
    return known


def in_whole_blocks(lives, block, ahead):
    """Most tokens in whole blocks, by iterations ahead, of (tokens in the next one, iterations)."""
    held = np.zeros(ahead, dtype=int)
    for tokens, left in lives:
        for h in range(left):
            held[h] += -(-(tokens + h) // block) * block
    return held


def spans_of(known):
    """First and last iteration of each span: doubling ones, and then all alike."""
    shift = int(known.memo["shift"])
    edges = [0, *(1 << k for k in range(shift + 1))]
    while len(edges) <= known.memo["spans"]:
        edges.append(edges[-1] + (1 << shift))
    return list(pairwise(edges))[: known.memo["spans"]]


@pytest.mark.parametrize("block", [2, 16, 24, 64, 784])
@pytest.mark.parametrize("learned", [[], [300] * 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_most_that_may_be_held_is_counted_in_whole_blocks(block, learned, seed):
    rng = np.random.default_rng(seed)
    longest = 300
    limit = NO_LIMIT if learned else longest
    ages, prompts = rng.integers(0, longest, 40), rng.integers(1, 200, 40)
    known = forecast_of(
        [(p, a, limit, 0, 0, 0, 0) for p, a in zip(prompts, ages, strict=True)],
        block=block,
        learned=learned,
    )
    assert known.memo["certain"] == len(set(learned))
    held = in_whole_blocks(zip(prompts + ages, longest - ages, strict=True), block, longest)
    spans = spans_of(known)
    for j, (first, behind) in enumerate(spans):
        assert known.ahead["full"][j] == held[first:behind].max()
    if len(set(learned)) == 1:  # the mean is no other
        likely = known.ahead["mean"] + known.ahead["lumps"]
        assert likely[: len(spans)] == pytest.approx(known.ahead["full"][: len(spans)])


def test_far_ahead_ends_are_counted_no_earlier_than_they_are():
    # Every fourth iteration is looked at.
    rng = np.random.default_rng(0)
    longest, block = 5000, 16
    ages, prompts = rng.integers(0, longest, 40), rng.integers(1, 200, 40)
    ages[0] = 0
    known = forecast_of(
        [(p, a, NO_LIMIT, 0, 0, 0, 0) for p, a in zip(prompts, ages, strict=True)],
        block=block,
        learned=[longest] * 20,
    )
    assert known.memo["coarse"] == 2
    lives = list(zip(prompts + ages, longest - ages, strict=True))
    held = in_whole_blocks(lives, block, longest)
    later = in_whole_blocks([(tokens, left + 3) for tokens, left in lives], block, longest + 3)
    for j, (first, behind) in enumerate(spans_of(known)):
        most = known.ahead["full"][j]
        assert held[first:behind].max() <= most <= later[first : behind + 3].max()


def test_blocks_that_several_hold_are_counted_once():
    # Two hold the same two blocks of 16, and three and one of their own; one of 5 tokens is alone.
    rows = [
        (70, 10, NO_LIMIT, 0, 32, 0, 0),
        (32, 16, NO_LIMIT, 0, 32, 0, 0),
        (3, 2, NO_LIMIT, 0, 0, 0, 0),
    ]
    known = forecast_of(rows, block=16, used=7 * 16, learned=[40] * 20)
    # In the next iteration 48, 16 and 5 tokens of their own.
    assert known.ahead["full"][0] == 7 * 16
    # One further on the first two take a new one each.
    assert known.ahead["full"][1] == 9 * 16
