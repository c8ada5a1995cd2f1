"""Small, crowded engines whose requests begin alike: with what another was asked or answered."""

from __future__ import annotations

import random

from reference.engines.vllm import Arrival, Knobs
from vllm_runs import Case


def crowded(seed: int, requests: int) -> Case:
    """The largest request takes all of the memory, or down to a fiftieth of it."""
    rng = random.Random(seed)
    block, blocks = rng.choice([1, 2, 4, 16]), rng.choice([6, 12, 30, 100, 300])
    knobs = Knobs(
        max_num_seqs=rng.choice([2, 4, 16, 64]),
        max_num_batched_tokens=rng.choice([64, 128, 256]),
        max_num_scheduled_tokens=rng.choice([None, None, None, 8]),
        long_prefill_token_threshold=rng.choice([0, 0, 9]),
        policy=rng.choice(["fcfs", "priority"]),
        scheduler_reserve_full_isl=rng.random() < 0.7,
        watermark=rng.choice([0.0, 0.0, 0.1]),
    )
    arrivals = tuple(_arrivals(rng, block, block * blocks, requests))
    return Case(knobs, blocks, block, arrivals, prefix_caching=True)


def _arrivals(rng: random.Random, block: int, capacity: int, requests: int) -> list[Arrival]:
    arrivals: list[Arrival] = []
    step = 0
    longest_gap = rng.choice([2, 5, 20])
    for number in range(requests):
        step += 0 if rng.random() < 0.5 else rng.randint(0, longest_gap)
        prompt = rng.randint(1, max(1, min(capacity - 2, rng.choice([2, 6, 12]) * block)))
        output = rng.randint(1, max(1, min(capacity - prompt, rng.choice([1, 5, 40, 100]))))
        begins: tuple[int, ...] = ()
        if arrivals and rng.random() < 0.6:
            other = rng.choice(arrivals[-8:]).token_ids  # its prompt, and what it generates
            begins = other[: rng.randint(0, len(other))]
        own = tuple(1000 * (number + 1) + i for i in range(prompt + output))
        tokens = (begins + own)[: prompt + output]
        arrivals.append(Arrival(step, prompt, output, rng.randint(0, 2), tokens))
    return arrivals
