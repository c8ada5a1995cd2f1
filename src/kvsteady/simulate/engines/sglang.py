"""SGLang as an engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.simulate.counted import Counted
from kvsteady.simulate.engines.sglang_memo import LINKED, MEMO
from kvsteady.simulate.engines.sglang_schedule import Habits
from kvsteady.simulate.radix import new_radix
from kvsteady.simulate.records import NONE
from kvsteady.workload.ranges import whole_number

_MOST = 2**31
_MIN_FACTOR = 0.14  # SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR
_DECAY_STEPS = 600  # SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS


@dataclass(frozen=True)
class Sglang:
    """SGLang's scheduler, decision for decision.

    Source: ``sglang/srt/managers/{scheduler,schedule_policy,schedule_batch}.py`` of 0.5.23, run
    with ``--disable-overlap-schedule``, first come first served, for one pool of full-attention KV,
    without speculative decoding, priorities, LoRA and a host tier. With its radix cache
    (``sglang/srt/mem_cache/unified_radix_cache.py``), a load's block keys say what requests have in
    common, in whole pages; each also finds its own prompt again after a retraction.

    Attributes
    ----------
    page_size
        Tokens per KV page.
    max_running_requests
        Requests that may run at once.
    max_prefill_tokens
        Tokens of new requests in one iteration; the first may exceed it.
    chunked_prefill_size
        Tokens of prefill in one iteration: longer prompts are cut; -1 switches that off. SGLang
        chooses it by the GPU's memory (2,048 to 16,384).
    enable_mixed_chunk
        Decode in the iterations that prefill. Otherwise a prefill has its iteration to itself.
    prefill_max_requests
        Requests of one prefill; None: as many as fit.
    prefill_decode_interval, prefill_decode_interval_min_bs
        Iterations after a prefill in which no other begins, if so many requests run.
    schedule_conservativeness, init_new_token_ratio
        Their product, 1 at most, is the share of a running request's remaining tokens that is
        reserved when others are admitted (``--schedule-conservativeness``,
        ``SGLANG_INIT_NEW_TOKEN_RATIO``). It falls to 14% of that over 600 decode iterations, and
        is measured anew when requests are retracted.
    disable_radix_cache
        Keep nothing of requests that completed or were retracted. Otherwise prompts are kept from
        when they are computed, what was generated from when its request completes, and whole
        nodes of the tree are evicted, least recently used first.

    Raises
    ------
    InputError
        For an option out of its range; when a run begins, for a load's keys that are not a whole
        number of pages.
    """

    page_size: int = 1
    max_running_requests: int = 4096
    max_prefill_tokens: int = 16_384
    chunked_prefill_size: int = 8192
    enable_mixed_chunk: bool = False
    prefill_max_requests: int | None = None
    prefill_decode_interval: int = 0
    prefill_decode_interval_min_bs: int = 0
    schedule_conservativeness: float = 1.0
    init_new_token_ratio: float = 0.7
    disable_radix_cache: bool = False

    takes_victims = True

    def __post_init__(self) -> None:
        whole_number(self.page_size, "page_size", 1, 65_536)
        whole_number(self.max_running_requests, "max_running_requests", 1, _MOST)
        whole_number(self.max_prefill_tokens, "max_prefill_tokens", 1, _MOST)
        whole_number(self.chunked_prefill_size, "chunked_prefill_size", -1, _MOST)
        if self.prefill_max_requests is not None:
            whole_number(self.prefill_max_requests, "prefill_max_requests", 1, _MOST)
        whole_number(self.prefill_decode_interval, "prefill_decode_interval", 0, 5000)
        whole_number(
            self.prefill_decode_interval_min_bs, "prefill_decode_interval_min_bs", 0, _MOST
        )
        for name in ("schedule_conservativeness", "init_new_token_ratio"):
            if not 0 <= getattr(self, name) < math.inf:  # NaN fails too
                raise InputError(
                    f"{shown(getattr(self, name))} is out of range",
                    field=name,
                    allowed="a number from 0 on",
                )
        if 0 < self.chunked_prefill_size < self.page_size:
            raise InputError(
                "less than a page",
                field="chunked_prefill_size",
                allowed=f"-1, or at least the page size {self.page_size}",
            )

    @property
    def name(self) -> str:
        """The version is part of it."""
        return "sglang-0.5.23"

    @property
    def block_size(self) -> int:
        """A block is a page."""
        return self.page_size

    @property
    def unwritten(self) -> int:
        """The KV of the last token is never stored."""
        return 1

    def habits(self) -> Habits:
        """The options as the kernel reads them, and what it remembers."""
        init = min(self.init_new_token_ratio * self.schedule_conservativeness, 1.0)
        least = min(init * _MIN_FACTOR, 1.0)
        memo = np.zeros(1, dtype=MEMO)[0]
        memo["ratio"] = init
        memo["chunked"] = NONE
        memo["long_first"] = LINKED
        memo["wake"] = np.iinfo(np.int64).max
        memo["ended"] = -np.inf
        most = self.prefill_max_requests
        return Habits(
            requests=self.max_running_requests,
            prefill_tokens=self.max_prefill_tokens,
            chunk=max(self.chunked_prefill_size, 0),
            mixed=self.enable_mixed_chunk and self.chunked_prefill_size > 0,
            most=_MOST if most is None else most,
            interval=self.prefill_decode_interval,
            interval_least=self.prefill_decode_interval_min_bs,
            init=init,
            least=least,
            decay=(init - least) / _DECAY_STEPS,
            memo=memo,
        )

    def memory(self, blocks: int, slots: int) -> Any:
        """A radix tree of pages, or a count."""
        return Counted() if self.disable_radix_cache else new_radix(blocks, slots)


ENGINE = Sglang
