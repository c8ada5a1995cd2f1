"""Forecast the memory of those who run where outputs end at one of a few lengths.

What a request holds is expected to end a part at each length that it has still before it, so the
mean is exact in every iteration ahead, and in each span the forecast is for the iteration in which
it is largest. It costs O(running × lengths + longest).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel
from kvsteady.policies.steady.peaks import peaks
from kvsteady.policies.steady.spans import span_of


@kernel
def clear(state):
    """Forget the last forecast."""
    memo, ahead = state.memo, state.ahead
    for h in range(((memo.farthest - 1) >> memo.coarse) + 2):
        ahead.leaving[h] = ahead.leaving_tokens[h] = 0.0
    for j in range(memo.spans):
        ahead.spread[0, j] = ahead.spread[1, j] = ahead.spread[2, j] = 0.0


@kernel
def spread_out(state, row, held):
    """Put a request down where it may end: a part at each length before it.

    Returns the last bucket of iterations in which it may be there.
    """
    memo, ahead = state.memo, state.ahead
    longest = memo.certain - 1
    c = 0
    while c < longest and state.lengths[c].tokens <= row.generated:
        c += 1
    left, bucket = 1.0, 0
    for k in range(c, longest + 1):
        end = min(state.lengths[k].tokens, row.limit)
        last = min(max(end - row.generated, 1) + memo.late, memo.farthest) - 1
        bucket = last >> memo.coarse
        part, settled = state.law.share[c, k], state.law.settled[c, k]
        final = k == longest or row.limit <= end
        if final:  # whoever would end later is cut there
            part, settled = left, left * (1.0 - left)
        left -= part
        ahead.leaving[bucket] += part
        ahead.leaving_tokens[bucket] += part * held
        if settled != 0.0:
            j = span_of(state, last)
            ahead.spread[0, j] += settled
            ahead.spread[1, j] += settled * held
            ahead.spread[2, j] += settled * held * held
        if final:
            if longest > 0:  # else `leaving` says as much
                ahead.ending[bucket] += 1.0
                ahead.ending_tokens[bucket] += held
            break
    return bucket


@kernel
def gather(state, common):
    """Fill ``horizon``, ``mean``, ``variance`` and ``full``; ``common`` KV tokens stay for good."""
    memo, ahead = state.memo, state.ahead
    if memo.certain > 1:
        peaks(state, ahead.ending, ahead.ending_tokens, ahead.full)
    peaks(state, ahead.leaving, ahead.leaving_tokens, ahead.mean)
    zeroth = first = second = 0.0
    for j in range(memo.spans - 1, -1, -1):
        zeroth += ahead.spread[0, j]
        first += ahead.spread[1, j]
        second += ahead.spread[2, j]
        h = 1.0 * ahead.horizon[j]
        ahead.variance[j] = max(second + 2.0 * h * first + h * h * zeroth, 0.0)
        ahead.mean[j] += common
        ahead.full[j] = ahead.full[j] + common if memo.certain > 1 else ahead.mean[j]
