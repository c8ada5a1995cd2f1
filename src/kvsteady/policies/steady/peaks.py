"""When, in each span of the time ahead, memory could be largest."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel
from kvsteady.policies.steady.spans import bounds


@kernel
def peaks(state, count_at, tokens_at, peak):
    """Fill ``peak``, the most that is held in each span, ``horizon``, when, and ``stay``.

    ``count_at`` and ``tokens_at`` have requests by their last iteration, and their KV tokens now;
    ``stay`` is the share of ``peak`` in what they and those who end before it in the span would
    hold.
    """
    memo, ahead = state.memo, state.ahead
    coarse = memo.coarse
    held = count = 0.0
    for h in range(((memo.farthest - 1) >> coarse) + 1):
        held += tokens_at[h]
        count += count_at[h]
    h = 0
    for j in range(memo.spans):
        _, behind = bounds(state, j)
        behind = min(behind, memo.farthest)
        best, ended, out = -1.0, 0.0, 0.0
        while (h + 1) << coarse <= behind:
            end = ((h + 1) << coarse) - 1
            now = held + count * end
            if now >= best:
                best, ahead.horizon[j] = now, end
                ahead.stay[j] = now / max(now + out + ended * end, 1.0)
            held -= tokens_at[h]
            count -= count_at[h]
            out += tokens_at[h]
            ended += count_at[h]
            h += 1
        if h << coarse < behind:
            now = held + count * (behind - 1)
            if now >= best:
                best, ahead.horizon[j] = now, behind - 1
                ahead.stay[j] = now / max(now + out + ended * (behind - 1), 1.0)
        peak[j] = best
