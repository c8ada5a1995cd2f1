"""What was seen of output lengths: tokens watched as they came, completions among them.

Both are kept by age, newer ones weighing more, so that their ratio is the hazard of ending at an
age. Requests are at risk only for tokens that were watched: those who run long are in memory more
often than they arrive, and counting them whole would make outputs look longer than they are.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.admission import COMPLETED
from kvsteady.kernels import kernel
from kvsteady.policies.steady.lengths import (
    expected_ends,
    note_cut,
    note_end,
    note_watched,
    rescale_lengths,
    take_in_lengths,
)
from kvsteady.policies.steady.state import CELLS

# What is known counts for 1 / e after so many completions, a multiple of those who run, and at
# least.
_MEMORY, _LEAST = 1.5, 150.0
# A surprise of this many standard deviations, squared, makes all but a share be forgotten ...
_ALARM, _LEFT = 6.0, 0.1
# ... and of surprises themselves so much is left 32 iterations later.
_RECALL = 0.8
# Variance of what the law expects beside the Poisson one: four completions are no surprise yet.
_SOME = 4.0
_LARGE = 1e100


@kernel
def listen(state, view):
    """Take in who left memory since the last decision."""
    memo, facts = state.memo, view.facts
    if facts.shown_gone == 0:
        return
    forget = _forget(facts)
    for i in range(facts.shown_gone):
        gone = view.gone[i]
        done = gone.how == COMPLETED
        reach(state, gone.generated)
        memo.longest = max(memo.longest, gone.generated)
        ended = done and gone.generated < gone.limit
        # Whether it would have ended where max_tokens cut it nobody knows.
        until = gone.generated - (1 if done and not ended else 0)
        _watch(state, until, facts.ticks - memo.seen_until)
        if not done:
            continue
        memo.prompts = memo.prompts / forget + 1.0
        memo.prompt += (gone.prompt - memo.prompt) / memo.prompts
        memo.outputs = memo.outputs / forget + gone.generated
        memo.carried += (gone.prompt - memo.carried) * gone.generated / max(memo.outputs, 1.0)
        memo.mass = memo.mass / forget + 1.0
        memo.fresh += 1
        if ended:
            state.law.lately[-(-gone.generated // memo.width)] += memo.weight
            note_end(state, gone.generated)
            memo.came += 1.0
        else:
            note_cut(state, gone.generated)
        state.law.limits[min(gone.limit // memo.width, CELLS + 1)] += memo.weight


@kernel
def _forget(facts):
    """How much more the next completion weighs."""
    return 1.0 + 1.0 / max(_MEMORY * facts.running, _LEAST)


@kernel
def _rescale(state):
    """Make weights small again."""
    memo, law = state.memo, state.law
    if memo.weight > _LARGE:
        for k in range(CELLS + 2):
            law.ended[k] /= memo.weight
            law.seen[k] /= memo.weight
            law.lately[k] /= memo.weight
            law.recent[k] /= memo.weight
            law.steps[k] /= memo.weight
            law.limits[k] /= memo.weight
        rescale_lengths(state, 1.0 / memo.weight)
        memo.weight = 1.0


@kernel
def watch_running(state, view):
    """Count the tokens of those who run, and take in what was watched since the last time."""
    memo, facts = state.memo, view.facts
    ticks = facts.ticks - memo.seen_until if memo.when >= 0 else 0
    memo.seen_until, memo.oldest = facts.ticks, 0
    for i in range(facts.shown_waiting):
        memo.oldest = max(memo.oldest, view.waiting[i].generated)
    for i in range(facts.shown_running):
        tokens = view.running[i].generated
        reach(state, tokens)
        memo.oldest = max(memo.oldest, tokens)
        memo.longest = max(memo.longest, tokens)
        _watch(state, tokens, ticks)
    _fill_in(state)
    _take_in(state)
    # All that is seen until the next time weighs alike: completions and who goes on.
    memo.weight *= _forget(facts) ** memo.fresh
    _rescale(state)


@kernel
def _watch(state, until, ticks):
    """Count the last tokens of a request, as many as there were ticks, as watched.

    Whole cells in between are put down at their two ends, for `_fill_in`.
    """
    memo, law = state.memo, state.law
    width, since = memo.width, max(until - ticks, 0)
    if until <= since:
        return
    note_watched(state, since, until)
    first, last = since // width + 1, -(-until // width)
    if first == last:
        law.recent[first] += memo.weight * (until - since)
        return
    law.recent[first] += memo.weight * (first * width - since)
    law.recent[last] += memo.weight * (until - (last - 1) * width)
    law.steps[first + 1] += memo.weight * width
    law.steps[last] -= memo.weight * width


@kernel
def _fill_in(state):
    """Put down the whole cells that `_watch` left out."""
    law = state.law
    level = 0.0
    for k in range(CELLS + 2):
        level += law.steps[k]
        law.recent[k] += level
        law.steps[k] = 0.0


@kernel
def _take_in(state):
    """Add what was watched lately; forget most of what was before where the two do not agree.

    The completions that came, less those that the law expected of the tokens watched, are a
    martingale if the law holds; its variance is about the number expected.
    """
    memo, law = state.memo, state.law
    expected = 0.0
    if memo.certain > 0:
        expected = expected_ends(state)
    else:
        for k in range(1, CELLS + 1):
            if law.recent[k] > 0.0 and law.survival[k - 1] > 0.0:
                hazard = 1.0 - law.survival[k] / law.survival[k - 1]
                expected += law.recent[k] / memo.width * hazard
    expected /= memo.weight
    memo.surprise = memo.surprise * _RECALL + memo.came - expected
    memo.doubt = memo.doubt * _RECALL + expected
    memo.came = 0.0
    keep = 1.0
    if memo.surprise * memo.surprise > _ALARM * (memo.doubt + _SOME):
        memo.surprise = memo.doubt = 0.0
        keep = _LEFT
    take_in_lengths(state, keep)
    for k in range(CELLS + 2):
        law.ended[k] = keep * law.ended[k] + law.lately[k]
        law.seen[k] = keep * law.seen[k] + law.recent[k]
        law.recent[k] = law.lately[k] = 0.0


@kernel
def reach(state, tokens):
    """Make cells wide enough for an output of so many tokens."""
    memo, law = state.memo, state.law
    if tokens <= CELLS * memo.width:
        return
    _fill_in(state)
    half = CELLS // 2
    while tokens > CELLS * memo.width:
        memo.width *= 2
        law.limits[0] += law.limits[1]
        for k in range(1, half + 1):
            a, b = 2 * k - 1, 2 * k
            law.ended[k] = law.ended[a] + law.ended[b]
            law.seen[k] = law.seen[a] + law.seen[b]
            law.lately[k] = law.lately[a] + law.lately[b]
            law.recent[k] = law.recent[a] + law.recent[b]
            law.survival[k] = law.survival[b]
            law.limits[k] = law.limits[b] + (law.limits[b + 1] if k < half else 0.0)
        for k in range(half + 1, CELLS + 1):
            law.ended[k] = law.seen[k] = law.lately[k] = law.recent[k] = 0.0
            law.survival[k] = law.survival[half]
            law.limits[k] = 0.0
