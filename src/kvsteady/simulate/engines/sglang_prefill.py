"""SGLang's prefill: who of the queue enters the next batch (``PrefillAdder``)."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.simulate.arriving import free_slot, put_out, return_turn
from kvsteady.simulate.counted import blocks_for
from kvsteady.simulate.doors import fits, hits, hold
from kvsteady.simulate.engines.sglang_memo import CLIP, outstanding, summed
from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.lists import unlink
from kvsteady.simulate.moves import admit, may_admit, prefill
from kvsteady.simulate.radix.doors import hold_chunks, idle_hits, refresh
from kvsteady.simulate.records import NONE, REJECTED
from kvsteady.simulate.state import WAITING

# What the budgets say.
_GO_ON, _NO_TOKEN, _OTHER = range(3)

# A sum in another order differs by less than this share per term.
_ROUNDING = 1e-14


@kernel
def fill_batch(engine, memory, s):
    """Give this iteration's prefill its chunks; none where nothing can be admitted."""
    memo, clock = engine.memo, s.clock
    running = clock.decoding
    if running == 0:
        memo.full = 0
    if memo.chunked == NONE:
        if memo.full == 1 or s.lists[WAITING].count == 0:
            return
        if running >= engine.requests:
            memo.full = 1
            return
    if s.lists[WAITING].count > 0:
        refresh(memory, s)
    _open(engine, s, running if engine.mixed else 0)
    if memo.chunked == NONE or _next_chunk(engine, memory, s):
        _admit(engine, memory, s, running)
    if clock.chunks > 0:
        hold_chunks(memory, s)


@kernel
def _admit(engine, memory, s, running):
    """Take requests from the queue while the budgets last; ``running`` others decode."""
    memo, clock = engine.memo, s.clock
    slot = s.lists[WAITING].first
    while slot != NONE and _verdict(engine, s) != _OTHER and may_admit(s):
        if running + clock.chunks >= engine.requests:
            memo.full = 1
        if memo.full == 1:
            break
        following = s.requests[slot].after
        if _clip(engine, s, slot):
            verdict = _add(engine, memory, s, slot)
            if verdict == _NO_TOKEN:
                memo.full = 1 if clock.chunks > 0 or running > 0 else 0
            if verdict != _GO_ON:
                break
        slot = following


@kernel
def _open(engine, s, mixed):
    """Start a pass: ``mixed`` requests decode beside it."""
    memo, clock = engine.memo, s.clock
    memo.rem_input = engine.prefill_tokens - mixed
    memo.rem_chunk = engine.chunk - mixed
    memo.available = clock.free * clock.block
    tokens = outstanding(engine, s)
    memo.offset = mixed + tokens * memo.ratio
    memo.exact = 1 if tokens == 0 or memo.ratio == 1.0 else 0


@kernel
def _remaining(engine, s, idle):
    """Tokens that are neither held nor reserved, but for ``idle``.

    All that it is compared with are whole numbers, so how SGLang's sum is rounded matters next to
    one of these only.
    """
    memo = engine.memo
    rest = memo.available - idle - memo.offset
    if memo.exact == 0:
        doubt = _ROUNDING * (memo.counted + 4) * (abs(rest) + memo.offset + 1.0)
        if abs(rest - math.floor(rest + 0.5)) <= doubt:
            _sum_up(engine, s)
            rest = memo.available - idle - memo.offset
    return rest


@kernel
def _sum_up(engine, s):
    """Do this pass's sums again, in SGLang's order."""
    memo = engine.memo
    memo.offset = (s.clock.decoding if engine.mixed else 0) + summed(engine, s)
    memo.exact = 1
    for i in range(s.clock.chunks):
        r, tokens = s.requests[s.chunks[i].slot], s.chunks[i].tokens
        memo.offset += _charge(s, r, tokens)


