"""Vidur's vLLM-style scheduler: a batch is all prefill where any can be had, else all decode.

Vidur 7d47513, ``vidur/scheduler/replica_scheduler/vllm_replica_scheduler.py``. Not vLLM as it is
today: see `kvsteady.simulate.engines.vllm` for that.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kvsteady.arrays import IntArray
from kvsteady.simulate.doors import left_of, schedule_of
from kvsteady.simulate.engines.vidur import (
    VidurOptions,
    admit_head,
    asleep,
    fall_asleep,
    fresh_mind,
    head_fits,
    head_uncomputed,
    note_prefill_alone,
    pace_by_token,
    tick_or_evict,
)
from kvsteady.simulate.moves import may_admit
from kvsteady.simulate.state import RUNNING
from kvsteady.workload.ranges import whole_number


class _Habits(NamedTuple):
    batch_size_cap: int
    watermark_blocks_fraction: float
    max_tokens_in_batch: int
    mind: IntArray


@dataclass(frozen=True)
class VidurVllm(VidurOptions):
    """Vidur's ``VllmSchedulerConfig``.

    Parameters
    ----------
    batch_size_cap, block_size, watermark_blocks_fraction
        See `VidurOptions`.
    max_tokens_in_batch
        Most tokens of a prefill batch, padded: its requests times the longest of them. A request
        that comes to more, also with the tokens it has generated before an eviction, blocks the
        queue for good, in Vidur as here (the run ends as stalled).
    """

    max_tokens_in_batch: int = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self.max_tokens_in_batch, "max_tokens_in_batch", 1, 2**40)

    @property
    def name(self) -> str:
        """The engine and its commit."""
        return "vidur-7d47513-vllm"

    def habits(self) -> _Habits:
        """The options."""
        return _Habits(
            self.batch_size_cap,
            self.watermark_blocks_fraction,
            self.max_tokens_in_batch,
            fresh_mind(),
        )


@schedule_of(_Habits)
def _schedule(engine, memory, s):
    if asleep(engine, s):
        return
    pace_by_token(engine, s)
    longest, paced = 0, False
    while head_fits(engine, memory, s):
        tokens = head_uncomputed(s)
        longest = max(longest, tokens)
        if (s.clock.admitted + 1) * longest > engine.max_tokens_in_batch:
            break
        paced = not may_admit(s)
        if paced:
            break
        admit_head(memory, s, tokens)
    if s.clock.admitted > 0:
        note_prefill_alone(engine, s)
    else:
        tick_or_evict(memory, s)
    if s.lists[RUNNING].count == 0 and not paced:
        fall_asleep(engine, s)


@left_of(_Habits)
def _left(engine, s, slot):
    return


ENGINE = VidurVllm
