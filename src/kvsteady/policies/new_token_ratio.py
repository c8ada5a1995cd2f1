"""SGLang's reservation: a share of what running requests may yet generate."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import EVICTED, Setup, decide_of
from kvsteady.errors import InputError, shown

_CLIP = 4096  # SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION
_LEAST = 0.14  # SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR
_DECAY_STEPS = 600.0  # SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS
_RETRACT_STEPS = 20  # SGLANG_RETRACT_DECODE_STEPS

_RATIO, _TICKS = range(2)


class _State(NamedTuple):
    memo: Any  # the ratio now, and `FACTS.ticks` of the last decision
    first: float
    clip: int


@dataclass(frozen=True)
class NewTokenRatio:
    """Admit while memory holds, next to what is there, ``ratio`` of the tokens that running
    requests may yet generate and all of the newcomers' (at most 4,096 of each).

    The ratio falls from ``initial`` to 14% of it over 600 iterations that decode and is measured
    anew after an eviction. Source: ``sglang/srt/managers/schedule_policy.py`` (0.5.23).

    Raises
    ------
    InputError
        ``initial`` is no share.
    """

    initial: float = 0.7

    sees_running = True
    oracle = False

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= 1:
            raise InputError(
                f"{shown(self.initial)} is out of range", field="initial", allowed="from 0 to 1"
            )

    def start(self, setup: Setup) -> _State:  # noqa: ARG002 -- the Protocol's
        """The ratio at its beginning."""
        return _State(np.array([self.initial, 0.0]), self.initial, _CLIP)


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts, memo = view.facts, state.memo
    evicted = False
    for i in range(facts.shown_gone):
        evicted = evicted or view.gone[i].how == EVICTED
    ticks = facts.ticks - memo[_TICKS]
    memo[_TICKS] = facts.ticks
    done = limits = to_come = 0
    for i in range(facts.shown_running):
        row = view.running[i]
        done += row.generated
        limits += row.limit
        to_come += min(max(row.limit - row.generated, 0), state.clip)
    if evicted:
        memo[_RATIO] = min(1.0, (done + _RETRACT_STEPS * facts.shown_running) / (limits + 1.0))
    else:
        least = _LEAST * state.first
        memo[_RATIO] = max(memo[_RATIO] - ticks * (state.first - least) / _DECAY_STEPS, least)
    room = facts.free * facts.block - memo[_RATIO] * to_come
    quota = 0
    for i in range(facts.shown_waiting):
        row = view.waiting[i]
        room -= row.prompt + row.generated
        room -= min(max(row.limit - row.generated, 0), state.clip) + facts.block
        if room <= 0 and facts.running + quota > 0:
            break
        quota += 1
    return quota
