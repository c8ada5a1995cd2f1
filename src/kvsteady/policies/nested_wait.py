"""WAIT where output lengths are unknown: thresholds for segments of the output."""
# mypy: disallow-untyped-decorators=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import Setup, decide_of
from kvsteady.arrays import FloatArray, IntArray
from kvsteady.errors import InputError, shown
from kvsteady.policies.wait import accumulated, spend
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import whole_number


class _State(NamedTuple):
    memo: Any  # see `wait.accumulated`
    end: int  # tokens generated at which the first segment ends
    most: int  # requests that may be in it
    total: int  # and in all
    batch: int
    rate: float


@dataclass(frozen=True)
class NestedWait:
    """Nested WAIT: the output is cut in segments by tokens generated, each with a threshold.

    Segment k has room for ``n_k`` requests per token of its length, with
    ``n_{k+1} / n_k = P(a request outlives segment k | it came that far) + margin``, and n_1 fills
    memory. Requests enter the first segment ``n_1`` (rounded up) at a time, once so many wait, and
    no more than n_1 an iteration on average. Nobody has to know a request's length: the short ones
    leave on the way.

    Source: Ao, Luo, Simchi-Levi, Wang, arXiv:2504.11320, with the limits as in the authors' own
    simulation (github.com/Luoxiaogan/vidur_or). There, requests in memory also wait at the border
    of a segment until its threshold is met. Engines decode whoever is in memory, and no admission
    policy can keep that half of the rule: here only the first segment and the sum of all are
    limited. Segments end at quantiles of the workload's output law.

    Parameters
    ----------
    segments
        How many at most; fewer where the law has fewer lengths. One is WAIT with every output
        taken for the longest.
    margin
        The paper's slack in the thresholds of later segments.

    Raises
    ------
    InputError
        An option out of its range; no workload.
    """

    segments: int = 8
    margin: float = 0.02

    sees_running = True
    oracle = False

    def __post_init__(self) -> None:
        whole_number(self.segments, "segments", 1, 64)
        if not 0 <= self.margin < 1:
            raise InputError(f"{shown(self.margin)}", field="margin", allowed="from 0 to below 1")

    def start(self, setup: Setup) -> _State:
        """Segments and their thresholds."""
        if setup.workload is None:
            raise InputError("needs a law of lengths", field="workload", allowed="a Workload")
        ends, each = thresholds(setup, setup.workload, self.segments, self.margin)
        room = each * np.diff(ends, prepend=0)
        rate = float(each[0])
        return _State(
            np.zeros(3),
            int(ends[0]),
            max(1, math.ceil(room[0])),
            max(1, math.ceil(room.sum())),
            max(1, math.ceil(rate)),
            rate,
        )


def thresholds(
    setup: Setup, load: Workload, segments: int, margin: float
) -> tuple[IntArray, FloatArray]:
    """Where segments end, and how many requests each has room for per token of its length.

    Returns
    -------
    ends, each
        Shape ``(k,)`` with k at most ``segments``: tokens generated, ascending, and n_1 … n_k.
    """
    order = np.argsort(load.output, kind="stable")
    output, reached = load.output[order], np.cumsum(load.share[order])
    quantiles = np.arange(1, segments + 1) / segments
    places = np.searchsorted(reached, quantiles - 1e-9)
    ends = np.unique(output[np.minimum(places, output.size - 1)]).astype(np.int64)
    outlive = np.array([float(load.share[load.output > end].sum()) for end in ends])
    stay = outlive[:-1] / np.append(1.0, outlive[:-2])
    shares = np.cumprod(np.append(1.0, np.minimum(stay + margin, 0.99)))
    # Tokens that a request holds in its i-th iteration, with half a block to spare.
    spare = load.mean_prompt + 0.5 * (setup.block_size - 1) + 1 - setup.unwritten
    first = np.append(0, ends[:-1])
    held = (ends - first) * (spare + 0.5 * (first + ends - 1))
    return ends, shares * (setup.kv_tokens / float(shares @ held))


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts = view.facts
    young = 0
    for i in range(facts.shown_running):
        young += view.running[i].generated < state.end
    quota = accumulated(facts, state.memo, state.rate, state.batch)
    quota = min(quota, state.most - young, state.total - facts.running)
    if quota <= 0:
        return 0
    spend(state.memo, quota)
    return quota
