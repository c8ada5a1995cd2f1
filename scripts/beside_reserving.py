"""`Steady` against reserving max_tokens where few run: completions per decode iteration of both.

    python scripts/beside_reserving.py [DRAWS]

Draws prompts of 1 to 300 and outputs of 2 to 150 tokens, one length or a mix of two to four, and
memory for 1.2 to 12 of the largest, on the simulators of vLLM (blocks of 1 and 16) and SGLang.
Prints the mean ratio, the worst and how many are below 0.99, per decode iteration and per second of
the league's time model, the evictions, and the worst case.
"""

from __future__ import annotations

import sys

import numpy as np

from kvsteady.league.engines import ENGINES, EngineName, engine_of, iteration_time
from kvsteady.policies import GuaranteedNoEvict, Steady
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload


def served(
    engine: Engine, workload: Workload, kv_tokens: int, policy: Steady | GuaranteedNoEvict
) -> tuple[float, float, int]:
    """Completions per decode iteration and per second after 60 lives, and all evictions."""
    feed = Saturated(workload).feed()
    machine = Machine(engine, kv_tokens, iteration_time(), feed, policy=policy, workload=workload)
    longest = workload.longest_output
    machine.run(max(60 * longest, 1500))
    before = machine.clock.copy()
    machine.run(max(200 * longest, 3000))
    after = machine.clock
    done = int(after["all_completed"]) - int(before["all_completed"])
    ticks, seconds = (float(after[name] - before[name]) for name in ("tick", "now"))
    return done / ticks, done / seconds, int(after["all_preempted"])


def compare(name: EngineName, mixed: bool, draws: int) -> str:
    """One line of the table."""
    rng = np.random.default_rng(7)
    found = []
    while len(found) < draws:
        block = int(rng.choice([1, 16])) if name == "vllm" else 1
        classes = [
            (int(rng.integers(1, 300)), int(rng.integers(2, 150)))
            for _ in range(int(rng.integers(2, 5)) if mixed else 1)
        ]
        largest = max(prompt + output for prompt, output in classes)
        kv_tokens = int(largest * rng.uniform(1.2, 12)) // block * block
        if kv_tokens < largest + block:
            continue
        workload = Workload.classes(classes)
        engine = engine_of(name, block, regulated=True)
        *ours, evicted = served(engine, workload, kv_tokens, Steady())
        *theirs, _ = served(engine, workload, kv_tokens, GuaranteedNoEvict())
        by_tick, by_second = (a / b for a, b in zip(ours, theirs, strict=True))
        found.append((by_second, by_tick, evicted, block, classes, kv_tokens))
    by_second, by_tick = (np.array([each[i] for each in found]) for i in (0, 1))
    alone = sum(each[2] for each in found if each[3] == 1)
    blocks = sum(each[2] for each in found if each[3] > 1)
    worst = min(found)[2:]
    return (
        f"| {name} | {'mixes' if mixed else 'one length'} |"
        f" {by_tick.mean():.3f} | {by_tick.min():.3f} | {np.mean(by_tick < 0.99):.0%} |"
        f" {by_second.mean():.3f} | {by_second.min():.3f} | {np.mean(by_second < 0.99):.0%} |"
        f" {alone} | {blocks} |"
        f" {' + '.join(f'{p}:{o}' for p, o in worst[2])} in {worst[3]:,} |"
    )


def main(args: list[str]) -> None:
    """Print the table."""
    draws = int(args[0]) if args else 300
    print(
        "| | | per iteration | worst | < 0.99 | per second | worst | < 0.99 | evicted | of 16 | |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in ENGINES:
        for mixed in (False, True):
            print(compare(name, mixed, draws), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
