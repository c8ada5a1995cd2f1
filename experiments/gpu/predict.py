"""The same requests through the simulated engine: what it says of evictions and recomputing."""

from __future__ import annotations

import numpy as np
from loads import Load

from kvsteady.policies.named import policy_of
from kvsteady.simulate.engines.transformers import Transformers
from kvsteady.simulate.load import Feed, arrivals
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.times import LinearTime


def predicted(load: Load, policy: str | None, seed: int) -> dict[str, int]:
    """Steps, evictions and recomputed tokens; decisions do not hang on how long a step takes."""
    lengths = load.lengths(seed)
    rows = arrivals(len(lengths))
    rows["id"] = np.arange(len(lengths))
    rows["prompt"], rows["output"] = np.array(lengths).T
    rows["limit"] = load.max_tokens or rows["output"]
    feed = Feed(iter([rows]), int(rows["output"].max()), int(rows["prompt"].max()), len(rows))
    engine = Transformers(
        page_size=load.page,
        max_batch_tokens=2048,
        scheduler_type="prefill_first",
        safety_margin=0.0,
        allow_block_sharing=False,
    )
    asked = None if policy is None else policy_of(policy)
    again: list[int] = []
    machine = Machine(
        engine,
        load.kv_tokens,
        LinearTime(iteration=1.0, prefill=0.0, decode=0.0, kv_read=0.0),
        feed,
        policy=asked,
        finished=lambda gone: again.append(int(gone["recomputed"].sum())),
    )
    while machine.clock["all_completed"] < len(lengths):
        machine.run(1000)
    machine.flush()
    clock = machine.clock
    return {
        "steps": int(clock["iteration"]),
        "evictions": int(clock["all_preempted"]),
        "recomputed": sum(again),
    }
