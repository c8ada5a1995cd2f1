"""The map of levels with what each iteration does, and its affine pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray
from kvsteady.model import requeue_levels
from kvsteady.model.system import System


@dataclass(frozen=True, eq=False)
class LevelWalk:
    """Iterations from one state.

    Attributes
    ----------
    level
        State after the last, shape ``(L,)``.
    marginal
        Age at which memory ran out in each iteration.
    completed, evicted
        Requests in each iteration, shape ``(n,)``.
    evicted_tokens
        KV tokens that they held.
    clearance
        Tokens by which each iteration keeps from another marginal age, relative to M.
    """

    level: FloatArray
    marginal: tuple[int, ...]
    completed: FloatArray
    evicted: FloatArray
    evicted_tokens: FloatArray
    clearance: FloatArray


@dataclass(frozen=True, eq=False)
class Levels:
    """A system as a map of levels: amplitudes by generated tokens, in memory or waiting.

    Attributes
    ----------
    weights
        ``E[(L0 + i + 1) 1{L1 > i}]``, tokens per unit of amplitude, shape ``(L,)``.
    survival
        ``P(L1 > i)``, requests per unit of amplitude, shape ``(L,)``.
    capacity
        M.
    """

    weights: FloatArray
    survival: FloatArray
    capacity: float

    @classmethod
    def of(cls, system: System) -> Levels:
        """The map of a system."""
        load = system.workload
        return cls(load.memory_weights(), load.survival, float(system.kv_tokens))

    def marginals(self, level: FloatArray, steps: int) -> tuple[FloatArray, tuple[int, ...]]:
        """The states before each of ``steps`` iterations and after the last, shape
        ``(steps + 1, L)``, and the marginal ages.
        """
        states = np.empty((steps + 1, level.size))
        states[0] = level
        now, none = level.copy(), np.empty((0, level.size))
        ages = []
        for t in range(steps):
            ages.append(int(requeue_levels.step(self.weights, self.capacity, now, none)))
            states[t + 1] = now
        return states, tuple(ages)

    def walk(self, level: FloatArray, steps: int) -> LevelWalk:
        """Iterate from a state in which nobody waits."""
        states, ages = self.marginals(level, steps)
        leaving = self.survival - np.append(self.survival[1:], 0.0)
        held = self.weights - self.survival
        numbers = np.zeros((4, steps))
        youngest = 1  # in memory
        for t, (y, age) in enumerate(zip(states[:-1], ages, strict=True)):
            left = self.capacity - float(self.weights[age + 1 :] @ y[age + 1 :])
            runs = left / self.weights[age]
            out = np.zeros(y.size)
            if age >= youngest:
                out[youngest:age], out[age] = y[youngest:age], y[age] - runs
            numbers[0, t] = float(leaving[age + 1 :] @ y[age + 1 :]) + leaving[age] * runs
            numbers[1, t], numbers[2, t] = self.survival @ out, held @ out
            over = self.weights[age] * y[age] - left if age else np.inf
            numbers[3, t] = min(left, over) / self.capacity
            youngest = age + 1
        return LevelWalk(states[-1], ages, numbers[0], numbers[1], numbers[2], numbers[3])

    def affine(self, marginal: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Matrix ``(L − 1, L − 1)`` and offset of the iterations with these marginal ages, on the
        levels from 1 on.
        """
        size = self.weights.size - 1
        # One more column carries the offset.
        rows = np.eye(size, size + 1)
        for age in marginal:
            runs = -(self.weights[age + 1 :] @ rows[age:]) / self.weights[age]
            runs[size] += self.capacity / self.weights[age]
            after = rows.copy()
            after[age + 1 :] = rows[age:-1]  # level i stands in row i − 1
            if age > 0:
                after[age - 1] -= runs
            if age < size:
                after[age] = runs
            rows = after
        return rows[:, :size].copy(), rows[:, size].copy()

    def distance(self, one: FloatArray, two: FloatArray) -> float:
        """How far apart two states are, in tokens relative to M."""
        return float(self.weights @ np.abs(one - two)) / self.capacity
