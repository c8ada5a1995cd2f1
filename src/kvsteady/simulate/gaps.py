"""Times between tokens, from the histogram that the kernels keep: bins of 1%."""

from __future__ import annotations

import math

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.simulate.state import GAP_BINS, GAP_BINS_PER_E, GAP_LEAST


def gap_bins(seconds: FloatArray) -> IntArray:
    """Count times, in seconds, as `kvsteady.simulate.decoding.count_gap` does."""
    places = (np.log(np.maximum(seconds, GAP_LEAST) / GAP_LEAST) * GAP_BINS_PER_E).astype(np.int64)
    return np.bincount(np.minimum(places, GAP_BINS - 1), minlength=GAP_BINS)


def gap_seconds(gaps: IntArray) -> FloatArray:
    """The middle of each bin, in seconds, shape of ``gaps``."""
    return np.asarray(GAP_LEAST * np.exp((np.arange(gaps.size) + 0.5) / GAP_BINS_PER_E))


def gap_quantile(gaps: IntArray, share: float) -> float:
    """Seconds that ``share`` of the gaps do not exceed, within 0.5%; NaN where there is none."""
    total = int(gaps.sum())
    if total == 0:
        return math.nan
    place = int(np.searchsorted(np.cumsum(gaps), max(share * total, 1)))
    return float(gap_seconds(gaps)[place])
