"""Forecast the memory of those who run: mean, variance and most of it, by spans of the time ahead.

In each span the forecast is for the iteration in which memory would be largest if everybody lived
to the last token that is possible: where lengths are certain, no peak is missed. Requests are put
in bins by age, so that a forecast costs O(running + longest life) + O(bins × spans). Where
outputs end at few lengths it is `exact`.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel
from kvsteady.policies.sharing import shared_by
from kvsteady.policies.steady.exact import clear, gather, spread_out
from kvsteady.policies.steady.peaks import peaks
from kvsteady.policies.steady.spans import left_of, span_of
from kvsteady.policies.steady.state import AGES
from kvsteady.policies.steady.whole_blocks import (
    count_blocks,
    counted_block,
    gather_blocks,
    shift_of,
)

# The share of what the waste is other than expected that is learned per decision.
_GAIN = 0.05


@kernel
def _mend(memo, facts, more):
    """Waste as it is: prompts of one length end alike in their last block."""
    most = 0.5 * (facts.block - 1)
    change = min(max(memo.unlike + _GAIN * more, -most), most) - memo.unlike
    memo.unlike += change
    memo.waste += change


@kernel
def forecast(state, view):
    """Fill ``horizon``, ``mean``, ``variance``, ``full`` and ``lumps``, of those who run, in
    tokens.
    """
    memo, facts, ahead = state.memo, view.facts, state.ahead
    tokens, many, squares = ahead.tokens, ahead.many, ahead.squares
    last_bucket = (memo.farthest - 1) >> memo.coarse
    for h in range(last_bucket + 2):
        ahead.ending_tokens[h] = ahead.ending[h] = 0.0
    if memo.certain > 0:
        clear(state)
    else:
        for a in range(AGES):
            for j in range(memo.spans):
                tokens[a, j] = many[a, j] = squares[a, j] = 0.0
    block = counted_block(state, facts.block)
    shift = shift_of(block)
    top, own, shared, prefilled = 0, 0.0, 0, True
    for i in range(facts.shown_running):
        row = view.running[i]
        alike = shared_by(view, row)
        alone = row.prompt + row.generated - alike
        held = alone + memo.waste
        own += held - 1.0  # the token that it is given next is not in memory yet
        shared += alike
        prefilled = prefilled and row.generated > 0
        if memo.certain > 0:
            bucket = spread_out(state, row, held)
            if block > 0:
                count_blocks(state, alone - facts.unwritten, bucket, block, shift)
            continue
        last = left_of(state, row) - 1
        bucket = last >> memo.coarse
        if block > 0:
            count_blocks(state, alone - facts.unwritten, bucket, block, shift)
        ahead.ending_tokens[bucket] += held
        ahead.ending[bucket] += 1.0
        a = row.generated >> memo.young
        top = max(top, a)
        j = span_of(state, last)
        tokens[a, j] += held
        squares[a, j] += held * held
        many[a, j] += 1.0
    # What several hold is there once, and is taken to stay.
    used = (facts.blocks - facts.free) * facts.block
    common = used - own if shared > 0 else 0.0
    if shared == 0 and prefilled and facts.shown_running > 0:
        _mend(memo, facts, (used - own) / facts.shown_running)
    memo.common = common = max(common, 0.0)
    if memo.certain > 0:
        gather(state, common)
    else:
        _gather(state, common, top)
    if block > 0:
        gather_blocks(state, block, used, shared > 0)
    else:
        for j in range(memo.spans):
            ahead.lumps[j] = 0.0


@kernel
def _gather(state, common, top):
    """Fill all but ``lumps`` from the bins, up to age bin ``top``; ``common`` tokens stay."""
    memo, ahead = state.memo, state.ahead
    tokens, many, squares = ahead.tokens, ahead.many, ahead.squares
    peaks(state, ahead.ending, ahead.ending_tokens, ahead.full)
    for j in range(memo.spans):
        ahead.mean[j] = ahead.variance[j] = 0.0
        ahead.full[j] += common
    for a in range(top + 1):
        held = count = square = 0.0
        for j in range(memo.spans - 1, -1, -1):
            held += tokens[a, j]
            square += squares[a, j]
            count += many[a, j]
            if count > 0.0:
                chance, h = ahead.chance[a, j], 1.0 * ahead.horizon[j]
                ahead.mean[j] += (held + count * h) * chance
                # Σ (held + h)² of those who may be there.
                apart = square + h * (2.0 * held + count * h)
                ahead.variance[j] += apart * chance * (1.0 - chance)
    for j in range(memo.spans):
        ahead.mean[j] = ahead.mean[j] * ahead.stay[j] + common
        ahead.variance[j] *= ahead.stay[j]
