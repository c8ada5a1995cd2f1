"""Admit in batches of the fluid equilibrium's size, once so many wait."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import Setup, decide_of
from kvsteady.errors import InputError
from kvsteady.kernels import kernel
from kvsteady.model.system import System
from kvsteady.policies.rate_cap import MOST_RATE
from kvsteady.policies.ticking import ticks_since
from kvsteady.theory.caps import rate_caps
from kvsteady.workload.ranges import real_number, whole_number

_CREDIT, _WAITED, _TICKS = range(3)


class _State(NamedTuple):
    memo: Any  # credit, iterations that the head has waited, decode iterations
    batch: int
    rate: float


@dataclass(frozen=True)
class Wait:
    """Waiting for accumulated inference threshold: admit ``batch`` requests together, as soon as so
    many wait, and no more than the fluid equilibrium's rate on average.

    Source: WAIT of Ao, Luo, Simchi-Levi, Wang, arXiv:2504.11320, for one class of prompts; its
    thresholds are those of the fluid equilibrium. Under an endless queue it is a rate cap whose
    admissions come in lumps. A queue that is shorter is not kept waiting for ever: after as many
    iterations as the batch takes to refill, whoever waits is admitted.

    Parameters
    ----------
    batch
        The threshold; None is one iteration's admissions at that rate, at least 1.
    rate
        Requests per iteration on average; None is the equilibrium's, from the workload.

    Raises
    ------
    InputError
        Not a positive number, or a rate over a million; neither a rate nor a workload to take it
        from.
    """

    batch: int | None = None
    rate: float | None = None

    sees_running = False
    oracle = False

    def __post_init__(self) -> None:
        if self.batch is not None:
            whole_number(self.batch, "batch", 1, 2**31)
        if self.rate is not None:
            real_number(self.rate, "rate", most=MOST_RATE)

    def start(self, setup: Setup) -> _State:
        """Threshold and rate."""
        rate = self.rate
        if rate is None:
            if setup.workload is None:
                raise InputError("needs a law of lengths", field="workload", allowed="a Workload")
            rate = rate_caps(System(setup.workload, setup.kv_tokens, setup.block_size)).steady
        batch = max(1, math.ceil(rate)) if self.batch is None else self.batch
        return _State(np.zeros(3), batch, rate)


@kernel
def accumulated(facts, memo, rate, batch):
    """``batch`` where so many wait and the rate allows for them, else 0.

    ``memo`` holds the allowance, how long the head has waited, and `FACTS.ticks` of the last time.
    """
    ticks = ticks_since(facts, memo[_TICKS])
    memo[_TICKS] = facts.ticks
    memo[_CREDIT] = min(memo[_CREDIT] + rate * ticks, batch + rate)
    if facts.waiting == 0:
        memo[_WAITED] = 0.0
        return 0
    memo[_WAITED] += ticks
    if memo[_CREDIT] < batch:
        return 0
    if facts.waiting < batch and memo[_WAITED] * rate < batch:
        return 0
    return batch


@kernel
def spend(memo, requests):
    """Take admissions from the allowance."""
    memo[_CREDIT] -= requests
    memo[_WAITED] = 0.0


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    quota = accumulated(view.facts, state.memo, state.rate, state.batch)
    if quota > 0:
        spend(state.memo, quota)
    return quota
