"""The paper's system as an engine: evict the youngest, admit what fits, everyone gains a token.

It decides as `kvsteady.model` does with whole requests (arXiv:2606.15555; theory: section 2): a
request is in memory with its prompt from the iteration that admits it, whose execution brings its
first token, and it holds prompt + output tokens in its last. Evicted requests that restart go to
the end of the queue, which in a saturated system never comes; all others go to its head.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kvsteady.simulate.counted import Counted
from kvsteady.simulate.decoding import begin_decoding, crossings
from kvsteady.simulate.doors import fits, hold, hold_tick, left_of, schedule_of
from kvsteady.simulate.lists import prepend
from kvsteady.simulate.moves import evict, give_back, may_admit, swap_in
from kvsteady.simulate.records import NONE
from kvsteady.simulate.state import RESTART, RUNNING, WAITING
from kvsteady.simulate.victims import victim
from kvsteady.workload.ranges import whole_number


class _Habits(NamedTuple):
    unused: int = 0  # numba wants a field


@dataclass(frozen=True)
class Paper:
    """Theory's engine. ``block_size`` 1 is the paper's; others round each request up."""

    block_size: int = 1

    takes_victims = True

    def __post_init__(self) -> None:
        whole_number(self.block_size, "block_size", 1, 65_536)

    @property
    def name(self) -> str:
        """The paper is the version."""
        return "paper-2606.15555"

    @property
    def unwritten(self) -> int:
        """Every token is stored."""
        return 0

    def habits(self) -> _Habits:
        """None: it has no options."""
        return _Habits()

    def memory(self, blocks: int, slots: int) -> Counted:
        """A count of blocks."""
        del blocks, slots
        return Counted()


@schedule_of(_Habits)
def _schedule(engine, memory, s):
    # Evict the youngest until everyone else can grow by a token.
    while crossings(s) > s.clock.free:
        youngest = victim(memory, s, s.lists[RUNNING].last, True)
        evict(memory, s, youngest, RUNNING)
        if s.clock.backlog > 0 and s.clock.eviction == RESTART:
            give_back(s, youngest)
        else:
            prepend(s, WAITING, youngest)
    hold_tick(memory, s)
    s.clock.ticking = 1
    # Admit the queue's head while it fits, where nothing was evicted.
    slot = s.lists[WAITING].first
    while s.clock.preempted == 0 and slot != NONE and may_admit(s):
        r = s.requests[slot]
        tokens = r.prompt + r.kept
        if not fits(memory, s, slot, tokens + 1, 0):
            break
        hold(memory, s, slot, tokens + 1)
        following = r.after
        # Swapped out, it has all of its KV: nothing is left to prefill.
        present = swap_in(s, slot) + r.loaded
        r.loaded, r.computed = 0, tokens
        s.clock.prefill_tokens += tokens - present
        s.clock.prefill_pairs += 0.5 * (tokens * tokens - present * present)
        begin_decoding(s, slot)
        slot = following


@left_of(_Habits)
def _left(engine, s, slot):
    return


ENGINE = Paper
