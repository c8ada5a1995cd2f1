"""Means of a few seeds, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

# Student's t at 97.5%, by degrees of freedom from 1; beyond the table by its expansion in 1 / df.
_T: Final = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95% confidence interval, by Student's t.

    One value has an interval of unknown width, given as 0; no value has a mean of NaN.
    """
    count = len(values)
    if not count:
        return math.nan, 0.0
    mean = sum(values) / count
    if count == 1:
        return mean, 0.0
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    free = count - 1
    t = _T[free - 1] if free <= len(_T) else 1.959964 + 2.37227 / free + 2.8225 / free**2
    return mean, t * spread / math.sqrt(count)
