"""The laws of `test_policy_engines` for every policy on every engine, in small runs.

There hypothesis looks for what breaks them on one engine; here a few draws say that the same object
runs in all.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_policy_engines import POLICIES

from kvsteady.admission import Policy
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.engines.sglang_regulated import RegulatedSglang
from kvsteady.simulate.engines.transformers import Transformers
from kvsteady.simulate.engines.trtllm import TensorRtLlm
from kvsteady.simulate.engines.vidur_sarathi import VidurSarathi
from kvsteady.simulate.engines.vidur_vllm import VidurVllm
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from stepping import UnitTime, feed_of, step

ENGINES: dict[str, Engine] = {
    "vllm": Vllm(block_size=4, enable_prefix_caching=False, async_scheduling=False),
    "vllm-async": Vllm(block_size=4, enable_prefix_caching=False),
    "sglang": RegulatedSglang(disable_radix_cache=True),
    "sglang-pages": RegulatedSglang(page_size=16, disable_radix_cache=True),
    "tensorrt-llm": TensorRtLlm(policy="MAX_UTILIZATION", tokens_per_block=8),
    "tensorrt-llm-no-evict": TensorRtLlm(tokens_per_block=8),
    "transformers": Transformers(page_size=8, safety_margin=0.0),
    "vidur-vllm": VidurVllm(block_size=4),
    "vidur-sarathi": VidurSarathi(block_size=4, chunk_size=64),
    "paper": Paper(),
}


def drawn(seed: int) -> list[dict[str, float]]:
    """Thirty requests within thirty seconds, more than memory holds at once."""
    draw = np.random.default_rng(seed)
    lengths = zip(draw.integers(1, 60, 30).tolist(), draw.integers(1, 40, 30).tolist(), strict=True)
    times = np.sort(draw.integers(0, 30, 30)).astype(float).tolist()
    return [
        {"time": time, "prompt": prompt, "output": output, "limit": output + int(seed > 0) * 7}
        for time, (prompt, output) in zip(times, lengths, strict=True)
    ]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_memory_suffices_and_everyone_is_served_in_order(engine: Engine, policy: Policy) -> None:
    for seed in range(2):
        rows, left = drawn(seed), []
        load = Workload.from_counts(
            [int(row["prompt"]) for row in rows], [int(row["output"]) for row in rows], [1] * 30
        )
        # Twice what the largest request holds, and more: Vidur keeps a reserve.
        machine = Machine(
            engine,
            256,
            UnitTime(),
            feed_of(rows),
            policy=policy,
            workload=load,
            finished=left.append,
        )
        for _ in range(6000):
            if step(machine) is None:  # checks the books: blocks are held once, lists agree
                break
        machine.flush()
        gone = np.sort(np.concatenate(left), order="id")
        # Conserved, none starves, nobody livelocks.
        assert gone["id"].tolist() == list(range(len(rows)))
        assert machine.clock["all_completed"] == len(rows)
        # First come, first served; in Transformers one that does not fit holds nobody up.
        assert isinstance(engine, Transformers) or (np.diff(gone["scheduled"]) >= 0).all()
