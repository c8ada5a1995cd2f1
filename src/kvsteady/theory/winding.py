"""Count the roots of the survival polynomial outside a circle, without computing them.

With ``u = 1/z`` the roots of ``F(z) = Σ w_m z^(L−1−m)`` outside ``|z| = r`` are the zeros of
``G(u) = Σ w_m u^m`` inside ``|u| = 1/r``, and their number is how often ``G`` winds around 0 as
``u`` goes round that circle (the argument principle). ``G`` is taken on a grid by FFT. Between
two grid points it stays within ``δ² B / 8`` of the chord that joins its values, where ``B`` bounds
its second derivative, so an arc whose chord keeps farther than that from 0 is followed exactly;
arcs that come closer are halved until they do. Rounding is allowed for by an estimate, not by a
bound: what is counted here is no proof yet (`kvsteady.theory.certify` has those).

The weights change little from age to age, so ``(1 − a u)² G(u)`` has far smaller terms than ``G``
and a far smaller ``B``; with a < r its extra zeros stay outside the circle and the count is the
same. The method is ours; section 3 of the theory has F.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError
from kvsteady.workload.ranges import real_number

ComplexArray = npt.NDArray[np.complex128]

_LARGEST_GRID = 1 << 22
_FEW_ARCS = 4096  # so many are cheaper to halve one by one than to double the whole grid
_HALVINGS = 40
_EPS = float(np.finfo(np.float64).eps)
# Taken for the rounding of a value, relative to the sum of its terms: an estimate.
ROUNDING = 64 * _EPS


@dataclass(frozen=True)
class RootCount:
    """Roots of the survival polynomial with ``|z| > radius``.

    ``outside`` is None where a root is too close to the circle for floating point to tell on
    which side it lies; ``points`` is the number of evaluations of G that the count took.
    """

    radius: float
    outside: int | None
    points: int

    @property
    def decided(self) -> bool:
        """Whether the grid was fine enough all the way round."""
        return self.outside is not None


def count_roots_outside(weights: FloatArray, radius: float = 1.0) -> RootCount:
    """Count the roots of ``Σ w_m z^(L−1−m)`` with ``|z| > radius``, with multiplicity.

    Parameters
    ----------
    weights
        ``w_m``, shape ``(L,)``, positive.
    radius
        Radius of the circle, above 0.

    Raises
    ------
    InputError
        A radius or a weight that is not positive and finite.
    """
    radius = real_number(radius, "radius")
    if not weights.size or not (weights > 0).all() or not np.isfinite(weights).all():
        raise InputError("not positive and finite", field="weights", allowed="one weight or more")
    if weights.size == 1:
        return RootCount(radius, 0, 0)
    scaled = scaled_terms(weights, radius)
    factor = [1.0, 1.0 / weights.size - 1.0]
    terms = np.convolve(np.convolve(scaled, factor), factor)
    size_of_terms = np.abs(terms)
    age = np.arange(terms.size, dtype=np.float64)
    # Turning it by e^(−i c θ) about the centre of its terms shifts the winding by c and makes the
    # second derivative as small as it can be.
    centre = round(float(age @ size_of_terms) / float(size_of_terms.sum()))
    bend = float((age - centre) ** 2 @ size_of_terms)
    # At halved arcs u is rounded, and its powers turn by up to as many times that.
    turned_by = 2 * _EPS * terms.size * float(size_of_terms.sum())
    rounding = ROUNDING * float(scaled.sum()) + turned_by
    size = 1 << max(6, int(16 * terms.size - 1).bit_length())
    while True:
        # The coefficients are real, so half the circle tells all.
        value = np.conj(np.fft.rfft(terms, size))
        angle = np.linspace(0.0, np.pi, value.size)
        value *= np.exp(-1j * centre * angle)
        unclear = np.flatnonzero(~_followed(value[:-1], value[1:], angle[1], bend, rounding))
        if unclear.size <= _FEW_ARCS or size >= _LARGEST_GRID:
            break
        size *= 4
    clear = np.ones(value.size - 1, dtype=bool)
    clear[unclear] = False
    turned = _turn(value[:-1][clear], value[1:][clear])
    points = value.size
    left, right = angle[unclear], angle[unclear + 1]
    at_left, at_right = value[unclear], value[unclear + 1]
    for _ in range(_HALVINGS):
        if not left.size:
            break
        if left.size > _FEW_ARCS:
            return RootCount(radius, None, points)
        middle = (left + right) / 2
        at_middle = evaluate(terms, np.exp(1j * middle)) * np.exp(-1j * centre * middle)
        points += middle.size
        left, right = np.r_[left, middle], np.r_[middle, right]
        at_left, at_right = np.r_[at_left, at_middle], np.r_[at_middle, at_right]
        done = _followed(at_left, at_right, right - left, bend, rounding)
        turned += _turn(at_left[done], at_right[done])
        left, right, at_left, at_right = (part[~done] for part in (left, right, at_left, at_right))
    if left.size:
        return RootCount(radius, None, points)
    return RootCount(radius, centre + round(turned / np.pi), points)


def scaled_terms(weights: FloatArray, radius: float) -> FloatArray:
    """``w_m r^(−m)``, scaled so that the largest is 1: it cannot overflow."""
    exponent = np.log(weights) - np.arange(weights.size) * np.log(radius)
    terms: FloatArray = np.exp(exponent - exponent.max())
    return terms


def evaluate(terms: FloatArray, u: ComplexArray) -> ComplexArray:
    """``Σ c_m u^m`` at each ``u``, shape ``(n,)``: √L powers, then √L powers of the last."""
    width = int(np.ceil(np.sqrt(terms.size)))
    rows = np.zeros(width * width)
    rows[: terms.size] = terms
    log_u = np.log(u)[:, None]
    small = np.exp(log_u * np.arange(width))
    large = np.exp(log_u * (width * np.arange(width)))
    inner = small @ rows.reshape(width, width).T.astype(np.complex128)
    total: ComplexArray = np.einsum("nj,nj->n", inner, large)
    return total


def _followed(
    start: ComplexArray, end: ComplexArray, step: float | FloatArray, bend: float, rounding: float
) -> npt.NDArray[np.bool_]:
    """Whether G keeps clear of 0 along each arc, rounding included."""
    chord = end - start
    length = np.abs(chord) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.clip(np.nan_to_num(-(np.conj(chord) * start).real / length), 0.0, 1.0)
    distance = np.abs(start + along * chord)
    clear: npt.NDArray[np.bool_] = distance > step**2 * bend / 8 + rounding
    return clear


def _turn(start: ComplexArray, end: ComplexArray) -> float:
    """Angle by which G turned over arcs that were followed, each less than half a turn."""
    return float(np.angle(end * np.conj(start)).sum())
