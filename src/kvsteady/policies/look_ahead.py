"""Admission that knows every length: a bound for those that have to learn."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import Setup, decide_of

_LONGEST = 1 << 16


class _State(NamedTuple):
    ends: Any  # tokens that end after so many iterations, shape (_LONGEST + 1,)
    going: Any  # requests that do
    oracle: bool


@dataclass(frozen=True)
class LookAhead:
    """An oracle: admit the queue's head while all, left alone, would complete without an eviction.

    Source: the feasibility test of memory-constrained shortest first (MC-SF: Jaillet, Jiang,
    Mellou, Molinaro, Podimata, Zhou, arXiv:2502.07115), in the queue's order, which is the
    engine's. It never evicts, and synchronises identical requests: nothing spreads them out.
    Outputs beyond 65,536 tokens count as that.
    """

    sees_running = True
    oracle = True

    def start(self, setup: Setup) -> _State:  # noqa: ARG002 -- the Protocol's
        """Room for a calendar of completions."""
        return _State(
            np.zeros(_LONGEST + 1, dtype=np.int64), np.zeros(_LONGEST + 1, dtype=np.int64), True
        )


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts, ends, going = view.facts, state.ends, state.going
    horizon = 0
    held = 0
    for i in range(facts.shown_running):
        row = view.running[i]
        left = min(max(row.output - row.generated, 1), ends.size - 1)
        horizon = max(horizon, left)
        ends[left] += row.prompt + row.generated
        going[left] += 1
        held += row.prompt + row.generated
    running = facts.shown_running
    quota = 0
    memory = facts.blocks * facts.block - (facts.running + facts.shown_waiting) * (facts.block - 1)
    while quota < facts.shown_waiting:
        row = view.waiting[quota]
        left = min(max(row.output - row.generated, 1), ends.size - 1)
        tokens = row.prompt + row.generated
        ends[left] += tokens
        going[left] += 1
        held += tokens
        running += 1
        horizon = max(horizon, left)
        # Walk to each completion: memory peaks just before one.
        alive, rest, fits = running, held, True
        for ahead in range(1, horizon + 1):
            if going[ahead] > 0:
                if rest + alive * (ahead - facts.unwritten) > memory:
                    fits = False
                    break
                rest -= ends[ahead]
                alive -= going[ahead]
        if not fits and facts.running + quota > 0:
            break
        quota += 1
    for ahead in range(horizon + 1):
        ends[ahead] = going[ahead] = 0
    return quota
