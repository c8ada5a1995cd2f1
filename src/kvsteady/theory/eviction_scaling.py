"""How large evictions are at long prompts: of order 1 / l0 beside x*.

In one iteration memory grows by at most a token per running request, and whoever is evicted has age
1 or more and frees ``l0 + 2`` tokens or more, so that no iteration after the first evicts more than
``running / (l0 + 2)`` requests, whatever the outputs and the state (ours). As running requests hold
``l0 + 1`` tokens or more, that is at most ``Σ w / ((l0 + 1)(l0 + 2)) = μ / l0 + O(1 / l0²)`` times
x*. With coprime outputs and prompts beyond the threshold the disturbances die out between (Theorem
3), so the evictions of a whole run add up to O(1 / l0) too; with a common divisor they never end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError
from kvsteady.model.iterate import iterate
from kvsteady.model.system import Eviction, System
from kvsteady.progress import Progress, silent
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_PROMPT, whole_number, whole_numbers

_REQUESTS = 100  # KV capacity in largest requests: the fluid model does not depend on it


@dataclass(frozen=True, eq=False)
class EvictionScaling:
    """Evictions of greedy admission in the fluid model from an empty memory, by prompt.

    All arrays have shape ``(n,)``; requests are given relative to x*.

    Attributes
    ----------
    prompt
        Common prompts in tokens.
    largest
        Most requests evicted in one iteration.
    total
        Requests evicted in the whole run.
    late
        Most requests evicted in one iteration of the last quarter.
    bound
        ``Σ w / ((l0 + 1)(l0 + 2))``, which ``largest`` cannot exceed.
    """

    prompt: IntArray
    largest: FloatArray
    total: FloatArray
    late: FloatArray
    bound: FloatArray

    eviction = Eviction.RESTART

    @property
    def exponent(self) -> float:
        """Slope of ``log largest`` against ``log l0``; NaN if some prompt has no eviction."""
        return _slope(self.prompt, self.largest)

    @property
    def total_exponent(self) -> float:
        """Slope of ``log total`` against ``log l0``; NaN if some prompt has no eviction."""
        return _slope(self.prompt, self.total)


def eviction_scaling(
    workload: Workload, prompts: Sequence[int], *, steps: int = 10_000, progress: Progress = silent
) -> EvictionScaling:
    """Measure evictions against the common prompt, outputs and shares of a workload given.

    Parameters
    ----------
    prompts
        Two prompts or more, 1 token or more each, without repetition.
    steps
        Iterations of each run, 4 or more.

    Raises
    ------
    InputError
        Too few prompts, or a number out of range.
    """
    steps = whole_number(steps, "steps", 4, 10_000_000)
    lengths = np.unique(whole_numbers(list(prompts), "prompts", 1, MAX_PROMPT))
    if lengths.size < 2:
        raise InputError(f"{lengths.size} prompts", field="prompts", allowed="two or more")
    rows = []
    for done, prompt in enumerate(lengths.tolist()):
        common = np.full(len(workload), prompt)
        load = Workload.from_counts(common, workload.output, workload.tickets)
        system = System(load, min(_REQUESTS * load.largest_request, 2**31 - 1))
        evicted = iterate(system, steps=steps).evicted / equilibrium(system).admissions
        weight = float(load.memory_weights().sum())
        bound = weight / ((prompt + 1) * (prompt + 2))
        rows.append([evicted.max(), evicted.sum(), evicted[-(steps // 4) :].max(), bound])
        progress(done + 1, lengths.size)
    largest, total, late, bounds = (frozen_floats(column) for column in np.array(rows).T)
    return EvictionScaling(frozen_ints(lengths), largest, total, late, bounds)


def _slope(prompt: IntArray, evicted: FloatArray) -> float:
    if not (evicted > 0).all():
        return float("nan")
    return float(np.polyfit(np.log(prompt), np.log(evicted), 1)[0])
