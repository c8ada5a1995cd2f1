"""The paper's remedy: admit no faster than the eviction-free equilibrium."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import NO_LIMIT, Setup, decide_of
from kvsteady.errors import InputError, shown
from kvsteady.model.admission import Pace
from kvsteady.model.system import System
from kvsteady.policies.ticking import ticks_since
from kvsteady.theory.caps import rate_caps
from kvsteady.workload.ranges import real_number

MOST_RATE = 1e6
_MOST_Z = 1000

_CREDIT, _ADMITTED, _NOW, _TICKS = range(4)


class _State(NamedTuple):
    memo: Any  # credit, admissions so far, seconds, decode iterations
    rate: float
    by_clock: bool


@dataclass(frozen=True)
class RateCap:
    """At most ``rate`` admissions per iteration, fractions saved up (theory: section 6).

    Parameters
    ----------
    rate
        Requests per iteration; None takes ``x*`` in the fluid model and `RateCaps.steady` for
        whole requests, both from the workload.
    z
        Standard deviations of memory that a rate from the workload leaves free where lengths are
        random: the square-root margin, ``x W + z √(x V) = M`` (`rate_caps`).
    per_second
        Requests per second in its stead, where iterations have times.

    Raises
    ------
    InputError
        A rate that is not above 0 or over a million, a ``z`` below 0 or over a thousand, both rates
        at once, or none and no workload.
    """

    rate: float | None = None
    per_second: float | None = None
    z: float = 2.0

    sees_running = False
    oracle = False

    def __post_init__(self) -> None:
        for name in ("rate", "per_second"):
            value = getattr(self, name)
            if value is not None:
                real_number(value, name, most=MOST_RATE)
        if self.rate is not None and self.per_second is not None:
            raise InputError("given beside rate", field="per_second", allowed="one of the two")
        if not 0 <= self.z <= _MOST_Z:
            raise InputError(
                f"{shown(self.z)} is out of range", field="z", allowed=f"from 0 to {_MOST_Z}"
            )

    def pace(self, system: System, *, whole_requests: bool) -> Pace:
        """A token bucket that never loses the fraction of a request."""
        if self.per_second is not None:
            raise InputError(
                "iterations have no seconds here", field="per_second", allowed="rate, or an engine"
            )
        rate = self.rate
        if rate is None:
            caps = rate_caps(system, z=self.z)
            rate = caps.steady if whole_requests else caps.fluid
        return Pace(rate, rate + 1 if whole_requests else rate)

    def start(self, setup: Setup) -> _State:
        """An empty bucket."""
        rate = self.per_second if self.rate is None else self.rate
        if rate is None:
            if setup.workload is None:
                raise InputError("needs a law of lengths", field="rate", allowed="a number")
            system = System(setup.workload, setup.kv_tokens, setup.block_size)
            rate = rate_caps(system, z=self.z).steady
        return _State(np.zeros(4), rate, self.per_second is not None)


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts, memo = view.facts, state.memo
    ticks = ticks_since(facts, memo[_TICKS])
    memo[_TICKS] = facts.ticks
    refill = state.rate
    if not state.by_clock:
        refill *= ticks
    else:
        refill *= max(facts.now - memo[_NOW], 0.0)
        memo[_NOW] = facts.now
    # A bucket that holds less than rate + 1 loses the fraction left over, and the rate with it.
    # What the engine did not use stays; what it admitted is known one decision later.
    memo[_CREDIT] -= facts.admitted - memo[_ADMITTED]
    memo[_ADMITTED] = facts.admitted
    memo[_CREDIT] = min(memo[_CREDIT] + refill, max(refill, state.rate * (not state.by_clock)) + 1)
    return int(min(memo[_CREDIT], float(NO_LIMIT)))
