"""A proved enclosure of the spectral radius, the growth per iteration of the dominant mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.extras import import_extra
from kvsteady.progress import Progress, silent
from kvsteady.theory.certify.evaluate import Evaluator
from kvsteady.theory.certify.whole import weights_of
from kvsteady.theory.certify.winding import BITS, zeros_inside
from kvsteady.theory.spectrum import enclose_radius
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import real_number

_LEAST_WIDTH = 1e-12
_SLACK = 1e-9  # of the first, wide bounds, far beyond what rounding can do to them
_POLISHINGS = 4
_LEAST = 2.0**-1000  # radii below, or above its inverse, are left alone
_SMALL = 512  # a companion matrix of this size takes a second
_MOST_BITS = 256  # a circle closer to a root than that is moved a little instead
_NUDGES = 8


def certified_radius(
    source: Workload | Sequence[int],
    *,
    block_size: int = 1,
    width: float = 1e-7,
    progress: Progress = silent,
) -> tuple[float, float]:
    """Enclose the spectral radius: no root beyond ``high``, one at least beyond ``low`` or on it.

    Both are doubles, so exact rationals. ``high`` is proved by the winding of the polynomial on
    the circle of that radius, ``low`` by a disc that holds a root: for any polynomial G of degree
    n the disc about u of radius ``n |G(u) / G'(u)|`` holds a zero. Floats only say where to look.

    Parameters
    ----------
    source
        A workload, or whole weights as for `certify_weights`.
    block_size
        Tokens per KV block, to which each request's tokens are rounded up.
    width
        Largest ``high / low − 1``, 1e-12 or more.

    Returns
    -------
    tuple of float
        ``(low, high)``; ``(0, 0)`` if there is no root.

    Raises
    ------
    InputError
        Unusable weights or width, or a radius that could not be enclosed as narrowly.
    MissingExtraError
        python-flint is not installed.
    """
    weights = weights_of(source, block_size)
    width = real_number(width, "width")
    if width < _LEAST_WIDTH:
        raise InputError(shown(width), field="width", allowed=f"{_LEAST_WIDTH:g} or more")
    if len(weights) == 1:
        return 0.0, 0.0
    flint = import_extra("flint", extra="certify")
    # The product of the roots is w_{L−1} / w_0 in size, and Fujiwara's bound holds for each.
    low = _root(weights[-1], weights[0], len(weights) - 1) * (1 - _SLACK)
    high = 2 * max(_root(w, weights[0], m) for m, w in enumerate(weights) if m) * (1 + _SLACK)
    if not _LEAST < low <= high < 1 / _LEAST:
        raise InputError(
            "the spectral radius may be no double", field="weights", allowed="more alike weights"
        )
    polynomial = flint.fmpz_poly(list(weights))
    simple = (polynomial // polynomial.gcd(polynomial.derivative())).coeffs()  # every root once
    leading = _likely_leading(weights)
    if leading is not None:
        low = max(low, _proved_low(flint, simple, leading))
        above = low * (1 + width * 0.75)
        if _outside(flint, simple, above, progress) == 0:
            high = above
    while high > low * (1 + width):
        low, high = _narrowed(flint, simple, low, high, progress)
    return low, high


def _narrowed(
    flint: Any, terms: Sequence[Any], low: float, high: float, progress: Progress
) -> tuple[float, float]:
    """Halve the ring that holds the radius, by the logarithm."""
    middle = math.sqrt(low) * math.sqrt(high)
    for nudge in range(_NUDGES):
        outside = _outside(flint, terms, middle, progress)
        if outside is not None:
            return (low, middle) if outside == 0 else (middle, high)
        middle *= (high / low) ** (0.01 * (nudge + 1))  # a root on the very circle: try beside it
    raise InputError(
        "the spectral radius could not be enclosed", field="weights", allowed="a larger width"
    )


def _outside(flint: Any, terms: Sequence[Any], radius: float, progress: Progress) -> int | None:
    """Roots with ``|z| > radius``, none on that circle; None where that could not be proved."""

    def scaled() -> list[Any]:
        step, scale, balls = 1 / flint.arb(radius), flint.arb(1), []
        for term in terms:
            balls.append(term * scale)
            scale *= step
        return balls

    return zeros_inside(scaled, most_bits=_MOST_BITS, progress=progress).inside


def _likely_leading(weights: Sequence[int]) -> complex | None:
    """What floats take for the largest root."""
    top = max(weights)
    floats = np.array([w / top for w in weights])
    if (floats > 0).all():
        return enclose_radius(floats)[2]
    if floats.size > _SMALL or floats[0] == 0:
        return None
    return complex(max(np.roots(floats).tolist(), key=abs, default=0)) or None


def _proved_low(flint: Any, terms: Sequence[Any], leading: complex) -> float:
    """Modulus that a root near ``leading`` is proved to reach, 0 if none is."""
    with flint.ctx.workprec(2 * BITS):
        u = 1 / flint.acb(leading.real, leading.imag)
        value = Evaluator(flint, terms)
        # `slope` is u G'(u), so this is Newton's step; only the midpoint goes on.
        slope = Evaluator(flint, [m * term for m, term in enumerate(terms)])
        for _ in range(_POLISHINGS):
            u = (u * (1 - value.at([u])[0] / slope.at([u])[0])).mid()
        quotient = abs(value.at([u])[0] / slope.at([u])[0])
        reach = abs(u) * (1 + (len(terms) - 1) * quotient)
        low = (1 / reach).lower()
    return _rounded_down(low)


def _rounded_down(ball: Any) -> float:
    low = float(ball)
    return math.nextafter(low, 0.0) if math.isfinite(low) and low > 0 else 0.0


def _root(numerator: int, denominator: int, degree: int) -> float:
    """``(numerator / denominator)^(1/degree)`` of whole numbers of any size, nearly."""
    if numerator == 0:
        return 0.0
    exponent = (_log2(numerator) - _log2(denominator)) / degree
    return float(2**exponent) if exponent < 1023 else math.inf


def _log2(number: int) -> float:
    spare = max(0, number.bit_length() - 64)
    return math.log2(number >> spare) + spare
