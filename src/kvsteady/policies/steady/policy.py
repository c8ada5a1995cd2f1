"""Steady: as fast as memory allows in the long run, and never faster than is safe now.

1. *Learn.* The law of output lengths, from tokens watched and completions (`watch`, `learn`). It
   gives the survival weights w, hence the equilibrium rate x*. Until then max_tokens are believed,
   and until one has completed the first four are not paced: as many as make a length known.
2. *Plan.* Admit at the largest rate up to x* that can be kept for good (`plan`). For lengths that
   are certain this spreads requests evenly and leaves none of the lumps that cycles are made of.
   Lengths that are not leave dips; they are refilled faster, most where a prefill fills whole
   iterations, and by a constant rate more (where few run each is a large part of a dip), while the
   plan at full rate exceeds memory by no more than twice its standard deviation at equilibrium.
3. *Be safe.* Admit a request only while the forecast of everybody's memory, by age (`forecast`),
   stays below capacity in all the time ahead, with ``risk`` standard deviations to spare.
4. *Batch.* Where a queue is long, wait for as many as a prefill is worth (`batch`). Where it has
   iterations of its own, the plan makes up for what batches leave empty until they come.
5. *Never slower than reserving.* Who fits if all live as long as they may gets in at the pace at
   which those who reserve max_tokens are served (`reserve`), whatever the plan says. Where few run
   and that falls short, reserving has its turn (`trial`).

Where fewer requests are here than equilibrium holds, only 1 and 3 apply.
"""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kvsteady.admission import Setup, decide_of
from kvsteady.errors import InputError, shown
from kvsteady.kernels import kernel
from kvsteady.policies.steady.batch import batch_size, one_pass, worth_it
from kvsteady.policies.steady.forecast import forecast
from kvsteady.policies.steady.learn import is_stale, put_together
from kvsteady.policies.steady.lengths import is_outlived
from kvsteady.policies.steady.plan import fits_safely, has_slack, lay_out, sustainable
from kvsteady.policies.steady.reserve import fit_whole, reserved
from kvsteady.policies.steady.spans import set_spans
from kvsteady.policies.steady.state import (
    KEEPS,
    KEEPS_NONE,
    TRIED,
    UNKNOWN,
    Opened,
    SteadyState,
    new_state,
)
from kvsteady.policies.steady.trial import PLANS, book, is_reserving, start_over
from kvsteady.policies.steady.watch import listen
from kvsteady.policies.ticking import ticks_since

# How much faster than x* dips are refilled, and by how many standard deviations of memory the plan
# at full rate may exceed it then: admissions can still be withheld. A prefill that shares its
# iteration with the decode is better spread; one that does not is better done at once.
_REFILL_MIXED, _REFILL_APART = 0.75, 5.0
_LEEWAY = 2.0
# A prefill of so many tokens has its iterations to itself, or nearly so.
_FILLING = 8192.0
# Beside that, in requests per iteration: where few are in memory each is a large part of a dip.
_REFILL_LEAST = 0.05
# Until one has completed so many are not paced: as many as make a length known.
_FIRST = 4
# A batch that is due is waited for so many times as long as it takes to come together.
_PATIENCE = 1.0


@dataclass(frozen=True)
class Steady:
    """Our policy; the defaults are meant for everything.

    Parameters
    ----------
    risk
        Standard deviations that the forecast keeps free.

    Raises
    ------
    InputError
        ``risk`` below 0.
    """

    risk: float = 2.0

    sees_running = True
    oracle = False

    def __post_init__(self) -> None:
        if not (0 <= self.risk < math.inf):
            raise InputError(f"{shown(self.risk)}", field="risk", allowed="0 or more")

    def start(self, setup: Setup) -> SteadyState:
        """Nothing learned yet; the workload is not looked at."""
        del setup
        return new_state(self.risk)


@decide_of(SteadyState)
def _decide(state: SteadyState, view: Any) -> Any:
    # As `opened`, which no kernel can call: none returns records.
    known = Opened(state.memo[0], state.law[0], state.ahead[0], state.lengths, state.risk)
    return _admit(known, view)


