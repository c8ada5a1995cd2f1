"""The two array types that cross module borders, and what makes them safe to share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def frozen_ints(values: npt.ArrayLike) -> IntArray:
    """Return an int64 copy that cannot be written to."""
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array


def frozen_floats(values: npt.ArrayLike) -> FloatArray:
    """Return a float64 copy that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array
