"""How fast admissions may go on for good, and whether one more is safe now.

With ``A(h)`` the memory that those who run will hold in h iterations, and ``W(h) = Σ_{m<h} w_m``
what admissions at rate 1 from now on will hold then, the rate is the largest a ≤ x* with
``A(h) + a W(h) ≤ M`` at all times. Where lengths are certain, requests new and the plan followed,
it stays possible, so the rate never falls, and is x* after one life.

Batches of k that come as others end hold less than that until they do. As the next one is due,
``a W(h)`` is the integral over what admissions hold by age, and batches are its sum over ages
``k / a`` apart, without either end: by the trapezoid rule ``k (w_0 + w_h) / 2`` less.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.kernels import kernel
from kvsteady.policies.steady.learn import alone
from kvsteady.policies.steady.spans import alive_after, asked_for, bounds, left_of, older, span_of
from kvsteady.policies.steady.state import UNKNOWN
from kvsteady.policies.steady.whole_blocks import counted_block


@kernel
def lay_out(state):
    """Fill ``one`` and ``upto`` with w(h) and W(h)."""
    memo, ahead = state.memo, state.ahead
    own = alone(memo)
    for j in range(memo.spans):
        h = ahead.horizon[j]
        tokens = 1.0 * max(h - memo.late, 0)
        living, ahead.upto[j] = asked_for(state, own, tokens)
        ahead.one[j] = living * (own + h)


@kernel
def sustainable(state, memory, most, due, half, spare):
    """Largest rate up to ``most`` that fits for good, with ``due`` admissions made now.

    Of batches, ``half`` is half of one, and ``spare`` tokens are to be free all the same.
    """
    ahead = state.ahead
    rate = most
    for j in range(state.memo.spans):
        less = max(half * (ahead.one[0] + ahead.one[j]) - spare, 0.0)
        room = memory + less - ahead.mean[j] - due * ahead.one[j]
        if room < rate * ahead.upto[j]:
            rate = room / max(ahead.upto[j], 1e-9)
    return max(rate, 0.0)


@kernel
def has_slack(state, memory, rate, due):
    """Whether ``due`` admissions now and ``rate`` from now on fit."""
    ahead = state.ahead
    for j in range(state.memo.spans):
        if ahead.mean[j] + due * ahead.one[j] + rate * ahead.upto[j] > memory:
            return False
    return True


@kernel
def fits_safely(state, view, row):
    """Whether one more leaves the forecast below memory; if so it is counted in.

    The forecast is ``risk`` standard deviations above the mean, or what is held if nobody ends
    early, whichever is less, both in whole blocks.
    """
    memo, facts, ahead = state.memo, view.facts, state.ahead
    memory = facts.blocks * facts.block
    own = row.prompt + row.generated - row.shared
    block = counted_block(state, facts.block)
    left = min(left_of(state, row), memo.farthest)
    if memo.apart >= UNKNOWN and left > 1:
        # Its first token comes of the prefill, while nobody else gains one.
        own += 1
        if memo.apart > UNKNOWN:
            left -= 1
    held = own + memo.waste
    written = max(own - facts.unwritten, 0)
    inverse = 1.0 / max(block, 1)
    last = span_of(state, left - 1)
    now = max(alive_after(state, row.generated), 1e-12)
    for turn in range(2):
        for j in range(last + 1):
            _, behind = bounds(state, j)
            chance = ahead.fresh[j]
            if row.generated > 0:
                chance = min(alive_after(state, row.generated + older(state, j)) / now, 1.0)
            # At the end of the span, or its own: nowhere in it is there more.
            gained = min(behind, left) - 1
            each = most = held + gained
            if block > 0:
                most = 1.0 * block * (int((written + gained + 0.5) * inverse) + 1)
            mean = ahead.mean[j] + each * chance
            variance = ahead.variance[j] + each * each * chance * (1.0 - chance)
            lumps, full = ahead.lumps[j] + (most - each) * chance, ahead.full[j] + most
            if turn == 1:
                ahead.mean[j], ahead.variance[j] = mean, variance
                ahead.lumps[j], ahead.full[j] = lumps, full
            elif min(mean + lumps + state.risk * math.sqrt(variance), full) > memory:
                return False
    return True
