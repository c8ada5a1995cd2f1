"""Spans of the time ahead, and how likely requests are to live until then."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel
from kvsteady.policies.steady.learn import ENOUGH, TELLING
from kvsteady.policies.steady.lengths import share_beyond, sums
from kvsteady.policies.steady.state import AGES, CELLS, FARTHEST, FINE

_MANY = 32  # spans that are equally long, at most


@kernel
def left_of(state, row):
    """Iterations that a request may live, at least 1."""
    memo = state.memo
    end = row.limit
    if memo.certain > 0:
        end = min(end, state.lengths[memo.certain - 1].tokens)
    # A max_tokens far beyond all that was seen says nothing of the end.
    elif memo.mass < ENOUGH:
        if end > TELLING:
            end = max(memo.longest, TELLING)
    elif end > 2 * memo.longest + 256:
        end = memo.longest
    return min(max(end - row.generated, 1) + memo.late, FARTHEST)


@kernel
def set_spans(state, view):
    """Cut the time ahead into spans: doubling ones, and from some length on all alike."""
    memo, facts = state.memo, view.facts
    memo.late = facts.late
    farthest, oldest = 1, 1
    for i in range(facts.shown_running):
        farthest = max(farthest, left_of(state, view.running[i]))
        oldest = max(oldest, view.running[i].generated + 1)
    for i in range(facts.shown_waiting):
        farthest = max(farthest, left_of(state, view.waiting[i]))
        oldest = max(oldest, view.waiting[i].generated + 1)
    shift = coarse = young = 0
    while farthest >> shift > _MANY:
        shift += 1
    while farthest >> coarse >= FINE:
        coarse += 1
    while AGES << young < oldest:
        young += 1
    if shift != memo.shift or young != memo.young:
        memo.filled = 0
    memo.shift, memo.coarse, memo.young, memo.farthest = shift, coarse, young, farthest
    memo.oldest = oldest - 1
    memo.spans = span_of(state, farthest - 1) + 1
    if memo.filled < memo.spans:
        _set_chances(state)
        memo.filled = memo.spans


@kernel
def span_of(state, ahead):
    """Index of the span in which an iteration lies."""
    shift = state.memo.shift
    if ahead >> shift > 0:
        return (ahead >> shift) + shift
    j = 0
    while ahead > 0:
        ahead >>= 1
        j += 1
    return j


@kernel
def bounds(state, j):
    """First iteration of a span, and the first behind it."""
    shift = state.memo.shift
    if j > shift:
        return (j - shift) << shift, (j - shift + 1) << shift
    if j == 0:
        return 0, 1
    return 1 << (j - 1), 1 << j


@kernel
def older(state, j):
    """Tokens that who runs has more in the middle of a span; as it begins, where ends are few."""
    first, behind = bounds(state, j)
    if state.memo.certain > 0:
        behind = first + 1
    return max(0.5 * (first + behind - 1) - state.memo.late, 0.0)


@kernel
def alive_after(state, tokens):
    """P(output > tokens)."""
    if state.memo.certain > 0:
        return share_beyond(state, tokens)
    beyond = tokens - CELLS * state.memo.width
    if beyond > 0.0:  # where nobody was seen, ends are believed to be as elsewhere
        return state.law.survival[CELLS] * (1.0 - state.memo.usual) ** beyond
    return between(state, state.law.survival, tokens)


@kernel
def asked_for(state, own, tokens):
    """What admissions at rate 1 hold after so many tokens: w, and W with ``own`` each beside it."""
    if state.memo.certain > 0:
        _, load = sums(state, own, tokens)
        return share_beyond(state, tokens), load
    return between(state, state.law.living, tokens), between(state, state.law.load, tokens)


@kernel
def between(state, values, tokens):
    """Value at so many tokens of what is known at the ends of cells, between them on a line."""
    place = tokens / state.memo.width
    cell = int(place)
    if cell >= CELLS:
        return values[CELLS]
    rest = place - cell
    return values[cell] * (1.0 - rest) + values[cell + 1] * rest


@kernel
def _lived(state, tokens):
    """Σ P(output > n) over n below ``tokens``."""
    law = state.law
    beyond = tokens - CELLS * state.memo.width
    if beyond > 0.0:
        usual = state.memo.usual
        lived = (1.0 - (1.0 - usual) ** beyond) / usual if usual > 0.0 else beyond
        return law.area[CELLS] + lived * law.survival[CELLS]
    return between(state, law.area, tokens)


@kernel
def _set_chances(state):
    """P(it runs in the middle of a span | its age bin); ages are taken as spread over a bin."""
    memo = state.memo
    for j in range(memo.spans):
        more = older(state, j)
        state.ahead.fresh[j] = alive_after(state, more)
        if memo.certain > 0:
            continue
        for a in range(AGES):
            if memo.young == 0:
                now, then = alive_after(state, 1.0 * a), alive_after(state, a + more)
            else:
                low, high = 1.0 * (a << memo.young), 1.0 * ((a + 1) << memo.young)
                now = _lived(state, high) - _lived(state, low)
                then = _lived(state, high + more) - _lived(state, low + more)
            state.ahead.chance[a, j] = min(then / max(now, 1e-12), 1.0)
