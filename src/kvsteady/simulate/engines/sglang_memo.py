"""What SGLang's kernels remember, and the tokens that running requests may yet need."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numpy as np

from kvsteady.simulate.decoding import generated
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import DECODING, NONE
from kvsteady.simulate.state import RUNNING

# No more than this is reserved for one request (SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION).
CLIP = 4096
# A link of the list of those with more to come: no neighbour, but in the list.
LINKED = -2
_NEVER = 2**62

MEMO = np.dtype(
    [
        ("ratio", "f8"),  # new_token_ratio
        ("full", "i8"),  # batch_is_full
        ("chunked", "i8"),  # whose prefill goes on in the next pass
        ("deferrals", "i8"),  # iterations that may not prefill
        ("extended", "i8"),  # the last iteration prefilled
        ("mixed", "i8"),  # and decoded
        ("chunks", "i8"),  # its chunks
        ("gone", "i8"),  # requests that completed since
        ("ended", "f8"),  # when the last one did
        # the running batch: those who decode, once the last prefill is merged
        ("counted", "i8"),
        ("promised", "i8"),  # sum of the ticks at which they will have generated their limit
        ("long", "i8"),  # those with more than CLIP to come: not in the sum
        ("long_first", "i8"),
        ("wake", "i8"),  # tick at which the first of them has CLIP to come
        # this pass over the queue
        ("available", "i8"),
        ("offset", "f8"),
        ("exact", "i8"),  # the offset has SGLang's rounding
        ("rem_input", "i8"),
        ("rem_chunk", "i8"),
    ]
)


@kernel
def promise(r):
    """Tick at which a request that decodes would have generated its limit."""
    return r.due + r.limit - r.output


@kernel
def count_in(engine, s, slot):
    """A request joins the running batch."""
    memo, r = engine.memo, s.requests[slot]
    memo.counted += 1
    if promise(r) - s.clock.tick <= CLIP:
        memo.promised += promise(r)
        return
    memo.long += 1
    memo.wake = min(memo.wake, promise(r) - CLIP)
    r.mate_before, r.mate_after = LINKED, memo.long_first
    if memo.long_first != LINKED:
        s.requests[memo.long_first].mate_before = slot
    memo.long_first = slot


@kernel
def count_out(engine, s, slot):
    """A request leaves the running batch."""
    memo, r = engine.memo, s.requests[slot]
    memo.counted -= 1
    if r.mate_before == NONE:
        memo.promised -= promise(r)
    else:
        _unlink(engine, s, slot)


@kernel
def _unlink(engine, s, slot):
    memo, r = engine.memo, s.requests[slot]
    memo.long -= 1
    if r.mate_before == LINKED:
        memo.long_first = r.mate_after
    else:
        s.requests[r.mate_before].mate_after = r.mate_after
    if r.mate_after != LINKED:
        s.requests[r.mate_after].mate_before = r.mate_before
    r.mate_before = r.mate_after = NONE


@kernel
def outstanding(engine, s):
    """Tokens that the running batch may yet generate, at most CLIP for each request."""
    memo, tick = engine.memo, s.clock.tick
    if tick >= memo.wake:
        memo.wake = _NEVER
        slot = memo.long_first
        while slot != LINKED:
            r = s.requests[slot]
            following = r.mate_after
            if promise(r) - tick <= CLIP:
                _unlink(engine, s, slot)
                memo.promised += promise(r)
            else:
                memo.wake = min(memo.wake, promise(r) - CLIP)
            slot = following
    return memo.promised - (memo.counted - memo.long) * tick + memo.long * CLIP


@kernel
def summed(engine, s):
    """Return `outstanding` times the ratio with SGLang's rounding, which adds one by one."""
    total = 0.0
    slot = s.lists[RUNNING].first
    while slot != NONE:
        r = s.requests[slot]
        if r.state == DECODING:
            total += min(r.limit - generated(s, slot), CLIP) * engine.memo.ratio
        slot = r.after
    return total