@kernel
def _admit(state: Any, view: Any) -> Any:
    """How many of the queue's head get in now."""
    memo, facts = state.memo, view.facts
    listen(state, view)
    if is_stale(state, view):
        put_together(state, view)
    ticks = _since(state, view)
    if facts.shown_waiting == 0:
        memo.credit = 0.0
        start_over(memo, PLANS)
        return 0
    set_spans(state, view)
    if memo.certain > 0 and is_outlived(state, memo.certain):
        put_together(state, view)
        set_spans(state, view)
    forecast(state, view)
    most, least, surely = facts.shown_waiting, 1, 0
    if facts.running + facts.waiting > memo.rate * memo.life:
        if memo.mass > 0.0 and is_reserving(state, view):
            if memo.draining > 0:
                return 0
            return max(fit_whole(state, view, most), 1 if facts.running == 0 else 0)
        memory = float(facts.blocks * facts.block)
        batch = batch_size(state, view, memory - memo.common)
        _refill(state, memory, batch, ticks)
        surely = reserved(state, view, batch, ticks)
        most = min(most, max(int(memo.credit), surely))
        if memo.waited * memo.rate < _PATIENCE * batch:
            least = worth_it(state, view, most, batch)
    else:
        memo.credit = 0.0
        start_over(memo, PLANS)
    first = _FIRST if memo.mass == 0.0 else 1
    if facts.running < first:
        most, least = max(most, min(first - facts.running, facts.shown_waiting)), 1
    if most < least:
        return 0
    quota = 0
    while quota < most and fits_safely(state, view, view.waiting[quota]):
        quota += 1
    quota = max(quota, surely)
    if quota == 0 and facts.running == 0:
        return 1
    if quota < least:
        return 0
    return one_pass(state, view, quota) if memo.passes > 1.0 and facts.running > 0 else quota


@kernel
def _since(state: Any, view: Any) -> Any:
    """Book what happened since the last decision; returns the decode iterations."""
    memo, facts = state.memo, view.facts
    admitted = facts.admitted - memo.admitted
    apart = facts.ticks - memo.ticks < facts.iteration - memo.iteration
    ticks = ticks_since(facts, memo.ticks)
    book(state, view, ticks, admitted)
    memo.admitted, memo.ticks, memo.iteration = facts.admitted, facts.ticks, facts.iteration
    if admitted > 0:
        memo.waited = 0.0
    if admitted > 0 and memo.others_ran > 0:  # else nobody shows whether others stood still
        own = 1.0 if apart else 0.0
        memo.apart = own if memo.apart == UNKNOWN else memo.apart + 0.05 * (own - memo.apart)
    memo.others_ran = facts.running
    memo.waited += ticks
    memo.credit -= admitted
    memo.open = 0 if ticks > 0 else max(memo.open - admitted, 0)
    if memo.keeps == TRIED:
        memo.keeps = KEEPS_NONE if admitted > memo.tried else KEEPS
    memo.reserved = max(memo.reserved - admitted, 0.0)
    return ticks


@kernel
def _refill(state: Any, memory: Any, batch: Any, ticks: Any) -> None:
    """Let credit grow by what the plan allows."""
    memo = state.memo
    memo.credit = max(memo.credit, -float(batch))
    due = max(memo.credit, 0.0)
    lay_out(state)
    alone = max(memory - memo.common, 1.0)
    leeway = max(_LEEWAY * memo.noise - memo.peak, 0.0)
    # What is empty on average: as a batch is in memory whole when its turn is half over ...
    empty, half = (batch - 0.5) * memo.peak, 0.0
    if memo.apart > UNKNOWN:
        # ... or, where one comes as another ends, what those who run gain until then.
        gained = 0.5 * memo.life * max(batch - memo.rate, 0.0)
        empty, half = min(empty, gained + _LEEWAY * memo.noise), 0.5 * (batch - 1)
    target = memo.rate * max(1.0 - empty / alone, 0.5)
    pace = sustainable(state, memory, target, due, half, _LEEWAY * memo.noise)
    if has_slack(state, memory + leeway, target, due + 1.0):
        fills = 1.0 if memo.apart > UNKNOWN else min((memo.prompt - memo.cached) / _FILLING, 1.0)
        more = _REFILL_MIXED + (_REFILL_APART - _REFILL_MIXED) * fills**2
        pace = (1.0 + more) * memo.rate + _REFILL_LEAST
    memo.credit = min(memo.credit, batch) + ticks * pace
