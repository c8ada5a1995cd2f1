"""Hugging Face Transformers 5.23.0: continuous batching.

After ``transformers/generation/continuous_batching/`` of that release: ``scheduler.py`` (fifo and
prefill_first), ``offloading_manager.py`` (who is evicted), ``cache_allocators/`` (pages) and
``continuous_api.py`` (a step of the synchronous loop).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission.view import SHOWN_WAITING
from kvsteady.errors import InputError, shown
from kvsteady.model.integer import UNIT
from kvsteady.simulate.counted import Counted, blocks_for
from kvsteady.simulate.decoding import crossings
from kvsteady.simulate.doors import left_of, schedule_of, spare_of
from kvsteady.simulate.engines.transformers_batch import (
    MEMO,
    decode,
    evict_starved,
    forget_cached,
    go_on_prefilling,
    wake,
)
from kvsteady.simulate.engines.transformers_queue import admit_waiting
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import DECODING, NONE
from kvsteady.simulate.state import WAITING
from kvsteady.workload.ranges import whole_number

_MARGINS = {"fifo": 0.15, "prefill_first": 0.0}  # the classes' own, where safety_margin is None


class _Habits(NamedTuple):
    prefill_first: int
    safety_margin: float
    max_batch_tokens: int
    max_requests_per_batch: int
    allow_block_sharing: int
    default_margin: int  # 1 where nobody set one
    memo: Any  # a MEMO record

    def aside(self) -> int:
        """Blocks that no request holds, and that are not free: see `check_integrity`."""
        return int(self.memo["cached"])


@dataclass(frozen=True)
class Transformers:
    """Options of ``ContinuousBatchingConfig``, under their own names and defaults.

    Parameters
    ----------
    page_size
        Tokens per page (here: per block), at least 4.
    max_batch_tokens
        Tokens computed per step; what Transformers takes where its memory sizing allows it.
    max_requests_per_batch
        Requests per step. Transformers takes the smaller of this and ``max_batch_tokens``.
    scheduler_type
        ``"fifo"``: decoding requests, then started prefills, then waiting ones; with
        ``"prefill_first"`` started prefills come first. Waiting requests are tried in order and
        each that fits is taken: one that does not fit holds nobody up.
    safety_margin
        Share of free blocks below which a step takes no prefill, unless it would be empty; None is
        0.15 for fifo and 0 for prefill_first.
    allow_block_sharing
        Keep the full pages of finished requests until memory is short. No request is taken to begin
        like another: a hit is not modelled, only the memory that the pages occupy.

    Where a policy is asked, the engine acts as with the plug-in `kvsteady.plugins.transformers`:
    the policy stands in for a margin that nobody set, and kept pages make way for those who run
    and those whom it lets in.
    """

    page_size: int = 256
    max_batch_tokens: int = 8192
    max_requests_per_batch: int = 1024
    scheduler_type: str = "fifo"
    safety_margin: float | None = None
    allow_block_sharing: bool = True

    def __post_init__(self) -> None:
        whole_number(self.page_size, "page_size", 4, 65_536)
        whole_number(self.max_batch_tokens, "max_batch_tokens", 1, 2**30)
        whole_number(self.max_requests_per_batch, "max_requests_per_batch", 1, 2**30)
        if self.scheduler_type not in _MARGINS:
            raise InputError(
                f"{shown(self.scheduler_type)} is not a scheduler",
                field="scheduler_type",
                allowed=" or ".join(_MARGINS),
            )
        if self.safety_margin is not None and not 0 <= self.safety_margin <= 1:
            raise InputError(
                f"{shown(self.safety_margin)} is out of range",
                field="safety_margin",
                allowed="a number from 0 to 1",
            )

    @property
    def name(self) -> str:
        """The engine and its release."""
        return "transformers-5.23.0"

    @property
    def block_size(self) -> int:
        """A page holds so many tokens; a block is a page of every layer."""
        return self.page_size

    @property
    def unwritten(self) -> int:
        """The last token's KV is never stored."""
        return 1

    def habits(self) -> _Habits:
        """The options, and an engine that remembers nothing yet."""
        margin = self.safety_margin
        memo = np.zeros(1, dtype=MEMO)[0]
        memo["scanned"] = NONE
        return _Habits(
            int(self.scheduler_type == "prefill_first"),
            float(_MARGINS[self.scheduler_type] if margin is None else margin),
            self.max_batch_tokens,
            min(self.max_requests_per_batch, self.max_batch_tokens),
            int(self.allow_block_sharing),
            int(margin is None),
            memo,
        )

    def memory(self, blocks: int, slots: int) -> Counted:
        """A count of blocks."""
        del blocks, slots
        return Counted()


@schedule_of(_Habits)
def _schedule(engine, memory, s):
    wake(engine, s)
    # Where nobody can be scheduled, requests are evicted until somebody can.
    while True:
        memo = engine.memo
        memo.starved = memo.scheduled = memo.failed = memo.closed = 0
        memo.last_starved = NONE
        memo.tokens, memo.places = engine.max_batch_tokens, engine.max_requests_per_batch
        _look_at_margin(engine, s)
        if engine.prefill_first == 1:
            go_on_prefilling(engine, memory, s)
            decode(engine, memory, s)
        else:
            decode(engine, memory, s)
            go_on_prefilling(engine, memory, s)
        admit_waiting(engine, memory, s)
        if memo.scheduled > 0 or memo.failed == 0:
            break
        if evict_starved(engine, memory, s) == 0:
            break
    # Those that starve must not in the next step.
    if memo.starved > 0:
        evict_starved(engine, memory, s)


@kernel
def _look_at_margin(engine, s):
    memo, clock = engine.memo, s.clock
    if clock.free / clock.total < engine.safety_margin:
        forget_cached(engine, s)
    memo.within = 1 if clock.free / clock.total >= engine.safety_margin else 0
    if clock.shows > 0:
        if memo.cached > 0 and crossings(s) + _wanted(engine, s) > clock.free:
            forget_cached(engine, s)
        if engine.default_margin == 1:
            memo.within = 1


@kernel
def _wanted(engine, s):
    """Blocks of those whom the policy lets in now, as far as a policy sees the queue."""
    most = min(s.clock.credit // UNIT, SHOWN_WAITING)
    slot, wanted = s.lists[WAITING].first, 0
    if engine.memo.blocked == 1:
        return 0
    while slot != NONE and most > 0:
        r = s.requests[slot]
        wanted += blocks_for(s, r.prompt + r.kept)
        most -= 1
        slot = r.after
    return wanted


@spare_of(_Habits)
def _spare(engine):
    return engine.memo.cached


@left_of(_Habits)
def _left(engine, s, slot):
    memo, r = engine.memo, s.requests[slot]
    memo.blocked = 0
    if engine.allow_block_sharing == 1:
        # The step that completes a request does not note the page it fills.
        before = s.clock.tick + r.offset - 1 if r.state == DECODING else r.mate_after
        pages = before // s.clock.block
        memo.cached += pages
        s.clock.free -= pages


ENGINE = Transformers
