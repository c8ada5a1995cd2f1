"""`Steady` switched on in any state that other policies leave behind."""

from __future__ import annotations

import numpy as np
import pytest

from kvsteady.admission import NO_LIMIT
from kvsteady.league.loads import Told
from kvsteady.model import System
from kvsteady.policies import Greedy, MaxActive, RateCap, Steady
from kvsteady.simulate.engines.sglang_regulated import RegulatedSglang
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import WAITING
from kvsteady.theory import equilibrium
from kvsteady.workload import Workload
from kvsteady.workload.distributions import Lengths, independent
from seasons import roomy_vllm
from stepping import UnitTime


def engine_of(name, block_size):
    if name == "sglang":
        return RegulatedSglang(disable_radix_cache=True)
    return roomy_vllm(block_size)


def log_uniform(rng, low, high):
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def left_by_others(rng, engine, kv_tokens, load, law):
    """A machine after up to three other policies in turn, each for up to two lives."""
    best = equilibrium(System(law, kv_tokens, engine.block_size))
    machine = Machine(engine, kv_tokens, UnitTime(), load.feed(), policy=Greedy())
    for _ in range(rng.integers(1, 4)):
        machine.adopt(
            (
                Greedy(),
                MaxActive(max(1, round(best.running * rng.uniform(0.3, 2)))),
                RateCap(best.admissions_blocks * rng.uniform(0.3, 3)),
            )[rng.choice(3, p=[0.5, 0.25, 0.25])]
        )
        machine.run(int(rng.integers(1, 2 * law.longest_output)))
    return machine, best.admissions_blocks


def live(machine, ticks):
    """Run so many decode iterations; returns evictions and completions."""
    before, last = machine.clock.copy(), int(machine.clock["tick"]) + ticks
    while int(machine.clock["tick"]) < last:
        machine.run(last - int(machine.clock["tick"]))
    return [int(machine.clock[name] - before[name]) for name in ("all_preempted", "all_completed")]


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_told_lengths_are_not_evicted_from_one_longest_output_on(name):
    # The proof of docs/reference/policies/steady.md: all who were there at the switch are gone.
    before = at_first = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        longest = int(log_uniform(rng, 20, 256))
        law = independent(
            Lengths.uniform(1, int(log_uniform(rng, 8, 600))).merged(32),
            Lengths.uniform(1, longest),
        )
        kv_tokens = int(law.largest_request * log_uniform(rng, 10, 300))
        machine, _ = left_by_others(
            rng, engine_of(name, 1), kv_tokens, Saturated(law, seed=seed), law
        )
        before += int(machine.clock["all_preempted"])
        machine.adopt(Steady())
        at_first += live(machine, longest)[0]
        assert live(machine, 6 * longest)[0] == 0, f"seed {seed}"
    assert before > 1000
    assert at_first > 0


@pytest.mark.parametrize("seed", range(16))
def test_one_length_is_served_at_x_star_again_when_who_was_evicted_is_gone(seed):
    # Measured, 300 such draws: in three lives, and as many more as the evicted would take at x*
    # (scripts/steady_promises.py); here after one more.
    rng = np.random.default_rng(seed)
    prompt, output = int(log_uniform(rng, 8, 600)), int(log_uniform(rng, 20, 800))
    law, engine = Workload.fixed(prompt, output), engine_of("vllm", (1, 16)[seed % 2])
    kv_tokens = int((prompt + output) * log_uniform(rng, 50, 300))
    load = Saturated(law, seed=seed)
    if seed % 4 > 1:
        load = Told(load, (4096, NO_LIMIT)[seed % 8 > 5])
    machine, best = left_by_others(rng, engine, kv_tokens, load, law)
    requests = machine.state.requests
    evicted = np.count_nonzero((requests["state"] == WAITING) & (requests["kept"] > 0))
    machine.adopt(Steady())
    live(machine, output)
    again, _ = live(machine, 3 * output + round(evicted / best))
    more, completed = live(machine, 6 * output)
    assert completed >= 0.95 * best * 6 * output
    assert again + more == 0