@kernel
def _charge(s, r, tokens):
    """Tokens that a chunk reserves: the last one of a prefill, for the whole output."""
    reserve = min(r.limit, CLIP) if r.computed + tokens >= r.target else 0
    return (blocks_for(s, tokens) + 1) * s.clock.block + reserve


@kernel
def _verdict(engine, s):
    """``budget_state``."""
    memo = engine.memo
    if _remaining(engine, s, 0) <= 0:
        return _NO_TOKEN
    if memo.rem_input <= 0 or (engine.chunk > 0 and memo.rem_chunk <= 0):
        return _OTHER
    return _GO_ON


@kernel
def _clip(engine, s, slot):
    """Clip a request's limit to what memory can hold; drop it where its prompt cannot be held."""
    r, clock = s.requests[slot], s.clock
    tokens = clock.total * clock.block
    most = tokens - (blocks_for(s, r.prompt) + 1) * clock.block - 1
    r.limit = max(min(r.limit, most), 0)
    r.output = min(r.output, max(r.limit, 1))
    if r.prompt + r.limit + clock.block < tokens:
        return True
    unlink(s, WAITING, slot)
    put_out(s, slot, REJECTED)
    clock.all_rejected += 1
    return_turn(s, r.follow, r.think)
    free_slot(s, slot)
    return False


@kernel
def _take(engine, s, slot, tokens):
    """Give a request its chunk and charge the budgets."""
    memo, clock = engine.memo, s.clock
    memo.offset += _charge(s, s.requests[slot], tokens)
    prefill(s, slot, tokens)
    memo.rem_input -= blocks_for(s, tokens) * clock.block
    memo.rem_chunk -= blocks_for(s, tokens) * clock.block


@kernel
def _next_chunk(engine, memory, s):
    """Go on with the prefill that was begun; False where SGLang would run out of memory."""
    memo, slot = engine.memo, engine.memo.chunked
    r = s.requests[slot]
    room = int(_remaining(engine, s, 0))
    tokens = min(memo.rem_chunk, room) if room > 0 else memo.rem_chunk
    tokens = min(tokens, r.target - r.computed)
    if tokens <= 0 or not fits(memory, s, slot, r.computed + tokens, 0):
        return False
    hold(memory, s, slot, r.computed + tokens)
    if r.computed + tokens >= r.target:
        memo.chunked = NONE
    _take(engine, s, slot, tokens)
    return True


@kernel
def _add(engine, memory, s, slot):
    """``add_one_req``: the verdict is on the request, and once it is in, on the one behind."""
    memo, clock, r = engine.memo, s.clock, s.requests[slot]
    found = hits(memory, s, slot)  # first: what is looked for counts as used
    if clock.chunks >= engine.most:
        return _OTHER
    idle = idle_hits(memory, s, slot)  # not free for anybody else, once it is admitted
    # Of one that was swapped out, what the cache does not hold comes back: it takes memory, and
    # nothing of the budgets for computing.
    back = max(r.computed - found, 0)
    tokens = r.prompt + r.kept - found - back
    most = back + tokens + min(max(r.limit - r.kept, 0), CLIP) + clock.block
    if most >= _remaining(engine, s, idle):
        return _NO_TOKEN
    paged = blocks_for(s, tokens) * clock.block
    if engine.chunk == 0 and clock.chunks > 0 and paged >= memo.rem_input:
        return _OTHER
    cut = engine.chunk > 0 and paged > memo.rem_chunk
    if cut:
        tokens = memo.rem_chunk // clock.block * clock.block
        if tokens <= 0:
            return _OTHER
    if not fits(memory, s, slot, found + back + tokens, 0):
        return _OTHER  # SGLang would run out of memory
    hold(memory, s, slot, found + back + tokens)
    memo.available -= idle + blocks_for(s, back) * clock.block
    clock.swapped_tokens += back
    admit(s, slot, found + back)
    if cut:
        memo.chunked = slot
    _take(engine, s, slot, tokens)
    return _verdict(engine, s)
