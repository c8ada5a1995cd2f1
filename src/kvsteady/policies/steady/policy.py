"""Steady: as fast as memory allows in the long run, and never faster than is safe now.

Three parts, each from the theory:

1. *Learn.* The law of output lengths, from completions (`learn`). It gives the survival weights,
   hence the equilibrium rate x*.
2. *Pace by feedback.* Admit at ``x* (1 + g · free share of memory)``. The rate cap (g = 0) is
   stable and leaves dips empty; greedy admission (g → ∞) fills every dip and is unstable where
   lengths are fixed. g is the critical gain of the learned law over a margin (`gain`): about 0.25
   for one fixed length, tens for lengths that spread.
3. *Be safe.* Admit a request only while the forecast memory of all who run, by age, stays below
   capacity at every look-ahead time with ``risk`` standard deviations to spare (`forecast`).
   With lengths that are certain nobody is evicted by this rule, while few enough ends are ahead
   that all of them are looked at (`state.ENDS`).

Where fewer requests are here than equilibrium holds, pacing is not needed, and only 3 applies.
"""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kvsteady.admission import Setup, decide_of
from kvsteady.errors import InputError, shown
from kvsteady.policies.steady.forecast import choose_times, fits_safely, forecast
from kvsteady.policies.steady.gain import set_gain
from kvsteady.policies.steady.learn import is_stale, listen, put_together
from kvsteady.policies.steady.state import SteadyState, new_state


@dataclass(frozen=True)
class Steady:
    """Our policy; the defaults are meant for everything.

    Parameters
    ----------
    risk
        Standard deviations that the forecast keeps free.
    margin
        How many times less than critical the feedback is.

    Raises
    ------
    InputError
        ``risk`` below 0, ``margin`` not above 1.
    """

    risk: float = 2.5
    margin: float = 10.0

    sees_running = True
    oracle = False

    def __post_init__(self) -> None:
        if not (0 <= self.risk < math.inf):
            raise InputError(f"{shown(self.risk)}", field="risk", allowed="0 or more")
        if not (1 < self.margin < math.inf):
            raise InputError(f"{shown(self.margin)}", field="margin", allowed="above 1")

    def start(self, setup: Setup) -> SteadyState:
        """Nothing learned yet; the workload is not looked at."""
        return new_state(self.risk, self.margin, setup.unwritten)


@decide_of(SteadyState)
def _decide(state: SteadyState, view: Any) -> Any:
    memo, facts = state.memo, view.facts
    listen(state, view)
    if is_stale(state, view):
        put_together(state, view)
        set_gain(state)
    memo.credit -= facts.admitted - memo.admitted
    memo.admitted = facts.admitted
    free = facts.free / max(facts.blocks, 1)
    ticks = facts.ticks - memo.ticks
    memo.ticks = facts.ticks
    if facts.running == 0:  # nobody's token marks the time
        ticks = max(ticks, 1)
    refill = ticks * max(memo.rate * (1.0 + memo.gain * free), 0.0)
    memo.credit = min(memo.credit + refill, max(memo.rate, refill) + 1.0)
    most = facts.shown_waiting
    if facts.running + facts.waiting > memo.rate * memo.life:
        most = min(most, max(int(memo.credit), 0))
    elif memo.credit < 0.0:
        memo.credit = 0.0
    if facts.running == 0:
        most = min(max(most, 1), facts.shown_waiting)
    if most == 0:
        return 0
    times = choose_times(state, view)
    forecast(state, view, times)
    quota = 0
    while quota < most and fits_safely(state, view, view.waiting[quota], times, True):
        quota += 1
    if quota == 0 and facts.running == 0:
        return 1
    return quota
