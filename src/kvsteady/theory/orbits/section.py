"""Greedy admission as a piecewise-linear map on full memories (ours).

Greedy admission fills memory and eviction cuts it to fit, so from the first iteration on memory
is exactly full after either: cohort amplitudes ``a[0 … L−1]`` lie on ``Σ w_m a_m = M``, ``a ≥ 0``.
On that section one iteration ages everyone by one and then fills memory from the oldest cohort to
the youngest, as if there were no end of requests at age 0. Where memory runs out is the **cut**:

    a'_m = a_{m−1}                              for m > cut
    a'_m = (M − Σ_{j > cut} w_j a_{j−1}) / w_m  at the cut
    a'_m = 0                                    for m < cut

A cut at 0 is an admission, any other one an eviction. Neighbouring pieces agree where they meet,
so the map is continuous; it is linear where the cut stays the same.

Cohorts here have the workload's own mix of classes. Nothing is lost by that: a deviation in the
mix of a cohort only ages and completes, so it is gone after L iterations (its multipliers are 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.errors import InputError
from kvsteady.model.fluid import FIT
from kvsteady.model.state import Cohorts
from kvsteady.model.system import System

# Cohorts that need less than this share of memory are rounding, and count as empty.
_DUST = 1e-13


@dataclass(frozen=True, eq=False)
class Filled:
    """Memory after eviction and admission.

    ``amplitude`` (L,) is full; ``cut`` is the age at which memory ran out; ``clearance``, relative
    to M, is how far this is from another cut: the tokens evicted or left at the cut, whichever
    are fewer, or the tokens admitted. ``evicted`` counts requests, ``wasted`` the tokens that
    they had generated.
    """

    amplitude: FloatArray
    cut: int
    clearance: float
    evicted: float
    wasted: float


@dataclass(frozen=True, eq=False)
class Walk:
    """What happens in some iterations along the section; arrays have one entry for each."""

    amplitude: FloatArray
    cut: IntArray
    clearance: FloatArray
    evicted: FloatArray
    wasted: FloatArray
    completed: FloatArray
    cohorts: IntArray


@dataclass(frozen=True, eq=False)
class Section:
    """The map of one system: survival weights, survival function, KV capacity."""

    weights: FloatArray
    survival: FloatArray
    capacity: float

    @classmethod
    def of(cls, system: System) -> Section:
        """The section of a system."""
        load = system.workload
        return cls(load.memory_weights(), load.survival, float(system.kv_tokens))

    def enter(self, start: Cohorts) -> FloatArray:
        """Amplitudes in memory during the first iteration from ``start``, shape ``(L,)``."""
        amplitude = np.array(start.amplitude, dtype=np.float64)
        if amplitude.shape != self.weights.shape:
            raise InputError(
                f"{amplitude.size} cohorts", field="amplitude", allowed=f"{self.weights.size}"
            )
        if abs(float(self.weights @ amplitude) / self.capacity - 1) <= FIT - 1:
            return amplitude  # full already: nothing is admitted or evicted
        return self.fill(amplitude).amplitude

    def fill(self, before: FloatArray) -> Filled:
        """Evict or admit; ``before`` are the amplitudes before an iteration, shape ``(L,)``."""
        need = self.weights * before
        older = np.append(np.cumsum(need[:0:-1])[::-1], 0.0)  # tokens of all that are older
        cut = int(np.searchsorted(-older, -self.capacity * FIT, side="left"))
        room = max(0.0, self.capacity - float(older[cut]))
        after = before.copy()
        after[:cut] = 0.0
        after[cut] = room / self.weights[cut] if room > _DUST * self.capacity else 0.0
        lost = self.survival[: cut + 1] * (before[: cut + 1] - after[: cut + 1])
        evicts = cut > 0
        excess = float(older[cut - 1]) - self.capacity if evicts else np.inf
        return Filled(
            after,
            cut,
            min(excess, room) / self.capacity,
            float(lost.sum()) if evicts else 0.0,
            float(lost @ np.arange(cut + 1)) if evicts else 0.0,
        )

    def step(self, amplitude: FloatArray) -> Filled:
        """One iteration along the section: execute, then evict or admit."""
        return self.fill(np.concatenate(([0.0], amplitude[:-1])))

    def walk(self, amplitude: FloatArray, steps: int) -> Walk:
        """Iterate ``steps`` times from a full memory."""
        finishing = self.survival - np.append(self.survival[1:], 0.0)
        cut, cohorts = np.empty((2, steps), dtype=np.int64)
        clearance, evicted, wasted, completed = np.empty((4, steps))
        for i in range(steps):
            completed[i] = amplitude @ finishing
            cohorts[i] = np.count_nonzero(amplitude)
            now = self.step(amplitude)
            amplitude, cut[i], clearance[i] = now.amplitude, now.cut, now.clearance
            evicted[i], wasted[i] = now.evicted, now.wasted
        return Walk(amplitude, cut, clearance, evicted, wasted, completed, cohorts)

    def distance(self, one: FloatArray, other: FloatArray) -> float:
        """How far two states differ, in KV tokens relative to M."""
        return float(self.weights @ np.abs(one - other)) / self.capacity
