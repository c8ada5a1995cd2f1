"""A rate of admissions as SGLang can keep it: so many requests every so many decode iterations."""

from __future__ import annotations

import math
from fractions import Fraction

# Longer cycles make larger bursts.
_LONGEST_INTERVAL = 32
_GOOD_ENOUGH = 0.97


def admissions_in_bursts(rate: float) -> Fraction:
    """Largest P/k admissions per decode step at most ``rate``, P every k steps, with the
    shortest k that reaches 97% of it.
    """
    if rate < 1 / _LONGEST_INTERVAL:
        return Fraction(1, math.ceil(1 / rate))
    best = Fraction(0)
    for interval in range(1, _LONGEST_INTERVAL + 1):
        candidate = Fraction(math.floor(rate * interval), interval)
        best = max(best, candidate)
        if best >= _GOOD_ENOUGH * rate:
            break
    return best
