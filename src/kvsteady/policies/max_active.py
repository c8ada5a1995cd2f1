"""Bound the number of requests in memory."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import Setup, decide_of
from kvsteady.errors import InputError
from kvsteady.workload.ranges import whole_number


class _State(NamedTuple):
    requests: int
    most: float


@dataclass(frozen=True)
class MaxActive:
    """At most ``requests`` in memory: vLLM's ``--max-num-active-seqs``, TGI's
    ``max_concurrent_requests``. None takes what memory holds at full length, in whole blocks, by
    the workload's mean: no eviction for one class, and the worst cycle's throughput.

    Raises
    ------
    InputError
        Not a positive number; None without a workload.
    """

    requests: int | None = None

    sees_running = False
    oracle = False

    def __post_init__(self) -> None:
        if self.requests is not None:
            whole_number(self.requests, "requests", 1, 2**31)

    def start(self, setup: Setup) -> _State:
        """The bound."""
        most = self.requests
        if most is None:
            if setup.workload is None:
                raise InputError("needs a law of lengths", field="requests", allowed="a number")
            load, block = setup.workload, setup.block_size
            largest = np.maximum(load.prompt + load.output - setup.unwritten, 1)
            blocks = float(load.share @ -(-largest // block))
            most = max(1, int(setup.kv_tokens // block / blocks))
        return _State(most, float(most))


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    return max(0, state.requests - view.facts.running)
