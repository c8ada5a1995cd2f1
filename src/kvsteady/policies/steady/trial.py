"""Plan or reserve: whichever is seen to serve more.

A plan is for real numbers of requests. Where few run it may serve less than reserving max_tokens,
which takes them whole. If as many as fit whole are more than run by the plan, memory is left to
drain, and from then on those who fit get in: as with `no-evict` that begins now. After eight lives
who has served more goes on. The other has another chance later, and each time that it loses the
next one is twice as far. Where x* becomes quite another, all that begins anew.

What is served are output tokens in the time of a decode iteration, prefills counted as what they
cost (`batch`).
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel
from kvsteady.policies.steady.batch import prefill_apart, room_for
from kvsteady.policies.steady.reserve import at_its_end, own_blocks
from kvsteady.policies.steady.state import FIRST_STAY, UNKNOWN

# `MEMO.reserves`.
PLANS, _RESERVES = 0, 1
# Lives (`_long`) that are measured, and that pass before.
_MEASURED, _SETTLING = 8.0, 3.0
# Reserving is tried if so much more may be had of it.
_PROMISING = 1.01
# Of more the plan is as good.
_FEW = 16.0
# A chance comes after so many measurements at most (`MEMO.stay`).
_MOST = 64
# Reserving gives up its turn where it is seen to serve so much less.
_FAR_LESS = 0.9
# Where x* is another by this factor, up or down, what was seen to serve more says nothing.
_OTHER_LOAD = 1.5


@kernel
def book(state, view, ticks, admitted):
    """Take down what was served since the last decision."""
    memo = state.memo
    apart = memo.apart > UNKNOWN
    tokens, spent = ticks * memo.others_ran, 1.0 * ticks
    if apart and admitted > 0:
        tokens += admitted
        spent += prefill_apart(state, view, admitted)
    if memo.spent >= 0.0:
        memo.served += tokens
    memo.spent += spent


@kernel
def start_over(memo, reserves):
    """Go on with one of the two, and measure it; reserving begins with an empty memory."""
    if reserves != memo.reserves:
        memo.measured = 0
    memo.draining = 1 if reserves > memo.reserves else 0
    memo.reserves, memo.turned = reserves, memo.rate
    memo.served, memo.spent = 0.0, -_SETTLING * _long(memo)


@kernel
def _long(memo):
    """A life, in decode iterations; where a few outputs are far longer than the mean, half of the
    longest: in less it is chance who serves more.
    """
    return max(memo.life, 0.5 * memo.longest)


@kernel
def is_reserving(state, view):
    """Whether it is the turn of reserving."""
    memo = state.memo
    if memo.draining == 0 and memo.spent >= _MEASURED * _long(memo):
        _compare(state, view)
    # One that does not end is not waited for.
    if memo.draining > 0 and (view.facts.running == 0 or memo.spent >= 0.0):
        memo.draining, memo.served, memo.spent = 0, 0.0, 0.0
    return memo.reserves == _RESERVES


@kernel
def _compare(state, view):
    """At the end of a measurement, say who goes on."""
    memo = state.memo
    own, other = memo.reserves, 1 - memo.reserves
    rate = memo.served / memo.spent
    memo.rates[own] = rate if memo.rates[own] == 0.0 else 0.5 * (memo.rates[own] + rate)
    memo.measured += 1
    memo.served = memo.spent = 0.0
    if memo.turned == 0.0:
        memo.turned = memo.rate
    if not memo.turned < _OTHER_LOAD * memo.rate < _OTHER_LOAD**2 * memo.turned:
        memo.stay[PLANS], memo.stay[_RESERVES] = FIRST_STAY
        memo.rates[PLANS] = memo.rates[_RESERVES] = 0.0
        start_over(memo, PLANS)
        return
    least = 1.0 if memo.measured == 1 else _FAR_LESS
    if (own == _RESERVES or memo.measured == 1) and memo.rates[own] < least * memo.rates[other]:
        memo.stay[other] = min(2 * memo.stay[other], _MOST)
        start_over(memo, other)
        return
    if memo.measured < memo.stay[own]:
        return
    if own == _RESERVES or _run_whole(state, view) > _PROMISING * memo.rates[PLANS]:
        start_over(memo, other)


@kernel
def _run_whole(state, view):
    """How many run if all that fit whole are let in, in the mean; less by the share of time that a
    prefill for all of them takes. 0: fewer wait than fit, or more fit than are few.
    """
    memo, facts = state.memo, view.facts
    memory = own_blocks(memo, facts)
    times, held, many = 0, 0.0, 0
    for i in range(facts.shown_waiting):
        row = view.waiting[i]
        each = 1.0 * at_its_end(state, facts, row)
        if memo.apart > UNKNOWN and row.limit > 2.0 * memo.life:
            # SGLang will not have more of them at once than their max_tokens find room.
            each = max(each, room_for(facts, row) / facts.block)
        if held + each > memory:
            times, held, many = times + 1, 0.0, i
        held += each
    fit = many / max(times, 1)
    if fit > _FEW or times == 0:
        return 0.0
    if memo.apart > UNKNOWN:
        tokens = 1.0 * max(memo.longest, 1)  # the first comes of the prefill
        fit *= tokens / (tokens - 1.0 + prefill_apart(state, view, fit))
    return fit
