"""Means and percentiles of as many numbers as come, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.simulate.state import GAP_BINS, GAP_BINS_PER_E, GAP_LEAST

#: Numbers that are kept one by one; percentiles of more are taken from bins 1% wide.
EXACT = 1_000_000


class Spread:
    """Seconds at least 0: their mean (exact) and percentiles.

    Up to ``exact`` numbers the percentiles are exact (linear between neighbours, as NumPy and vLLM
    bench take them). Of more, they are the middle of a bin 1% wide, from a microsecond on.
    """

    def __init__(self, exact: int = EXACT) -> None:
        self.count = 0
        self.total = 0.0
        self._room = exact
        self._kept: list[FloatArray] = []
        self._bins = np.zeros(GAP_BINS, dtype=np.int64)

    def add(self, seconds: FloatArray) -> None:
        """Take in numbers of shape ``(n,)``."""
        self.count += seconds.size
        self.total += float(seconds.sum())
        self._bins += np.bincount(_places(seconds), minlength=GAP_BINS)
        if self.exact:
            self._kept.append(np.array(seconds, dtype=np.float64))
        else:
            self._kept.clear()

    def add_bins(self, bins: IntArray, total: float) -> None:
        """Take in a histogram with the bins of `state.GAP_BINS`, and the sum of what it counts."""
        self._room = -1
        self._kept.clear()
        self._bins += bins
        self.count += int(bins.sum())
        self.total += total

    @property
    def exact(self) -> bool:
        """Whether percentiles are exact."""
        return self.count <= self._room

    @property
    def mean(self) -> float | None:
        """None where there is nothing."""
        return self.total / self.count if self.count else None

    def percentiles(self, wanted: Sequence[float]) -> list[float | None]:
        """Percentiles (0 to 100) in ascending order; None where there is nothing."""
        if not self.count:
            return [None] * len(wanted)
        if self.exact:
            return [float(value) for value in np.percentile(np.concatenate(self._kept), wanted)]
        below = np.cumsum(self._bins)
        ranks = np.asarray(wanted) / 100 * (self.count - 1)
        return [_middle(int(place)) for place in np.searchsorted(below, ranks, side="right")]

    def curve(self, points: int = 200) -> tuple[list[float], list[float]]:
        """Seconds, and the share of numbers that are at most so many: a distribution curve."""
        if not self.count:
            return [], []
        shares = np.linspace(0.0, 100.0, points)
        values = [value for value in self.percentiles(list(shares)) if value is not None]
        return values, [float(share) / 100 for share in shares]


def _places(seconds: FloatArray) -> Any:
    """Bins of `kvsteady.simulate.decoding.count_gap`."""
    logs = np.log(np.maximum(seconds, GAP_LEAST) / GAP_LEAST) * GAP_BINS_PER_E
    return np.minimum(logs.astype(np.int64), GAP_BINS - 1)


def _middle(place: int) -> float:
    return GAP_LEAST * math.exp((place + 0.5) / GAP_BINS_PER_E)
