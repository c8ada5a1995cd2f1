"""How the simulator's kernels are compiled."""

from __future__ import annotations

import numba

# The kernels allocate nothing, so nothing has to count references to the state's many arrays: that
# would cost more than what they do.
kernel = numba.njit(cache=True, error_model="numpy", _nrt=False)
"""Decorator of every kernel function of the simulator."""
