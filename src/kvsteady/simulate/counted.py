"""Memory as a count of free blocks: exact where no content is shared."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from typing import NamedTuple

from kvsteady.simulate.decoding import crossings, held
from kvsteady.simulate.doors import fits_of, hits_of, hold_of, hold_tick_of, release_of
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import DECODING


class Counted(NamedTuple):
    """No numbers of its own: free blocks are in the clock, held ones in each request."""

    unused: int = 0  # numba wants a field


@kernel
def blocks_for(s, tokens):
    """Blocks that hold so many tokens."""
    return -(-tokens // s.clock.block)


@kernel
def blocks_of(s, slot):
    """Blocks that a request holds: of one that decodes they follow from its tokens."""
    r = s.requests[slot]
    return blocks_for(s, held(s, slot)) if r.state == DECODING else r.blocks


@hits_of(Counted)
def _hits(memory, s, slot):
    return 0


@fits_of(Counted)
def _fits(memory, s, slot, tokens, spare):
    return blocks_for(s, tokens) - blocks_of(s, slot) + spare <= s.clock.free


@hold_of(Counted)
def _hold(memory, s, slot, tokens):
    more = max(blocks_for(s, tokens) - blocks_of(s, slot), 0)
    s.requests[slot].blocks += more
    s.clock.free -= more


@hold_tick_of(Counted)
def _hold_tick(memory, s):
    s.clock.free -= crossings(s)


@release_of(Counted)
def _release(memory, s, slot):
    s.clock.free += blocks_of(s, slot)
    s.requests[slot].blocks = 0
