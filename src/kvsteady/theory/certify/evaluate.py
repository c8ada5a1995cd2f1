"""Values of a real polynomial as balls: on a regular grid of the unit circle, and at single points.

Horner's rule would be rigorous and useless: multiplying a rectangle by a turned number widens it by
up to √2, so a thousand steps lose hundreds of bits. Here no value is a product of many factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_AT_ONCE = 256  # points whose powers are held together


def on_grid(flint: Any, terms: Sequence[Any], centre: int, level: int) -> list[Any]:
    """Values of ``Σ t_m u^(m − centre)`` at the angles ``π k / 2^level``, ``k = 0 … 2^level``.

    One Fourier transform of balls; ``2^(level + 1)`` is at least the number of terms.
    """
    size = 2 << level
    shifted = [flint.acb(0)] * size
    for m, term in enumerate(terms):
        shifted[(m - centre) % size] = flint.acb(term)
    # The transform goes round clockwise; real coefficients make that the mirror image.
    return [value.conjugate() for value in flint.acb.dft(shifted)[: size // 2 + 1]]


class Evaluator:
    """``Σ t_m u^m`` at chosen points, in the precision it was made in.

    With s = √n the terms stand in s rows of s: one product of matrices sums the rows over
    ``1, u, …, u^(s−1)``, and the sums are joined with ``1, u^s, …``.
    """

    def __init__(self, flint: Any, terms: Sequence[Any]) -> None:
        self._flint = flint
        self._width = math.isqrt(len(terms) - 1) + 1
        rows = list(terms) + [0] * (self._width**2 - len(terms))
        self._rows = flint.arb_mat(self._width, self._width, rows)

    def at(self, points: Sequence[Any]) -> list[Any]:
        """Values at complex balls ``u``."""
        values: list[Any] = []
        for first in range(0, len(points), _AT_ONCE):
            values += self._few(points[first : first + _AT_ONCE])
        return values

    def _few(self, points: Sequence[Any]) -> list[Any]:
        acb, arb_mat = self._flint.acb, self._flint.arb_mat
        small = [_powers(u, self._width) for u in points]
        # Real and imaginary parts side by side: the terms are real.
        parts = [[power.real for power in powers] for powers in small]
        parts += [[power.imag for power in powers] for powers in small]
        sums = (self._rows * arb_mat(parts).transpose()).transpose().tolist()
        values = []
        for i, u in enumerate(points):
            large = _powers(small[i][-1] * u, self._width)
            row = zip(sums[i], sums[len(points) + i], large, strict=True)
            values.append(sum((acb(real, imag) * power for real, imag, power in row), acb(0)))
        return values


def _powers(u: Any, count: int) -> list[Any]:
    """``1, u, …, u^(count − 1)``, each a product of log(count) factors at most."""
    powers = [u**0, u]
    for j in range(2, count):
        powers.append(powers[j // 2] * powers[j - j // 2])
    return powers[:count]
