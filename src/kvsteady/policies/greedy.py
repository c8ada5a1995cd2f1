"""Greedy admission: whatever fits now."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from kvsteady.admission import Setup, decide_of
from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.system import System


class _State(NamedTuple):
    greedy: bool
    unused: int = 0  # numba takes tuples of one type for each other


@dataclass(frozen=True)
class Greedy:
    """Fill memory in every iteration without an eviction: the paper's model, and at heart what
    vLLM V1 and SGLang do.
    """

    sees_running = False
    oracle = False

    def pace(self, system: System, *, whole_requests: bool) -> Pace:  # noqa: ARG002 -- the Protocol's
        """No limit but memory."""
        return UNLIMITED

    def start(self, setup: Setup) -> _State:  # noqa: ARG002 -- the Protocol's
        """Nothing to remember."""
        return _State(True)


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:  # noqa: ARG001 -- the door's
    return view.facts.waiting
