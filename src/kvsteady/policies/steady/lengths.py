"""Where all outputs end at one of a few lengths, the law is these lengths, exactly.

Cells and beliefs are for lengths that are random: they blur a law that is certain, and what is
blurred is evicted, or held back, for good. So the distinct lengths at which outputs ended are kept
too. While there are few, all that ended lately ended there and nobody lives longer, the survival
function is theirs: a staircase with Kaplan and Meier's hazard (1958) at each, and nothing between.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel
from kvsteady.policies.steady.state import CELLS, LENGTHS

# Completions per length that are not enough: so few may be chance.
_EACH = 3.0
# What weighs less than this many completions is forgotten.
_FAINT = 0.5


@kernel
def note_end(state, tokens):
    """A request ended at this length, before its max_tokens."""
    memo, kept = state.memo, state.lengths
    i = 0
    while i < memo.lengths and kept[i].tokens < tokens:
        i += 1
    if i < memo.lengths and kept[i].tokens == tokens:
        kept[i].ended_lately += memo.weight
        return
    # Whoever reached the next longer one came by here.
    reached = lately = 0.0
    if i < memo.lengths:
        reached, lately = kept[i].reached, kept[i].reached_lately
    if memo.lengths == LENGTHS:
        least = 0
        for k in range(1, LENGTHS):
            if _weight(kept[k]) < _weight(kept[least]):
                least = k
        memo.others += _weight(kept[least])
        _drop(state, least)
        i -= 1 if least < i else 0
    for k in range(memo.lengths, i, -1):
        _copy(kept[k - 1], kept[k])
    memo.lengths += 1
    kept[i].tokens = tokens
    kept[i].ended, kept[i].ended_lately = 0.0, memo.weight
    kept[i].reached, kept[i].reached_lately = reached, lately + memo.weight
    kept[i].hazard, memo.news = 0.0, 1


@kernel
def note_cut(state, tokens):
    """A request lived to its max_tokens; beyond the longest length it speaks against them all."""
    memo = state.memo
    if memo.lengths > 0 and tokens > state.lengths[memo.lengths - 1].tokens:
        memo.others += memo.weight


@kernel
def note_watched(state, since, until):
    """Tokens of a request, from behind ``since`` to ``until``, were watched as they came."""
    for i in range(state.memo.lengths):
        if since < state.lengths[i].tokens <= until:
            state.lengths[i].reached_lately += state.memo.weight


@kernel
def expected_ends(state):
    """Completions that the lengths expected of who reached them lately, in units of weight."""
    expected = 0.0
    for i in range(state.memo.lengths):
        expected += state.lengths[i].reached_lately * state.lengths[i].hazard
    return expected


@kernel
def take_in_lengths(state, keep):
    """Add what was seen lately to a share ``keep`` of what was before."""
    memo, kept = state.memo, state.lengths
    memo.others *= keep
    i = 0
    while i < memo.lengths:
        row = kept[i]
        row.ended = keep * row.ended + row.ended_lately
        row.reached = max(keep * row.reached + row.reached_lately, row.ended)
        row.ended_lately = row.reached_lately = 0.0
        if row.ended < _FAINT * memo.weight:
            _drop(state, i)
        else:
            i += 1


@kernel
def rescale_lengths(state, by):
    """Change the unit of all weights."""
    state.memo.others *= by
    for i in range(state.memo.lengths):
        row = state.lengths[i]
        row.ended *= by
        row.reached *= by
        row.ended_lately *= by
        row.reached_lately *= by


@kernel
def settle(state):
    """Decide whether the lengths are the law, and what share outlives each."""
    memo, kept, remain = state.memo, state.lengths, state.law.remain
    memo.certain = memo.news = 0
    many = memo.lengths
    if many == 0 or memo.others >= _FAINT * memo.weight:
        return
    ended = 0.0
    for i in range(many):
        ended += kept[i].ended
    if ended < _EACH * many * memo.weight or is_outlived(state, many):
        return
    cut = 0.0  # by max_tokens, before the longest
    for k in range(min(kept[many - 1].tokens // memo.width, CELLS + 1)):
        cut += state.law.limits[k]
    if cut >= _FAINT * memo.weight:
        return
    memo.certain = many
    remain[0] = 1.0
    for i in range(many):
        remain[i + 1] = remain[i] * (1.0 - kept[i].ended / kept[i].reached)
    remain[many] = 0.0
    for i in range(many):
        kept[i].hazard = 1.0 - remain[i + 1] / remain[i] if remain[i] > 0.0 else 0.0
    for c in range(many):
        here = 1.0
        for k in range(c, many):
            beyond = remain[k + 1] / remain[c] if remain[c] > 0.0 else 0.0
            state.law.share[c, k] = here - beyond
            state.law.settled[c, k] = here * (1.0 - here) - beyond * (1.0 - beyond)
            here = beyond


@kernel
def is_outlived(state, many):
    """Whether somebody runs who has more tokens than the longest of so many lengths."""
    return state.memo.oldest > state.lengths[many - 1].tokens + state.memo.late


@kernel
def share_beyond(state, tokens):
    """P(output > tokens), by the lengths."""
    i = 0
    while i < state.memo.certain and state.lengths[i].tokens <= tokens:
        i += 1
    return state.law.remain[i]


@kernel
def sums(state, own, tokens):
    """Over the first ``tokens`` iterations of a life: Σ alive, and Σ of the KV tokens held by who
    has ``own`` beside its output.
    """
    life = area = before = 0.0
    for i in range(state.memo.certain):
        until = min(1.0 * state.lengths[i].tokens, tokens)
        if until <= before:
            break
        alive = state.law.remain[i]
        life += alive * (until - before)
        # Σ (own + m) over ages m.
        area += alive * (until - before) * (own + 0.5 * (before + until - 1.0))
        before = until
    return life, area


@kernel
def _weight(row):
    return row.ended + row.ended_lately


@kernel
def _drop(state, i):
    for k in range(i, state.memo.lengths - 1):
        _copy(state.lengths[k + 1], state.lengths[k])
    state.memo.lengths -= 1


@kernel
def _copy(row, to):
    to.tokens = row.tokens
    to.ended, to.reached = row.ended, row.reached
    to.ended_lately, to.reached_lately = row.ended_lately, row.reached_lately
    to.hazard = row.hazard
