"""TensorRT-LLM's capacity schedulers, with its micro-batch scheduler.

After ``tensorrt_llm/_torch/pyexecutor/scheduler/scheduler.py`` at commit 002f3cc, the Python
mirror of ``cpp/tensorrt_llm/batch_manager/capacityScheduler.cpp``.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.doors import left_of, schedule_of
from kvsteady.simulate.engines.trtllm_batch import (
    MEMO,
    blocks_to_completion,
    run_contexts,
    run_generations,
)
from kvsteady.simulate.engines.trtllm_capacity import (
    MAX_UTILIZATION,
    STATIC_BATCH,
    fits_at_once,
    out_of_order,
    pause_for_room,
    wake,
)
from kvsteady.simulate.state import RUNNING
from kvsteady.workload.ranges import whole_number

_POLICIES = ("GUARANTEED_NO_EVICT", "STATIC_BATCH", "MAX_UTILIZATION")


class _Habits(NamedTuple):
    policy: int
    max_batch_size: int
    max_num_tokens: int
    enable_chunked_prefill: int
    memo: Any  # a MEMO record


@dataclass(frozen=True)
class TensorRtLlm:
    """Options of ``LlmArgs`` and its ``SchedulerConfig`` and ``KvCacheConfig``, under their names.

    Parameters
    ----------
    policy
        ``capacity_scheduler_policy``. ``"GUARANTEED_NO_EVICT"``: requests are admitted in order
        while the blocks of prompt + ``limit`` tokens, of them and of all that run, fit.
        ``"STATIC_BATCH"``: the same, only while nobody generates. ``"MAX_UTILIZATION"``: in the
        order of arrival, as long as the coming step fits; who does not fit pauses the last started
        request (its generated tokens join the prompt; it keeps its place in the order).
    max_batch_size
        Requests that the scheduler looks at: the earliest so many that have not completed.
    max_num_tokens
        Tokens computed per iteration. Without chunked prefill a longer prompt never runs: the run
        ends as stalled.
    enable_chunked_prefill
        Cut prompts where ``max_num_tokens`` runs out, to whole blocks, first come first served.
    tokens_per_block
        Tokens per block.

    Notes
    -----
    Iterations do not overlap, pipelines have one stage, and no block is reused
    (``enable_block_reuse=False``).
    """

    policy: str = "GUARANTEED_NO_EVICT"
    max_batch_size: int = 2048
    max_num_tokens: int = 8192
    enable_chunked_prefill: bool = False
    tokens_per_block: int = 32

    def __post_init__(self) -> None:
        if self.policy not in _POLICIES:
            raise InputError(
                f"{shown(self.policy)} is not a policy",
                field="policy",
                allowed=", ".join(_POLICIES),
            )
        whole_number(self.max_batch_size, "max_batch_size", 1, 2**30)
        whole_number(self.max_num_tokens, "max_num_tokens", 1, 2**30)
        whole_number(self.tokens_per_block, "tokens_per_block", 1, 65_536)
        if self.enable_chunked_prefill and self.max_num_tokens < self.tokens_per_block:
            raise InputError(
                f"{self.max_num_tokens} tokens are less than a chunk",
                field="max_num_tokens",
                allowed="at least tokens_per_block",
            )

    @property
    def name(self) -> str:
        """The engine and the commit of its scheduler."""
        return "tensorrt-llm-002f3cc"

    @property
    def block_size(self) -> int:
        """Tokens per block."""
        return self.tokens_per_block

    @property
    def unwritten(self) -> int:
        """The last token's KV is never stored."""
        return 1

    def habits(self) -> _Habits:
        """The options, and no blocks promised yet."""
        return _Habits(
            _POLICIES.index(self.policy),
            self.max_batch_size,
            self.max_num_tokens,
            int(self.enable_chunked_prefill),
            np.zeros(1, dtype=MEMO)[0],
        )

    def memory(self, blocks: int, slots: int) -> Counted:
        """A count of blocks."""
        del blocks, slots
        return Counted()


@schedule_of(_Habits)
def _schedule(engine, memory, s):
    memo, clock = engine.memo, s.clock
    wake(memo, s)
    memo.tokens, memo.closed = engine.max_num_tokens, 0
    if engine.policy == STATIC_BATCH and clock.decoding > 0:
        run_generations(engine, memory, s)
        return
    # Who may run: all of those who are in memory, and so many of those who wait.
    memo.fitting = engine.max_batch_size - s.lists[RUNNING].count
    if engine.policy == MAX_UTILIZATION and (out_of_order(s) or not fits_at_once(s)):
        pause_for_room(engine, memory, s)
    # Who of them runs now.
    run_generations(engine, memory, s)
    run_contexts(engine, memory, s)


@left_of(_Habits)
def _left(engine, s, slot):
    if engine.policy != MAX_UTILIZATION:
        engine.memo.promised -= blocks_to_completion(s, slot)


ENGINE = TensorRtLlm
