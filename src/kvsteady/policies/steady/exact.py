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
    memo = state.memo
    for h in range(((memo.farthest - 1) >> memo.coarse) + 2):
        state.leaving[h] = state.leaving_tokens[h] = 0.0
    for j in range(memo.spans):
        state.spread[0, j] = state.spread[1, j] = state.spread[2, j] = 0.0


@kernel
def spread_out(state, row, held):
    """Put a request down where it may end: a part at each length before it."""
    memo = state.memo
    longest = memo.certain - 1
    c = 0
    while c < longest and state.lengths[c].tokens <= row.generated:
        c += 1
    left = 1.0
    for k in range(c, longest + 1):
        end = min(state.lengths[k].tokens, row.limit)
        last = min(max(end - row.generated, 1) + memo.late, memo.farthest) - 1
        bucket = last >> memo.coarse
        part, settled = state.share[c, k], state.settled[c, k]
        final = k == longest or row.limit <= end
        if final:  # whoever would end later is cut there
            part, settled = left, left * (1.0 - left)
        left -= part
        state.leaving[bucket] += part
        state.leaving_tokens[bucket] += part * held
        if settled != 0.0:
            j = span_of(state, last)
            state.spread[0, j] += settled
            state.spread[1, j] += settled * held
            state.spread[2, j] += settled * held * held
        if final:
            state.ending[bucket] += 1.0
            state.ending_tokens[bucket] += held
            return


@kernel
def gather(state, common):
    """Fill ``horizon``, ``mean``, ``variance`` and ``full``; ``common`` KV tokens stay for good."""
    memo = state.memo
    peaks(state, state.ending, state.ending_tokens, state.full)
    peaks(state, state.leaving, state.leaving_tokens, state.mean)
    zeroth = first = second = 0.0
    for j in range(memo.spans - 1, -1, -1):
        zeroth += state.spread[0, j]
        first += state.spread[1, j]
        second += state.spread[2, j]
        h = 1.0 * state.horizon[j]
        state.variance[j] = max(second + 2.0 * h * first + h * h * zeroth, 0.0)
        state.mean[j] += common
        state.full[j] += common
