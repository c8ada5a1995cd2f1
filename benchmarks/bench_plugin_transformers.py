"""What the plug-in adds to a step of Transformers' scheduler, in the same run as the peer.

The peer is the engine's own ``schedule_batch`` (5.23.0, ``prefill_first``) within the whole engine,
without a model. Both engines are stepped in turn on the same load, at an admission rate at which
nobody is evicted, so that both have the same requests in memory. CPU time of the thread, its lower
quartile, since what else runs on the machine only adds. Needs ``make bench-engines``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import kvsteady.plugins.transformers as plugin
from engines.transformers import drive

PROMPT, OUTPUT, PAGE = 64, 128, 16
drive.VOCABULARY = 1 << 16


def engine(running: int, scheduler: str) -> Any:
    """So many run at once, fed evenly, in memory for 1.3 as many."""
    per_request = -(-(PROMPT + OUTPUT) // PAGE)
    options = {
        "page_size": PAGE,
        "num_blocks": int(1.3 * running * per_request),
        "max_batch_tokens": 2 * running,
        "max_requests_per_batch": 1 << 12,
        "scheduler_type": scheduler,
        "safety_margin": 0.0,
        "allow_block_sharing": False,
    }
    rate = running / OUTPUT
    fed = [(int(i / rate), PROMPT, OUTPUT) for i in range(int(3 * running))]
    return drive.Engine(fed, **options)


def timed(made: Any) -> list[float]:
    """Let the engine note what each attempt to plan a batch takes."""
    seconds: list[float] = []
    inner = type(made.scheduler).schedule_batch

    def plan(*budgets: int) -> Any:
        begun = time.thread_time()
        planned = inner(made.scheduler, *budgets)
        seconds.append(time.thread_time() - begun)
        return planned

    made.scheduler.schedule_batch = plan
    return seconds


def compared(running: int, policy: str, steps: int) -> tuple[float, float]:
    """Lower quartile of the microseconds of a step: the engine's own, and with the policy."""
    plugin.configure(policy=policy, budget_ms=1e9, metrics=False)
    made = [engine(running, name) for name in ("prefill_first", "steady_prefill_first")]
    for each in made:
        each.run(OUTPUT + 20)
    took = [timed(each) for each in made]
    for _ in range(steps):
        for each in made:
            each.step()
    assert made[0].scheduler.active_requests.keys() == made[1].scheduler.active_requests.keys()
    own, ours = (1e6 * float(np.quantile(each, 0.25)) for each in took)
    return own, ours


def main() -> None:
    print("Transformers 5.23.0: schedule_batch with the plug-in, CPU time of a step")
    print(f"{'running':>8} {'policy':>8} {'own, µs':>9} {'plug-in, µs':>12} {'more':>7}")
    for running in (128, 512, 1024):
        for policy in ("greedy", "steady"):
            own, ours = compared(running, policy, 160)
            print(f"{running:>8,} {policy:>8} {own:9,.0f} {ours:12,.0f} {ours / own - 1:7.1%}")


if __name__ == "__main__":
    main()
