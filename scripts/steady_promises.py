"""What `Steady` does where nothing is proved: evictions by risk, and recovery of the rate.

    python scripts/steady_promises.py [DRAWS]

First the table of evictions per decode iteration for random lengths, by ``risk``. Then draws of one
length, where `Steady` is switched on after another policy has run: how many lives pass until every
four on end complete 0.94 x*, less the lives that the requests evicted before would take at x*; and
which share of completions is evicted after the fourth life. These are the numbers of
docs/reference/policies/steady.md. Takes about four minutes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np

from kvsteady.admission import NO_LIMIT, Policy
from kvsteady.league.engines import ENGINES, EngineName, engine_of, iteration_time
from kvsteady.league.loads import Told
from kvsteady.model import System
from kvsteady.policies import Greedy, MaxActive, RateCap, Steady
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.load import Load
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.records import WAITING
from kvsteady.theory import equilibrium
from kvsteady.workload import Workload
from kvsteady.workload.distributions import Lengths, independent

LIVES, RUN, BAR = 24, 4, 0.94
OUTPUTS = (
    Lengths.geometric(256.0, 2048),
    Lengths.uniform(1, 1024),
    Lengths.lognormal(200.0, 1.0, 2048),
)


def roomy(name: EngineName, block_size: int) -> Engine:
    """The league's engine, and where it is vLLM nothing but memory holds it back."""
    engine = engine_of(name, block_size, regulated=True)
    if isinstance(engine, Vllm):
        return replace(engine, max_num_seqs=4096, max_num_batched_tokens=65_536)
    return engine


def live(machine: Machine, ticks: int) -> tuple[int, int]:
    """Evictions and completions of so many decode iterations."""
    before, last = machine.clock.copy(), int(machine.clock["tick"]) + ticks
    while int(machine.clock["tick"]) < last:
        machine.run(last - int(machine.clock["tick"]))
    evicted, completed = (
        int(machine.clock[name] - before[name]) for name in ("all_preempted", "all_completed")
    )
    return evicted, completed


def by_risk(name: EngineName, kv_tokens: int, told: int | None) -> None:
    """Rows of a table: the most evictions per decode iteration of three seeds, completions."""
    engine = roomy(name, 16)
    for outputs in OUTPUTS:
        law = independent(Lengths.fixed(128), outputs)
        best = equilibrium(System(law, kv_tokens, engine.block_size)).admissions_blocks
        ticks, cells = 8 * law.longest_output, [outputs.name]
        policies: list[Policy] = [Steady(risk) for risk in (0.0, 1.0, 2.0, 3.0)]
        for policy in (*policies, Greedy()):
            found = []
            for seed in range(3):
                load: Load = Saturated(law, max_tokens=law.longest_output, seed=seed)
                load = load if told is None else Told(load, told)
                machine = Machine(engine, kv_tokens, iteration_time(), load.feed(), policy=policy)
                machine.run(ticks)
                found.append(live(machine, ticks))
            most = max(evicted for evicted, _ in found) / ticks
            cells.append(f"{most:.4f} ({np.mean([done for _, done in found]) / ticks / best:.2f})")
        print(f"| {name} | {kv_tokens:,} | {' | '.join(cells)} |", flush=True)


@dataclass(frozen=True)
class Recovery:
    """What came after a switch."""

    about: str
    block: int
    backlog: float  # lives that the evicted who wait take at x*
    rates: list[float]  # completions over x*, by life
    evicted: list[int]  # by life
    later: float  # evictions per completion after the fourth life

    @property
    def until(self) -> int:
        """The first life from which all runs of `RUN` lives reach `BAR`; `LIVES` if none."""
        for first in range(LIVES - RUN + 1):
            starts = range(first, LIVES - RUN + 1)
            if all(np.mean(self.rates[at : at + RUN]) >= BAR for at in starts):
                return first
        return LIVES


def recover(name: EngineName, seed: int) -> Recovery:
    """Let another policy run, switch, and watch."""
    rng = np.random.default_rng(seed)
    prompt, output, many = (
        float(np.exp(rng.uniform(np.log(low), np.log(high))))
        for low, high in ((8, 600), (20, 800), (50, 300))
    )
    law = Workload.fixed(int(prompt), int(output))
    engine = roomy(name, int(rng.choice([1, 16])))
    longest, kv_tokens = law.longest_output, int(many * law.largest_request)
    best = equilibrium(System(law, kv_tokens, engine.block_size))
    before: Policy = (
        Greedy(),
        MaxActive(max(1, round(best.running * rng.uniform(0.3, 2)))),
        RateCap(best.admissions_blocks * rng.uniform(0.3, 3)),
    )[rng.choice(3, p=[0.5, 0.25, 0.25])]
    load: Load = Saturated(law)
    if name == "vllm":  # SGLang wants room for what newcomers are told
        load = (load, load, Told(load, 4096), Told(load, NO_LIMIT))[rng.integers(4)]
    machine = Machine(engine, kv_tokens, iteration_time(), load.feed(), policy=before)
    machine.run(int(rng.integers(1, 4 * longest)))
    requests = machine.state.requests
    waiting = np.count_nonzero((requests["state"] == WAITING) & (requests["kept"] > 0))
    machine.adopt(Steady())
    evicted, completed = zip(*(live(machine, longest) for _ in range(LIVES)), strict=True)
    per_life = best.admissions_blocks * longest
    return Recovery(
        f"{law.prompt[0]}:{longest} in {kv_tokens:,}",
        engine.block_size,
        waiting / per_life,
        [done / per_life for done in completed],
        list(evicted),
        sum(evicted[4:]) / sum(completed[4:]),
    )


def main(args: list[str]) -> None:
    """Print both."""
    draws = int(args[0]) if args else 300
    for name in ENGINES:
        for kv_tokens in (131_072, 40_000):
            for told in (None,) if name == "sglang" else (None, NO_LIMIT):
                by_risk(name, kv_tokens, told)
    for name, many in zip(ENGINES, (draws, draws // 4), strict=True):
        found = [recover(name, seed) for seed in range(many)]
        single = [max(np.flatnonzero(each.evicted), default=-1) for each in found if each.block < 2]
        blocks = [each for each in found if each.block > 1]
        ends = [np.mean(each.rates[-8:]) for each in found]
        print(f"{name}: {many} draws, the last eight lives at {min(ends):.3f} to {max(ends):.3f}")
        print(f"  blocks of 1: {len(single)}, the last eviction in life {max(single) + 1}")
        print(f"  backlogs of up to {max(each.backlog for each in found):.1f} lives")
        for each in sorted(found, key=lambda one: one.backlog - one.until)[:6]:
            print(f"  {each.until} lives with {each.backlog:.2f} of backlog: {each.about}")
        if blocks:
            later = [each.later for each in blocks]
            print(f"  blocks of 16: {len(blocks)}, {np.mean(np.array(later) > 0):.0%} evict later,")
            print(f"  nine in ten below {np.quantile(later, 0.9):.4f} of completions, the worst:")
            for each in sorted(blocks, key=lambda one: -one.later)[:4]:
                print(f"  {each.later:.4f}: {each.about}")


if __name__ == "__main__":
    main(sys.argv[1:])
