"""Workloads for Transformers' engine, and how a run of it is written down.

The driver of the real engine, the plain reference and the kernel are all given these.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

Options = dict[str, Any]  # of ContinuousBatchingConfig
Arrival = tuple[int, int, int]  # step of arrival, prompt tokens, output tokens


def workload(seed: int) -> tuple[Options, list[Arrival]]:
    """A random case: from starved to ample memory, all options varied."""
    rng = random.Random(seed)
    page = rng.choice([4, 4, 5, 8, 16])
    longest_prompt, longest_output = rng.choice([8, 24, 60]), rng.choice([4, 30, 60])
    fixed = rng.random() < 0.3
    gap = rng.choice([0.0, 0.0, 0.3, 1.0, 4.0])  # steps between arrivals, on average
    clock, requests = 0.0, []
    for _ in range(rng.randint(20, 120)):
        prompt = longest_prompt if fixed else rng.randint(1, longest_prompt)
        output = longest_output if fixed else rng.randint(1, longest_output)
        requests.append((int(clock), prompt, output))
        clock += rng.expovariate(1 / gap) if gap else 0.0
    most = max(prompt + output - 1 for _, prompt, output in requests)
    options = {
        "page_size": page,
        "num_blocks": int(-(-most // page) * rng.choice([1, 1.5, 2.5, 6, 20])),
        "max_batch_tokens": rng.choice([5, 16, 64, 512, 8192]),
        "max_requests_per_batch": rng.choice([1024, 1024, 3, 10]),
        "scheduler_type": rng.choice(["fifo", "prefill_first"]),
        "safety_margin": rng.choice([None, 0.0, 0.05, 0.3]),
        "allow_block_sharing": rng.random() < 0.5,
    }
    return options, requests


def measured(*, allow_block_sharing: bool = False) -> tuple[Options, list[Arrival]]:
    """The measurement of the specification: 960 KV tokens, prompt 16, output 32, 1,000 requests."""
    options = {
        "page_size": 4,
        "num_blocks": 240,
        "max_batch_tokens": 8192,
        "scheduler_type": "prefill_first",
        "safety_margin": 0.0,
        "allow_block_sharing": allow_block_sharing,
    }
    return options, [(0, 16, 32)] * 1000


class Diary:
    """Writes steps down so that they are short and nothing is lost.

    A row: the requests that computed other than one token, with how many; the active ones that
    computed none; the admitted, evicted and finished; the free blocks after the step. All other
    active requests computed one token.
    """

    columns = ("tokens", "idle", "admitted", "evicted", "finished", "free")

    def __init__(self) -> None:
        self.active: set[int] = set()

    def row(
        self,
        tokens: dict[int, int],
        admitted: Iterable[int],
        evicted: Iterable[int],
        finished: Iterable[int],
        free: int,
    ) -> list[Any]:
        admitted, evicted, finished = sorted(admitted), sorted(evicted), sorted(finished)
        self.active |= set(admitted)
        others = sorted([name, count] for name, count in tokens.items() if count != 1)
        idle = sorted(self.active - tokens.keys())
        self.active -= {*evicted, *finished}
        return [others, idle, admitted, evicted, finished, free]
