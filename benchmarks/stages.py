"""The named peer of the model's kernel: section 2 of the theory over NumPy arrays of stages.

One array ``x[k, i]`` of requests by class and age, as one would write it first: weights times
counts, a cumulative sum from the oldest to find the level that no longer fits, a shift by one.
"""

from __future__ import annotations

import numpy as np


class Stages:
    """Fluid dynamics with greedy admission; a step costs O(K L)."""

    def __init__(
        self, prompts: list[int], outputs: list[int], shares: list[float], m: float
    ) -> None:
        longest = max(outputs)
        age = np.arange(longest)
        self.alive = age < np.array(outputs)[:, None]
        self.need = (np.array(prompts)[:, None] + age + 1) * self.alive
        self.share = np.array(shares)
        self.first = float(self.share @ (np.array(prompts) + 1))
        self.m = m
        self.x = np.zeros(self.need.shape)

    def step(self) -> float:
        """Evict, admit, execute; returns the requests completed."""
        x = self.x
        level = (self.need * x).sum(axis=0)
        above = np.cumsum(level[::-1])[::-1]
        if above[0] > self.m * (1 + 1e-11):
            cut = int(np.flatnonzero(above > self.m)[-1])  # oldest level that does not fit whole
            older = above[cut + 1] if cut + 1 < above.size else 0.0
            x[:, cut] *= (self.m - older) / level[cut]
            x[:, :cut] = 0.0
        else:
            x[:, 0] += (self.m - above[0]) / self.first * self.share
        moved = np.zeros_like(x)
        moved[:, 1:] = x[:, :-1]
        completed = float(x.sum() - (moved * self.alive).sum())
        self.x = moved * self.alive
        return completed
