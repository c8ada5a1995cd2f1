"""Two stretches of the circle that no root ever reaches, whatever the prompts (ours).

- ``θ ≤ π / (2 (L − 1))``: there ``Re Σ w_m e^{imθ} > 0``, as the weights are positive.
- ``|t| ≤ τ`` about a g-th root of unity ζ ≠ 1, g = gcd of the outputs. There ``D(ζ) = 0`` and
  ``N(ζ) = μ``, the mean output, so that the survival polynomial is ``−μ / (1 − ζ)`` at ζ itself.
  Beside it ``|Im(N conj D)| ≥ μ² |t| − O(t²)`` exceeds ``cot(θ/2) |D|² / 2 = O(t²)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kvsteady.theory.thresholds.curve import Curve

_FINEST = 50  # levels from here on have no place in a float; they are never so near


@dataclass(frozen=True)
class Cleared:
    """Angles in units of π: ``first`` ends the first stretch, ``near`` is τ."""

    first: float
    divisor: int
    near: float

    @classmethod
    def of(cls, curve: Curve) -> Cleared:
        """The stretches of a curve whose longest output is 2 tokens or more."""
        divisor = math.gcd(*curve.output.tolist())
        near = _near_unity(curve, divisor) if divisor > 1 else 0.0
        return cls((1 - 1e-12) / 2 / (curve.longest - 1), divisor, near)

    def covers(self, first: Any, last: Any) -> Any:
        """Whether the arcs from ``π first`` to ``π last`` lie in a cleared stretch."""
        covered = last <= self.first
        if self.divisor > 1:
            turn = np.rint((first + last) / 4 * self.divisor)
            unity = 2 * turn / self.divisor
            inside = (first >= unity - self.near) & (last <= unity + self.near)
            covered = covered | ((turn > 0) & inside)
        return covered

    def covers_exactly(self, place: int, level: int) -> bool:
        """The same for the single arc from ``π place / 2^level`` on."""
        if level > _FINEST:
            return False
        return bool(self.covers(math.ldexp(place, -level), math.ldexp(place + 1, -level)))


def _near_unity(curve: Curve, divisor: int) -> float:
    """τ / π, a little less than what the inequality allows."""
    total = float(sum(curve.tickets))
    mean, second = curve.moment(1) / total, curve.moment(2) / total
    lifted = curve.lifted_moment(1) / total
    radius = math.pi / divisor
    while True:
        cot = 1 / math.tan(math.pi / divisor - radius / 2)  # the largest beside any of them
        # Im(N conj D) / t = μ² − lost, from |D + iμt| ≤ E[L1²] t²/2 and |N − μ| ≤ lifted |t|.
        lost = radius * (mean * second / 2 + lifted * mean + lifted * second * radius / 2)
        gone = radius * (mean + second * radius / 2) ** 2
        if (lost + cot / 2 * gone) * (1 + 1e-9) < mean**2:
            return radius / math.pi * (1 - 1e-9) - 1e-15
        radius /= 2
