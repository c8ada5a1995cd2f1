"""How much more those who run will hold in whole blocks than with the mean waste.

Requests that were admitted together, or at equal distances, come to a new block together, and there
the mean waste says too little. A request takes a block in every ``block``-th iteration, and when it
takes the last one is known from its end. So with N(h) the requests that take their last one in
iteration h, ``c(h) = N(h) + c(h + block)`` are taken then in all, and every iteration ahead is
counted exactly in O(running + longest).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel
from kvsteady.policies.steady.spans import bounds

# Ends before max_tokens that a mean output meets, up to which lengths are as good as told.
_TOLD = 0.05


@kernel
def counted_block(state, block):
    """Tokens of a block; 0 where a mean waste does.

    Blocks of one token waste nothing, and of very long times iterations are looked at that are too
    far apart. Where ends are random so is what they leave of blocks, and it is little beside what
    they leave of memory.
    """
    memo = state.memo
    told = memo.certain == 1 or (memo.certain == 0 and memo.usual * memo.life < _TOLD)
    return block if told and block > 1 and block % (1 << memo.coarse) == 0 else 0


@kernel
def shift_of(block):
    """The exponent where a block is a power of two, else -1."""
    shift = 0
    while 1 << shift < block:
        shift += 1
    return shift if 1 << shift == block else -1


@kernel
def count_blocks(state, tokens, bucket, block, shift):
    """Put down the blocks of a request that has ``tokens`` of its own in them and lives to the end
    of a ``bucket`` of iterations.
    """
    memo, ahead = state.memo, state.ahead
    end = ((bucket + 1) << memo.coarse) - 1
    before = max(tokens, 0) + end  # what it has as its last iteration begins
    # Of a thousand requests, divisions would take as long as all the rest.
    full = before >> shift if shift >= 0 else before // block
    ahead.ending_blocks[bucket] += full + 1
    last = end - (before - full * block)
    if last >= 0:
        ahead.taking[last >> memo.coarse] += 1


@kernel
def gather_blocks(state, block, used, sharing):
    """Count whole blocks in ``full``, and fill ``lumps``; what was put down is forgotten.

    ``used`` tokens are in memory now; where requests are ``sharing``, what of it is nobody's own
    stays. ``full`` is with the mean waste before, and the mean of what is held beyond it is in the
    same proportion as that of what is held.
    """
    memo, ahead = state.memo, state.ahead
    apart = block >> memo.coarse
    buckets = h = ((memo.farthest - 1) >> memo.coarse) + 1
    held = taken = 0  # blocks in the iterations of bucket h, and how many of them are taken there
    for j in range(memo.spans - 1, -1, -1):
        first, behind = bounds(state, j)
        behind = min(behind, memo.farthest)
        most = held if (behind - 1) >> memo.coarse == h else 0
        while h > first >> memo.coarse:
            h -= 1
            held += ahead.ending_blocks[h] - taken
            taken = ahead.taking[h]
            if h + apart < buckets:
                taken += ahead.taking[h + apart]
                ahead.taking[h + apart] = 0
            ahead.taking[h] = taken
            ahead.ending_blocks[h] = 0
            most = max(most, held)
        in_all = 1.0 * most * block
        own = ahead.full[j] - memo.common
        likely = min((ahead.mean[j] - memo.common) / max(own, 1.0), 1.0)
        ahead.lumps[j] = (in_all - own) * likely
        ahead.full[j] = in_all
    for h in range(min(apart, buckets)):
        ahead.taking[h] = 0
    if sharing:
        common = max(used - 1.0 * (held - taken) * block, 0.0)
        for j in range(memo.spans):
            ahead.lumps[j] += common - memo.common
            ahead.full[j] += common
