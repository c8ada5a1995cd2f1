"""vLLM V1 as an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.engines.vllm_schedule import Habits
from kvsteady.simulate.prefix import Pooled, new_pool
from kvsteady.workload.ranges import whole_number

_MOST = 2**31
_POLICIES = ("fcfs", "priority")
_VERSIONS = ("0.32.0", "0.33.0")


@dataclass(frozen=True)
class Vllm:
    """vLLM V1's scheduler with its KV cache manager, decision for decision.

    Source: ``vllm/v1/core/sched/scheduler.py`` and ``vllm/v1/core/kv_cache_manager.py`` of 0.32.0,
    for one group of full-attention layers without speculative decoding. 0.33.0 decides alike,
    except that under priorities its pass goes on after a request that preempted itself.

    Attributes
    ----------
    block_size
        Tokens per KV block.
    max_num_seqs, max_num_batched_tokens
        Requests that may run, tokens per iteration. The defaults are those of ``vllm serve`` on an
        H100 (on smaller GPUs 256 and 2,048).
    max_num_scheduled_tokens
        Tokens per iteration where that is less; None: as many.
    max_num_active_seqs
        Requests that may run where that is less; None: as many.
    enable_chunked_prefill
        False: a prompt that exceeds the budget's rest waits, with all behind it.
    long_prefill_token_threshold, long_prefill_token_threshold_adaptive
        Tokens of one request's prefill per iteration, 0 for no limit; at least the budget's share
        of each request.
    policy
        ``fcfs``, or ``priority``: smaller numbers first, the largest are preempted.
    scheduler_reserve_full_isl
        Admit only where all of a request's tokens fit, not just its first chunk.
    watermark
        Share of the blocks that stays free when a request is admitted beside others.
    enable_prefix_caching
        Blocks outlive their requests and are found by content; vLLM's default. It costs time only
        where a load says what content is shared, but a preempted request finds its own blocks too.
    async_scheduling
        An iteration is scheduled before the engine hears who completed in the one before: they hold
        their memory and their place for one more. vLLM's default where nothing speaks against it.
    version
        Whose decisions: ``0.32.0`` or ``0.33.0``.

    Raises
    ------
    InputError
        For an option out of its range, or two that vLLM refuses together.
    """

    block_size: int = 16
    max_num_seqs: int = 1024
    max_num_batched_tokens: int = 8192
    max_num_scheduled_tokens: int | None = None
    max_num_active_seqs: int | None = None
    enable_chunked_prefill: bool = True
    long_prefill_token_threshold: int = 0
    long_prefill_token_threshold_adaptive: bool = False
    policy: Literal["fcfs", "priority"] = "fcfs"
    scheduler_reserve_full_isl: bool = True
    watermark: float = 0.0
    enable_prefix_caching: bool = True
    async_scheduling: bool = True
    version: Literal["0.32.0", "0.33.0"] = "0.32.0"

    takes_victims = True

    def __post_init__(self) -> None:
        whole_number(self.block_size, "block_size", 1, 65_536)
        whole_number(self.max_num_seqs, "max_num_seqs", 1, _MOST)
        whole_number(
            self.max_num_batched_tokens, "max_num_batched_tokens", self.max_num_seqs, _MOST
        )
        if self.max_num_scheduled_tokens is not None:
            whole_number(
                self.max_num_scheduled_tokens,
                "max_num_scheduled_tokens",
                1,
                self.max_num_batched_tokens,
            )
        if self.max_num_active_seqs is not None:
            whole_number(self.max_num_active_seqs, "max_num_active_seqs", 1, self.max_num_seqs)
        whole_number(self.long_prefill_token_threshold, "long_prefill_token_threshold", 0, _MOST)
        if not 0 <= self.watermark < 1:  # NaN fails too
            raise InputError(
                f"{shown(self.watermark)} is out of range",
                field="watermark",
                allowed="a share from 0 to less than 1",
            )
        for name, value, known in (
            ("policy", self.policy, _POLICIES),
            ("version", self.version, _VERSIONS),
        ):
            if value not in known:
                raise InputError(
                    f"{shown(value)} is unknown", field=name, allowed=" or ".join(known)
                )

    @property
    def name(self) -> str:
        """The version is part of it."""
        return f"vllm-{self.version}"

    @property
    def unwritten(self) -> int:
        """The KV of the last token is never stored."""
        return 1

    def habits(self) -> Habits:
        """The options as the kernel reads them."""
        scheduled, active = self.max_num_scheduled_tokens, self.max_num_active_seqs
        return Habits(
            seqs=self.max_num_seqs if active is None else active,
            budget=self.max_num_batched_tokens if scheduled is None else scheduled,
            batched=self.max_num_batched_tokens,
            threshold=self.long_prefill_token_threshold,
            adaptive=self.long_prefill_token_threshold_adaptive,
            chunked=self.enable_chunked_prefill,
            priority=self.policy == "priority",
            reserve=self.scheduler_reserve_full_isl,
            watermark=float(self.watermark),
            persistent=self.version != "0.32.0",
            late=self.async_scheduling,
            memo=np.full(1, -1, dtype=np.int64),
        )

    def memory(self, blocks: int, slots: int) -> Counted | Pooled:
        """A count of blocks; with a prefix cache, the blocks themselves."""
        if self.enable_prefix_caching:
            return new_pool(blocks, self.block_size, running=self.max_num_seqs, slots=slots)
        return Counted()


ENGINE = Vllm
