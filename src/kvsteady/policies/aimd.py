"""Additive increase, multiplicative decrease of the number of active requests."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import Setup, decide_of
from kvsteady.errors import InputError, shown
from kvsteady.workload.ranges import real_number

_WINDOW, _SINCE = range(2)
_PERIOD = 32  # iterations between two changes of the window


class _State(NamedTuple):
    memo: Any  # window, iterations since it changed
    low: float
    high: float
    less: float
    more: float
    aimd: bool


@dataclass(frozen=True)
class Aimd:
    """A window on active requests: ``increase`` more every 32 iterations while KV usage is below
    ``low``, times ``decrease`` when it exceeds ``high``, as congestion control does.

    Source: after CONCUR (arXiv:2601.22705), which controls agents by cache signals this way; the
    constants are for requests.

    Raises
    ------
    InputError
        Shares out of order, or steps that do not move the window, or by over a million.
    """

    low: float = 0.85
    high: float = 0.95
    increase: float = 4.0
    decrease: float = 0.8

    sees_running = False
    oracle = False

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= 1:
            raise InputError(
                f"{shown((self.low, self.high))}", field="low, high", allowed="0 < low ≤ high ≤ 1"
            )
        real_number(self.increase, "increase", most=1e6)
        if not 0 < self.decrease < 1:
            raise InputError(
                f"{shown(self.decrease)} is out of range",
                field="decrease",
                allowed="between 0 and 1",
            )

    def start(self, setup: Setup) -> _State:  # noqa: ARG002 -- the Protocol's
        """A small window."""
        memo = np.array([8.0, 0.0])
        return _State(memo, self.low, self.high, self.decrease, self.increase, True)


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts, memo = view.facts, state.memo
    usage = 1.0 - facts.free / max(facts.blocks, 1)
    memo[_SINCE] += 1.0
    if memo[_SINCE] >= _PERIOD:
        if usage > state.high:
            memo[_WINDOW] = max(1.0, memo[_WINDOW] * state.less)
            memo[_SINCE] = 0.0
        elif usage < state.low:
            # It grows from what is really there, so that an idle engine does not open it at will.
            memo[_WINDOW] = min(memo[_WINDOW], facts.running + 64.0) + state.more
            memo[_SINCE] = 0.0
    return max(0, int(memo[_WINDOW]) - facts.running)
