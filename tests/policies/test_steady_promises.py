"""How often `Steady` lets memory run out where lengths are random."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from kvsteady.admission import COMPLETED, NO_LIMIT, Setup, ask, new_view
from kvsteady.model import System
from kvsteady.policies import Greedy, Steady
from kvsteady.policies.steady.plan import fits_safely
from kvsteady.policies.steady.policy import forecast, put_together, set_spans
from kvsteady.policies.steady.state import opened
from kvsteady.simulate.engines.sglang_regulated import RegulatedSglang
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.theory import equilibrium
from kvsteady.workload.distributions import Lengths, independent
from seasons import gains, roomy_vllm
from stepping import UnitTime

PROMPT, KV_TOKENS = 50, 10_000
SHORT = {
    "geometric": Lengths.geometric(40.0, 200),
    "uniform": Lengths.uniform(1, 128),
    "log-normal": Lengths.lognormal(30.0, 1.0, 200),
}


def filled_up(outputs, risk, seed):
    """Ages of those in memory: 30, and as many newcomers as the forecast lets in, who are about
    a hundred. What is known was learned of 6,000 completions.
    """
    rng = np.random.default_rng(seed)
    ages = rng.integers(0, 40, 30)
    view, state = new_view(8192), Steady(risk).start(Setup(KV_TOKENS))
    facts = view.facts
    facts["block"], facts["blocks"], facts["unwritten"] = 1, KV_TOKENS, 1
    facts["waiting"], facts["free"], facts["running"] = NO_LIMIT, KV_TOKENS, 5000
    ends = rng.choice(outputs.values, size=6000, p=outputs.probability)
    for number, output in enumerate(ends):
        facts["iteration"] = facts["ticks"] = 300 * number
        view.gone[0], facts["shown_gone"] = (COMPLETED, PROMPT, output, NO_LIMIT), 1
        ask(state, view)
    facts["shown_gone"], facts["running"], facts["shown_running"] = 0, ages.size, ages.size
    view.running[: ages.size] = [(PROMPT, age, NO_LIMIT, 0, 0, 0, 0) for age in ages]
    facts["shown_waiting"], view.waiting[0] = 1, (PROMPT, 0, NO_LIMIT, 0, 0, 0, 0)
    known = opened(state)
    known.memo["apart"] = 0.0  # a newcomer's prefill is beside the others' decode
    put_together(known, view)
    set_spans(known, view)
    forecast(known, view)
    new = 0
    while fits_safely(known, view, view.waiting[0]):
        new += 1
    return np.concatenate([ages, np.zeros(new, dtype=int)])


def overflows(outputs, ages, draws, seed):
    """For each time ahead, the share of draws in which memory is short if nobody else comes."""
    rng = np.random.default_rng(seed)
    below = np.cumsum(outputs.probability)
    passed = np.concatenate([[0.0], below])[ages]  # P(output ≤ age): that did not happen
    chance = passed + rng.random((draws, ages.size)) * (1 - passed)
    left = outputs.values[np.minimum(np.searchsorted(below, chance), below.size - 1)] - ages
    # In h iterations it has h more tokens, or has left.
    ahead = range(int(outputs.values[-1]))
    held = np.array([((left > h) * (PROMPT + ages + h)).sum(axis=1) for h in ahead])
    return (held > KV_TOKENS).mean(axis=1)


@pytest.mark.parametrize("risk", [1.0, 2.0])
@pytest.mark.parametrize("law", SHORT)
def test_at_no_time_ahead_is_memory_short_more_often_than_the_forecast_says(law, risk):
    worst = []
    for seed in range(3):
        ages = filled_up(SHORT[law], risk, seed)
        assert np.count_nonzero(ages == 0) >= 90
        worst.append(overflows(SHORT[law], ages, 1000, seed).max())
    # Proved: Cantelli's 1 / (1 + risk²), 0.5 and 0.2. With 140 in memory the sum is nearly normal,
    # 0.159 and 0.023; as newcomers count with the most that they hold in a span, it is less.
    assert max(worst) <= 1 / (1 + risk**2)
    assert max(worst) <= NormalDist().cdf(-risk)
    if law == "uniform":  # whose spans are short: the margin is not far more than was asked for
        assert min(worst) >= NormalDist().cdf(-risk) / 6


LONG = {
    "geometric": independent(Lengths.fixed(128), Lengths.geometric(256.0, 2048)),
    "uniform": independent(Lengths.fixed(128), Lengths.uniform(1, 1024)),
    "log-normal": independent(Lengths.fixed(128), Lengths.lognormal(200.0, 1.0, 2048)),
}


def season(engine, law, policy, seed, kv_tokens=131_072):
    """Evictions per decode iteration after eight of the longest lives, completions over x*."""
    feed = Saturated(law, max_tokens=law.longest_output, seed=seed).feed()
    machine = Machine(engine, kv_tokens, UnitTime(), feed, policy=policy)
    machine.run(8 * law.longest_output)
    counts = "all_preempted", "all_completed", "tick"
    evicted, completed, ticks = gains(machine, 8 * law.longest_output, *counts)
    best = equilibrium(System(law, kv_tokens, engine.block_size)).admissions_blocks
    return evicted / ticks, completed / ticks / best


VLLM = roomy_vllm(16)
SGLANG = RegulatedSglang(disable_radix_cache=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("engine", "law"),
    # On SGLang, which keeps max_tokens of newcomers free, greedy evicts next to nobody elsewhere.
    [*((VLLM, law) for law in LONG), (SGLANG, "uniform")],
    ids=[*(f"vllm, {law}" for law in LONG), "sglang, uniform"],
)
def test_random_lengths_are_evicted_once_in_hundreds_of_iterations(engine, law, seed):
    # Measured, not proved: at most 0.0018 per iteration in 54 runs of these laws on both engines,
    # in 131,072 and 40,000 tokens, max_tokens told or not (scripts/steady_promises.py). Here it may
    # be nearly three times that.
    evicted, rate = season(engine, LONG[law], Steady(), seed)
    assert evicted <= 0.005
    assert rate >= 0.94
    greedily, _ = season(engine, LONG[law], Greedy(), seed)
    assert greedily >= 0.1
