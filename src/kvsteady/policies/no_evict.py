"""Reserve max_tokens for everyone: no eviction, ever."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from kvsteady.admission import Setup, decide_of


class _State(NamedTuple):
    unwritten: int
    safe: bool


@dataclass(frozen=True)
class GuaranteedNoEvict:
    """Admit while the blocks of prompt + max_tokens, of all that run and the newcomer, fit.

    Source: TensorRT-LLM's ``GUARANTEED_NO_EVICT``. Its throughput is the worst cycle's for one
    class (theory: section 4); a request without max_tokens is admitted alone.
    """

    sees_running = True
    oracle = False

    def start(self, setup: Setup) -> _State:
        """Nothing to remember."""
        return _State(setup.unwritten, True)


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts = view.facts
    room = facts.blocks
    for i in range(facts.shown_running):
        row = view.running[i]
        room -= -(-(row.prompt + row.limit - state.unwritten) // facts.block)
    quota = 0
    for i in range(facts.shown_waiting):
        row = view.waiting[i]
        room -= -(-(row.prompt + row.limit - state.unwritten) // facts.block)
        if room < 0 and facts.running + quota > 0:
            break
        quota += 1
    return quota
