"""How many are worth a prefill.

A prefill costs c decode iterations however short it is: weights are read, and on engines that give
it an iteration of its own everybody else stops. A decode reads the weights too, and the KV of all
who run: then ``c = 1 / (1 + M / H)`` with memory M full and the weights as much to read as the KV
of H tokens. With k admitted at once, at rate x, that is
``c x / k`` per iteration; half of what a batch holds at its end is empty on average, ``k s / 2``,
with s a request's share of memory. The least of both is at ``k = √(2 c x / s)``. A prefill that
keeps the GPU busy gains nothing by being longer, so a batch ends with so many tokens. What a prefix
cache holds is not computed, and memory is what requests have to themselves.

Where prefill has its own iterations, all of the newcomers' max_tokens must fit in the pass that
admits them (SGLang). What of it the mean output leaves, r, is empty too: ``k r``, as far as that is
more than the standard deviation of memory, which is empty for its noise anyway.

Of one length a batch of k ends at once and frees ``k s``. There it may take several passes in a
row: room for a newcomer is its own need s and r, which each pass finds anew, while those before it
took their prompts only. With ``k (s - l0 / 2)`` free on average these are
``(s + r) / (s - l0 / 2)`` passes or one more, whatever k is; r is not empty beside ``k s / 2``.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.kernels import kernel
from kvsteady.policies.steady.state import KEEPS_NONE, TRIED, UNKNOWN, UNTRIED

# H: 16.1 GB of an 8B model over 131 kB per token (8 KV heads) are 122,000; times of an H100 at full
# memory say 92,000. 70B: 430,000; 7B with 32 KV heads: 26,000. The batch goes with the root of c.
_WEIGHTS = 100_000.0
# What a prefill that shares an iteration with the decode costs, in decode iterations.
_MIXED = 0.0625
# Tokens of a prefill that keep a GPU busy, alone and with the decode. Measured on an H100, as
# `_MIXED`; rooflines of other accelerators are within a factor of two of it.
_BUSY_APART, _BUSY_MIXED = 704.0, 256.0
# A batch of n + 1 where n requests on average leave so much of a busy prefill unused.
_ROUND = 0.75
# SGLang asks for no more room than this for one output (SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION).
_CLIP = 4096
# A batch of several prefills is no larger a share of memory.
_SHARE = 0.25
# Of the queue so many are looked at to know what newcomers ask for.
_HEAD = 16


@kernel
def busy_tokens(state):
    """Prompt tokens of a prefill that gains nothing by more."""
    return _BUSY_APART if state.memo.apart > UNKNOWN else _BUSY_MIXED


@kernel
def cost_apart(memory):
    """What a prefill costs beside its tokens where it has an iteration of its own, in decode
    iterations that read ``memory`` tokens.
    """
    return 1.0 / (1.0 + memory / _WEIGHTS)


@kernel
def prefill_apart(state, view, many):
    """What a prefill of the mean prompts of so many costs then: beyond a busy one by its tokens."""
    memo, facts = state.memo, view.facts
    tokens = many * max(memo.prompt - memo.cached, 1.0)
    return cost_apart(1.0 * facts.blocks * facts.block) * max(tokens / _BUSY_APART, 1.0)


@kernel
def batch_size(state, view, memory):
    """Requests worth a prefill, at least 1."""
    memo = state.memo
    most = busy_tokens(state) / max(memo.prompt - memo.cached, 1.0) + _ROUND
    memo.passes = 1.0
    if memo.apart <= UNKNOWN:
        return max(1, int(min(math.sqrt(2.0 * _MIXED * memo.rate * memory / memo.peak), most)))
    worth = cost_apart(memory) * memo.rate * memory
    kept = _never_generated(state, view)
    memo.passes = _passes(memo, kept)
    best = math.sqrt(2.0 * worth * memo.passes / memo.peak)
    if memo.passes > 1.0:
        best = min(best, _SHARE * memory / memo.peak)
        return max(1, int(min(best + 0.5, most * memo.passes)))
    if kept > 0.0:
        least = math.sqrt(worth / (0.5 * memo.peak + kept))
        best = max(least, min(best, memo.noise / kept))
    return max(1, int(min(best + 0.5, most)))


@kernel
def _never_generated(state, view):
    """Tokens that SGLang keeps for a newcomer's max_tokens and the mean output leaves."""
    many = min(view.facts.shown_waiting, _HEAD)
    limits = 0
    if state.memo.keeps == KEEPS_NONE:
        return 0.0
    for i in range(many):
        limits += min(view.waiting[i].limit, _CLIP)
    return max(limits / many - state.memo.life, 0.0)


@kernel
def _passes(memo, kept):
    """Prefills that one batch takes, where that leaves less empty than a pass for each."""
    if memo.certain != 1:
        return 1.0
    freed = memo.peak - 0.5 * (memo.prompt - memo.shared)
    passes = 1.0 * math.ceil((memo.peak + kept) / freed)
    return passes if 1.0 < passes < 1.0 + 2.0 * kept / memo.peak else 1.0


@kernel
def room_for(facts, row):
    """Tokens that SGLang wants free for a newcomer, in the pass that admits it."""
    pages = -(-(row.prompt + row.generated - row.shared) // facts.block) + 1
    return pages * facts.block + min(max(row.limit - row.generated, 0), _CLIP)


@kernel
def one_pass(state, view, quota):
    """How many of a batch of several prefills the next one may take.

    SGLang must not be asked for more than have room: refused one, it tries again only when
    somebody has ended. Whether an engine wants such room is tried once.
    """
    memo, facts = state.memo, view.facts
    free, fit = facts.free * facts.block, 0
    while fit < quota:
        free -= room_for(facts, view.waiting[fit])
        if free <= 0:
            break
        fit += 1
    if memo.keeps == UNTRIED and fit < quota:
        memo.keeps, memo.tried = TRIED, fit
        return quota
    memo.open = max(memo.open, quota)
    return fit


@kernel
def worth_it(state, view, most, batch):
    """How many of the queue's head are worth a prefill; more than ``most`` if so many are not."""
    memo, facts = state.memo, view.facts
    if memo.passes > 1.0:
        if memo.open > 0:
            return 1
        if most < batch:
            return most + 1
        batch = max(int(batch / memo.passes), 1)
    busy, tokens, count = busy_tokens(state), 0, 0
    free = facts.free * facts.block
    while count < batch and tokens < busy:
        if count == most:
            return most + 1
        row = view.waiting[count]
        tokens += row.prompt + row.generated - row.cached
        if memo.apart > UNKNOWN and row.limit > 2.0 * memo.life and memo.keeps != KEEPS_NONE:
            # SGLang keeps the max_tokens of those whom one prefill admits, and would cut it.
            free -= room_for(facts, row)
            if free < 0:
                return most + 1
        count += 1
    return count
