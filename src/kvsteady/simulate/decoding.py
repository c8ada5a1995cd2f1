"""Requests that decode, all at once: each gains a token per tick, and nobody is touched for it.

The KV tokens of a request that decodes are ``tick + offset``, its last token is due at a tick
known when it begins, and whether it needs a block next is the phase of its offset.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.records import DECODING, HELD, NONE
from kvsteady.simulate.state import GAP_BINS_PER_E, GAP_LEAST


@kernel
def held(s, slot):
    """KV tokens of a request."""
    r = s.requests[slot]
    return s.clock.tick + r.offset if r.state == DECODING else r.computed


@kernel
def generated(s, slot):
    """Output tokens that a request has so far."""
    r = s.requests[slot]
    return r.output - (r.due - s.clock.tick) if r.state == DECODING else r.kept


@kernel
def begin_decoding(s, slot):
    """From now on ``slot``, with ``computed`` KV tokens and ``kept`` output tokens, decodes."""
    r, clock = s.requests[slot], s.clock
    r.state = DECODING
    r.offset = r.computed - clock.tick
    r.due = clock.tick + r.output - r.kept
    clock.decoding += 1
    clock.offsets += r.offset
    s.phases[(-r.offset) % clock.block] += 1
    day = s.calendar[r.due & (s.calendar.size - 1)]
    r.due_before, r.due_after = day.last, NONE
    if day.last == NONE:
        day.first = slot
    else:
        s.requests[day.last].due_after = slot
    day.last = slot
    r.young = 1
    if clock.youngsters == s.young.size:
        _forget_grown(s)
    s.young[clock.youngsters] = slot
    clock.youngsters += 1


@kernel
def _forget_grown(s):
    """Drop from the young who left since; each slot stands there once after."""
    clock = s.clock
    kept = 0
    for i in range(clock.youngsters):
        r = s.requests[s.young[i]]
        if r.young == 1:
            r.young = 2  # counted
            s.young[kept] = s.young[i]
            kept += 1
    for i in range(kept):
        s.requests[s.young[i]].young = 1
    clock.youngsters = kept


@kernel
def stop_decoding(s, slot):
    """Bring ``computed``, ``kept`` and ``last_token`` up to date; the request is HELD after."""
    r, clock = s.requests[slot], s.clock
    r.computed = clock.tick + r.offset
    r.kept = r.output - (r.due - clock.tick)
    clock.decoding -= 1
    clock.offsets -= r.offset
    s.phases[(-r.offset) % clock.block] -= 1
    day = s.calendar[r.due & (s.calendar.size - 1)]
    if r.due_before == NONE:
        day.first = r.due_after
    else:
        s.requests[r.due_before].due_after = r.due_after
    if r.due_after == NONE:
        day.last = r.due_before
    else:
        s.requests[r.due_after].due_before = r.due_before
    if r.young == 0:
        r.last_token = clock.last_tick
    r.young = 0
    r.state = HELD


@kernel
def crossings(s):
    """Blocks that those who decode need for the coming tick."""
    return s.phases[s.clock.tick % s.clock.block]


@kernel
def count_gap(s, seconds, tokens):
    """Count ``tokens`` that came ``seconds`` after the token before."""
    place = int(math.log(max(seconds, GAP_LEAST) / GAP_LEAST) * GAP_BINS_PER_E)
    s.gaps[min(place, s.gaps.size - 1)] += tokens


@kernel
def token_at(s, slot, when):
    """Note that a request got a token: its first, or one more after a gap."""
    r = s.requests[slot]
    if r.first_token < 0:
        r.first_token = when
    else:
        count_gap(s, when - r.last_token, 1)
    r.last_token = when


@kernel
def tick(s):
    """Everyone that decodes gains a token, now; returns the first of those who have them all."""
    clock = s.clock
    steady = clock.decoding
    for i in range(clock.youngsters):
        slot = s.young[i]
        if s.requests[slot].young == 1:
            s.requests[slot].young = 0
            token_at(s, slot, clock.now)
            steady -= 1
    clock.youngsters = 0
    if steady > 0:
        count_gap(s, clock.now - clock.last_tick, steady)
    clock.tick += 1
    clock.last_tick = clock.now
    return s.calendar[clock.tick & (s.calendar.size - 1)].first
